//! Checks that need all names of a text.

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        depth,
        model::{AvroKind, TypeGraph, TypeId},
        pointer, print,
    },
    AvroReader, DeferredChecks, MAX_DEFAULT_STEPS, MAX_DEPTH, defaults,
};
use crate::budget::spend;

impl AvroReader {
    /// Resolves forward references, and checks unions, defaults and the nesting depth.
    pub(super) fn finish(&mut self, root: TypeId, size: usize) -> Result<TypeId, String> {
        let deferred = std::mem::take(&mut self.deferred);
        let mut replacements = HashMap::new();
        for forward in &deferred.forward {
            let found = self.find_type(&forward.name, forward.namespace.as_deref());
            replacements.insert(forward.id, found.ok_or_else(|| self.unknown_type(&forward.name, &forward.at))?);
        }
        self.replace_types(&replacements, deferred.start);
        let root = replacements.get(&root).copied().unwrap_or(root);
        let root = self.merge_duplicates(&deferred, root)?;
        for (id, at) in &deferred.unions {
            self.check_union(*id, at)?;
        }
        let mut steps = MAX_DEFAULT_STEPS + size;
        for (id, index, at) in deferred.defaults.iter().filter(|_| self.strict) {
            defaults::check(&self.nodes, *id, *index, at, &mut steps)?;
        }
        if depth::nesting_depth(&self.nodes, root) > MAX_DEPTH {
            return Err(format!(
                "/: with all types in place this is nested deeper than {MAX_DEPTH} levels; flatten it, or define inner types before outer ones"
            ));
        }
        Ok(root)
    }

    /// Replaces references to some types in the types of this text.
    fn replace_types(&mut self, replacements: &HashMap<TypeId, TypeId>, start: usize) {
        if replacements.is_empty() {
            return;
        }
        let replace_types = |id: &mut TypeId| {
            if let Some(target) = replacements.get(id) {
                *id = *target;
            }
        };
        for node in &mut self.nodes[start..] {
            match &mut node.kind {
                AvroKind::Array(inner) | AvroKind::Map(inner) => replace_types(inner),
                AvroKind::Union(branches) => branches.iter_mut().for_each(replace_types),
                AvroKind::Record(record) => record.fields.iter_mut().for_each(|field| replace_types(&mut field.schema)),
                AvroKind::Primitive(_) | AvroKind::Enum(_) | AvroKind::Fixed(_) | AvroKind::Forward => {}
            }
        }
    }

    /// Merges types that both this text and a referenced one define, if the definitions are equal. It is common that two references each
    /// have a copy of a third type, because older clients inline all types.
    fn merge_duplicates(&mut self, deferred: &DeferredChecks, root: TypeId) -> Result<TypeId, String> {
        if deferred.duplicates.is_empty() {
            return Ok(root);
        }
        let nodes = std::mem::take(&mut self.nodes);
        let model = TypeGraph { nodes, root };
        let mut replacements = HashMap::new();
        let mut differs = None;
        for (duplicate, first, at) in &deferred.duplicates {
            // Printing a definition marks all types.
            if let Err(exceeded) = spend(2 * model.nodes.len()) {
                differs = Some(exceeded.to_string());
                break;
            }
            if print::definition(&model, *duplicate) != print::definition(&model, *first) {
                let name = model.named(*duplicate).map(|named| named.name.full().to_owned()).unwrap_or_default();
                differs = Some(format!(
                    "{at}: `{name}` is defined by a reference, too, and differently; write its name, \"{name}\", to refer to that definition, or rename one"
                ));
                break;
            }
            replacements.insert(*duplicate, *first);
        }
        self.nodes = model.nodes;
        if let Some(differs) = differs {
            return Err(differs);
        }
        self.replace_types(&replacements, deferred.start);
        Ok(replacements.get(&root).copied().unwrap_or(root))
    }

    /// Checks a union: it may contain each unnamed type once, and each name once.
    fn check_union(&self, id: TypeId, at: &str) -> Result<(), String> {
        let AvroKind::Union(branches) = &self.nodes[id.0].kind else { return Ok(()) };
        let mut seen = HashSet::new();
        for (index, branch) in branches.iter().enumerate() {
            let kind = &self.nodes[branch.0].kind;
            let name = kind.named().map_or(kind.type_name(), |named| named.name.full());
            if !seen.insert(name) {
                return Err(format!(
                    "{}: the union holds `{name}` twice, and values could not be told apart; remove one{}",
                    pointer::append_step(at, index),
                    if kind.named().is_some() { "" } else { ", or wrap each in a record of its own" }
                ));
            }
        }
        Ok(())
    }
}
