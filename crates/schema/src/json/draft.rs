//! The drafts of JSON Schema.

use std::sync::OnceLock;

use serde_json::Value;

use crate::{InvalidSchema, text::shorten};

/// The maximum number of reported violations of a meta-schema.
const MAX_VIOLATIONS: usize = 3;

/// A draft, in the order of their publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Draft {
    /// <https://json-schema.org/draft-04>
    Four,
    /// <https://json-schema.org/draft-06>
    Six,
    /// <https://json-schema.org/draft-07>; the default for schemas without `$schema`, as clients of registries assume.
    Seven,
    /// <https://json-schema.org/draft/2019-09>
    September2019,
    /// <https://json-schema.org/draft/2020-12>
    December2020,
}

impl Draft {
    /// All drafts with their `$schema` URI, without the scheme.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Four, "json-schema.org/draft-04/schema"),
        (Self::Six, "json-schema.org/draft-06/schema"),
        (Self::Seven, "json-schema.org/draft-07/schema"),
        (Self::September2019, "json-schema.org/draft/2019-09/schema"),
        (Self::December2020, "json-schema.org/draft/2020-12/schema"),
    ];

    /// Returns the draft that a schema declares, or `None` if it declares no known draft.
    pub fn declared_by(schema: &Value) -> Option<Self> {
        Self::from_uri(schema.get("$schema")?.as_str()?)
    }

    /// Returns the draft whose meta-schema has a URI.
    pub fn from_uri(uri: &str) -> Option<Self> {
        let uri = uri.trim_end_matches('#');
        let uri = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"))?;
        Self::ALL.into_iter().find(|(_, known)| *known == uri).map(|(draft, _)| draft)
    }

    /// Returns the keyword for the identifier of a schema.
    pub fn id_keyword(self) -> &'static str {
        if self == Self::Four { "id" } else { "$id" }
    }

    /// Returns whether keywords beside `$ref` are effective.
    pub fn reference_has_siblings(self) -> bool {
        self >= Self::September2019
    }

    /// Validates a schema against the meta-schema. `subject` names the schema in the error.
    pub fn check(self, schema: &Value, subject: &str) -> Result<(), InvalidSchema> {
        let Some(validator) = self.meta_validator() else {
            return Err(InvalidSchema::new(format!("the meta-schema of {} can't be used", self.title())));
        };
        if validator.is_valid(schema) {
            return Ok(());
        }
        let violations: Vec<_> = validator.iter_errors(schema).take(MAX_VIOLATIONS).map(|error| render_violation(&error)).collect();
        Err(InvalidSchema::new(format!("{subject} is not a valid JSON Schema of {}: {}", self.title(), violations.join("; "))))
    }

    /// Returns the validator of the meta-schema. It takes any pattern, because [`super::ecma`] checks patterns, and compiling them can take
    /// very long.
    fn meta_validator(self) -> Option<&'static jsonschema::Validator> {
        static VALIDATORS: [OnceLock<Option<jsonschema::Validator>>; 5] = [const { OnceLock::new() }; 5];
        let index = Self::ALL.iter().position(|(draft, _)| *draft == self)?;
        let build = || {
            let (uri, library_draft) = match self {
                Self::Four => ("http://json-schema.org/draft-04/schema", jsonschema::Draft::Draft4),
                Self::Six => ("http://json-schema.org/draft-06/schema", jsonschema::Draft::Draft6),
                Self::Seven => ("http://json-schema.org/draft-07/schema", jsonschema::Draft::Draft7),
                Self::September2019 => ("https://json-schema.org/draft/2019-09/schema", jsonschema::Draft::Draft201909),
                Self::December2020 => ("https://json-schema.org/draft/2020-12/schema", jsonschema::Draft::Draft202012),
            };
            let options = jsonschema::options().with_draft(library_draft).offline().with_format("regex", |_: &str| true);
            let formats = self < Self::September2019;
            options.should_validate_formats(formats).build(&super::meta::find_meta_schema(uri, Some(self))?.0).ok()
        };
        VALIDATORS.get(index)?.get_or_init(build).as_ref()
    }

    /// Returns the name of the draft for messages.
    pub fn title(self) -> &'static str {
        match self {
            Self::Four => "draft 4",
            Self::Six => "draft 6",
            Self::Seven => "draft 7",
            Self::September2019 => "draft 2019-09",
            Self::December2020 => "draft 2020-12",
        }
    }
}

fn render_violation(error: &jsonschema::ValidationError<'_>) -> String {
    const MAX_LENGTH: usize = 200;
    let path = error.instance_path().as_str().to_owned();
    let text = shorten(&error.to_string(), MAX_LENGTH);
    format!("at `{}`: {text}", if path.is_empty() { "/" } else { &path })
}
