//! Deletion of subjects and versions: first soft, which keeps the schemas readable by id, then permanent.

use std::sync::Arc;

use super::{
    SchemaRegistry, find, refusal, setting,
    state::{State, Version},
    subject::SubjectName,
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
        let name = SubjectName::subject(&space, &subject)?;
        self.journal
            .change(context, |state| {
                let name = find::resolve_alias(state, &name);
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                setting::check_writable(state, &name)?;
                if permanent && subject.is_live() {
                    return Err(refusal::subject_not_soft_deleted(&name));
                }
                if !permanent && !subject.is_live() {
                    return Err(refusal::subject_soft_deleted(&name));
                }
                let versions: Vec<_> = subject.list(permanent).collect();
                let mut operations = Vec::with_capacity(versions.len() + 2);
                for &(number, one) in &versions {
                    // The versions of the subject may refer to each other.
                    operations.push(plan_deletion(state, &name, number, one, permanent, Some(&name))?);
                }
                // The settings of the subject are deleted with it, but stay after a soft deletion.
                let (context, subject) = (name.context.clone(), name.subject.clone());
                let settings = state.settings(&name).filter(|_| permanent);
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
        let name = SubjectName::subject(&space, &subject)?;
        let number = find::parse_version(&version)?;
        self.journal
            .change(context, |state| {
                let name = find::resolve_alias(state, &name);
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                let (number, one) = find::find_version(subject, number, true).ok_or_else(|| refusal::version_not_found(&name, &version))?;
                setting::check_writable(state, &name)?;
                if permanent && !one.deleted {
                    return Err(refusal::version_not_soft_deleted(&name, number));
                }
                if !permanent && one.deleted {
                    return Err(refusal::version_soft_deleted(&name, number));
                }
                Ok((vec![plan_deletion(state, &name, number, one, permanent, None)?], number))
            })
            .await
    }
}

/// Plans the deletion of a version. Fails if a schema refers to it, unless only `deleted`, a subject that is deleted as a whole, has that
/// schema.
fn plan_deletion(
    state: &State,
    name: &SubjectName,
    number: u32,
    one: Version,
    permanent: bool,
    deleted: Option<&SubjectName>,
) -> Result<Operation, Error> {
    // A registration can bring back a softly deleted referrer, so these count for a permanent deletion.
    let mut referrers = state.referrers(name, number);
    if referrers.any(|(context, id)| state.is_used(context, *id, permanent, deleted)) {
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
