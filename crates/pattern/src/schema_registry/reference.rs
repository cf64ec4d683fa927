//! Schemas that a schema refers to.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    refusal,
    state::{State, Stored},
    subject::Name,
};
use prism_call::{Error, proto::patterns::schema_registry::v1::SchemaReference};
use prism_schema::{Dependency, SchemaFormat};

/// Most schemas that one refers to, directly or by others.
pub(super) const MAX_DEPENDENCIES: usize = 1000;

/// A schema with all that has to be known to read it.
#[derive(Clone, Debug)]
pub(super) struct Material {
    pub context: Arc<str>,
    pub schema: Arc<Stored>,
    pub dependencies: Vec<Dependency>,
}

impl Material {
    /// Of a schema that is registered.
    pub fn of(state: &State, context: &str, schema: &Arc<Stored>) -> Result<Self, Error> {
        let dependencies = dependencies(state, context, &schema.references, schema.format)?;
        Ok(Self { context: context.into(), schema: schema.clone(), dependencies })
    }
}

/// References with the versions that they mean now: the latest instead of -1.
pub(super) fn settled(state: &State, context: &str, references: &[SchemaReference]) -> Result<Vec<SchemaReference>, Error> {
    let settle = |(index, reference): (usize, &SchemaReference)| {
        let name = Name::new(context, &reference.subject);
        let mut reference = reference.clone();
        if reference.version == -1 {
            let latest = state.subject(&name).and_then(|subject| subject.list(false).next_back());
            let (version, _) = latest.ok_or_else(|| missing(index, &reference))?;
            reference.version = i32::try_from(version).unwrap_or(i32::MAX);
        }
        // What is deleted is there for those that refer to it already, and for nobody else.
        let known = state.subject(&name).and_then(|subject| subject.versions.get(&reference.version.unsigned_abs()));
        match known {
            Some(version) if !version.deleted && reference.version > 0 => Ok(reference),
            _ => Err(missing(index, &reference)),
        }
    };
    references.iter().enumerate().map(settle).collect()
}

/// All schemas that the references lead to, each behind those that it refers to itself.
pub(super) fn dependencies(
    state: &State,
    context: &str,
    references: &[SchemaReference],
    format: SchemaFormat,
) -> Result<Vec<Dependency>, Error> {
    let mut walk = Walk { state, format, seen: BTreeSet::new(), found: Vec::new() };
    walk.all(context, references)?;
    Ok(walk.found)
}

struct Walk<'a> {
    state: &'a State,
    format: SchemaFormat,
    /// What was met: name of the reference, context, subject, version.
    seen: BTreeSet<(String, String, String, u32)>,
    found: Vec<Dependency>,
}

impl Walk<'_> {
    /// What refers to each other can't be registered, so this ends; how deep it goes is bounded with the number of all.
    fn all(&mut self, context: &str, references: &[SchemaReference]) -> Result<(), Error> {
        for (index, reference) in references.iter().enumerate() {
            let name = Name::new(context, &reference.subject);
            let version = reference.version.unsigned_abs();
            if !self.seen.insert((reference.name.clone(), name.context.clone(), name.subject.clone(), version)) {
                continue;
            }
            if self.seen.len() > MAX_DEPENDENCIES {
                return Err(refusal::invalid_schema("schema.references", format!("it refers to more than {MAX_DEPENDENCIES} schemas")));
            }
            let id = self.state.subject(&name).and_then(|subject| subject.versions.get(&version)).map(|version| version.id);
            let schema = id.and_then(|id| self.state.space(&name.context)?.schema(id)).cloned().ok_or_else(|| missing(index, reference))?;
            if schema.format != self.format {
                let why = format!("subject '{name}' version {version} is {}, and can't be referred to from {}", schema.format, self.format);
                return Err(refusal::invalid_schema(&format!("schema.references[{index}]"), why));
            }
            self.all(&name.context, &schema.references)?;
            self.found.push(Dependency { name: reference.name.as_str().into(), text: (&*schema.text).into() });
        }
        Ok(())
    }
}

fn missing(index: usize, reference: &SchemaReference) -> Error {
    let SchemaReference { name, subject, version } = reference;
    let why = format!("the reference {name:?} leads to subject '{subject}' version {version}, which is not there; register it first");
    refusal::invalid_schema(&format!("schema.references[{index}]"), why)
}
