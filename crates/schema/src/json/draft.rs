//! Drafts of JSON Schema.

use std::sync::OnceLock;

use serde_json::Value;

use crate::InvalidSchema;

/// Most violations of a meta-schema that are told at once.
const MAX_VIOLATIONS: usize = 3;

/// A draft, in the order of their publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Draft {
    /// <https://json-schema.org/draft-04>
    Four,
    /// <https://json-schema.org/draft-06>
    Six,
    /// <https://json-schema.org/draft-07>; what a schema without `$schema` is, as clients of registries assume.
    Seven,
    /// <https://json-schema.org/draft/2019-09>
    September2019,
    /// <https://json-schema.org/draft/2020-12>
    December2020,
}

impl Draft {
    /// All of them, and what their `$schema` says behind the scheme.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Four, "json-schema.org/draft-04/schema"),
        (Self::Six, "json-schema.org/draft-06/schema"),
        (Self::Seven, "json-schema.org/draft-07/schema"),
        (Self::September2019, "json-schema.org/draft/2019-09/schema"),
        (Self::December2020, "json-schema.org/draft/2020-12/schema"),
    ];

    /// The draft that a schema names; `None` if it names none that is known.
    pub fn named(schema: &Value) -> Option<Self> {
        Self::of(schema.get("$schema")?.as_str()?)
    }

    /// The draft whose meta-schema has this URI.
    pub fn of(uri: &str) -> Option<Self> {
        let uri = uri.trim_end_matches('#');
        let uri = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"))?;
        Self::ALL.into_iter().find(|(_, known)| *known == uri).map(|(draft, _)| draft)
    }

    /// The keyword that names a schema.
    pub fn id(self) -> &'static str {
        if self == Self::Four { "id" } else { "$id" }
    }

    /// Whether other keywords count beside `$ref`.
    pub fn reference_has_siblings(self) -> bool {
        self >= Self::September2019
    }

    /// Whether a schema is as the meta-schema says.
    pub fn check(self, schema: &Value, of: &str) -> Result<(), InvalidSchema> {
        let validator = match self {
            Self::Four => jsonschema::draft4::meta::validator(),
            Self::Six => jsonschema::draft6::meta::validator(),
            Self::Seven => jsonschema::draft7::meta::validator(),
            Self::September2019 => jsonschema::draft201909::meta::validator(),
            Self::December2020 => jsonschema::draft202012::meta::validator(),
        };
        let violations: Vec<_> = validator.iter_errors(schema).take(MAX_VIOLATIONS).map(|error| violation(&error)).collect();
        if violations.is_empty() {
            return Ok(());
        }
        Err(InvalidSchema::new(format!("{of} is no valid JSON Schema of {}: {}", self.title(), violations.join("; "))))
    }

    /// Its name, for people.
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

fn violation(error: &jsonschema::ValidationError<'_>) -> String {
    const MAX_LENGTH: usize = 200;
    let path = error.instance_path().as_str().to_owned();
    let mut text = error.to_string();
    if text.len() > MAX_LENGTH {
        let end = (0..=MAX_LENGTH).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    format!("at `{}`: {text}", if path.is_empty() { "/" } else { &path })
}

/// Whether a text is a regular expression of ECMA 262, which all patterns have to be.
pub fn is_pattern(pattern: &str) -> bool {
    static VALIDATOR: OnceLock<Option<jsonschema::Validator>> = OnceLock::new();
    let build = || {
        let schema = serde_json::json!({"format": "regex"});
        jsonschema::options().with_draft(jsonschema::Draft::Draft7).offline().should_validate_formats(true).build(&schema).ok()
    };
    VALIDATOR.get_or_init(build).as_ref().is_none_or(|validator| validator.is_valid(&Value::from(pattern)))
}
