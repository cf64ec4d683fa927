//! Versions of subjects, with the members that the REST API has. The files of `prism schema export` have the same.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::subject::{resolve_subject, split_subject};

/// A version of a subject. Members that are not listed here are dropped: they are specific to one registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SchemaRecord {
    /// The subject's full name.
    pub subject: String,
    /// The number of the version, from 1.
    pub version: u32,
    /// The id of the schema in its context.
    pub id: u32,
    /// The id of the schema in all registries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// `AVRO`, `JSON` or `PROTOBUF`. Registries omit `AVRO`.
    #[serde(default = "avro", deserialize_with = "or_avro")]
    pub schema_type: String,
    /// The versions that the schema refers to.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub references: Vec<Reference>,
    /// Properties and tags of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// The rules of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<Value>,
    /// The text of the schema.
    pub schema: String,
    /// Whether the version is softly deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "or_default")]
    pub deleted: bool,
    /// Aliases of the subject, in answers to [`crate::RegistryClient::list_aliases`].
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub aliases: Vec<String>,
}

/// A reference from a schema to a version of another subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// The name by which the text refers to the other schema.
    pub name: String,
    /// The subject, in the context of the schema if it is a bare name.
    pub subject: String,
    /// The version; -1 is the latest one.
    pub version: i64,
}

/// The full name of a subject, and a version. Version 0 is the latest one.
pub type SchemaKey = (String, u32);

impl SchemaRecord {
    /// Returns the type of the schema: `AVRO`, `JSON` or `PROTOBUF`.
    pub fn type_name(&self) -> &str {
        if self.schema_type.is_empty() { "AVRO" } else { &self.schema_type }
    }

    /// Returns subject and version.
    pub fn key(&self) -> SchemaKey {
        (self.subject.clone(), self.version)
    }

    /// Returns the context of the subject.
    pub fn context(&self) -> &str {
        split_subject(&self.subject).0
    }

    /// Returns the keys of the references, in their order.
    pub fn reference_keys(&self) -> impl Iterator<Item = SchemaKey> {
        let context = self.context();
        self.references.iter().map(move |reference| {
            let version = u32::try_from(reference.version).unwrap_or(0);
            (resolve_subject(Some(context), &reference.subject), version)
        })
    }

    /// Returns the body of a request that registers or checks the schema.
    pub fn to_request(&self) -> serde_json::Map<String, Value> {
        let mut body = serde_json::Map::new();
        body.insert("schema".to_owned(), self.schema.clone().into());
        // Servers that only support Avro reject the member.
        if self.type_name() != "AVRO" {
            body.insert("schemaType".to_owned(), self.type_name().into());
        }
        if !self.references.is_empty() {
            let to_json = |one: &Reference| serde_json::json!({"name": one.name, "subject": one.subject, "version": one.version});
            body.insert("references".to_owned(), self.references.iter().map(to_json).collect());
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

/// Reads `null` as the default value.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Removes members that are null, `false`, or an empty list or object. Some registries write them, others do not.
pub fn without_empty_members(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().map(|(name, value)| (name.clone(), without_empty_members(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_empty_members).collect()),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn omitted_members_have_defaults() {
        let record: SchemaRecord = serde_json::from_value(json!({"subject": ":.x:s", "references": null, "extra": 1})).unwrap();
        assert_eq!((record.type_name(), record.context(), record.references.len()), ("AVRO", ".x", 0));
    }

    #[test]
    fn references_are_in_the_context_of_their_schema() {
        let reference = |subject: &str, version| Reference { name: "n".to_owned(), subject: subject.to_owned(), version };
        let record = SchemaRecord {
            subject: ":.x:s".to_owned(),
            references: vec![reference("a", 2), reference(":.y:b", -1)],
            ..SchemaRecord::default()
        };
        assert_eq!(record.reference_keys().collect::<Vec<_>>(), [(":.x:a".to_owned(), 2), (":.y:b".to_owned(), 0)]);
    }

    #[test]
    fn empty_members_are_removed() {
        let value = json!({"a": null, "b": [], "c": {"d": false}, "e": [{"f": null, "g": 1}]});
        assert_eq!(without_empty_members(&value), json!({"e": [{"g": 1}]}));
    }
}
