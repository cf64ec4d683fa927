//! Reports the differences of unreadable pairs, in the order of the reader's text.

use std::collections::HashSet;

use super::{
    super::{
        model::{AvroKind, Enum, Record, TypeId},
        pointer::append_step,
    },
    fields::{FieldSource, sources},
    matching::{missing_symbols, same_name, similar_branch},
    message,
    pairs::Pairs,
};
use crate::{Difference, MAX_DIFFERENCES, budget::spend};

/// Returns the differences of the whole schemas.
pub(super) fn report(pairs: &Pairs) -> Vec<Difference> {
    collect(pairs, (pairs.reader.root, pairs.writer.root), "/".to_owned(), MAX_DIFFERENCES, true)
}

/// Returns up to `max` differences of a pair at `path`. With `nearest`, the message for an unreadable union branch contains the reason of the
/// most similar branch.
pub(super) fn collect(pairs: &Pairs, ids: (TypeId, TypeId), path: String, max: usize, nearest: bool) -> Vec<Difference> {
    let mut report = DifferenceReport {
        pairs,
        max,
        differences: Vec::new(),
        pending: vec![Pending::Pair(PendingPair { ids, path, branch: false })],
        nearest,
    };
    let mut seen = HashSet::new();
    while report.differences.len() < max
        && spend(1).is_ok()
        && let Some(pending) = report.pending.pop()
    {
        match pending {
            Pending::Difference(difference) => report.differences.push(difference),
            Pending::Pair(pair) => {
                if !pairs.is_readable(pair.ids) && seen.insert(pair.ids) {
                    report.add_pair(pair);
                }
            }
        }
    }
    report.differences.truncate(max);
    report.differences
}

struct DifferenceReport<'a> {
    pairs: &'a Pairs<'a>,
    max: usize,
    differences: Vec<Difference>,
    /// What is reported or compared next; the last item is the next one.
    pending: Vec<Pending>,
    nearest: bool,
}

/// A difference to report, or a pair to compare.
enum Pending {
    Difference(Difference),
    Pair(PendingPair),
}

struct PendingPair {
    ids: (TypeId, TypeId),
    path: String,
    /// Whether the writer's type is a branch of a union.
    branch: bool,
}

