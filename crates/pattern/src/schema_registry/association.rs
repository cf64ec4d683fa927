//! Associations of subjects with resources in other systems.

use std::sync::Arc;

use super::{
    SchemaRegistry,
    read::page,
    refusal,
    state::State,
    subject::{self, SubjectName},
};
use prism_call::{
    Code, Context, Error,
    proto::{
        journal::v1::{Operation, RemoveAssociation, StoreVersion, operation::Change},
        patterns::schema_registry::v1::{
            Association, AssociationChange, DeleteAssociationsRequest, ListAssociationsRequest, RegisterSchemaRequest, RegisteredSchema,
            SetAssociationsBatchRequest, SetAssociationsRequest, SetAssociationsResponse,
            set_associations_batch_response::{Result as BatchResult, result::Outcome},
        },
    },
};
use prism_slot::time;

const DEFAULT_RESOURCE_TYPE: &str = "topic";
const DEFAULT_TYPE: &str = "value";
const MAX_CHANGES: usize = 100;
const MAX_REQUESTS: usize = 100;

impl SchemaRegistry {
    pub(super) async fn set_associations(
        self: &Arc<Self>,
        context: &Context,
        request: SetAssociationsRequest,
    ) -> Result<SetAssociationsResponse, Error> {
        let SetAssociationsRequest {
            context: space,
            resource_id,
            resource_name,
            resource_namespace,
            resource_type,
            associations,
            create_only,
            dry_run,
        } = request;
        if resource_id.is_empty() {
            return Err(Error::invalid("resource_id", "is missing"));
        }
        if associations.is_empty() || associations.len() > MAX_CHANGES {
            return Err(Error::invalid("associations", format!("takes 1 to {MAX_CHANGES} items")));
        }
        let resource_type = if resource_type.is_empty() { DEFAULT_RESOURCE_TYPE.to_owned() } else { resource_type };
        let mut wanted = Vec::with_capacity(associations.len());
        for (index, change) in associations.into_iter().enumerate() {
            let mut change = change;
            if change.association_type.is_empty() {
                DEFAULT_TYPE.clone_into(&mut change.association_type);
            }
            change.lifecycle.make_ascii_uppercase();
            if !["", "STRONG", "WEAK"].contains(&&*change.lifecycle) {
                return Err(Error::invalid(format!("associations[{index}].lifecycle"), "takes STRONG and WEAK"));
            }
            if change.subject.is_empty() {
                change.subject = format!(":.{resource_namespace}:{resource_name}-{}", change.association_type);
            }
            wanted.push((SubjectName::subject(&space, &change.subject)?, change));
        }
        // All checks are made before a schema is registered.
        let key = |change: &AssociationChange| (resource_id.clone(), resource_type.clone(), change.association_type.clone());
        let plan = |state: &State| -> Result<Vec<Association>, Error> {
            let of = |(name, change): &(SubjectName, AssociationChange)| {
                let known = state.associations.get(&key(change));
                if known.is_none() && change.schema.is_none() && state.subject(name).is_none() {
                    return Err(refusal::subject_not_found(name));
                }
                plan_association(known, name, change, create_only, (&resource_id, &resource_name, &resource_namespace, &resource_type))
            };
            wanted.iter().map(of).collect()
        };
        let planned = self.journal.read_fresh(context, plan).await??;
        if dry_run {
            return Ok(SetAssociationsResponse { associations: planned, schemas: Vec::new() });
        }
        let mut schemas = Vec::new();
        for (name, change) in &wanted {
            if let Some(schema) = change.schema.clone() {
                schemas.push(self.register_for(context, name, schema, change.normalize).await?);
            }
        }
        let associations = self
            .journal
            .change(context, |state| {
                let now = plan(state)?;
                let differ = now.iter().filter(|one| {
                    let known = state.associations.get(&(one.resource_id.clone(), one.resource_type.clone(), one.association_type.clone()));
                    known != Some(one)
                });
                Ok((differ.map(|one| Operation { change: Some(Change::StoreAssociation(one.clone())) }).collect(), now))
            })
            .await?;
        Ok(SetAssociationsResponse { associations, schemas })
    }

