//! Which names a pattern matches.

use std::{collections::HashMap, sync::Arc};

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Value, json};

/// Most steps back that a match may take; a name that needs more doesn't match.
const MAX_BACKTRACKS: usize = 10_000;

/// Compiled patterns.
#[derive(Default)]
pub struct PatternCache {
    compiled: HashMap<Arc<str>, Option<Validator>>,
}

impl PatternCache {
    /// Whether `pattern` matches within `text`.
    pub fn matches(&mut self, pattern: &Arc<str>, text: &str) -> bool {
        let compiled = self.compiled.entry(Arc::clone(pattern)).or_insert_with(|| {
            let options = jsonschema::options().with_draft(Draft::Draft7).offline();
            let options = options.with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKS));
            options.build(&json!({"pattern": &**pattern})).ok()
        });
        compiled.as_ref().is_some_and(|validator| validator.is_valid(&Value::from(text)))
    }
}

/// Whether no text can match both: each begins with text of its own.
pub fn are_disjoint(left: &str, right: &str) -> bool {
    let (Some(left), Some(right)) = (beginning(left), beginning(right)) else { return false };
    !left.starts_with(right) && !right.starts_with(left)
}

/// The text that all matches begin with.
fn beginning(pattern: &str) -> Option<&str> {
    let rest = pattern.strip_prefix('^')?;
    if rest.contains('|') {
        return None;
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || "_- ".contains(c))).unwrap_or(rest.len());
    // What is repeated may not be there at all.
    let optional = rest[end..].starts_with(['?', '*', '{']);
    let end = if optional { rest[..end].char_indices().next_back()?.0 } else { end };
    Some(&rest[..end]).filter(|text| !text.is_empty())
}
