//! Contexts that are to be others.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{
    contents::Contents,
    name::{context, join, split},
};
use crate::cli::Failure;

/// Which context becomes which.
pub(super) struct Mapping(BTreeMap<String, String>);

impl Mapping {
    /// Of `.a=.b`.
    pub fn parse(texts: &[String]) -> Result<Self, Failure> {
        let mut contexts = BTreeMap::new();
        for text in texts {
            let wrong = |why: &str| Failure(format!("--context-map {text}: {why}"));
            let (from, to) = text.split_once('=').ok_or_else(|| wrong("it is .A=.B; `.` is the default context"))?;
            let (from, to) = (context(from).map_err(|why| wrong(&why))?, context(to).map_err(|why| wrong(&why))?);
            if contexts.insert(from, to).is_some() {
                return Err(wrong("the context has another place already"));
            }
        }
        Ok(Self(contexts))
    }

    /// Everything with its new names.
    pub fn apply(&self, mut contents: Contents) -> Contents {
        if self.0.is_empty() {
            return contents;
        }
        for schema in &mut contents.schemas {
            schema.subject = self.name(&schema.subject);
            for reference in &mut schema.references {
                reference.subject = self.mention(&reference.subject);
            }
        }
        contents.configs = contents.configs.into_iter().map(|(scope, config)| (self.scope(&scope), self.config(config))).collect();
        contents.modes = contents.modes.into_iter().map(|(scope, mode)| (self.scope(&scope), mode)).collect();
        for dek in &mut contents.deks {
            if let Some(Value::String(subject)) = dek.get_mut("subject") {
                *subject = self.name(subject);
            }
        }
        contents
    }

    fn name(&self, name: &str) -> String {
        let (context, subject) = split(name);
        self.0.get(context).map_or_else(|| name.to_owned(), |to| join(to, subject))
    }

    /// What holds everywhere becomes what holds in the new context, if the default one moves.
    fn scope(&self, scope: &str) -> String {
        self.name(scope)
    }

    /// A name inside of a context: a bare one stays, and means the context that it is in.
    fn mention(&self, name: &str) -> String {
        if !name.starts_with(":.") {
            return name.to_owned();
        }
        let (context, subject) = split(name);
        self.0.get(context).map_or_else(|| name.to_owned(), |to| format!(":{to}:{subject}"))
    }

    fn config(&self, mut config: Value) -> Value {
        if let Some(Value::String(alias)) = config.get_mut("alias") {
            *alias = self.mention(alias);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_move_with_their_contexts() {
        let mapping = Mapping::parse(&[".=.old".to_owned(), ".a=.".to_owned()]).unwrap_or_else(|failure| panic!("{}", failure.0));
        assert_eq!(mapping.name("s"), ":.old:s");
        assert_eq!(mapping.name(":.a:s"), "s");
        assert_eq!(mapping.name(":.b:s"), ":.b:s");
        assert_eq!(mapping.scope(""), ":.old:");
        assert_eq!((&*mapping.mention("s"), &*mapping.mention(":.:s"), &*mapping.mention(":.a:s")), ("s", ":.old:s", ":.:s"));
        for wrong in [".a", "a=", "=.b"] {
            assert!(Mapping::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(Mapping::parse(&["a=b".to_owned(), ".a=c".to_owned()]).is_err());
    }
}
