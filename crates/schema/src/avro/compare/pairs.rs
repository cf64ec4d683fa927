//! Decides for all pairs of types whether one can be read as the other.
//!
//! A pair can be read unless something shows that it can't, so that types which refer to themselves are read if nothing
//! else stands against it. That is the greatest solution: all pairs are taken for readable, and those that aren't take
//! with them the pairs that need them.

use std::collections::HashMap;

use super::{
    super::{
        model::{AvroKind, TypeGraph, TypeId},
        print,
    },
    fields::{FieldSource, sources},
    missing_symbols, same_full_name, same_name, settled,
};

/// Most pairs of records, lists, maps and unions that are looked at.
const MAX_PAIRS: usize = 200_000;

/// Most pairs of types that are looked at, those included that two words settle, and with all names of each.
const MAX_STEPS: usize = 5_000_000;

/// The pairs that reading one schema's data with another one comes to.
pub(super) struct Pairs<'a> {
    /// Who reads.
    pub reader: &'a TypeGraph,
    /// Who wrote.
    pub writer: &'a TypeGraph,
    index: HashMap<(TypeId, TypeId), usize>,
    list: Vec<PairState>,
}

struct PairState {
    ids: (TypeId, TypeId),
    readable: bool,
    /// How many of the pairs that it needs may fall away before it does: none where all are needed, all but one where one
    /// is enough.
    spare: usize,
    /// Pairs that need this one.
    needed_by: Vec<usize>,
}

/// What a pair needs.
struct PairNeeds {
    /// The two types themselves can't be read as one another. What is inside of them is looked at all the same, so that
    /// all differences can be told.
    fault: bool,
    /// One is enough.
    any: bool,
    /// The pairs.
    inner: Vec<(TypeId, TypeId)>,
}

