//! The property `confluent:version` in the metadata of a schema: the number of its version. It makes a text that a subject has already a
//! different schema, which can be registered as a new version.

use prism_call::proto::patterns::schema_registry::v1::Metadata;

/// Name of the property.
const VERSION_PROPERTY: &str = "confluent:version";

/// Whether the metadata has the property.
pub(super) fn has_version(metadata: Option<&Metadata>) -> bool {
    metadata.is_some_and(|metadata| metadata.properties.contains_key(VERSION_PROPERTY))
}

/// Returns the metadata with the property.
pub(super) fn with_version(metadata: Option<Metadata>, version: u32) -> Metadata {
    let mut metadata = metadata.unwrap_or_default();
    metadata.properties.insert(VERSION_PROPERTY.to_owned(), version.to_string());
    metadata
}

/// Returns the metadata without the property; `None` if nothing is left.
pub(super) fn without_version(mut metadata: Metadata) -> Option<Metadata> {
    let removed = metadata.properties.remove(VERSION_PROPERTY).is_some();
    (!removed || metadata != Metadata::default()).then_some(metadata)
}

/// Whether metadata is equal. If `wanted` does not have the property, that of `known` does not count.
pub(super) fn is_same_metadata(wanted: Option<&Metadata>, known: Option<&Metadata>) -> bool {
    if wanted == known {
        return true;
    }
    !has_version(wanted) && has_version(known) && known.cloned().and_then(without_version).as_ref() == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_property_of_the_known_schema_does_not_count() {
        let owned = Metadata { properties: [("owner".to_owned(), "me".to_owned())].into(), ..Metadata::default() };
        let versioned = with_version(Some(owned.clone()), 3);
        for (wanted, known, same) in [
            (None, None, true),
            (None, Some(with_version(None, 3)), true),
            (Some(owned.clone()), Some(versioned.clone()), true),
            (None, Some(versioned.clone()), false),
            (Some(versioned.clone()), Some(owned), false),
            (Some(versioned.clone()), Some(versioned.clone()), true),
            (Some(with_version(None, 4)), Some(versioned), false),
            (None, Some(Metadata::default()), false),
        ] {
            assert_eq!(is_same_metadata(wanted.as_ref(), known.as_ref()), same, "{wanted:?} {known:?}");
        }
    }
}
