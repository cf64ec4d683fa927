//! Whether a schema may follow others.

use std::sync::Arc;

use super::{
    SchemaRegistry,
    candidate::{Basis, Candidate},
    inline::Tagging,
    reference::Material,
    refusal,
    setting::{self, Level},
    state::{State, Version},
    subject::Name,
};
use prism_call::{
    Context, Error,
    proto::patterns::schema_registry::v1::{CheckCompatibilityRequest, CheckCompatibilityResponse, Config, Metadata},
};
use prism_schema::{CompatibilityPolicy, Difference, Schema};

/// The versions that a schema is held against, the latest first, and how.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub level_name: String,
    pub level: Level,
    pub policy: CompatibilityPolicy,
    pub group: Option<String>,
    pub earlier: Vec<(u32, Material)>,
}

/// Why a schema may not follow.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The version that stands in the way.
    pub version: u32,
    pub messages: Vec<String>,
}

impl Trial {
    /// Of the next version of a subject.
    pub fn next(state: &State, name: &Name, config: &Config) -> Result<Self, Error> {
        let (level_name, level) = setting::level(config);
        let group = config.compatibility_group.clone();
        // With groups, which one is the latest of the group shows when the schema's metadata is known.
        let most = if level.is_none() {
            0
        } else if level.transitive || group.is_some() {
            usize::MAX
        } else {
            1
        };
        let versions: Vec<_> = state.subject(name).into_iter().flat_map(|subject| subject.list(false).rev().take(most)).collect();
        Self::of(state, name, config, level_name, level, versions)
    }

    /// Against one version, whatever the level says of more.
    pub fn one(state: &State, name: &Name, config: &Config, version: (u32, Version)) -> Result<Self, Error> {
        let (level_name, level) = setting::level(config);
        Self::of(state, name, config, level_name, Level { transitive: true, ..level }, vec![version])
    }

    fn of(
        state: &State,
        name: &Name,
        config: &Config,
        level_name: String,
        level: Level,
        versions: Vec<(u32, Version)>,
    ) -> Result<Self, Error> {
        let space = state.space(&name.context);
        let mut earlier = Vec::with_capacity(versions.len());
        for (version, Version { id, .. }) in versions {
            if let Some(schema) = space.and_then(|space| space.schema(id)) {
                earlier.push((version, Material::of(state, &name.context, schema)?));
            }
        }
        Ok(Self { level_name, level, policy: setting::policy(config), group: config.compatibility_group.clone(), earlier })
    }

    /// Those that count for a schema with this metadata.
    fn versions(&self, metadata: Option<&Metadata>) -> impl Iterator<Item = &(u32, Material)> {
        let group = move |metadata: Option<&Metadata>| self.group.as_ref().and_then(|name| metadata?.properties.get(name).cloned());
        let wanted = group(metadata);
        let grouped =
            self.earlier.iter().filter(move |(_, earlier)| self.group.is_none() || group(earlier.schema.metadata.as_deref()) == wanted);
        grouped.take(if self.level.transitive { usize::MAX } else { 1 })
    }
}

impl SchemaRegistry {
    /// What stands in the way of a schema; nothing if it may follow. Takes its time, so it is not for a thread that serves calls.
    pub(super) fn judge(&self, trial: &Trial, schema: &Schema, metadata: Option<&Metadata>) -> Result<Option<Verdict>, Error> {
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
            if !differences.is_empty() {
                let messages = messages(&differences, *version, &earlier.schema.text, &trial.level_name);
                return Ok(Some(Verdict { version: *version, messages }));
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
        let name = Name::subject(&space, &subject)?;
        let schema = schema.ok_or_else(|| Error::invalid("schema", "is missing"))?;
        let (basis, trial) = self
            .journal
            .now(context, |state| -> Result<_, Error> {
                let basis = Basis::gather(state, &name, &schema)?;
                if version.is_empty() {
                    let trial = Trial::next(state, &name, &basis.config)?;
                    return Ok((basis, trial));
                }
                let number = super::read::version(&version)?;
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                let one = super::read::find(subject, number, false).ok_or_else(|| refusal::version_not_found(&name, &version))?;
                let trial = Trial::one(state, &name, &basis.config, one)?;
                Ok((basis, trial))
            })
            .await??;
        let registry = self.clone();
        let verdict = super::heavy(move || {
            let Candidate { parsed, metadata, .. } = registry.candidate(&basis, schema, &Tagging::default(), normalize)?;
            registry.judge(&trial, &parsed, metadata.as_ref())
        })
        .await?;
        let compatible = verdict.is_none();
        let messages = verdict.filter(|_| verbose).map(|verdict| verdict.messages).unwrap_or_default();
        Ok(CheckCompatibilityResponse { compatible, messages })
    }
}

/// For people and for programs: each difference, and what the schema was held against.
fn messages(differences: &[Difference], version: u32, old: &str, level: &str) -> Vec<String> {
    let one = |Difference { kind, path, message, detail }: &Difference| {
        format!("{{errorType:'{kind}', description:'{message} (at path '{path}')', additionalInfo:'{detail}'}}")
    };
    let mut messages: Vec<_> = differences.iter().map(one).collect();
    messages.push(format!("{{oldSchemaVersion: {version}}}"));
    messages.push(format!("{{oldSchema: '{old}'}}"));
    messages.push(format!("{{compatibility: '{level}'}}"));
    messages
}
