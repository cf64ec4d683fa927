//! Checks whether a schema is compatible with earlier versions of its subject.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    SchemaRegistry,
    basis::Basis,
    candidate::Candidate,
    inline::Tagging,
    reference::SchemaMaterial,
    refusal,
    setting::{self, CompatibilityLevel},
    state::{State, StoredSchema, Version},
    subject::SubjectName,
};
use prism_call::{
    Code, Context, Error,
    proto::patterns::schema_registry::v1::{CheckCompatibilityRequest, CheckCompatibilityResponse, Config, Metadata, SchemaDifference},
};
use prism_schema::{CompatibilityPolicy, Difference, Schema, TOO_COMPLEX};

/// The versions that a schema is compared with, the latest first, and the rules of the comparison.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub level_name: String,
    pub level: CompatibilityLevel,
    pub policy: CompatibilityPolicy,
    pub group: Option<String>,
    pub earlier: Vec<(u32, SchemaMaterial)>,
}

/// Why a schema is incompatible.
#[derive(Debug)]
pub(super) struct Incompatibility {
    /// The version that it is incompatible with.
    pub version: u32,
    /// The schema of that version.
    pub earlier: Arc<StoredSchema>,
    /// Name of the level that requires the compatibility.
    pub level: String,
    pub differences: Vec<Difference>,
}

impl Incompatibility {
    /// Refuses the registration of the schema. The metadata has everything that a sentence about it may contain.
    pub fn refuse(&self, name: &SubjectName) -> Error {
        let Self { version, level, .. } = self;
        let sentences: Vec<_> = self.differences.iter().map(sentence).collect();
        let message =
            format!("the schema is incompatible with version {version} of the subject '{name}' ({level}): {}", sentences.join("; "));
        let differences = self
            .differences
            .iter()
            .map(|Difference { kind, path, message, detail }| json!({"kind": kind, "path": path, "message": message, "detail": detail}));
        Error::new(Code::Aborted, "INCOMPATIBLE_SCHEMA", message)
            .with("subject", name.to_string())
            .with("version", version.to_string())
            .with("schema", &*self.earlier.text)
            .with("compatibility_level", level)
            .with("differences", Value::Array(differences.collect()).to_string())
    }

    fn into_response(self, verbose: bool) -> CheckCompatibilityResponse {
        if !verbose {
            return CheckCompatibilityResponse::default();
        }
        let describe = |Difference { kind, path, message, detail }| SchemaDifference { kind: kind.to_owned(), path, message, detail };
        CheckCompatibilityResponse {
            compatible: false,
            messages: self.differences.iter().map(sentence).collect(),
            version: self.version,
            schema: self.earlier.text.to_string(),
            compatibility_level: self.level,
            differences: self.differences.into_iter().map(describe).collect(),
        }
    }
}

/// Describes a difference for people.
fn sentence(Difference { path, message, .. }: &Difference) -> String {
    format!("{message} (at {path})")
}

impl Trial {
    /// Selects the versions for a new version of a subject.
    pub fn for_next_version(state: &State, name: &SubjectName, config: &Config) -> Result<Self, Error> {
        let (level_name, level) = setting::compatibility_level(config);
        let group = config.compatibility_group.clone();
        // With groups, the latest version of the group is known only together with the schema's metadata.
        let most = if level.is_none() {
            0
        } else if level.transitive || group.is_some() {
            usize::MAX
        } else {
            1
        };
        let versions: Vec<_> = state.subject(name).into_iter().flat_map(|subject| subject.list(false).rev().take(most)).collect();
        Self::against(state, name, config, level_name, level, versions)
    }

    /// Selects one version, even if the level asks for more.
    pub fn against_one(state: &State, name: &SubjectName, config: &Config, version: (u32, Version)) -> Result<Self, Error> {
        let (level_name, level) = setting::compatibility_level(config);
        Self::against(state, name, config, level_name, CompatibilityLevel { transitive: true, ..level }, vec![version])
    }

