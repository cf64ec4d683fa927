//! Matches names against regular expressions.

use std::{collections::HashMap, sync::Arc};

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Value, json};

/// The backtracking limit of a match. A name that needs more steps does not match.
const MAX_BACKTRACKS: usize = 10_000;

/// A cache of compiled patterns.
#[derive(Default)]
pub struct PatternCache {
    compiled: HashMap<Arc<str>, Option<Validator>>,
}

impl PatternCache {
    /// Returns whether `pattern` matches a part of `text`.
    pub fn matches(&mut self, pattern: &Arc<str>, text: &str) -> bool {
        let compiled = self.compiled.entry(Arc::clone(pattern)).or_insert_with(|| {
            let options = jsonschema::options().with_draft(Draft::Draft7).offline();
            let options = options.with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKS));
            options.build(&json!({"pattern": &**pattern})).ok()
        });
        compiled.as_ref().is_some_and(|validator| validator.is_valid(&Value::from(text)))
    }
}

/// Returns whether it is sure that no text matches both patterns: they have different literal prefixes.
pub fn are_disjoint(left: &str, right: &str) -> bool {
    let (Some(left), Some(right)) = (literal_prefix(left), literal_prefix(right)) else { return false };
    !left.starts_with(right) && !right.starts_with(left)
}

/// Returns the literal text with which every match starts.
fn literal_prefix(pattern: &str) -> Option<&str> {
    let rest = pattern.strip_prefix('^')?;
    if rest.contains('|') {
        return None;
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || "_- ".contains(c))).unwrap_or(rest.len());
    // The last character is optional if a quantifier follows it.
    let optional = rest[end..].starts_with(['?', '*', '{']);
    let end = if optional { rest[..end].char_indices().next_back()?.0 } else { end };
    Some(&rest[..end]).filter(|text| !text.is_empty())
}
