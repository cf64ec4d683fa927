//! Conjunctions of subschemas. Each exists once, so that comparing and hashing them costs nothing, and memory is counted once.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    ops::Deref,
    rc::Rc,
};

use crate::{
    budget::{BudgetExceeded, hold},
    json::node::SubschemaId,
};

/// The memory of a conjunction beside its members, in bytes.
const CONJUNCTION_BYTES: usize = 48;

/// A conjunction of the writer's subschemas: sorted, with references resolved. Only [`Conjunctions::add`] creates one.
#[derive(Clone)]
pub struct Conjunction(Rc<[SubschemaId]>);

impl Deref for Conjunction {
    type Target = [SubschemaId];

    fn deref(&self) -> &[SubschemaId] {
        &self.0
    }
}

impl PartialEq for Conjunction {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Conjunction {}

impl Hash for Conjunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Rc::as_ptr(&self.0).cast::<SubschemaId>().hash(state);
    }
}

/// All conjunctions of a comparison.
#[derive(Default)]
pub struct Conjunctions(HashSet<Rc<[SubschemaId]>>);

impl Conjunctions {
    /// Returns the conjunction with these members.
    pub fn add(&mut self, members: &[SubschemaId]) -> (Conjunction, Result<(), BudgetExceeded>) {
        if let Some(known) = self.0.get(members) {
            return (Conjunction(Rc::clone(known)), Ok(()));
        }
        let new: Rc<[SubschemaId]> = members.into();
        self.0.insert(Rc::clone(&new));
        (Conjunction(new), hold(CONJUNCTION_BYTES + size_of_val(members)))
    }
}
