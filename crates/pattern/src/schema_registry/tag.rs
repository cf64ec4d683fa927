//! Registers a version again with other tags in its text, other metadata or other rules.

use std::sync::Arc;

use super::{SchemaRegistry, find, reference::SchemaMaterial, refusal, setting, subject::SubjectName, work};
use prism_call::{
    Context, Error,
    proto::patterns::schema_registry::v1::{RegisterSchemaRequest, RegisteredSchema, RuleSet, TagSchemaRequest},
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
        let name = SubjectName::subject(&space, &subject)?;
        let number = find::parse_version(&text)?;
        let (name, material) = self
            .journal
            .read_fresh(context, |state| {
                let name = find::resolve_alias(state, &name);
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                let missing = || refusal::version_not_found(&name, &text);
                let (_, one) = find::find_version(subject, number, false).ok_or_else(missing)?;
                let stored = state.space(&name.context).and_then(|space| space.schema(one.id)).ok_or_else(missing)?;
                let material = SchemaMaterial::new(state, &name.context, stored)?;
                Ok::<_, Error>((name, material))
            })
            .await??;
        // A text that was registered in its normal form stays in its normal form.
        let (registry, of) = (self.clone(), material.clone());
        let normalize = work::run(material.bytes(), move || Ok(registry.parsed(&of)?.canonical() != *of.schema.text)).await?;
        let mut schema = material.schema.schema();
        if metadata.is_some() {
            schema.metadata = metadata;
        }
        schema.rule_set = setting::merge_rules(rule_set.or(schema.rule_set), rules_to_merge);
        if let Some(rules) = &mut schema.rule_set {
            remove_rules(rules, &rules_to_remove);
        }
        // Without a number, the changed schema becomes the latest version.
        let version = if new_version == 0 { -1 } else { i32::try_from(new_version).unwrap_or(i32::MAX) };
        let request = RegisterSchemaRequest {
            context: name.context.clone(),
            subject: name.subject.clone(),
            schema: Some(schema),
            version,
            normalize,
            tags_to_add,
            tags_to_remove,
            ..RegisterSchemaRequest::default()
        };
        self.register_version(context, request, true).await
    }
}

fn remove_rules(rules: &mut RuleSet, names: &[String]) {
    for set in [&mut rules.migration_rules, &mut rules.domain_rules, &mut rules.encoding_rules] {
        set.retain(|rule| !names.contains(&rule.name));
    }
}
