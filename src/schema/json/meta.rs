//! Meta-schemas, which schemas may refer to without being given them.

use serde_json::Value;

use super::draft::Draft;

/// The meta-schema, or the vocabulary of one, that has this URI.
pub fn schema(uri: &str, draft: Option<Draft>) -> Option<(Value, Draft)> {
    let bare = uri.trim_end_matches('#');
    let known = bare.strip_prefix("http://").or_else(|| bare.strip_prefix("https://"))?;
    let folders = [("json-schema.org/draft/2019-09/", Draft::September2019), ("json-schema.org/draft/2020-12/", Draft::December2020)];
    let of_folder = folders.into_iter().find(|(folder, _)| known.starts_with(folder)).map(|(_, draft)| draft);
    let draft = draft.or(of_folder)?;
    // Older ones are known with an empty fragment.
    let stored = if draft < Draft::September2019 { format!("http://{known}#") } else { format!("https://{known}") };
    let registry = jsonschema::Registry::new().prepare().ok()?;
    let base = jsonschema::uri::from_str(&stored).ok()?;
    let resolver = registry.resolver(base);
    let value = resolver.lookup("").ok()?.contents().clone();
    Some((value, draft))
}