    /// Handles the requests one after the other, so that each sees the changes of those before it. An error of one request does not
    /// stop the others.
    pub(super) async fn set_associations_batch(
        self: &Arc<Self>,
        context: &Context,
        request: SetAssociationsBatchRequest,
    ) -> Result<Vec<BatchResult>, Error> {
        let requests = request.requests;
        if requests.is_empty() || requests.len() > MAX_REQUESTS {
            return Err(Error::invalid("requests", format!("takes 1 to {MAX_REQUESTS} items")));
        }
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            let outcome = match self.set_associations(context, request).await {
                Ok(done) => Outcome::Response(done),
                Err(refusal) => Outcome::Error(refusal.to_status()),
            };
            results.push(BatchResult { outcome: Some(outcome) });
        }
        Ok(results)
    }

    async fn register_for(
        self: &Arc<Self>,
        context: &Context,
        name: &SubjectName,
        schema: prism_call::proto::patterns::schema_registry::v1::Schema,
        normalize: bool,
    ) -> Result<RegisteredSchema, Error> {
        let SubjectName { context: space, subject } = name.clone();
        let request =
            RegisterSchemaRequest { context: space, subject, schema: Some(schema), normalize, ..RegisterSchemaRequest::default() };
        self.register(context, request).await
    }

    pub(super) async fn list_associations(&self, context: &Context, request: ListAssociationsRequest) -> Result<Vec<Association>, Error> {
        let ListAssociationsRequest {
            context: space,
            subject,
            resource_id,
            resource_name,
            resource_namespace,
            resource_type,
            association_types,
            lifecycle,
            offset,
            limit,
        } = request;
        let subject = if subject.is_empty() { String::new() } else { SubjectName::subject(&space, &subject)?.to_string() };
        let namespace = if resource_namespace == "-" { String::new() } else { resource_namespace };
        let matches = |wanted: &str, value: &str| wanted.is_empty() || wanted.eq_ignore_ascii_case(value);
        self.journal
            .read_fresh(context, |state| {
                let found = state.associations.values().filter(|one| {
                    matches(&subject, &one.subject)
                        && matches(&resource_id, &one.resource_id)
                        && matches(&resource_name, &one.resource_name)
                        && matches(&namespace, &one.resource_namespace)
                        && matches(&resource_type, &one.resource_type)
                        && matches(&lifecycle, &one.lifecycle)
                        && (association_types.is_empty() || association_types.contains(&one.association_type))
                });
                page(found.cloned(), offset, limit).collect()
            })
            .await
    }

    pub(super) async fn delete_associations(self: &Arc<Self>, context: &Context, request: DeleteAssociationsRequest) -> Result<u32, Error> {
        let DeleteAssociationsRequest { resource_id, resource_type, association_types, cascade, dry_run } = request;
        if resource_id.is_empty() {
            return Err(Error::invalid("resource_id", "is missing"));
        }
        self.journal
            .change(context, |state| {
                let chosen: Vec<_> = state
                    .associations
                    .values()
                    .filter(|one| one.resource_id == resource_id && (resource_type.is_empty() || one.resource_type == resource_type))
                    .filter(|one| association_types.is_empty() || association_types.contains(&one.association_type))
                    .collect();
                let mut operations = Vec::new();
                for one in &chosen {
                    if one.frozen && !cascade {
                        return Err(frozen(one));
                    }
                    if cascade && one.lifecycle == "STRONG" {
                        soft_delete(state, &SubjectName::new("", &one.subject), &mut operations);
                    }
                    let Association { resource_id, association_type, resource_type, .. } = (*one).clone();
                    let gone = RemoveAssociation { resource_id, association_type, resource_type };
                    operations.push(Operation { change: Some(Change::RemoveAssociation(gone)) });
                }
                if dry_run {
                    operations.clear();
                }
                Ok((operations, u32::try_from(chosen.len()).unwrap_or(u32::MAX)))
            })
            .await
    }
}

/// Returns the association that results from a change.
fn plan_association(
    known: Option<&Association>,
    name: &SubjectName,
    change: &AssociationChange,
    create_only: bool,
    (resource_id, resource_name, resource_namespace, resource_type): (&str, &str, &str, &str),
) -> Result<Association, Error> {
    let subject = subject::qualified(&name.context, &name.subject);
    let now = time::timestamp(time::now());
    let Some(known) = known else {
        return Ok(Association {
            subject,
            resource_id: resource_id.to_owned(),
            resource_name: resource_name.to_owned(),
            resource_namespace: resource_namespace.to_owned(),
            resource_type: resource_type.to_owned(),
            association_type: change.association_type.clone(),
            lifecycle: if change.lifecycle.is_empty() { "WEAK".to_owned() } else { change.lifecycle.clone() },
            frozen: change.frozen.unwrap_or(false),
            create_time: Some(now),
            update_time: Some(now),
        });
    };
    let mut next = Association { subject, frozen: change.frozen.unwrap_or(known.frozen), ..known.clone() };
    if !change.lifecycle.is_empty() {
        next.lifecycle.clone_from(&change.lifecycle);
    }
    if next == *known {
        return Ok(next);
    }
    if create_only || next.subject != known.subject {
        let message =
            format!("The resource {resource_id} has an association {} with the subject {} already", known.association_type, known.subject);
        return Err(Error::new(Code::AlreadyExists, "ASSOCIATION_EXISTS", message).with("subject", known.subject.clone()));
    }
    if known.frozen {
        return Err(frozen(known));
    }
    next.update_time = Some(now);
    Ok(next)
}

fn frozen(one: &Association) -> Error {
    let message = format!("The association {} of the resource {} is frozen", one.association_type, one.resource_id);
    Error::new(Code::FailedPrecondition, "ASSOCIATION_FROZEN", message).with("subject", one.subject.clone())
}

fn soft_delete(state: &State, name: &SubjectName, operations: &mut Vec<Operation>) {
    for (version, one) in state.subject(name).into_iter().flat_map(|subject| subject.list(false)) {
        let (context, subject) = (name.context.clone(), name.subject.clone());
        let change = StoreVersion { context, subject, version, id: one.id, deleted: true, register_millis: one.register_millis };
        operations.push(Operation { change: Some(Change::StoreVersion(change)) });
    }
}
