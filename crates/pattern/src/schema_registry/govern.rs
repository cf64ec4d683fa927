//! Configuration, modes and contexts.

use std::sync::Arc;

use super::{
    SchemaRegistry, read,
    refusal::{self, Cause},
    setting,
    state::{State, Subject},
    subject::{self, SubjectName},
};
use prism_call::{
    Context, Error,
    proto::{
        journal::v1::{Operation, RemoveContext, RemoveVersion, StoreConfig, StoreMode, operation::Change},
        patterns::schema_registry::v1::{
            Config, DeleteConfigRequest, DeleteContextRequest, DeleteModeRequest, GetConfigRequest, GetModeRequest, ListContextsRequest,
            SetConfigRequest, SetModeRequest,
        },
    },
};

impl SchemaRegistry {
    pub(super) async fn get_config(&self, context: &Context, request: GetConfigRequest) -> Result<Config, Error> {
        let GetConfigRequest { context: space, subject, default_to_global } = request;
        let name = SubjectName::scope(&space, &subject)?;
        self.journal
            .read_fresh(context, |state| {
                let own = state.settings(&name).and_then(|settings| settings.config.as_deref());
                if name.is_global() || default_to_global {
                    let mut config = setting::effective_config(state, &name);
                    config.compatibility_level.get_or_insert_with(|| setting::DEFAULT_LEVEL.to_owned());
                    return Ok(config);
                }
                own.map(|own| with_level(state, &name, own)).ok_or_else(|| refusal::config_not_found(&name))
            })
            .await?
    }

    pub(super) async fn set_config(self: &Arc<Self>, context: &Context, request: SetConfigRequest) -> Result<Config, Error> {
        let SetConfigRequest { context: space, subject, config, unset } = request;
        let name = SubjectName::scope(&space, &subject)?;
        let change = setting::check_config(config.ok_or_else(|| Error::invalid("config", "is missing"))?)?;
        self.journal
            .change(context, |state| {
                setting::check_writable(state, &name)?;
                let before = state.settings(&name).and_then(|settings| settings.config.as_deref());
                let config = setting::merge(before.cloned().unwrap_or_default(), change.clone(), &unset)?;
                let unchanged = before == Some(&config);
                Ok((if unchanged { Vec::new() } else { vec![store_config(&name, Some(config.clone()))] }, config))
            })
            .await
    }

    pub(super) async fn delete_config(self: &Arc<Self>, context: &Context, request: DeleteConfigRequest) -> Result<Config, Error> {
        let name = SubjectName::scope(&request.context, &request.subject)?;
        self.journal
            .change(context, |state| {
                setting::check_writable(state, &name)?;
                let before = state.settings(&name).and_then(|settings| settings.config.as_deref());
                match before {
                    Some(before) => Ok((vec![store_config(&name, None)], with_level(state, &name, before))),
                    None if name.is_global() => {
                        let level = Some(setting::DEFAULT_LEVEL.to_owned());
                        Ok((Vec::new(), Config { compatibility_level: level, ..Config::default() }))
                    }
                    None => Err(refusal::config_not_found(&name)),
                }
            })
            .await
    }

    pub(super) async fn get_mode(&self, context: &Context, request: GetModeRequest) -> Result<String, Error> {
        let GetModeRequest { context: space, subject, default_to_global } = request;
        let name = SubjectName::scope(&space, &subject)?;
        self.journal
            .read_fresh(context, |state| {
                if name.is_global() || default_to_global {
                    return Ok(setting::effective_mode(state, &name).to_owned());
                }
                let own = state.settings(&name).and_then(|settings| settings.mode.as_deref());
                own.map(str::to_owned).ok_or_else(|| refusal::mode_not_found(&name))
            })
            .await?
    }

    pub(super) async fn set_mode(self: &Arc<Self>, context: &Context, request: SetModeRequest) -> Result<String, Error> {
        let SetModeRequest { context: space, subject, mode, force } = request;
        let name = SubjectName::scope(&space, &subject)?;
        let mode = setting::parse_mode(&mode)?;
        self.journal
            .change(context, |state| {
                let before = state.settings(&name).and_then(|settings| settings.mode.as_deref());
                if before == Some(&mode) {
                    return Ok((Vec::new(), mode.clone()));
                }
                let mut operations = Vec::new();
                if mode == setting::IMPORT && !force {
                    if subjects(state, &name).any(|(_, subject)| subject.is_live()) {
                        let what = if name.subject.is_empty() { "context" } else { "subject" };
                        let message = format!("the {what} has versions already; delete them, or set the mode IMPORT with `force`");
                        return Err(refusal::not_permitted(Cause::VersionsExist, message));
                    }
                    operations.extend(plan_removal(state, &name));
                }
                operations.push(store_mode(&name.context, &name.subject, &mode));
                Ok((operations, mode.clone()))
            })
            .await
    }

