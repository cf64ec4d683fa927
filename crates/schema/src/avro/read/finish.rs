//! What is looked at when all names of a text are known.

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        depth,
        model::{AvroKind, TypeGraph, TypeId},
        pointer, print,
    },
    AvroReader, DeferredChecks, MAX_DEFAULT_STEPS, MAX_DEPTH, defaults,
};

impl AvroReader {
    /// Settles names that were used before they were known, and checks unions, defaults and how deep all is.
    pub(super) fn finish(&mut self, root: TypeId, size: usize) -> Result<TypeId, String> {
        let later = std::mem::take(&mut self.later);
        let mut settled = HashMap::new();
        for forward in &later.forward {
            let found = self.find(&forward.name, forward.namespace.as_deref());
            settled.insert(forward.id, found.ok_or_else(|| self.unknown(&forward.name, &forward.at))?);
        }
        self.settle(&settled, later.start);
        let root = settled.get(&root).copied().unwrap_or(root);
        let root = self.twins(&later, root)?;
        for (id, at) in &later.unions {
            self.branches(*id, at)?;
        }
        let mut steps = MAX_DEFAULT_STEPS + size;
        for (id, index, at) in &later.defaults {
            defaults::check(&self.nodes, *id, *index, at, &mut steps)?;
        }
        if depth::of(&self.nodes, root) > MAX_DEPTH {
            return Err(format!(
                "/: with all types in place this is nested deeper than {MAX_DEPTH} levels; flatten it, or define inner types before outer ones"
            ));
        }
        Ok(root)
    }

    /// Puts types where other types of this text refer to something that stands for them.
    fn settle(&mut self, settled: &HashMap<TypeId, TypeId>, start: usize) {
        if settled.is_empty() {
            return;
        }
        let settle = |id: &mut TypeId| {
            if let Some(target) = settled.get(id) {
                *id = *target;
            }
        };
        for node in &mut self.nodes[start..] {
            match &mut node.kind {
                AvroKind::Array(inner) | AvroKind::Map(inner) => settle(inner),
                AvroKind::Union(branches) => branches.iter_mut().for_each(settle),
                AvroKind::Record(record) => record.fields.iter_mut().for_each(|field| settle(&mut field.schema)),
                AvroKind::Primitive(_) | AvroKind::Enum(_) | AvroKind::Fixed(_) | AvroKind::Forward => {}
            }
        }
    }

    /// Types that this text and one that it refers to both define are one, if they say the same. Two references whose
    /// texts have each a copy of a third type are common, since older clients inline all types.
    fn twins(&mut self, later: &DeferredChecks, root: TypeId) -> Result<TypeId, String> {
        if later.twins.is_empty() {
            return Ok(root);
        }
        let nodes = std::mem::take(&mut self.nodes);
        let model = TypeGraph { nodes, root };
        let mut settled = HashMap::new();
        let mut differs = None;
        for (twin, first, at) in &later.twins {
            if print::alone(&model, *twin) != print::alone(&model, *first) {
                let name = model.named(*twin).map(|named| named.name.full().to_owned()).unwrap_or_default();
                differs = Some(format!(
                    "{at}: `{name}` is defined by a reference, too, and differently; write its name, \"{name}\", to refer to that definition, or rename one"
                ));
                break;
            }
            settled.insert(*twin, *first);
        }
        self.nodes = model.nodes;
        if let Some(differs) = differs {
            return Err(differs);
        }
        self.settle(&settled, later.start);
        Ok(settled.get(&root).copied().unwrap_or(root))
    }

    /// A union may hold each type once, those with names once for each name.
    fn branches(&self, id: TypeId, at: &str) -> Result<(), String> {
        let AvroKind::Union(branches) = &self.nodes[id.0].kind else { return Ok(()) };
        let mut seen = HashSet::new();
        for (index, branch) in branches.iter().enumerate() {
            let kind = &self.nodes[branch.0].kind;
            let name = kind.named().map_or(kind.word(), |named| named.name.full());
            if !seen.insert(name) {
                return Err(format!(
                    "{}: the union holds `{name}` twice, and values could not be told apart; remove one{}",
                    pointer::join(at, index),
                    if kind.named().is_some() { "" } else { ", or wrap each in a record of its own" }
                ));
            }
        }
        Ok(())
    }
}
