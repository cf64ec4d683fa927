//! Tags within the texts of schemas: changes that requests ask for, and tags in responses.

use std::collections::HashSet;

use super::{SchemaRegistry, basis::Basis, reference::SchemaMaterial, refusal};
use prism_call::{
    Error,
    proto::patterns::schema_registry::v1::{SchemaEntity, SchemaTags},
};
use prism_schema::{
    Schema,
    tag::{MAX_PATH, PartKind, TagAction, TagChange, TagError, TaggedPart},
};

/// Greatest number of tags to find, and of tags to add and remove, in one request.
const MAX_TAGS: usize = 1000;
/// Longest tag, in characters.
const MAX_TAG_CHARS: usize = 255;
/// The tag that means all tags.
const ALL_TAGS: &str = "*";

/// The changes that a registration makes to the tags in the text.
#[derive(Debug, Default)]
pub(super) struct Tagging {
    changes: Vec<TagChange>,
    /// Number of changes that are additions. These come first.
    added: usize,
    /// Whether the tags of the latest version are copied.
    propagate: bool,
}

impl Tagging {
    /// Checks the lists of a request.
    pub fn new(add: &[SchemaTags], remove: &[SchemaTags], propagate: bool) -> Result<Self, Error> {
        let mut changes = Vec::with_capacity(add.len() + remove.len());
        let mut count = 0;
        for (list, action, tags) in [("tags_to_add", TagAction::Add, add), ("tags_to_remove", TagAction::Remove, remove)] {
            for (index, one) in tags.iter().enumerate() {
                count += one.tags.len().max(1);
                if count > MAX_TAGS {
                    return Err(Error::invalid(list, format!("takes at most {MAX_TAGS} tags, with all other lists of the request")));
                }
                changes.push(parse_change(&format!("{list}[{index}]"), action, one)?);
            }
        }
        Ok(Self { changes, added: add.len(), propagate })
    }
}

fn parse_change(field: &str, action: TagAction, one: &SchemaTags) -> Result<TagChange, Error> {
    let SchemaEntity { entity_path: path, entity_type: kind } = one.schema_entity.clone().unwrap_or_default();
    if path.is_empty() {
        return Err(Error::invalid(format!("{field}.schema_entity.entity_path"), "is missing"));
    }
    if path.len() > MAX_PATH {
        return Err(Error::invalid(format!("{field}.schema_entity.entity_path"), format!("takes at most {MAX_PATH} bytes")));
    }
    let part = match kind.to_ascii_lowercase().as_str() {
        "" => None,
        "sr_record" => Some(PartKind::Record),
        "sr_field" => Some(PartKind::Field),
        _ => {
            return Err(Error::invalid(
                format!("{field}.schema_entity.entity_type"),
                format!("{kind:?} is neither sr_record nor sr_field"),
            ));
        }
    };
    let fits = |tag: &String| !tag.is_empty() && tag.chars().count() <= MAX_TAG_CHARS;
    if let Some(index) = one.tags.iter().position(|tag| !fits(tag)) {
        return Err(Error::invalid(format!("{field}.tags[{index}]"), format!("takes 1 to {MAX_TAG_CHARS} characters")));
    }
    Ok(TagChange { action, part, path, tags: one.tags.clone() })
}

impl SchemaRegistry {
    /// Returns the text with the changed tags, or `None` if there are no changes.
    pub(super) fn apply_tags(&self, schema: &Schema, basis: &Basis, tagging: &Tagging) -> Result<Option<String>, Error> {
        let mut changes = Vec::new();
        if let Some(latest) = basis.latest.as_ref().filter(|_| tagging.propagate) {
            let material = self.journal.read_known(|state| SchemaMaterial::new(state, &basis.context, latest))?;
            let inherited = self.parsed(&material)?.tags(|_| true);
            let inherit = |TaggedPart { part, path, tags }| TagChange { action: TagAction::Inherit, part: Some(part), path, tags };
            changes.extend(inherited.into_iter().map(inherit));
        }
        let own = changes.len();
        changes.extend_from_slice(&tagging.changes);
        if changes.is_empty() {
            return Ok(None);
        }
        let text = schema.change_tags(&changes, &basis.dependencies).map_err(|why| match why {
            TagError::Missing(index) => {
                let index = index.saturating_sub(own);
                let (list, position) =
                    if index < tagging.added { ("tags_to_add", index) } else { ("tags_to_remove", index.saturating_sub(tagging.added)) };
                let change = tagging.changes.get(index);
                let kind = change.and_then(|change| change.part).map_or("part", entity_type_name);
                let path = change.map_or("", |change| &change.path);
                refusal::entity_not_found(&format!("{list}[{position}].schema_entity.entity_path"), kind, path)
            }
            TagError::Invalid(why) => {
                refusal::invalid_schema("schema.schema", format!("the text with these tags is invalid: {}", why.message))
            }
        })?;
        Ok(Some(text))
    }
}

/// Checks the number of tags to find.
pub(super) fn check_find_tags(find: &[String]) -> Result<(), Error> {
    if find.len() > MAX_TAGS { Err(Error::invalid("find_tags", format!("takes at most {MAX_TAGS} items"))) } else { Ok(()) }
}

/// Finds tags in the text of a schema.
pub(super) fn find_tags(schema: &Schema, find: &[String]) -> Vec<SchemaTags> {
    let find: HashSet<&str> = find.iter().map(String::as_str).collect();
    let all = find.contains(ALL_TAGS);
    let wanted = |tag: &str| all || find.contains(tag);
    let describe = |TaggedPart { part, path, tags }| {
        let entity = SchemaEntity { entity_path: path, entity_type: entity_type_name(part).to_owned() };
        SchemaTags { schema_entity: Some(entity), tags }
    };
    schema.tags(wanted).into_iter().map(describe).collect()
}

fn entity_type_name(part: PartKind) -> &'static str {
    match part {
        PartKind::Record => "sr_record",
        PartKind::Field => "sr_field",
    }
}
