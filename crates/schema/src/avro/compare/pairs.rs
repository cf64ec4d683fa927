//! Decides for all pairs of types whether one can be read as the other.
//!
//! A pair is readable unless there is a reason against it. So recursive types are readable if nothing else prevents it. This is the
//! greatest fixed point: all pairs start as readable, and an unreadable pair makes the pairs that need it unreadable.

use std::collections::HashMap;

use super::{
    super::{
        model::{AvroKind, TypeGraph, TypeId},
        print,
    },
    fields::{FieldSource, sources},
    matching::{decide_at_once, missing_symbols, same_full_name, same_name},
};
use crate::budget::{hold, spend};

/// The maximum number of pairs of records, lists, maps and unions.
pub(super) const MAX_PAIRS: usize = 200_000;

/// The maximum number of steps: pairs of types, including those that are decided at once, and their names.
pub(super) const MAX_STEPS: usize = 5_000_000;

/// The memory of a pair, in bytes.
const PAIR_BYTES: usize = 128;

/// The pairs of types that are compared when one schema reads data of another.
pub(super) struct Pairs<'a> {
    /// The reader's types.
    pub reader: &'a TypeGraph,
    /// The writer's types.
    pub writer: &'a TypeGraph,
    index: HashMap<(TypeId, TypeId), usize>,
    list: Vec<PairState>,
}

struct PairState {
    ids: (TypeId, TypeId),
    readable: bool,
    /// The number of needed pairs that may be unreadable: none if all are needed, all but one if one is enough.
    spare: usize,
    /// The indexes of the pairs that need this one.
    needed_by: Vec<usize>,
}

/// The pairs that have to be readable for a pair to be readable.
struct PairNeeds {
    /// The two types themselves are not compatible. The inner pairs are still compared, so that all differences are reported.
    fault: bool,
    /// One readable pair is enough.
    any: bool,
    /// The inner pairs.
    inner: Vec<(TypeId, TypeId)>,
}

impl Pairs<'_> {
    /// Returns whether a pair is readable.
    pub fn is_readable(&self, pair: (TypeId, TypeId)) -> bool {
        decide_at_once(self.reader, self.writer, pair)
            .unwrap_or_else(|| self.index.get(&pair).is_none_or(|index| self.list[*index].readable))
    }

    /// Returns the index of a pair in the list, and adds the pair if it is new.
    fn pair_index(&mut self, ids: (TypeId, TypeId)) -> usize {
        *self.index.entry(ids).or_insert_with(|| {
            self.list.push(PairState { ids, readable: true, spare: 0, needed_by: Vec::new() });
            self.list.len() - 1
        })
    }

    /// Returns what a pair needs, from its two types alone.
    fn needs(&self, (r, w): (TypeId, TypeId), steps: &mut usize) -> PairNeeds {
        let all = |inner: Vec<(TypeId, TypeId)>| PairNeeds { fault: false, any: false, inner };
        match (self.reader.kind(r), self.writer.kind(w)) {
            // Each branch of a writer's union has to be readable.
            (_, AvroKind::Union(branches)) => all(branches.iter().map(|branch| (r, *branch)).collect()),
            (AvroKind::Union(branches), writer) => {
                // Readers use the branch with the same full name, even if other branches could read the data. Java's compatibility check accepts
                // any readable branch, but Java's readers then fail.
                let has_same_name = |branch: &&TypeId| match (self.reader.named(**branch), writer.named()) {
                    (Some(r), Some(w)) => self.reader.kind(**branch).type_name() == writer.type_name() && same_full_name(r, w),
                    _ => false,
                };
                *steps += branches.iter().map(|branch| 1 + self.alias_count(*branch)).sum::<usize>();
                let mut inner: Vec<(TypeId, TypeId)> = branches.iter().filter(has_same_name).map(|branch| (*branch, w)).collect();
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
                    // An unchanged record is compared field by field, whatever its aliases are.
                    if self.is_unchanged((r, w)) {
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

    /// Stores what a pair needs. Returns `false` if the pair is already known to be unreadable.
    fn store_needs(&mut self, index: usize, needs: &PairNeeds, steps: &mut usize) -> bool {
        let mut open = Vec::new();
        let mut fault = needs.fault;
        for pair in &needs.inner {
            *steps += 1 + self.alias_count(pair.0);
            if *steps > MAX_STEPS {
                return false;
            }
            match decide_at_once(self.reader, self.writer, *pair) {
                Some(true) if needs.any => return true,
                Some(true) => {}
                Some(false) if needs.any => {}
                Some(false) => {
                    fault = true;
                    if matches!(self.reader.kind(pair.0), AvroKind::Record(_)) && matches!(self.writer.kind(pair.1), AvroKind::Record(_)) {
                        self.pair_index(*pair);
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
            let inner = self.pair_index(pair);
            self.list[inner].needed_by.push(index);
        }
        !fault
    }

    /// Returns the number of names that a lookup by name compares.
    fn alias_count(&self, id: TypeId) -> usize {
        self.reader.named(id).map_or(0, |named| named.aliases.len())
    }

    /// Returns whether a record has the same definition on both sides.
    pub fn is_unchanged(&self, (r, w): (TypeId, TypeId)) -> bool {
        print::definition(self.reader, r) == print::definition(self.writer, w)
    }
}

/// Decides all pairs of two schemas. Returns `None` if there are too many.
pub(super) fn decide<'a>(reader: &'a TypeGraph, writer: &'a TypeGraph) -> Option<Pairs<'a>> {
    let mut all = Pairs { reader, writer, index: HashMap::new(), list: Vec::new() };
    all.pair_index((reader.root, writer.root));
    let mut unreadable = Vec::new();
    let mut steps = 0;
    let mut next = 0;
    while next < all.list.len() {
        let before = steps;
        let needs = all.needs(all.list[next].ids, &mut steps);
        if !all.store_needs(next, &needs, &mut steps) {
            all.list[next].readable = false;
            unreadable.push(next);
        }
        spend(1 + steps - before).ok()?;
        hold(PAIR_BYTES + needs.inner.len() * size_of::<usize>()).ok()?;
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
