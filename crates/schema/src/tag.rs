//! Tags within texts: which parts of a schema have which, and a text in which they have others.
//!
//! Each format shows its parts, in the order of the text, to a function that may change their tags. How a part is called is the
//! format's business; no two parts of the same kind are called the same.

use std::collections::{HashMap, HashSet};

use super::{Dependency, InvalidSchema, Schema};

/// The attribute with tags: of records and fields in Avro, of schemas in JSON Schema.
pub(super) const ATTRIBUTE: &str = "confluent:tags";
/// The option of messages in Protobuf that has the tags.
pub(super) const MESSAGE: &str = "confluent.message_meta";
/// The option of fields in Protobuf that has the tags.
pub(super) const FIELD: &str = "confluent.field_meta";
/// The file that declares both options.
pub(super) const IMPORT: &str = "confluent/meta.proto";
/// The list of tags in both options.
pub(super) const LIST: &str = "tags";

/// Longest path of a part, in bytes. What is called by a longer one has no tags here, so that a deep schema of long names can't take
/// more memory than its text.
pub const MAX_PATH: usize = 1024;

/// What kind of part it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// Something with fields.
    Record,
    /// Something in a record.
    Field,
}

/// A part of a schema and its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedPart {
    /// Its kind.
    pub part: PartKind,
    /// Its path: names with dots between them.
    pub path: String,
    /// The tags, in the order of the text.
    pub tags: Vec<String>,
}

/// What is done with tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagAction {
    /// They are added if the part is there.
    Inherit,
    /// They are added to a part that has to be there.
    Add,
    /// They are taken from a part that has to be there, after all that is added.
    Remove,
}

/// A change of the tags of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagChange {
    /// What is done.
    pub action: TagAction,
    /// The kind of the part; any if there is none.
    pub part: Option<PartKind>,
    /// Its path, also with a dot before it.
    pub path: String,
    /// The tags.
    pub tags: Vec<String>,
}

/// Why tags can't be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagError {
    /// The schema has no such part; the index of the change.
    Missing(usize),
    /// The text would be no schema any more.
    Invalid(InvalidSchema),
}

/// A part as a format shows it.
pub(super) struct SchemaPart<'a> {
    pub part: PartKind,
    pub path: &'a str,
    /// Another path that it goes by.
    pub also: Option<&'a str>,
}

/// Sees a part and its tags, and may change them.
pub(super) type PartVisitor<'a> = dyn FnMut(&SchemaPart, &mut Vec<String>) + 'a;

impl Schema {
    /// The parts that have a tag that is wanted, each with those alone. Only those of the text itself, not of what it refers to.
    pub fn tags(&self, wanted: impl Fn(&str) -> bool) -> Vec<TaggedPart> {
        let mut found = Vec::new();
        let mut visit = |shown: &SchemaPart, tags: &mut Vec<String>| {
            let tags: Vec<String> = tags.iter().filter(|tag| wanted(tag)).cloned().collect();
            if !tags.is_empty() {
                found.push(TaggedPart { part: shown.part, path: shown.path.to_owned(), tags });
            }
        };
        match self {
            Self::Avro(schema) => schema.tags(&mut visit),
            Self::Json(schema) => schema.tags(&mut visit),
            Self::Protobuf(schema) => schema.tags(&mut visit),
        }
        found
    }

    /// The canonical text with other tags. `dependencies` are those of [`Self::parse`].
    pub fn change_tags(&self, changes: &[TagChange], dependencies: &[Dependency]) -> Result<String, TagError> {
        let mut plan = TagPlan::new(self, changes);
        let mut visit = |shown: &SchemaPart, tags: &mut Vec<String>| plan.visit(shown, tags);
        let text = match self {
            Self::Avro(schema) => Ok(schema.change_tags(&mut visit)),
            Self::Json(schema) => Ok(schema.change_tags(&mut visit)),
            Self::Protobuf(schema) => schema.change_tags(&mut visit, dependencies),
        };
        // A part that isn't there is told first: it is what the caller can mend.
        match plan.missing() {
            Some(index) => Err(TagError::Missing(index)),
            None => text.map_err(TagError::Invalid),
        }
    }
}

/// Changes by the path of what they are for.
struct TagPlan<'a> {
    changes: &'a [TagChange],
    paths: HashMap<&'a str, Vec<usize>>,
    /// Which changes were for something that is there.
    met: Vec<bool>,
    /// Whether a path means one part, whatever its kind.
    untyped: bool,
}

impl<'a> TagPlan<'a> {
    fn new(schema: &Schema, changes: &'a [TagChange]) -> Self {
        let mut paths: HashMap<_, Vec<_>> = HashMap::new();
        for (index, change) in changes.iter().enumerate() {
            paths.entry(change.path.strip_prefix('.').unwrap_or(&change.path)).or_default().push(index);
        }
        Self { changes, paths, met: vec![false; changes.len()], untyped: matches!(schema, Schema::Json(_)) }
    }

    fn visit(&mut self, shown: &SchemaPart, tags: &mut Vec<String>) {
        let asked = [Some(shown.path), shown.also].into_iter().flatten().filter_map(|path| self.paths.get(path)).flatten();
        let (mut added, mut removed) = (Vec::new(), HashSet::new());
        for &index in asked {
            let change = &self.changes[index];
            if !self.untyped && change.part.is_some_and(|part| part != shown.part) {
                continue;
            }
            self.met[index] = true;
            let names = change.tags.iter().map(String::as_str);
            if change.action == TagAction::Remove { removed.extend(names) } else { added.extend(names) }
        }
        let mut known: HashSet<&str> = tags.iter().map(String::as_str).collect();
        let new: Vec<String> = added.into_iter().filter(|tag| known.insert(tag)).map(str::to_owned).collect();
        tags.extend(new);
        tags.retain(|tag| !removed.contains(tag.as_str()));
    }

    fn missing(&self) -> Option<usize> {
        (0..self.changes.len()).find(|&index| !self.met[index] && self.changes[index].action != TagAction::Inherit)
    }
}
