//! The members of one set, which can be found by value and by number.

use std::collections::HashMap;

use bytes::Bytes;

/// A set. Its members have the numbers from 0; a removed member gives its number to the last one.
///
/// A reader that goes from the last number to the first therefore meets every member that stays: only members that it has met, or that
/// are new, get another number below it.
#[derive(Default)]
pub struct MemberSet {
    members: Vec<Bytes>,
    numbers: HashMap<Bytes, usize>,
}

impl MemberSet {
    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        self.numbers.contains_key(member)
    }

    /// The member with a number.
    pub fn get(&self, number: usize) -> Option<&Bytes> {
        self.members.get(number)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.members.iter()
    }

    /// Adds a member. Returns whether it is new.
    pub fn insert(&mut self, member: Bytes) -> bool {
        if self.numbers.contains_key(&member) {
            return false;
        }
        self.numbers.insert(member.clone(), self.members.len());
        self.members.push(member);
        true
    }

    /// Removes a member and returns it.
    pub fn remove(&mut self, member: &[u8]) -> Option<Bytes> {
        let number = *self.numbers.get(member)?;
        self.remove_number(number)
    }

    /// Removes the member with a number and returns it.
    pub fn remove_number(&mut self, number: usize) -> Option<Bytes> {
        if number >= self.members.len() {
            return None;
        }
        let member = self.members.swap_remove(number);
        self.numbers.remove(&member);
        if let Some(moved) = self.members.get(number) {
            self.numbers.insert(moved.clone(), number);
        }
        Some(member)
    }
}

impl FromIterator<Bytes> for MemberSet {
    fn from_iter<T: IntoIterator<Item = Bytes>>(members: T) -> Self {
        let mut set = Self::default();
        for member in members {
            set.insert(member);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_meets_every_member_that_stays() {
        for removed in 0..6_u8 {
            for read in 0..6 {
                let member = |number: u8| Bytes::copy_from_slice(&[number]);
                let mut set: MemberSet = (0..6).map(member).collect();
                let mut met: Vec<Bytes> = (read..6).rev().filter_map(|number| set.get(number)).cloned().collect();
                assert_eq!(set.remove(&[removed]), Some(member(removed)));
                set.insert(member(9));
                met.extend((0..read).rev().filter_map(|number| set.get(number)).cloned());
                for number in (0..6).filter(|number| *number != removed) {
                    assert!(met.contains(&member(number)), "removed {removed} when {read} were left: {number} is missing");
                }
            }
        }
    }
}
