//! Checks whether a schema is compatible with earlier versions of its subject.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    SchemaRegistry,
    basis::Basis,
    candidate::{Candidate, add_defaults},
    find::{VersionNumber, find_version, parse_version, resolve_alias},
    inline::Tagging,
    reference::SchemaMaterial,
    refusal, reserved,
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
    /// Whether reserved fields are checked.
    pub checks_reserved: bool,
    /// The latest version.
    pub latest: Option<(u32, Arc<StoredSchema>)>,
}

/// Why a schema is incompatible.
#[derive(Debug)]
pub(super) struct Incompatibility {
    /// The version that it is incompatible with; 0 if there is none.
    pub version: u32,
    /// The schema of that version.
    pub earlier: Option<Arc<StoredSchema>>,
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
            .with("schema", self.earlier.as_ref().map_or("", |earlier| &*earlier.text))
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
            schema: self.earlier.map_or_else(String::new, |earlier| earlier.text.to_string()),
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
        let (policy, group) = (setting::compatibility_policy(config), config.compatibility_group.clone());
        let latest = state.subject(name).and_then(|subject| subject.list(false).next_back());
        let latest = latest.and_then(|(version, one)| Some((version, space?.schema(one.id)?.clone())));
        Ok(Self { level_name, level, policy, group, earlier, checks_reserved: config.validate_fields == Some(true), latest })
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
        if trial.checks_reserved {
            let differences = reserved::find_problems(schema, metadata, trial.latest.as_ref().map(|(_, latest)| &**latest));
            if !differences.is_empty() {
                let (version, earlier) = trial.latest.clone().map_or((0, None), |(version, latest)| (version, Some(latest)));
                return Ok(Some(Incompatibility { version, earlier, level: trial.level_name.clone(), differences }));
            }
        }
        if trial.level.is_none() {
            return Ok(None);
        }
        for (version, earlier) in trial.versions(metadata) {
            let old = self.parsed(earlier).map_err(|error| match error.reason() {
                refusal::INVALID_SCHEMA => refusal::too_complex(*version, error.message()),
                _ => error,
            })?;
            let mut differences = Vec::new();
            if trial.level.backward {
                differences = Schema::differences(schema, &old, trial.policy);
            }
            if trial.level.forward {
                differences.extend(Schema::differences(&old, schema, trial.policy));
            }
            if let Some(difference) = differences.iter().find(|difference| difference.kind == TOO_COMPLEX) {
                return Err(refusal::too_complex(*version, &difference.message));
            }
            if !differences.is_empty() {
                let (earlier, level) = (Some(earlier.schema.clone()), trial.level_name.clone());
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
        let gathered = self.journal.read_fresh(context, |state| {
            let name = resolve_alias(state, &name);
            let basis = Basis::gather(state, &name, &schema)?;
            if version.is_empty() {
                let trial = Trial::for_next_version(state, &name, &basis.config)?;
                return Ok((basis, trial));
            }
            let number = parse_version(&version)?;
            let one = state.subject(&name).and_then(|subject| find_version(subject, number, false));
            let trial = match one {
                Some(one) => Trial::against_one(state, &name, &basis.config, one)?,
                // Any schema may be the first version.
                None if number == VersionNumber::Latest => Trial::for_next_version(state, &name, &basis.config)?,
                None => return Err(refusal::version_not_found(&name, &version)),
            };
            Ok((basis, trial))
        });
        let verdict = match gathered.await? {
            Ok((basis, trial)) => {
                let (registry, bytes) = (self.clone(), basis.bytes(&schema) + trial.bytes());
                let check = move || {
                    let mut candidate = registry.candidate(&basis, &schema, &Tagging::default(), normalize, false)?;
                    add_defaults(&mut candidate, &basis);
                    let Candidate { parsed, metadata, .. } = candidate;
                    registry.find_incompatibility(&trial, &parsed, metadata.as_ref())
                };
                super::work::run(bytes, check).await
            }
            Err(error) => Err(error),
        };
        match verdict {
            Ok(None) => Ok(CheckCompatibilityResponse { compatible: true, ..CheckCompatibilityResponse::default() }),
            Ok(Some(verdict)) => Ok(verdict.into_response(verbose)),
            // What is no schema can't be compatible.
            Err(error) if verbose && error.reason() == refusal::INVALID_SCHEMA => {
                Ok(CheckCompatibilityResponse { messages: vec![error.message().to_owned()], ..CheckCompatibilityResponse::default() })
            }
            Err(error) => Err(error),
        }
    }
}
