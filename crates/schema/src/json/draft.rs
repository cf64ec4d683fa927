//! The drafts of JSON Schema.

use serde_json::Value;

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
