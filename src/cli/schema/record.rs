//! Schemas as registries tell them, and as files of an export have them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::name;

/// A version of a subject. Members that are not known are left behind: they are a registry's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
pub(super) struct Schema {
    pub subject: String,
    pub version: u32,
    pub id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// `AVRO`, `JSON` or `PROTOBUF`; registries leave the first one out.
    #[serde(default = "avro", deserialize_with = "or_avro")]
    pub schema_type: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub references: Vec<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<Value>,
    pub schema: String,
    /// Whether it is softly deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "or_default")]
    pub deleted: bool,
    /// Other names of the subject, in lists that are asked for them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub aliases: Vec<String>,
}

/// Another version that a schema refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub name: String,
    pub subject: String,
    pub version: i64,
}

/// A subject and a version.
pub(super) type Key = (String, u32);

impl Schema {
    /// Its type, also if it was left out.
    pub fn kind(&self) -> &str {
        if self.schema_type.is_empty() { "AVRO" } else { &self.schema_type }
    }

    pub fn key(&self) -> Key {
        (self.subject.clone(), self.version)
    }

    pub fn context(&self) -> &str {
        name::split(&self.subject).0
    }

    /// The versions that it refers to, by their full names.
    pub fn referred(&self) -> impl Iterator<Item = Key> {
        let context = self.context();
        let key = move |one: &Reference| (name::within(Some(context), &one.subject), u32::try_from(one.version).unwrap_or(0));
        self.references.iter().map(key)
    }

    /// The body of a request that registers or checks it.
    pub fn request(&self) -> serde_json::Map<String, Value> {
        let mut body = serde_json::Map::new();
        body.insert("schema".to_owned(), self.schema.clone().into());
        // Servers that only know one type do not know the member either.
        if self.kind() != "AVRO" {
            body.insert("schemaType".to_owned(), self.kind().into());
        }
        if !self.references.is_empty() {
            let one = |one: &Reference| serde_json::json!({"name": one.name, "subject": one.subject, "version": one.version});
            body.insert("references".to_owned(), self.references.iter().map(one).collect());
        }
        for (member, value) in [("metadata", &self.metadata), ("ruleSet", &self.rule_set)] {
            if let Some(value) = value {
                body.insert(member.to_owned(), value.clone());
            }
        }
        body
    }
}

fn or_avro<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|name| !name.is_empty()).unwrap_or_else(avro))
}

fn avro() -> String {
    "AVRO".to_owned()
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Without members that say nothing: nulls, empty lists and mappings, `false`. Registries differ in whether they tell them.
pub(super) fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().map(|(name, value)| (name.clone(), pruned(value)));
            Value::Object(kept.filter(|(_, value)| !says_nothing(value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(pruned).collect()),
        other => other.clone(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
