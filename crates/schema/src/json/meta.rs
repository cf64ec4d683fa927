//! The built-in meta-schemas. Schemas can refer to them without a dependency.

use std::sync::OnceLock;

use serde_json::Value;

use super::draft::Draft;
use crate::{InvalidSchema, text::shorten};

/// The maximum number of reported violations of a meta-schema.
const MAX_VIOLATIONS: usize = 3;

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

/// Validates a schema against the meta-schema. `subject` names the schema in the error.
pub fn check_schema(draft: Draft, schema: &Value, subject: &str) -> Result<(), InvalidSchema> {
    let Some(validator) = meta_validator(draft) else {
        return Err(InvalidSchema::new(format!("the meta-schema of {} can't be used", draft.title())));
    };
    if validator.is_valid(schema) {
        return Ok(());
    }
    let violations: Vec<_> = validator.iter_errors(schema).take(MAX_VIOLATIONS).map(|error| render_violation(&error)).collect();
    Err(InvalidSchema::new(format!("{subject} is not a valid JSON Schema of {}: {}", draft.title(), violations.join("; "))))
}

/// Returns the validator of the meta-schema. It takes any pattern, because [`super::ecma`] checks patterns, and compiling them can take
/// very long.
fn meta_validator(draft: Draft) -> Option<&'static jsonschema::Validator> {
    static VALIDATORS: [OnceLock<Option<jsonschema::Validator>>; 5] = [const { OnceLock::new() }; 5];
    let index = Draft::ALL.iter().position(|(known, _)| *known == draft)?;
    let build = || {
        let (uri, library_draft) = match draft {
            Draft::Four => ("http://json-schema.org/draft-04/schema", jsonschema::Draft::Draft4),
            Draft::Six => ("http://json-schema.org/draft-06/schema", jsonschema::Draft::Draft6),
            Draft::Seven => ("http://json-schema.org/draft-07/schema", jsonschema::Draft::Draft7),
            Draft::September2019 => ("https://json-schema.org/draft/2019-09/schema", jsonschema::Draft::Draft201909),
            Draft::December2020 => ("https://json-schema.org/draft/2020-12/schema", jsonschema::Draft::Draft202012),
        };
        let options = jsonschema::options().with_draft(library_draft).offline().with_format("regex", |_: &str| true);
        let formats = draft < Draft::September2019;
        options.should_validate_formats(formats).build(&find_meta_schema(uri, Some(draft))?.0).ok()
    };
    VALIDATORS.get(index)?.get_or_init(build).as_ref()
}

fn render_violation(error: &jsonschema::ValidationError<'_>) -> String {
    const MAX_LENGTH: usize = 200;
    let path = error.instance_path().as_str().to_owned();
    let text = shorten(&error.to_string(), MAX_LENGTH);
    format!("at `{}`: {text}", if path.is_empty() { "/" } else { &path })
}
