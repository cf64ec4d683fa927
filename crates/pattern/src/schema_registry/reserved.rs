//! Reserved fields: names in the metadata of a schema that its fields must not have (`validate_fields`).

use super::state::StoredSchema;
use prism_call::proto::patterns::schema_registry::v1::Metadata;
use prism_schema::{Difference, Schema};

/// The property that lists reserved fields, separated by commas.
const RESERVED_PROPERTY: &str = "confluent:reserved";

/// Returns the problems of a schema with reserved fields: fields that it reserves and has, and fields that the latest version reserves
/// and it does not.
pub(super) fn find_problems(schema: &Schema, metadata: Option<&Metadata>, latest: Option<&StoredSchema>) -> Vec<Difference> {
    let reserved: Vec<&str> = reserved_fields(metadata).collect();
    let before = latest.and_then(|latest| latest.metadata.as_deref());
    let removed = reserved_fields(before).filter(|name| !reserved.contains(name)).map(|name| Difference {
        kind: "RESERVED_FIELD_REMOVED",
        path: "/".to_owned(),
        message: format!("the latest version reserves the field `{name}`, and this schema does not; add it to `{RESERVED_PROPERTY}`"),
        detail: name.to_owned(),
    });
    let fields = if reserved.is_empty() { Vec::new() } else { schema.field_names() };
    let taken = reserved.iter().filter(|name| fields.iter().any(|field| field == *name)).map(|name| Difference {
        kind: "FIELD_CONFLICTS_WITH_RESERVED_FIELD",
        path: format!("/{name}"),
        message: format!("the field `{name}` is reserved; rename it"),
        detail: (*name).to_owned(),
    });
    removed.chain(taken).collect()
}

fn reserved_fields(metadata: Option<&Metadata>) -> impl Iterator<Item = &str> {
    let list = metadata.and_then(|metadata| metadata.properties.get(RESERVED_PROPERTY));
    list.into_iter().flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty())
}
