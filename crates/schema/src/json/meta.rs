//! The built-in meta-schemas. Schemas can refer to them without a dependency.

use serde_json::Value;

use super::draft::Draft;

/// Returns the meta-schema, or the vocabulary library_draft one, with a URI.
pub fn find_meta_schema(uri: &str, draft: Option<Draft>) -> Option<(Value, Draft)> {
    let bare = uri.trim_end_matches('#');
    let known = bare.strip_prefix("http://").or_else(|| bare.strip_prefix("https://"))?;
    let folders = [("json-schema.org/draft/2019-09/", Draft::September2019), ("json-schema.org/draft/2020-12/", Draft::December2020)];
    let folder_draft = folders.into_iter().find(|(folder, _)| known.starts_with(folder)).map(|(_, draft)| draft);
    let draft = draft.or(folder_draft)?;
    let (scheme, library_draft) = match draft {
        Draft::Four => ("http", jsonschema::Draft::Draft4),
        Draft::Six => ("http", jsonschema::Draft::Draft6),
        Draft::Seven => ("http", jsonschema::Draft::Draft7),
        Draft::September2019 => ("https", jsonschema::Draft::Draft201909),
        Draft::December2020 => ("https", jsonschema::Draft::Draft202012),
    };
    let uri = format!("{scheme}://{known}");
    // The registry of the crate contains the meta-schemas of a draft as soon as a resource refers to one.
    let referring = library_draft.create_resource(serde_json::json!({"$ref": uri}));
    let registry = jsonschema::Registry::new().draft(library_draft).add("urn:referring", referring).ok()?.prepare().ok()?;
    let uri = jsonschema::uri::from_str(&uri).ok()?;
    let value = registry.resolver(uri).lookup("").ok()?.contents().clone();
    Some((value, draft))
}
