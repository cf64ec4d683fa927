//! Tells the differences of pairs that can't be read, in the order of the reader's text.

use std::collections::HashSet;

use super::{
    super::{
        model::{AvroKind, Enum, Record, TypeId},
        pointer::join,
    },
    fields::{FieldSource, sources},
    message, missing_symbols,
    pairs::Pairs,
    same_name,
};
use crate::{Difference, MAX_DIFFERENCES};

/// All differences from the root on.
pub(super) fn report(pairs: &Pairs) -> Vec<Difference> {
    from(pairs, (pairs.reader.root, pairs.writer.root), "/".to_owned(), MAX_DIFFERENCES, true)
}

/// Up to `most` differences of a pair that is at `path`. With `nearest`, what a union can't read is told with the reason
/// why the branch that is nearest to it can't.
pub(super) fn from(pairs: &Pairs, ids: (TypeId, TypeId), path: String, most: usize, nearest: bool) -> Vec<Difference> {
    let mut report = DifferenceReport {
        pairs,
        most,
        told: Vec::new(),
        open: vec![Pending::PendingPair(PendingPair { ids, path, branch: false })],
        nearest,
    };
    let mut met = HashSet::new();
    while report.told.len() < most
        && let Some(open) = report.open.pop()
    {
        match open {
            Pending::Difference(difference) => report.told.push(difference),
            Pending::PendingPair(pair) => {
                if !pairs.readable(pair.ids) && met.insert(pair.ids) {
                    report.pair(pair);
                }
            }
        }
    }
    report.told.truncate(most);
    report.told
}

struct DifferenceReport<'a> {
    pairs: &'a Pairs<'a>,
    most: usize,
    told: Vec<Difference>,
    /// What is still to be looked at, the next one last.
    open: Vec<Pending>,
    nearest: bool,
}

/// What is told or looked at next.
enum Pending {
    Difference(Difference),
    PendingPair(PendingPair),
}

struct PendingPair {
    ids: (TypeId, TypeId),
    path: String,
    /// The writer's type is one of a union.
    branch: bool,
}

impl DifferenceReport<'_> {
    fn tell(&mut self, kind: &'static str, path: String, detail: String, message: String) {
        self.told.push(Difference { kind, path, message, detail });
    }

    fn pair(&mut self, PendingPair { ids, path, branch }: PendingPair) {
        let (reader, writer) = (self.pairs.reader.kind(ids.0), self.pairs.writer.kind(ids.1));
        match (reader, writer) {
            (AvroKind::Union(_), AvroKind::Union(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    if self.told.len() == self.most {
                        break;
                    }
                    self.no_branch((ids.0, *branch), join(&path, index), &path);
                }
            }
            (AvroKind::Union(_), _) => self.no_branch(ids, path.clone(), &path),
            (_, AvroKind::Union(branches)) => {
                let open = branches
                    .iter()
                    .rev()
                    .map(|branch| Pending::PendingPair(PendingPair { ids: (ids.0, *branch), path: path.clone(), branch: true }));
                self.open.extend(open);
            }
            (AvroKind::Array(reader), AvroKind::Array(writer)) => self.inner((*reader, *writer), join(&path, "items")),
            (AvroKind::Map(reader), AvroKind::Map(writer)) => self.inner((*reader, *writer), join(&path, "values")),
            (AvroKind::Fixed(r), AvroKind::Fixed(w)) => {
                self.names(reader, writer, &path, branch);
                if r.size != w.size {
                    let detail = format!("expected: {}, found: {}", w.size, r.size);
                    self.tell("FIXED_SIZE_MISMATCH", join(&path, "size"), detail, message::size(r, w));
                }
            }
            (AvroKind::Enum(r), AvroKind::Enum(w)) => {
                self.names(reader, writer, &path, branch);
                self.symbols(r, w, &path);
            }
            (AvroKind::Record(r), AvroKind::Record(w)) => {
                self.names(reader, writer, &path, branch);
                self.fields((r, w), ids, &path);
            }
            _ => {
                let detail = format!("reader type: {} not compatible with writer type: {}", upper(reader), upper(writer));
                self.tell("TYPE_MISMATCH", path, detail, message::types(reader, writer, branch));
            }
        }
    }

    fn inner(&mut self, ids: (TypeId, TypeId), path: String) {
        self.open.push(Pending::PendingPair(PendingPair { ids, path, branch: false }));
    }

    fn names(&mut self, reader: &AvroKind, writer: &AvroKind, path: &str, branch: bool) {
        if let (Some(r), Some(w)) = (reader.named(), writer.named())
            && !same_name(r, w)
        {
            let detail = format!("expected: {}", w.name.full());
            self.tell("NAME_MISMATCH", join(path, "name"), detail, message::names(reader.word(), r, w, branch));
        }
    }

    fn symbols(&mut self, reader: &Enum, writer: &Enum, path: &str) {
        let missing = missing_symbols(reader, writer);
        if !missing.is_empty() {
            let symbols: Vec<&str> = missing.into_iter().collect();
            let detail = format!("[{}]", symbols.join(", "));
            self.tell("MISSING_ENUM_SYMBOLS", join(path, "symbols"), detail, message::symbols(reader, &symbols));
        }
    }

    fn fields(&mut self, (reader, writer): (&Record, &Record), ids: (TypeId, TypeId), path: &str) {
        let list = join(path, "fields");
        let sources = sources(reader, writer);
        let unchanged = sources.iter().any(|source| matches!(source, FieldSource::Several(_))) && self.pairs.unchanged(ids);
        let mut open = Vec::new();
        let mut left = self.most.saturating_sub(self.told.len());
        for (index, (field, source)) in reader.fields.iter().zip(sources).enumerate() {
            // Messages look for near names in the whole record; those that would not be told are not made.
            if left == 0 {
                break;
            }
            let path = join(&list, index);
            let from = match source {
                FieldSource::Field(from) => from,
                FieldSource::Default => continue,
                FieldSource::Several(_) if unchanged => &writer.fields[index],
                FieldSource::Missing => {
                    let message = message::missing(self.pairs.reader, (reader, writer), field);
                    let kind = "READER_FIELD_MISSING_DEFAULT_VALUE";
                    open.push(Pending::Difference(Difference { kind, path, message, detail: field.name.clone() }));
                    left -= 1;
                    continue;
                }
                FieldSource::Several(names) => {
                    let message = message::several(reader, field, &names);
                    open.push(Pending::Difference(Difference { kind: "NAME_MISMATCH", path, message, detail: field.name.clone() }));
                    left -= 1;
                    continue;
                }
            };
            open.push(Pending::PendingPair(PendingPair { ids: (field.schema, from.schema), path: join(&path, "type"), branch: false }));
        }
        self.open.extend(open.into_iter().rev());
    }

    /// A type of the writer that no branch of the reader's union reads.
    fn no_branch(&mut self, ids: (TypeId, TypeId), path: String, union: &str) {
        if self.pairs.readable(ids) {
            return;
        }
        let detail = format!("reader union lacking writer type: {}", upper(self.pairs.writer.kind(ids.1)));
        let message = message::no_branch(self.pairs, ids, union, self.nearest);
        self.tell("MISSING_UNION_BRANCH", path, detail, message);
    }
}

/// What Java calls a kind of type.
fn upper(kind: &AvroKind) -> String {
    kind.word().to_uppercase()
}
