//! Compares the bounds of numbers.

use std::cmp::Ordering;

use serde_json::Number;

use super::{Conjunction, JsonComparison};
use crate::json::{
    node::{Subschema, SubschemaId, TypeSet},
    number::{as_integer, compare, is_multiple},
};

/// A bound, and whether it is exclusive.
type Bound = (Number, bool);

/// The side of the range of numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BoundSide {
    Lower,
    Upper,
}

/// A keyword for a bound: its name, its side, whether it is exclusive, and the kinds of differences when it is added or becomes tighter.
type BoundKeyword = (&'static str, BoundSide, bool, [&'static str; 2]);

const BOUND_KEYWORDS: [BoundKeyword; 4] = [
    ("minimum", BoundSide::Lower, false, ["MINIMUM_ADDED", "MINIMUM_INCREASED"]),
    ("maximum", BoundSide::Upper, false, ["MAXIMUM_ADDED", "MAXIMUM_DECREASED"]),
    ("exclusiveMinimum", BoundSide::Lower, true, ["MINIMUM_EXCLUSIVE_ADDED", "MINIMUM_EXCLUSIVE_INCREASED"]),
    ("exclusiveMaximum", BoundSide::Upper, true, ["MAXIMUM_EXCLUSIVE_ADDED", "MAXIMUM_EXCLUSIVE_DECREASED"]),
];

fn bound<'a>(node: &'a Subschema, keyword: &BoundKeyword) -> Option<&'a Number> {
    match (keyword.1, keyword.2) {
        (BoundSide::Lower, false) => node.minimum.as_ref(),
        (BoundSide::Lower, true) => node.exclusive_minimum.as_ref(),
        (BoundSide::Upper, false) => node.maximum.as_ref(),
        (BoundSide::Upper, true) => node.exclusive_maximum.as_ref(),
    }
}

/// Returns whether all numbers within `old` are within `new`.
fn implies(old: &Bound, new: &Bound, side: BoundSide, only_integers: bool) -> bool {
    let order = compare(&old.0, &new.0);
    let tighter = if side == BoundSide::Lower { Ordering::Greater } else { Ordering::Less };
    if order == tighter || order == Ordering::Equal && (old.1 || !new.1) {
        return true;
    }
    // For integers, `> 4` and `>= 5` are the same.
    let step = |bound: &Bound| {
        let by = i128::from(bound.1) * if side == BoundSide::Lower { 1 } else { -1 };
        as_integer(&bound.0).map(|bound| bound + by)
    };
    match (step(old), step(new)) {
        (Some(old), Some(new)) if only_integers => {
            if side == BoundSide::Lower {
                old >= new
            } else {
                old <= new
            }
        }
        _ => false,
    }
}

impl JsonComparison {
    fn bounds(&self, writer: &[SubschemaId], side: BoundSide) -> Vec<Bound> {
        let keywords: Vec<&BoundKeyword> = BOUND_KEYWORDS.iter().filter(|keyword| keyword.1 == side).collect();
        let bounds = writer.iter().flat_map(|id| keywords.iter().map(|keyword| (bound(&self.nodes[*id], keyword).cloned(), keyword.2)));
        bounds.filter_map(|(number, exclusive)| Some((number?, exclusive))).collect()
    }

    /// Returns whether no number is within the bounds.
    pub(super) fn has_no_numbers(&mut self, writer: &[SubschemaId], types: TypeSet) -> bool {
        let (lower, upper) = (self.bounds(writer, BoundSide::Lower), self.bounds(writer, BoundSide::Upper));
        let only_integers = !types.intersects(TypeSet::FRACTION);
        if !self.spend(lower.len() * upper.len()) {
            return false;
        }
        lower.iter().any(|lower| {
            upper.iter().any(|upper| match compare(&lower.0, &upper.0) {
                Ordering::Greater => true,
                Ordering::Equal => lower.1 || upper.1,
                Ordering::Less if only_integers => match (as_integer(&lower.0), as_integer(&upper.0)) {
                    (Some(low), Some(high)) => low + i128::from(lower.1) > high - i128::from(upper.1),
                    _ => false,
                },
                Ordering::Less => false,
            })
        })
    }

    /// Compares `minimum`, `maximum`, `exclusive…` and `multipleOf`, Validation section 6.2.
    pub(super) fn check_numbers(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction, types: TypeSet) -> bool {
        let only_integers = !types.intersects(TypeSet::FRACTION);
        let mut answer = true;
        for keyword in &BOUND_KEYWORDS {
            let (name, side, exclusive, kinds) = *keyword;
            let Some(new) = bound(node, keyword) else { continue };
            let old = self.bounds(writer, side);
            if old.iter().any(|old| implies(old, &(new.clone(), exclusive), side, only_integers)) {
                continue;
            }
            let before =
                writer.iter().filter_map(|id| bound(&self.nodes[*id], keyword)).max_by(|left, right| compare(left, right)).cloned();
            let kind = kinds[usize::from(before.is_some())];
            answer = self.report(kind, reader, &[name], new.to_string(), || match before {
                Some(before) => {
                    format!("`{name}` goes from {before} to {new}, so numbers between are no longer valid; go no further than {before}")
                }
                None => {
                    format!("`{name}` is {new}, and the old schema has no such bound; numbers beyond it are no longer valid, so remove it")
                }
            });
        }
        let Some(step) = &node.multiple_of else { return answer };
        let olds: Vec<Number> = writer.iter().filter_map(|id| self.nodes[*id].multiple_of.clone()).collect();
        let one = only_integers.then(|| Number::from(1));
        if olds.iter().chain(&one).any(|old| compare(old, step) == Ordering::Equal || is_multiple(old, step) == Some(true)) {
            return answer;
        }
        let (kind, message) = match olds.first() {
            None => ("MULTIPLE_OF_ADDED", format!("`multipleOf` is {step}, and the old schema has none; remove it")),
            Some(old) if is_multiple(step, old) == Some(true) => (
                "MULTIPLE_OF_EXPANDED",
                format!("`multipleOf` goes from {old} to {step}, so other multiples of {old} are no longer valid; keep {old}"),
            ),
            Some(old) => ("MULTIPLE_OF_CHANGED", format!("`multipleOf` goes from {old} to {step}, which doesn't divide it; keep {old}")),
        };
        self.report(kind, reader, &["multipleOf"], step.to_string(), || message)
    }
}
