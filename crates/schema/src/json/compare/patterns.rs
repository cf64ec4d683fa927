//! Matches names against regular expressions.

use std::{collections::HashMap, sync::Arc};

use jsonschema::{Draft, PatternOptions, Validator, error::ValidationErrorKind};
use serde_json::{Value, json};

use crate::budget::{BudgetExceeded, hold, spend};

/// The maximum length of a pattern that is compiled, in bytes. Whether a longer one matches is unknown.
const MAX_LENGTH: usize = 2_048;
/// The maximum length of a pattern that needs backtracking, in bytes.
const MAX_BACKTRACKING_LENGTH: usize = 256;
/// The maximum number of patterns that one comparison compiles.
const MAX_COMPILED: usize = 200;
/// The maximum number of patterns with backtracking that one comparison compiles.
const MAX_BACKTRACKING: usize = 16;
/// The maximum size of a compiled pattern, and of its cache, in bytes.
const MAX_BYTES: usize = 128 << 10;
/// The maximum number of backtracking steps of a match. Whether a name matches that needs more is unknown.
const MAX_BACKTRACKS: usize = 10_000;
/// The steps of compiling a pattern.
const COMPILE_STEPS: usize = 20_000;

/// A cache of compiled patterns.
#[derive(Default)]
pub struct PatternCache {
    /// `None`: the pattern can't be compiled, so whether it matches is unknown.
    compiled: HashMap<Arc<str>, Option<Validator>>,
    backtracking: usize,
}

impl PatternCache {
    /// Returns whether `pattern` matches a part of `text`, or `None` if that is unknown.
    pub fn matches(&mut self, pattern: &Arc<str>, text: &str) -> Result<Option<bool>, BudgetExceeded> {
        spend(1 + text.len() / 16)?;
        if !self.compiled.contains_key(pattern) {
            let compiled = self.compile(pattern)?;
            self.compiled.insert(Arc::clone(pattern), compiled);
        }
        let Some(Some(validator)) = self.compiled.get(pattern) else { return Ok(None) };
        let text = Value::from(text);
        let answer = match validator.validate(&text) {
            Ok(()) => Some(true),
            Err(error) => matches!(error.kind(), ValidationErrorKind::Pattern { .. }).then_some(false),
        };
        Ok(answer)
    }

    fn compile(&mut self, pattern: &str) -> Result<Option<Validator>, BudgetExceeded> {
        if pattern.len() > MAX_LENGTH || self.compiled.len() >= MAX_COMPILED {
            return Ok(None);
        }
        spend(COMPILE_STEPS)?;
        hold(MAX_BYTES / 4)?;
        let schema = json!({"pattern": pattern});
        let options = || jsonschema::options().with_draft(Draft::Draft7).offline();
        let linear = PatternOptions::regex().size_limit(MAX_BYTES).dfa_size_limit(MAX_BYTES);
        if let Ok(validator) = options().with_pattern_options(linear).build(&schema) {
            return Ok(Some(validator));
        }
        if pattern.len() > MAX_BACKTRACKING_LENGTH || self.backtracking >= MAX_BACKTRACKING {
            return Ok(None);
        }
        self.backtracking += 1;
        spend(COMPILE_STEPS)?;
        hold(MAX_BYTES)?;
        let limits = PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKS).size_limit(MAX_BYTES).dfa_size_limit(MAX_BYTES);
        Ok(options().with_pattern_options(limits).build(&schema).ok())
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