impl DifferenceReport<'_> {
    fn add(&mut self, kind: &'static str, path: String, detail: String, message: String) {
        self.differences.push(Difference { kind, path, message, detail });
    }

    fn add_pair(&mut self, PendingPair { ids, path, branch }: PendingPair) {
        let (reader, writer) = (self.pairs.reader.kind(ids.0), self.pairs.writer.kind(ids.1));
        match (reader, writer) {
            (AvroKind::Union(_), AvroKind::Union(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    if self.differences.len() == self.max {
                        break;
                    }
                    self.report_missing_branch((ids.0, *branch), append_step(&path, index), &path);
                }
            }
            (AvroKind::Union(_), _) => self.report_missing_branch(ids, path.clone(), &path),
            (_, AvroKind::Union(branches)) => {
                let pending = branches
                    .iter()
                    .rev()
                    .map(|branch| Pending::Pair(PendingPair { ids: (ids.0, *branch), path: path.clone(), branch: true }));
                self.pending.extend(pending);
            }
            (AvroKind::Array(reader), AvroKind::Array(writer)) => self.push_inner((*reader, *writer), append_step(&path, "items")),
            (AvroKind::Map(reader), AvroKind::Map(writer)) => self.push_inner((*reader, *writer), append_step(&path, "values")),
            (AvroKind::Fixed(r), AvroKind::Fixed(w)) => {
                self.compare_names(reader, writer, &path, branch);
                if r.size != w.size {
                    let detail = format!("expected: {}, found: {}", w.size, r.size);
                    self.add("FIXED_SIZE_MISMATCH", append_step(&path, "size"), detail, message::size_mismatch(r, w));
                }
            }
            (AvroKind::Enum(r), AvroKind::Enum(w)) => {
                self.compare_names(reader, writer, &path, branch);
                self.compare_symbols(r, w, &path);
            }
            (AvroKind::Record(r), AvroKind::Record(w)) => {
                self.compare_names(reader, writer, &path, branch);
                self.compare_fields((r, w), ids, &path);
            }
            _ => {
                let detail = format!("reader type: {} not compatible with writer type: {}", java_name(reader), java_name(writer));
                self.add("TYPE_MISMATCH", path, detail, message::type_mismatch(reader, writer, branch));
            }
        }
    }

    fn push_inner(&mut self, ids: (TypeId, TypeId), path: String) {
        self.pending.push(Pending::Pair(PendingPair { ids, path, branch: false }));
    }

    fn compare_names(&mut self, reader: &AvroKind, writer: &AvroKind, path: &str, branch: bool) {
        if let (Some(r), Some(w)) = (reader.named(), writer.named())
            && !same_name(r, w)
        {
            let detail = format!("expected: {}", w.name.full());
            self.add("NAME_MISMATCH", append_step(path, "name"), detail, message::name_mismatch(reader.type_name(), r, w, branch));
        }
    }

    fn compare_symbols(&mut self, reader: &Enum, writer: &Enum, path: &str) {
        let missing = missing_symbols(reader, writer);
        if !missing.is_empty() {
            let symbols: Vec<&str> = missing.into_iter().collect();
            let detail = format!("[{}]", symbols.join(", "));
            self.add("MISSING_ENUM_SYMBOLS", append_step(path, "symbols"), detail, message::missing_symbols(reader, &symbols));
        }
    }

    fn compare_fields(&mut self, (reader, writer): (&Record, &Record), ids: (TypeId, TypeId), path: &str) {
        let list = append_step(path, "fields");
        let sources = sources(reader, writer);
        let unchanged = sources.iter().any(|source| matches!(source, FieldSource::Several(_))) && self.pairs.is_unchanged(ids);
        let mut pending = Vec::new();
        let mut left = self.max.saturating_sub(self.differences.len());
        for (index, (field, source)) in reader.fields.iter().zip(sources).enumerate() {
            // Messages search similar names in the whole record, so no more are rendered than are reported.
            if left == 0 {
                break;
            }
            let path = append_step(&list, index);
            let from = match source {
                FieldSource::Field(from) => from,
                FieldSource::Default => continue,
                FieldSource::Several(_) if unchanged => &writer.fields[index],
                FieldSource::Missing => {
                    let message = message::missing_field(self.pairs.reader, (reader, writer), field);
                    let kind = "READER_FIELD_MISSING_DEFAULT_VALUE";
                    pending.push(Pending::Difference(Difference { kind, path, message, detail: field.name.clone() }));
                    left -= 1;
                    continue;
                }
                FieldSource::Several(names) => {
                    let message = message::ambiguous_field(reader, field, &names);
                    pending.push(Pending::Difference(Difference { kind: "NAME_MISMATCH", path, message, detail: field.name.clone() }));
                    left -= 1;
                    continue;
                }
            };
            pending.push(Pending::Pair(PendingPair { ids: (field.schema, from.schema), path: append_step(&path, "type"), branch: false }));
        }
        self.pending.extend(pending.into_iter().rev());
    }

    /// Reports a type of the writer that no branch of the reader's union can read. `union` is the path of the union.
    fn report_missing_branch(&mut self, ids: (TypeId, TypeId), path: String, union: &str) {
        if self.pairs.is_readable(ids) {
            return;
        }
        let detail = format!("reader union lacking writer type: {}", java_name(self.pairs.writer.kind(ids.1)));
        let message = message::no_branch(self.pairs, ids, self.nearest_difference(ids, union).as_ref());
        self.add("MISSING_UNION_BRANCH", path, detail, message);
    }

    /// Returns the first difference between a type of the writer and the most similar branch of the reader's union.
    fn nearest_difference(&self, (union, writer): (TypeId, TypeId), path: &str) -> Option<Difference> {
        let AvroKind::Union(branches) = self.pairs.reader.kind(union) else { return None };
        let (index, branch) = similar_branch(self.pairs.reader, branches, self.pairs.writer.kind(writer)).filter(|_| self.nearest)?;
        collect(self.pairs, (branch, writer), append_step(path, index), 1, false).into_iter().next()
    }
}

/// Returns Java's name for a kind of type.
fn java_name(kind: &AvroKind) -> String {
    kind.type_name().to_uppercase()
}