impl Pairs<'_> {
    /// Whether a pair can be read.
    pub fn readable(&self, pair: (TypeId, TypeId)) -> bool {
        settled(self.reader, self.writer, pair).unwrap_or_else(|| self.index.get(&pair).is_none_or(|index| self.list[*index].readable))
    }

    /// The place of a pair in the list, making it known if it isn't.
    fn place(&mut self, ids: (TypeId, TypeId)) -> usize {
        *self.index.entry(ids).or_insert_with(|| {
            self.list.push(PairState { ids, readable: true, spare: 0, needed_by: Vec::new() });
            self.list.len() - 1
        })
    }

    /// What can be said of a pair from the two types.
    fn needs(&self, (r, w): (TypeId, TypeId), steps: &mut usize) -> PairNeeds {
        let all = |inner: Vec<(TypeId, TypeId)>| PairNeeds { fault: false, any: false, inner };
        match (self.reader.kind(r), self.writer.kind(w)) {
            // Each branch of a writer's union has to be read, whatever reads it.
            (_, AvroKind::Union(branches)) => all(branches.iter().map(|branch| (r, *branch)).collect()),
            (AvroKind::Union(branches), writer) => {
                // A branch of the very name is the one that readers take, whatever others could. Java's checker takes
                // any that can be read, and Java's readers fail then.
                let named = |branch: &&TypeId| match (self.reader.named(**branch), writer.named()) {
                    (Some(r), Some(w)) => self.reader.kind(**branch).word() == writer.word() && same_full_name(r, w),
                    _ => false,
                };
                *steps += branches.iter().map(|branch| self.aliases(*branch)).sum::<usize>();
                let mut inner: Vec<(TypeId, TypeId)> = branches.iter().filter(named).map(|branch| (*branch, w)).collect();
                if inner.is_empty() {
                    inner = branches.iter().map(|branch| (*branch, w)).collect();
                }
                PairNeeds { fault: false, any: true, inner }
            }
            (AvroKind::Array(r), AvroKind::Array(w)) | (AvroKind::Map(r), AvroKind::Map(w)) => all(vec![(*r, *w)]),
            (AvroKind::Enum(reader), AvroKind::Enum(writer)) => {
                *steps += reader.symbols.len() + writer.symbols.len();
                PairNeeds { fault: !missing_symbols(reader, writer).is_empty(), any: false, inner: Vec::new() }
            }
            (AvroKind::Record(reader), AvroKind::Record(writer)) => {
                *steps += reader.fields.len() + writer.fields.len();
                let sources = sources(reader, writer);
                if sources.iter().any(|source| matches!(source, FieldSource::Several(_))) {
                    *steps += self.reader.nodes.len() + self.writer.nodes.len();
                    // A record that hasn't changed is read field by field, whatever its aliases say.
                    if self.unchanged((r, w)) {
                        return all(reader.fields.iter().zip(&writer.fields).map(|(r, w)| (r.schema, w.schema)).collect());
                    }
                }
                let mut needs = all(Vec::with_capacity(sources.len()));
                needs.fault = !same_name(&reader.named, &writer.named);
                for (field, source) in reader.fields.iter().zip(sources) {
                    match source {
                        FieldSource::Field(from) => needs.inner.push((field.schema, from.schema)),
                        FieldSource::Default => {}
                        FieldSource::Missing | FieldSource::Several(_) => needs.fault = true,
                    }
                }
                needs
            }
            _ => all(Vec::new()),
        }
    }

    /// Notes what a pair needs; false if it is settled already that it can't be read.
    fn take(&mut self, index: usize, needs: &PairNeeds, steps: &mut usize) -> bool {
        let mut open = Vec::new();
        let mut fault = needs.fault;
        for pair in &needs.inner {
            *steps += 1 + self.aliases(pair.0);
            if *steps > MAX_STEPS {
                return false;
            }
            match settled(self.reader, self.writer, *pair) {
                Some(true) if needs.any => return true,
                Some(true) => {}
                Some(false) if needs.any => {}
                Some(false) => {
                    fault = true;
                    if matches!(self.reader.kind(pair.0), AvroKind::Record(_)) && matches!(self.writer.kind(pair.1), AvroKind::Record(_)) {
                        self.place(*pair);
                    }
                }
                None => open.push(*pair),
            }
        }
        if needs.any && open.is_empty() {
            return false;
        }
        self.list[index].spare = if needs.any { open.len() - 1 } else { 0 };
        for pair in open {
            let inner = self.place(pair);
            self.list[inner].needed_by.push(index);
        }
        !fault
    }

    /// How many names have to be looked at to know whether a type of the reader is called as another one.
    fn aliases(&self, id: TypeId) -> usize {
        self.reader.named(id).map_or(0, |named| named.aliases.len())
    }

    /// Whether a record has the same definition on both sides.
    pub fn unchanged(&self, (r, w): (TypeId, TypeId)) -> bool {
        print::alone(self.reader, r) == print::alone(self.writer, w)
    }
}

/// Decides all pairs that the two schemas come to; `None` if they are too many.
pub(super) fn decide<'a>(reader: &'a TypeGraph, writer: &'a TypeGraph) -> Option<Pairs<'a>> {
    let mut all = Pairs { reader, writer, index: HashMap::new(), list: Vec::new() };
    all.place((reader.root, writer.root));
    let mut unreadable = Vec::new();
    let mut steps = 0;
    let mut next = 0;
    while next < all.list.len() {
        let needs = all.needs(all.list[next].ids, &mut steps);
        if !all.take(next, &needs, &mut steps) {
            all.list[next].readable = false;
            unreadable.push(next);
        }
        if steps > MAX_STEPS || all.list.len() > MAX_PAIRS {
            return None;
        }
        next += 1;
    }
    while let Some(index) = unreadable.pop() {
        for needing in std::mem::take(&mut all.list[index].needed_by) {
            let pair = &mut all.list[needing];
            if !pair.readable {
                continue;
            }
            if let Some(spare) = pair.spare.checked_sub(1) {
                pair.spare = spare;
            } else {
                pair.readable = false;
                unreadable.push(needing);
            }
        }
    }
    Some(all)
}
