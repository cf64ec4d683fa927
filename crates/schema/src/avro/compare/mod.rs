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
use crate::Difference;

/// Returns the differences, at most [`crate::MAX_DIFFERENCES`].
pub(super) fn differences(reader: &TypeGraph, writer: &TypeGraph) -> Vec<Difference> {
    let Some(pairs) = pairs::decide(reader, writer) else {
        return vec![Difference {
            kind: "TYPE_MISMATCH",
            path: "/".to_owned(),
            message: "the two schemas have too many combinations of types to be compared; make their unions smaller, or split them"
                .to_owned(),
            detail: "too many combinations of types".to_owned(),
        }];
    };
    report::report(&pairs)
}
