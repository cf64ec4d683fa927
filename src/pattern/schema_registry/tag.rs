//! A version again with other tags, metadata or rules.

use std::sync::Arc;

use prost_types::{Value, value::Kind};

use super::{
    SchemaRegistry,
    read::{self, find},
    refusal, setting,
    subject::Name,
};
use crate::{
    call::{Context, Error},
    proto::patterns::schema_registry::v1::{Metadata, RegisterSchemaRequest, RegisteredSchema, RuleSet, TagChange, TagSchemaRequest},
};

impl SchemaRegistry {
    pub(super) async fn tag(self: &Arc<Self>, context: &Context, request: TagSchemaRequest) -> Result<RegisteredSchema, Error> {
        let TagSchemaRequest {
            context: space,
            subject,
            version: text,
            new_version,
            tags_to_add,
            tags_to_remove,
            metadata,
            rule_set,
            rules_to_merge,
            rules_to_remove,
        } = request;
        let name = Name::subject(&space, &subject)?;
        let number = read::version(&text)?;
        let stored = self
            .journal
            .now(context, |state| {
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                let missing = || refusal::version_not_found(&name, &text);
                let (_, one) = find(subject, number, false).ok_or_else(missing)?;
                state.space(&name.context).and_then(|space| space.schema(one.id)).cloned().ok_or_else(missing)
            })
            .await??;
        let mut schema = stored.schema();
        if metadata.is_some() {
            schema.metadata = metadata;
        }
        if !tags_to_add.is_empty() || !tags_to_remove.is_empty() {
            let metadata = schema.metadata.get_or_insert_default();
            change_tags(metadata, &tags_to_add, &tags_to_remove)?;
        }
        schema.rule_set = setting::merge_rules(rule_set.or(schema.rule_set), rules_to_merge);
        if let Some(rules) = &mut schema.rule_set {
            remove_rules(rules, &rules_to_remove);
        }
        let version = i32::try_from(new_version).unwrap_or(i32::MAX);
        let request = RegisterSchemaRequest {
            context: name.context.clone(),
            subject: name.subject.clone(),
            schema: Some(schema),
            version,
            ..RegisterSchemaRequest::default()
        };
        self.register(context, request).await
    }
}

fn change_tags(metadata: &mut Metadata, add: &[TagChange], remove: &[TagChange]) -> Result<(), Error> {
    let path = |change: &TagChange, list: &str, index: usize| {
        let entity = change.schema_entity.as_ref().filter(|entity| !entity.entity_path.is_empty());
        entity
            .map(|entity| entity.entity_path.clone())
            .ok_or_else(|| Error::invalid(format!("{list}[{index}].schema_entity.entity_path"), "is missing"))
    };
    let value = |tag: &String| Value { kind: Some(Kind::StringValue(tag.clone())) };
    for (index, change) in add.iter().enumerate() {
        let values = &mut metadata.tags.entry(path(change, "tags_to_add", index)?).or_default().values;
        for tag in change.tags.iter().map(value) {
            if !values.contains(&tag) {
                values.push(tag);
            }
        }
    }
    for (index, change) in remove.iter().enumerate() {
        let path = path(change, "tags_to_remove", index)?;
        if let Some(tags) = metadata.tags.get_mut(&path) {
            tags.values.retain(|tag| !change.tags.iter().map(value).any(|gone| gone == *tag));
            if tags.values.is_empty() {
                metadata.tags.remove(&path);
            }
        }
    }
    Ok(())
}

fn remove_rules(rules: &mut RuleSet, names: &[String]) {
    for set in [&mut rules.migration_rules, &mut rules.domain_rules, &mut rules.encoding_rules] {
        set.retain(|rule| !names.contains(&rule.name));
    }
}
