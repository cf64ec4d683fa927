//! What the JSON Schema of a driver's settings says of one value.

use serde_json::Value as Json;

use crate::settings::mask_url;
use prism_registry::unknown_name;

/// What a value measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Duration,
    Bytes,
}

impl Unit {
    /// Durations say so in their schema; sizes are whole numbers whose names end in `bytes`.
    pub fn of(schema: &Json, name: &str) -> Option<Self> {
        if schema["format"] == "human-duration" {
            return Some(Self::Duration);
        }
        (name.ends_with("bytes") && is(schema, "integer")).then_some(Self::Bytes)
    }
}

/// The types that a schema allows, without `null`; empty: all.
pub(super) fn types(schema: &Json) -> Vec<&str> {
    match &schema["type"] {
        Json::String(kind) => vec![kind],
        Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).filter(|kind| *kind != "null").collect(),
        _ => {
            let alternatives = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array());
            let mut kinds = alternatives.into_iter().flatten().flat_map(types).collect::<Vec<_>>();
            kinds.dedup();
            kinds
        }
    }
}

/// Whether a value may be of this type.
pub(super) fn allows(schema: &Json, kind: &str) -> bool {
    let types = types(schema);
    types.is_empty() || types.contains(&kind)
}

/// Whether a value has to be of this type.
pub(super) fn is(schema: &Json, kind: &str) -> bool {
    types(schema) == [kind]
}

/// The words that a schema allows, if it lists them.
fn choices(schema: &Json) -> Option<Vec<&str>> {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(Json::as_str).collect();
    }
    // An enumeration whose words are documented: one schema for each.
    let each = schema["oneOf"].as_array()?.iter().map(|one| match one["const"].as_str() {
        Some(word) => Some(vec![word]),
        None => choices(one),
    });
    Some(each.collect::<Option<Vec<_>>>()?.concat())
}

/// What a value breaks of the schema, beside its type.
pub(super) fn violation(schema: &Json, name: &str, value: &Json, shown: &str) -> Option<String> {
    if let (Some(choices), Some(word)) = (choices(schema), value.as_str()) {
        return (!choices.contains(&word)).then(|| unknown_name(name, shown, choices));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && regex_lite::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
    {
        let right = match schema["examples"][0].as_str() {
            Some(example) => format!("look like `{example}`"),
            None => format!("match {pattern}"),
        };
        return Some(format!("`{name}` must {right}, not `{}`", mask_url(shown)));
    }
    let number = value.as_f64()?;
    let bits = |bits: i32| 2f64.powi(bits);
    let (least, greatest) = match schema["format"].as_str() {
        Some("uint8") => (0.0, bits(8) - 1.0),
        Some("uint16") => (0.0, bits(16) - 1.0),
        Some("uint32") => (0.0, bits(32) - 1.0),
        Some("uint64" | "uint") => (0.0, bits(64)),
        Some("int32") => (-bits(31), bits(31) - 1.0),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    let least = schema["minimum"].as_f64().map_or(least, |minimum| minimum.max(least));
    let greatest = schema["maximum"].as_f64().map_or(greatest, |maximum| maximum.min(greatest));
    if number < least {
        return Some(format!("`{name}` must be at least {least}, not {shown}"));
    }
    (number > greatest).then(|| format!("`{name}` must be at most {greatest}, not {shown}"))
}

/// The first sentence of a description.
pub(super) fn first_sentence(text: &str) -> String {
    let line = text.lines().take_while(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" ");
    line.split_once(". ").map_or(line.as_str(), |(first, _)| first).trim_end_matches('.').to_owned()
}
