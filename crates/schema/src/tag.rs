//! Tags inside of schema texts: finding them, and planning changes.
//!
//! Each format visits its parts in the order of the text and calls a function that can change their tags. The format defines the path of a
//! part. Two parts of the same kind have different paths.

use std::collections::{HashMap, HashSet};

use crate::InvalidSchema;

/// The attribute with tags: of records and fields in Avro, of schemas in JSON Schema.
pub(crate) const ATTRIBUTE: &str = "confluent:tags";
/// The Protobuf option with the tags of a message.
pub(crate) const MESSAGE: &str = "confluent.message_meta";
/// The Protobuf option with the tags of a field.
pub(crate) const FIELD: &str = "confluent.field_meta";
/// The file that declares both options.
pub(crate) const IMPORT: &str = "confluent/meta.proto";
/// The list of tags in both options.
pub(crate) const LIST: &str = "tags";

/// The maximum length of a path in bytes. Parts with a longer path have no tags here. Otherwise the paths of a deep schema with long names
/// could need much more memory than its text.
pub const MAX_PATH: usize = 1024;

/// The kind of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// A part with fields.
    Record,
    /// A part of a record.
    Field,
}

/// A part of a schema and its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedPart {
    /// The kind.
    pub part: PartKind,
    /// The path: names with dots between them.
    pub path: String,
    /// The tags, in the order of the text.
    pub tags: Vec<String>,
}

/// What a change does with tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagAction {
    /// Add the tags if the part exists.
    Inherit,
    /// Add the tags to a part that has to exist.
    Add,
    /// Remove the tags from a part that has to exist, after all additions.
    Remove,
}

/// A change of the tags of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagChange {
    /// What to do.
    pub action: TagAction,
    /// The kind of the part, or `None` for any kind.
    pub part: Option<PartKind>,
    /// The path of the part. A leading dot is ignored.
    pub path: String,
    /// The tags.
    pub tags: Vec<String>,
}

/// The reason why tags can't be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagError {
    /// The schema doesn't have the part; the index of the change.
    Missing(usize),
    /// The text would not be a valid schema with these tags.
    Invalid(InvalidSchema),
}

/// A part that a format visits.
pub(crate) struct SchemaPart<'a> {
    pub part: PartKind,
    pub path: &'a str,
    /// Another path of the same part.
    pub alternative: Option<&'a str>,
}

/// Receives a part and its tags, and can change the tags.
pub(crate) type PartVisitor<'a> = dyn FnMut(&SchemaPart, &mut Vec<String>) + 'a;

/// Changes by the path of their part.
pub(crate) struct TagPlan<'a> {
    changes: &'a [TagChange],
    paths: HashMap<&'a str, Vec<usize>>,
    /// Whether the part of each change was found.
    found: Vec<bool>,
    /// Whether a path means one part, whatever its kind.
    ignore_kind: bool,
    /// The package that paths may leave out, with a dot at its end; empty if there is none.
    package: String,
}

impl<'a> TagPlan<'a> {
    /// Groups changes by path. Paths may leave `package` out, unless they begin with it.
    pub fn new(changes: &'a [TagChange], ignore_kind: bool, package: &str) -> Self {
        let mut paths: HashMap<_, Vec<_>> = HashMap::new();
        for (index, change) in changes.iter().enumerate() {
            paths.entry(change.path.strip_prefix('.').unwrap_or(&change.path)).or_default().push(index);
        }
        let package = if package.is_empty() { String::new() } else { format!("{package}.") };
        Self { changes, paths, found: vec![false; changes.len()], ignore_kind, package }
    }

    /// Applies the changes of a part to its tags.
    pub fn apply(&mut self, part: &SchemaPart, tags: &mut Vec<String>) {
        let full = [Some(part.path), part.alternative].into_iter().flatten();
        let within_package = |path: &'_ str| {
            let rest = path.strip_prefix(&*self.package).filter(|_| !self.package.is_empty())?;
            self.paths.get(rest).filter(|_| !rest.starts_with(&*self.package))
        };
        let indexes: Vec<usize> =
            full.flat_map(|path| self.paths.get(path).into_iter().chain(within_package(path))).flatten().copied().collect();
        let (mut added, mut removed) = (Vec::new(), HashSet::new());
        for index in indexes {
            let change = &self.changes[index];
            if !self.ignore_kind && change.part.is_some_and(|kind| kind != part.part) {
                continue;
            }
            self.found[index] = true;
            let names = change.tags.iter().map(String::as_str);
            if change.action == TagAction::Remove { removed.extend(names) } else { added.extend(names) }
        }
        let mut known: HashSet<&str> = tags.iter().map(String::as_str).collect();
        let new: Vec<String> = added.into_iter().filter(|tag| known.insert(tag)).map(str::to_owned).collect();
        tags.extend(new);
        tags.retain(|tag| !removed.contains(tag.as_str()));
    }

    /// Returns the first change whose part has to exist and was not found.
    pub fn first_missing(&self) -> Option<usize> {
        (0..self.changes.len()).find(|&index| !self.found[index] && self.changes[index].action != TagAction::Inherit)
    }
}