    fn against(
        state: &State,
        name: &SubjectName,
        config: &Config,
        level_name: String,
        level: CompatibilityLevel,
        versions: Vec<(u32, Version)>,
    ) -> Result<Self, Error> {
        let space = state.space(&name.context);
        let mut earlier = Vec::with_capacity(versions.len());
        for (version, Version { id, .. }) in versions {
            if let Some(schema) = space.and_then(|space| space.schema(id)) {
                earlier.push((version, SchemaMaterial::new(state, &name.context, schema)?));
            }
        }
        Ok(Self { level_name, level, policy: setting::compatibility_policy(config), group: config.compatibility_group.clone(), earlier })
    }

    /// Returns the size of all texts, in bytes.
    pub fn bytes(&self) -> usize {
        self.earlier.iter().map(|(_, earlier)| earlier.bytes()).sum()
    }

    /// Returns the versions that matter for a schema with this metadata.
    fn versions(&self, metadata: Option<&Metadata>) -> impl Iterator<Item = &(u32, SchemaMaterial)> {
        let group = move |metadata: Option<&Metadata>| self.group.as_ref().and_then(|name| metadata?.properties.get(name).cloned());
        let wanted = group(metadata);
        let grouped =
            self.earlier.iter().filter(move |(_, earlier)| self.group.is_none() || group(earlier.schema.metadata.as_deref()) == wanted);
        grouped.take(if self.level.transitive { usize::MAX } else { 1 })
    }
}

impl SchemaRegistry {
    /// Returns why a schema is incompatible, or `None` if it is compatible. This takes long, so it belongs to [`super::work::run`].
    pub(super) fn find_incompatibility(
        &self,
        trial: &Trial,
        schema: &Schema,
        metadata: Option<&Metadata>,
    ) -> Result<Option<Incompatibility>, Error> {
        if trial.level.is_none() {
            return Ok(None);
        }
        for (version, earlier) in trial.versions(metadata) {
            let old = self.parsed(earlier)?;
            let mut differences = Vec::new();
            if trial.level.backward {
                differences = Schema::differences(schema, &old, trial.policy);
            }
            if trial.level.forward && differences.is_empty() {
                differences = Schema::differences(&old, schema, trial.policy);
            }
            if let [Difference { kind: TOO_COMPLEX, message, .. }] = differences.as_slice() {
                return Err(refusal::too_complex(*version, message));
            }
            if !differences.is_empty() {
                let (earlier, level) = (earlier.schema.clone(), trial.level_name.clone());
                return Ok(Some(Incompatibility { version: *version, earlier, level, differences }));
            }
        }
        Ok(None)
    }

    pub(super) async fn check(
        self: &Arc<Self>,
        context: &Context,
        request: CheckCompatibilityRequest,
    ) -> Result<CheckCompatibilityResponse, Error> {
        let CheckCompatibilityRequest { context: space, subject, version, schema, normalize, verbose } = request;
        let name = SubjectName::subject(&space, &subject)?;
        let schema = schema.ok_or_else(|| Error::invalid("schema", "is missing"))?;
        let (basis, trial) = self
            .journal
            .read_fresh(context, |state| -> Result<_, Error> {
                let basis = Basis::gather(state, &name, &schema)?;
                if version.is_empty() {
                    let trial = Trial::for_next_version(state, &name, &basis.config)?;
                    return Ok((basis, trial));
                }
                let number = super::read::parse_version(&version)?;
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                let one = super::read::find_version(subject, number, false).ok_or_else(|| refusal::version_not_found(&name, &version))?;
                let trial = Trial::against_one(state, &name, &basis.config, one)?;
                Ok((basis, trial))
            })
            .await??;
        let (registry, bytes) = (self.clone(), basis.bytes(&schema) + trial.bytes());
        let verdict = super::work::run(bytes, move || {
            let Candidate { parsed, metadata, .. } = registry.candidate(&basis, &schema, &Tagging::default(), normalize)?;
            registry.find_incompatibility(&trial, &parsed, metadata.as_ref())
        })
        .await?;
        let compatible = || CheckCompatibilityResponse { compatible: true, ..CheckCompatibilityResponse::default() };
        Ok(verdict.map_or_else(compatible, |verdict| verdict.into_response(verbose)))
    }
}
