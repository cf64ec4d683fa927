//! The members of one sorted set: their scores by member, and their order in blocks, whose lengths tell the rank.

use std::{cmp::Ordering, collections::HashMap, ops::Range};

use bytes::Bytes;

/// Most members of a block. A full block is divided.
const BLOCK: usize = 512;

/// A member with its score. The score is never NaN, nor minus zero.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedMember {
    pub score: f64,
    pub member: Bytes,
}

impl RankedMember {
    /// Compares with a score and a member: by score, then by member.
    pub fn compare(&self, score: f64, member: &[u8]) -> Ordering {
        self.score.total_cmp(&score).then_with(|| (*self.member).cmp(member))
    }
}

/// A sorted set. To find a rank it adds up the lengths of blocks, one for at least every 64 members.
#[derive(Default)]
pub struct RankedSet {
    scores: HashMap<Bytes, f64>,
    /// The members in order. No block is empty.
    blocks: Vec<Vec<RankedMember>>,
}

impl RankedSet {
    /// Creates a sorted set of distinct members.
    pub fn new(mut members: Vec<RankedMember>) -> Self {
        members.sort_unstable_by(|one, other| one.compare(other.score, &other.member));
        let scores = members.iter().map(|entry| (entry.member.clone(), entry.score)).collect();
        Self { scores, blocks: members.chunks(BLOCK / 2).map(<[_]>::to_vec).collect() }
    }

    pub fn len(&self) -> usize {
        self.scores.len()
    }

    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// The members in any order.
    pub fn members(&self) -> impl Iterator<Item = &Bytes> {
        self.scores.keys()
    }

    /// The members with their scores, in any order.
    pub fn scores(&self) -> impl Iterator<Item = (&Bytes, f64)> {
        self.scores.iter().map(|(member, score)| (member, *score))
    }

    /// The member with the least score.
    pub fn first(&self) -> Option<&RankedMember> {
        self.blocks.first()?.first()
    }

    /// Gives a member a score, and adds it if it is new.
    pub fn set(&mut self, member: &[u8], score: f64) {
        // A member that is known keeps its bytes, so that the scores and the order share them. A new one is copied: the bytes of a request
        // may be small parts of a large buffer.
        let known = self.scores.get_key_value(member).map(|(member, former)| (member.clone(), *former));
        let member = match known {
            Some((_, former)) if former.total_cmp(&score).is_eq() => return,
            Some((member, former)) => {
                self.remove_from_order(&member, former);
                member
            }
            None => Bytes::copy_from_slice(member),
        };
        self.scores.insert(member.clone(), score);
        let entry = RankedMember { score, member };
        let at = self.blocks.partition_point(|block| is_before(block, score, &entry.member)).min(self.blocks.len().saturating_sub(1));
        let Some(block) = self.blocks.get_mut(at) else {
            self.blocks.push(vec![entry]);
            return;
        };
        let position = block.partition_point(|other| other.compare(score, &entry.member).is_lt());
        block.insert(position, entry);
        if block.len() > BLOCK {
            let half = block.split_off(BLOCK / 2);
            self.blocks.insert(at + 1, half);
        }
    }

    /// Removes a member and returns it.
    pub fn remove(&mut self, member: &[u8]) -> Option<Bytes> {
        let (member, score) = self.scores.remove_entry(member)?;
        self.remove_from_order(&member, score);
        Some(member)
    }

    fn remove_from_order(&mut self, member: &[u8], score: f64) {
        let at = self.blocks.partition_point(|block| is_before(block, score, member));
        let Some(block) = self.blocks.get_mut(at) else { return };
        let position = block.partition_point(|other| other.compare(score, member).is_lt());
        block.remove(position);
        let length = block.len();
        if length == 0 {
            self.blocks.remove(at);
        } else if length < BLOCK / 8 && self.blocks.get(at + 1).is_some_and(|next| next.len() + length < BLOCK) {
            let next = self.blocks.remove(at + 1);
            self.blocks[at].extend(next);
        }
    }

