//! Deletion: softly, so that ids still lead to the schemas, and then for good.

use std::sync::Arc;

use super::{
    SchemaRegistry,
    read::{self, Number},
    refusal, setting,
    state::{State, Version},
    subject::Name,
};
use prism_call::{
    Context, Error,
    proto::{
        journal::v1::{Operation, RemoveVersion, StoreConfig, StoreMode, StoreVersion, operation::Change},
        patterns::schema_registry::v1::{DeleteSubjectRequest, DeleteVersionRequest},
    },
};

impl SchemaRegistry {
    pub(super) async fn delete_subject(self: &Arc<Self>, context: &Context, request: DeleteSubjectRequest) -> Result<Vec<u32>, Error> {
        let DeleteSubjectRequest { context: space, subject, permanent } = request;
        let name = Name::subject(&space, &subject)?;
        self.journal
            .change(context, |state| {
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                setting::writable(state, &name)?;
                if permanent && subject.is_live() {
                    return Err(refusal::subject_not_soft_deleted(&name));
                }
                if !permanent && !subject.is_live() {
                    return Err(refusal::subject_soft_deleted(&name));
                }
                let versions: Vec<_> = subject.list(permanent).collect();
                let mut operations = Vec::with_capacity(versions.len() + 2);
                for &(number, one) in &versions {
                    operations.push(delete(state, &name, number, one, permanent)?);
                }
                // What was set for it goes with it.
                let (context, subject) = (name.context.clone(), name.subject.clone());
                let settings = state.settings(&name);
                if settings.is_some_and(|settings| settings.config.is_some()) {
                    let gone = StoreConfig { context: context.clone(), subject: subject.clone(), config: None };
                    operations.push(Operation { change: Some(Change::StoreConfig(gone)) });
                }
                if settings.is_some_and(|settings| settings.mode.is_some()) {
                    operations.push(Operation { change: Some(Change::StoreMode(StoreMode { context, subject, mode: String::new() })) });
                }
                Ok((operations, versions.into_iter().map(|(number, _)| number).collect()))
            })
            .await
    }

    pub(super) async fn delete_version(self: &Arc<Self>, context: &Context, request: DeleteVersionRequest) -> Result<u32, Error> {
        let DeleteVersionRequest { context: space, subject, version, permanent } = request;
        let name = Name::subject(&space, &subject)?;
        let number = read::version(&version)?;
        self.journal
            .change(context, |state| {
                let subject = state.subject(&name).filter(|subject| permanent || subject.is_live() || number != Number::Latest);
                let subject = subject.ok_or_else(|| refusal::subject_not_found(&name))?;
                let deleted = permanent || number != Number::Latest;
                let (number, one) = read::find(subject, number, deleted).ok_or_else(|| refusal::version_not_found(&name, &version))?;
                setting::writable(state, &name)?;
                if permanent && !one.deleted {
                    return Err(refusal::version_not_soft_deleted(&name, number));
                }
                if !permanent && one.deleted {
                    return Err(refusal::version_soft_deleted(&name, number));
                }
                Ok((vec![delete(state, &name, number, one, permanent)?], number))
            })
            .await
    }
}

/// The deletion of a version, unless something refers to it.
fn delete(state: &State, name: &Name, number: u32, one: Version, permanent: bool) -> Result<Operation, Error> {
    // Softly deleted referrers can come back by registration, so they count when it is for good.
    let mut referrers = state.referrers(name, number);
    if referrers.any(|(context, id)| permanent || read::in_use(state, context, *id)) {
        return Err(refusal::reference_exists(name, number));
    }
    let (context, subject) = (name.context.clone(), name.subject.clone());
    let change = if permanent {
        Change::RemoveVersion(RemoveVersion { context, subject, version: number })
    } else {
        let Version { id, register_millis, .. } = one;
        Change::StoreVersion(StoreVersion { context, subject, version: number, id, deleted: true, register_millis })
    };
    Ok(Operation { change: Some(change) })
}
