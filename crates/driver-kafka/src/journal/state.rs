//! The state that the commands of a journal create. It depends on the commands, their order and their times, and on nothing else.

use std::collections::BTreeMap;

use prost::Message as _;

use super::{
    command::{
        Durable, DurableEntry, DurableName, GroupEntry, Line, LineEntry, LineName, MoveDurable, Operation, Outcome, PublishOrdered,
        SnapshotPart,
    },
    group::Group,
    take::GroupName,
};
use prism_driver::time::Millis;

/// A line to which nothing was published for this time begins at 1 again.
const FORGET_AFTER: Millis = 86_400_000;
/// Bytes after which a part of a snapshot ends. One group may be larger.
const PART_BYTES: usize = 256 << 10;

/// The groups, durable subscriptions and lines of a keyspace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub groups: BTreeMap<GroupName, Group>,
    pub durables: BTreeMap<DurableName, Durable>,
    lines: BTreeMap<LineName, Line>,
}

impl State {
    /// Applies a command that Kafka stored at a time.
    pub fn apply(&mut self, operation: &Operation, now: Millis) -> Outcome {
        match operation {
            Operation::CreateGroup(create) => {
                let new = !self.groups.contains_key(&create.name);
                if new {
                    self.groups.insert(create.name.clone(), Group::new(create.group_id, &create.positions, create.not_before));
                }
                Outcome::Changed(new)
            }
            Operation::DeleteGroup(name) => Outcome::Changed(self.groups.remove(name).is_some()),
            Operation::Take(take) => match self.groups.get_mut(&take.name).filter(|group| group.id == take.group_id) {
                Some(group) => Outcome::Taken(group.take(take, now)),
                None => Outcome::NotFound,
            },
            Operation::Leave(leave) => match self.groups.get_mut(&leave.name).filter(|group| group.id == leave.group_id) {
                Some(group) => {
                    group.leave(leave.member);
                    Outcome::Changed(true)
                }
                None => Outcome::NotFound,
            },
            Operation::Ack(ack) => match self.groups.get_mut(&ack.name) {
                Some(group) => Outcome::Acknowledged(group.ack(ack.partition, &ack.offsets)),
                None => Outcome::NotFound,
            },
            Operation::Seek(seek) => match self.groups.get_mut(&seek.name) {
                Some(group) => {
                    group.seek(&seek.positions);
                    Outcome::Changed(true)
                }
                None => Outcome::NotFound,
            },
            Operation::OpenDurable(open) => Outcome::Durable(*self.durables.entry(open.name.clone()).or_insert(open.new)),
            Operation::MoveDurable(MoveDurable { name, next }) => match self.durables.get_mut(name) {
                Some(durable) => {
                    durable.next = durable.next.max(*next);
                    Outcome::Changed(true)
                }
                None => Outcome::NotFound,
            },
            Operation::DeleteDurable(name) => Outcome::Changed(self.durables.remove(name).is_some()),
            Operation::Publish(PublishOrdered { line, .. }) => {
                let line = self.lines.entry(line.clone()).or_default();
                let last = if line.at + FORGET_AFTER <= now { 0 } else { line.last };
                *line = Line { last: last + 1, at: now };
                Outcome::Sequence(line.last)
            }
            Operation::Snapshot(_) => Outcome::Changed(false),
        }
    }

    /// A snapshot of the state, which has the effects of all commands before an offset.
    pub fn snapshot(&self, snapshot: u64, before: u64, now: Millis) -> Vec<SnapshotPart> {
        let new_part = || SnapshotPart { snapshot, before, ..SnapshotPart::default() };
        let (mut parts, mut part, mut bytes) = (Vec::new(), new_part(), 0);
        let mut add = |size: usize, put: &mut dyn FnMut(&mut SnapshotPart)| {
            if bytes > 0 && bytes + size > PART_BYTES {
                parts.push(std::mem::replace(&mut part, new_part()));
                bytes = 0;
            }
            bytes += size;
            put(&mut part);
        };
        for (name, group) in &self.groups {
            let entry = GroupEntry { name: name.clone(), group: group.clone() };
            add(entry.encoded_len(), &mut |part| part.groups.push(entry.clone()));
        }
        for (name, durable) in &self.durables {
            let entry = DurableEntry { name: name.clone(), durable: *durable };
            add(entry.encoded_len(), &mut |part| part.durables.push(entry.clone()));
        }
        for (name, line) in self.lines.iter().filter(|(_, line)| line.at + FORGET_AFTER > now) {
            let entry = LineEntry { name: name.clone(), line: *line };
            add(entry.encoded_len(), &mut |part| part.lines.push(entry.clone()));
        }
        parts.push(part);
        let last = parts.len() - 1;
        for (index, part) in parts.iter_mut().enumerate() {
            part.index = u32::try_from(index).unwrap_or(u32::MAX);
            part.last = index == last;
        }
        parts
    }

