//! The table of cases, with one file for each group of rows.

mod bodies;
mod errors;
mod paths;
mod query;
mod streams;
mod wire;

use crate::case::Case;

/// Returns all cases in the order of the rows.
pub fn all() -> Vec<Case> {
    let mut cases = [paths::cases(), bodies::cases(), query::cases(), streams::cases(), errors::cases(), wire::cases()].concat();
    cases.sort_by_key(|case| crate::case::Row::ALL.iter().position(|row| *row == case.row));
    cases
}