    /// The number of members at the start of the order for which `before` is true. It must be false for all members behind them.
    pub fn count(&self, before: impl Fn(&RankedMember) -> bool) -> usize {
        let at = self.blocks.partition_point(|block| block.last().is_some_and(&before));
        let whole: usize = self.blocks[..at].iter().map(Vec::len).sum();
        whole + self.blocks.get(at).map_or(0, |block| block.partition_point(&before))
    }

    /// The rank of a member with this score.
    pub fn rank(&self, score: f64, member: &[u8]) -> usize {
        self.count(|entry| entry.compare(score, member).is_lt())
    }

    /// The members of a range of ranks, in pieces.
    pub fn slices(&self, ranks: Range<usize>) -> Vec<&[RankedMember]> {
        let mut slices = Vec::new();
        let mut first = 0;
        for block in &self.blocks {
            if first >= ranks.end {
                break;
            }
            let (start, end) = (ranks.start.saturating_sub(first).min(block.len()), (ranks.end - first).min(block.len()));
            if start < end {
                slices.push(&block[start..end]);
            }
            first += block.len();
        }
        slices
    }

    /// The members of a range of ranks, from the first to the last or the other way round.
    pub fn collect(&self, ranks: Range<usize>, reverse: bool) -> Vec<RankedMember> {
        let slices = self.slices(ranks);
        if reverse {
            slices.into_iter().rev().flat_map(|slice| slice.iter().rev()).cloned().collect()
        } else {
            slices.into_iter().flatten().cloned().collect()
        }
    }
}

/// Whether all members of a block are before a score and a member.
fn is_before(block: &[RankedMember], score: f64, member: &[u8]) -> bool {
    block.last().is_some_and(|last| last.compare(score, member).is_lt())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn agrees_with_a_sorted_list() {
        let mut set = RankedSet::default();
        let mut model: BTreeMap<u32, i32> = BTreeMap::new();
        let mut state = 1_u64;
        let mut random = |below: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from(state >> 33).unwrap() % below
        };
        let name = |number: u32| Bytes::copy_from_slice(&number.to_be_bytes());
        for round in 0..30_000 {
            let (number, score) = (random(5000), i32::try_from(random(100)).unwrap() - 50);
            // Grows for the first half, then shrinks.
            if random(10) < if round < 15_000 { 8 } else { 3 } {
                set.set(&name(number), f64::from(score));
                model.insert(number, score);
            } else {
                assert_eq!(set.remove(&number.to_be_bytes()).is_some(), model.remove(&number).is_some());
            }
        }
        let mut sorted: Vec<(i32, u32)> = model.iter().map(|(number, score)| (*score, *number)).collect();
        sorted.sort_unstable();
        let entries: Vec<RankedMember> =
            sorted.iter().map(|(score, number)| RankedMember { score: f64::from(*score), member: name(*number) }).collect();
        assert_eq!((set.len(), set.first()), (entries.len(), entries.first()));
        assert!(set.blocks.iter().all(|block| (1..=BLOCK).contains(&block.len())));
        assert!(set.blocks.len() <= 1 + set.len() / 32, "{} blocks for {} members", set.blocks.len(), set.len());
        assert_eq!(set.collect(0..usize::MAX, false), entries);
        for (rank, entry) in entries.iter().enumerate() {
            assert_eq!(set.rank(entry.score, &entry.member), rank);
        }
        for (start, end) in [(0, 10), (100, 1100), (entries.len() - 3, entries.len() + 3), (7, 7)] {
            let expected = &entries[start..end.min(entries.len())];
            assert_eq!(set.collect(start..end, false), expected);
            assert!(set.collect(start..end, true).iter().rev().eq(expected));
        }
        let rebuilt = RankedSet::new(entries.iter().rev().cloned().collect());
        assert_eq!(rebuilt.collect(0..usize::MAX, false), entries);
    }
}
