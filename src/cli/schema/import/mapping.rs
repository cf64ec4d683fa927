//! Renaming of contexts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::contents::RegistryContents;
use crate::cli::Failure;
use prism_registry_client::{parse_context, qualify_subject, split_subject};

/// New names of contexts, by their old names.
pub(super) struct ContextMapping(BTreeMap<String, String>);

impl ContextMapping {
    /// Parses texts such as `.a=.b`.
    pub fn parse(texts: &[String]) -> Result<Self, Failure> {
        let mut contexts = BTreeMap::new();
        for text in texts {
            let wrong = |why: &str| Failure(format!("--context-map {text}: {why}"));
            let (from, to) = text.split_once('=').ok_or_else(|| wrong("it must be .A=.B; `.` is the default context"))?;
            let (from, to) = (parse_context(from).map_err(|why| wrong(&why))?, parse_context(to).map_err(|why| wrong(&why))?);
            if contexts.insert(from, to).is_some() {
                return Err(wrong("the context is mapped twice"));
            }
        }
        Ok(Self(contexts))
    }

    /// Renames the contexts of everything.
    pub fn apply(&self, mut contents: RegistryContents) -> RegistryContents {
        if self.0.is_empty() {
            return contents;
        }
        for schema in &mut contents.schemas {
            schema.subject = self.rename(&schema.subject);
            for reference in &mut schema.references {
                reference.subject = self.rename_reference(&reference.subject);
            }
        }
        contents.configs = contents.configs.into_iter().map(|(scope, config)| (self.rename(&scope), self.rename_alias(config))).collect();
        contents.modes = contents.modes.into_iter().map(|(scope, mode)| (self.rename(&scope), mode)).collect();
        for dek in &mut contents.deks {
            if let Some(Value::String(subject)) = dek.get_mut("subject") {
                *subject = self.rename(subject);
            }
        }
        contents
    }

    /// Renames the context of a subject or a scope. The global scope is empty; it moves with the default context.
    fn rename(&self, name: &str) -> String {
        let (context, subject) = split_subject(name);
        self.0.get(context).map_or_else(|| name.to_owned(), |to| qualify_subject(to, subject))
    }

    /// Renames the context of a reference. A bare name stays the same: it is in the context of its schema.
    fn rename_reference(&self, name: &str) -> String {
        if !name.starts_with(":.") {
            return name.to_owned();
        }
        let (context, subject) = split_subject(name);
        self.0.get(context).map_or_else(|| name.to_owned(), |to| format!(":{to}:{subject}"))
    }

    fn rename_alias(&self, mut config: Value) -> Value {
        if let Some(Value::String(alias)) = config.get_mut("alias") {
            *alias = self.rename_reference(alias);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_contexts() {
        let mapping = ContextMapping::parse(&[".=.old".to_owned(), ".a=.".to_owned()]).unwrap_or_else(|failure| panic!("{}", failure.0));
        assert_eq!(mapping.rename("s"), ":.old:s");
        assert_eq!(mapping.rename(":.a:s"), "s");
        assert_eq!(mapping.rename(":.b:s"), ":.b:s");
        assert_eq!(mapping.rename(""), ":.old:");
        assert_eq!(
            (&*mapping.rename_reference("s"), &*mapping.rename_reference(":.:s"), &*mapping.rename_reference(":.a:s")),
            ("s", ":.old:s", ":.:s")
        );
        for wrong in [".a", "a=", "=.b"] {
            assert!(ContextMapping::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(ContextMapping::parse(&["a=b".to_owned(), ".a=c".to_owned()]).is_err());
    }
}
