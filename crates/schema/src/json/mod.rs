//! JSON Schema, drafts 4, 6, 7, 2019-09 and 2020-12.
//!
//! [`documents`] loads the texts, [`compile`] translates them to subschemas ([`node`]), and [`compare`] compares two schemas. Nothing is
//! fetched from a network: a reference leads to a dependency or to a built-in meta-schema.

mod compare;
mod compile;
mod documents;
mod draft;
mod ecma;
mod meta;
mod node;
mod number;
mod registered;
mod schema;
mod tag;
mod text;
mod unevaluated;
mod uri;

#[cfg(test)]
mod tests;

pub use registered::check_registered;
pub use schema::JsonSchema;
pub(crate) use text::minify;

use crate::{
    CompatibilityPolicy, Difference,
    budget::{self, MAX_COMPARED_BYTES},
};

/// Returns the reasons why data of `writer` may be invalid for `reader`; see [`crate::Schema::differences`] and [`compare`].
pub fn differences(reader: &JsonSchema, writer: &JsonSchema, policy: CompatibilityPolicy) -> Vec<Difference> {
    budget::run_operation(MAX_COMPARED_BYTES, || compare_by(reader, writer, policy))
}

fn compare_by(reader: &JsonSchema, writer: &JsonSchema, policy: CompatibilityPolicy) -> Vec<Difference> {
    let differences = compare::differences(reader, writer, policy);
    // The lenient policy is less exact in some cases. If the strict policy finds no difference, there is none.
    if policy == CompatibilityPolicy::Lenient
        && !differences.is_empty()
        && compare::differences(reader, writer, CompatibilityPolicy::Strict).is_empty()
    {
        return Vec::new();
    }
    differences
}
