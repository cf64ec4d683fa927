//! Finds the reasons why data of a writer can't be read ("Schema Resolution").
//!
//! First, all pairs of types that have to be read are collected and decided. Then the differences of the unreadable pairs are reported in
//! the order of the reader's text. Both steps avoid recursion, because two schemas with cycles of different lengths have very many pairs.

mod fields;
mod matching;
mod message;
mod pairs;
mod report;

use super::model::TypeGraph;
use crate::{Difference, TOO_COMPLEX};

/// Returns the differences, at most [`crate::MAX_DIFFERENCES`].
pub(super) fn differences(reader: &TypeGraph, writer: &TypeGraph) -> Vec<Difference> {
    let Some(pairs) = pairs::decide(reader, writer) else {
        return vec![Difference {
            kind: TOO_COMPLEX,
            path: "/".to_owned(),
            message: format!(
                "the schemas are too complex to be compared: they have more than {} pairs of types, or comparing them takes more than {} steps; \
                 make their unions smaller, or split them",
                pairs::MAX_PAIRS,
                pairs::MAX_STEPS
            ),
            detail: String::new(),
        }];
    };
    report::report(&pairs)
}
