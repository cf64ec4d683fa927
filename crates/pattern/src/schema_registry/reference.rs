//! References of schemas to other schemas.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    refusal,
    state::{State, StoredSchema},
    subject::SubjectName,
};
use prism_call::{Error, proto::patterns::schema_registry::v1::SchemaReference};
use prism_schema::{Dependency, SchemaFormat};

/// Greatest number of schemas that a schema refers to, directly or indirectly.
pub(super) const MAX_DEPENDENCIES: usize = 1000;

/// A schema with everything that is needed to parse it.
#[derive(Clone, Debug)]
pub(super) struct SchemaMaterial {
    pub context: Arc<str>,
    pub schema: Arc<StoredSchema>,
    pub dependencies: Vec<Dependency>,
}

impl SchemaMaterial {
    /// Collects the dependencies of a registered schema.
    pub fn new(state: &State, context: &str, schema: &Arc<StoredSchema>) -> Result<Self, Error> {
        let dependencies = collect_dependencies(state, context, &schema.references, schema.format, &schema.text)?;
        Ok(Self { context: context.into(), schema: schema.clone(), dependencies })
    }

    /// Returns the size of all texts, in bytes.
    pub fn bytes(&self) -> usize {
        self.schema.text.len() + total_bytes(&self.dependencies)
    }
}

/// Returns the size of the texts of dependencies, in bytes.
pub(super) fn total_bytes(dependencies: &[Dependency]) -> usize {
    dependencies.iter().map(|dependency| dependency.text.len()).sum()
}

/// Replaces the version -1 of references by the latest version, and checks that all versions exist. `deleted`: whether softly deleted
/// versions can be referred to.
pub(super) fn resolve_versions(
    state: &State,
    context: &str,
    references: &[SchemaReference],
    deleted: bool,
) -> Result<Vec<SchemaReference>, Error> {
    let resolve = |(index, reference): (usize, &SchemaReference)| {
        let name = SubjectName::new(context, &reference.subject);
        let mut reference = reference.clone();
        if reference.version == -1 {
            let latest = state.subject(&name).and_then(|subject| subject.list(false).next_back());
            let (version, _) = latest.ok_or_else(|| missing(index, &reference))?;
            reference.version = i32::try_from(version).unwrap_or(i32::MAX);
        }
        // Schemas that already refer to a deleted version keep doing so; new references to it are refused.
        let known = state.subject(&name).and_then(|subject| subject.versions.get(&reference.version.unsigned_abs()));
        match known {
            Some(version) if (deleted || !version.deleted) && reference.version > 0 => Ok(reference),
            _ => Err(missing(index, &reference)),
        }
    };
    references.iter().enumerate().map(resolve).collect()
}

/// Returns all schemas that the references lead to, directly or indirectly. Each comes after those that it refers to itself. `text` is
/// the text with the references.
pub(super) fn collect_dependencies(
    state: &State,
    context: &str,
    references: &[SchemaReference],
    format: SchemaFormat,
    text: &str,
) -> Result<Vec<Dependency>, Error> {
    let mut walk = DependencyWalk { state, format, seen: BTreeSet::new(), found: Vec::new() };
    walk.visit(context, references, text)?;
    Ok(walk.found)
}

struct DependencyWalk<'a> {
    state: &'a State,
    format: SchemaFormat,
    /// The visited references: name of the reference, context, subject, version.
    seen: BTreeSet<(String, String, String, u32)>,
    found: Vec<Dependency>,
}

impl DependencyWalk<'_> {
    /// Visits references depth first. It ends, since cycles can't be registered. `MAX_DEPENDENCIES` also bounds the depth.
    fn visit(&mut self, context: &str, references: &[SchemaReference], text: &str) -> Result<(), Error> {
        for (index, reference) in references.iter().enumerate() {
            let name = SubjectName::new(context, &reference.subject);
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
            self.visit(&name.context, &schema.references, &schema.text)?;
            if self.format == SchemaFormat::Protobuf && imports_subject(text, &name, references) {
                self.found.push(Dependency { name: name.subject.as_str().into(), text: (&*schema.text).into() });
            }
            self.found.push(Dependency { name: reference.name.as_str().into(), text: (&*schema.text).into() });
        }
        Ok(())
    }
}

/// Whether a Protobuf text imports a subject by its own name, and no reference has that name.
fn imports_subject(text: &str, name: &SubjectName, references: &[SchemaReference]) -> bool {
    references.iter().all(|other| other.name != name.subject) && text.contains(&format!("\"{}\"", name.subject))
}

fn missing(index: usize, reference: &SchemaReference) -> Error {
    let SchemaReference { name, subject, version } = reference;
    let why = format!("the reference {name:?} leads to subject '{subject}' version {version}, which does not exist; register it first");
    refusal::invalid_schema(&format!("schema.references[{index}]"), why)
}