    /// The state of a complete snapshot.
    pub fn restore(parts: Vec<SnapshotPart>) -> Self {
        let mut state = Self::default();
        for part in parts {
            state.groups.extend(part.groups.into_iter().map(|entry| (entry.name, entry.group)));
            state.durables.extend(part.durables.into_iter().map(|entry| (entry.name, entry.durable)));
            state.lines.extend(part.lines.into_iter().map(|entry| (entry.name, entry.line)));
        }
        state
    }

    /// Forgets lines that begin at 1 again. Changes no outcome.
    pub fn forget_lines(&mut self, now: Millis) {
        self.lines.retain(|_, line| line.at + FORGET_AFTER > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{
        command::{CreateGroup, OpenDurable},
        take::At,
    };

    fn publish(state: &mut State, key: &str, now: Millis) -> Outcome {
        let line = LineName { topic: "news".to_owned(), key: key.to_owned() };
        state.apply(&Operation::Publish(PublishOrdered { line, ..PublishOrdered::default() }), now)
    }

    #[test]
    fn lines_are_numbered_and_forgotten() {
        let mut state = State::default();
        assert_eq!([publish(&mut state, "a", 5), publish(&mut state, "a", 6)], [Outcome::Sequence(1), Outcome::Sequence(2)]);
        assert_eq!(publish(&mut state, "b", 6), Outcome::Sequence(1));
        let later = 6 + FORGET_AFTER;
        // A gateway that restores a snapshot without the line counts as one that still has it.
        let mut restored = State::restore(state.snapshot(1, 9, later));
        assert!(restored.lines.is_empty());
        assert_eq!([publish(&mut state, "a", later), publish(&mut restored, "a", later)], [Outcome::Sequence(1), Outcome::Sequence(1)]);
        state.forget_lines(later);
        assert_eq!(state, restored);
    }

    #[test]
    fn a_snapshot_of_several_parts_restores_the_state() {
        let mut state = State::default();
        for number in 0..5000_u64 {
            let name = GroupName { stream: format!("stream{number}"), group: "g".repeat(100) };
            let create = CreateGroup { name, group_id: number, positions: vec![At { partition: 1, offset: number }], not_before: 0 };
            assert_eq!(state.apply(&Operation::CreateGroup(create.clone()), 0), Outcome::Changed(true));
            assert_eq!(state.apply(&Operation::CreateGroup(create), 0), Outcome::Changed(false));
        }
        let name = DurableName { topic: "news".to_owned(), subscription: "mine".to_owned() };
        let new = Durable { id: 7, next: 3 };
        state.apply(&Operation::OpenDurable(OpenDurable { name: name.clone(), new }), 0);
        state.apply(&Operation::MoveDurable(MoveDurable { name: name.clone(), next: 9 }), 0);
        state.apply(&Operation::MoveDurable(MoveDurable { name: name.clone(), next: 5 }), 0);
        assert_eq!(state.durables[&name], Durable { id: 7, next: 9 });
        publish(&mut state, "a", 1);
        let parts = state.snapshot(1, 9, 1);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.encoded_len() < 2 * PART_BYTES));
        assert_eq!(parts.iter().filter(|part| part.last).count(), 1);
        assert_eq!(State::restore(parts), state);
        assert_eq!(State::default().snapshot(1, 9, 1).len(), 1);
    }
}