    pub(super) async fn delete_mode(self: &Arc<Self>, context: &Context, request: DeleteModeRequest) -> Result<String, Error> {
        let DeleteModeRequest { context: space, subject, recursive } = request;
        let name = SubjectName::scope(&space, &subject)?;
        self.journal
            .change(context, |state| {
                let before = state.settings(&name).and_then(|settings| settings.mode.as_deref());
                let mut operations = Vec::new();
                if recursive && name.subject.is_empty() {
                    let all = state.space(&name.context).into_iter().flat_map(|space| &space.subjects);
                    let set = all.filter(|(_, subject)| subject.settings.mode.is_some());
                    operations.extend(set.map(|(subject, _)| store_mode(&name.context, subject, "")));
                }
                match before {
                    Some(before) => {
                        operations.push(store_mode(&name.context, &name.subject, ""));
                        Ok((operations, before.to_owned()))
                    }
                    None if name.is_global() || !operations.is_empty() => Ok((operations, setting::DEFAULT_MODE.to_owned())),
                    None => Err(refusal::mode_not_found(&name)),
                }
            })
            .await
    }

    pub(super) async fn contexts(&self, context: &Context, request: ListContextsRequest) -> Result<Vec<String>, Error> {
        let ListContextsRequest { prefix, offset, limit } = request;
        self.journal
            .read_fresh(context, |state| {
                let others =
                    state.contexts.iter().filter(|(name, space)| &***name != subject::DEFAULT_CONTEXT && !space.subjects.is_empty());
                // The default context always exists, and is the first in order.
                let all = std::iter::once(subject::DEFAULT_CONTEXT).chain(others.map(|(name, _)| &**name));
                read::page(all.filter(|name| name.starts_with(&prefix)), offset, limit).map(str::to_owned).collect()
            })
            .await
    }

    pub(super) async fn delete_context(self: &Arc<Self>, context: &Context, request: DeleteContextRequest) -> Result<(), Error> {
        let name = SubjectName::scope(&request.context, "")?;
        self.journal
            .change(context, |state| {
                let space = state.space(&name.context).filter(|space| !space.subjects.is_empty() || !space.settings.is_empty());
                let Some(space) = space.filter(|_| !name.is_global()) else { return Err(refusal::context_not_found(&name.context)) };
                if !space.subjects.is_empty() {
                    return Err(refusal::context_not_empty(&name.context));
                }
                let gone = RemoveContext { context: name.context.clone() };
                Ok((vec![Operation { change: Some(Change::RemoveContext(gone)) }], ()))
            })
            .await
    }
}

/// Returns the configuration of a scope with the level in effect, also if it does not set one.
fn with_level(state: &State, name: &SubjectName, own: &Config) -> Config {
    let mut config = own.clone();
    config.compatibility_level.get_or_insert_with(|| setting::compatibility_level(&setting::effective_config(state, name)).0);
    config
}

fn store_config(name: &SubjectName, config: Option<Config>) -> Operation {
    let one = StoreConfig { context: name.context.clone(), subject: name.subject.clone(), config };
    Operation { change: Some(Change::StoreConfig(one)) }
}

fn store_mode(context: &str, subject: &str, mode: &str) -> Operation {
    let one = StoreMode { context: context.to_owned(), subject: subject.to_owned(), mode: mode.to_owned() };
    Operation { change: Some(Change::StoreMode(one)) }
}

/// Returns the subject or, if the name is that of a context, all its subjects.
fn subjects<'a>(state: &'a State, name: &'a SubjectName) -> impl Iterator<Item = (&'a Arc<str>, &'a Subject)> {
    let all = state.space(&name.context).into_iter().flat_map(|space| &space.subjects);
    all.filter(|(subject, _)| name.subject.is_empty() || ***subject == *name.subject)
}

/// Plans the permanent removal of the softly deleted versions of a subject or a context, except for those that a schema in use refers to.
fn plan_removal(state: &State, name: &SubjectName) -> Vec<Operation> {
    let versions = subjects(state, name).flat_map(|(subject, one)| one.versions.keys().map(move |version| (subject, *version)));
    let is_free = |(subject, version): &(&Arc<str>, u32)| {
        let name = SubjectName { context: name.context.clone(), subject: subject.to_string() };
        !state.referrers(&name, *version).any(|(context, id)| state.is_used(context, *id, false, None))
    };
    let remove = |(subject, version): (&Arc<str>, u32)| {
        let gone = RemoveVersion { context: name.context.clone(), subject: subject.to_string(), version };
        Operation { change: Some(Change::RemoveVersion(gone)) }
    };
    versions.filter(is_free).map(remove).collect()
}
