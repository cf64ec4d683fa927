//! Parts of a snapshot, and readers whose gateway appends meanwhile.

use prost::Message as _;

use super::*;
use crate::{
    replica::{JournalHead, JournalSegment, Replica},
    snapshot::encode_parts,
    store::decode_operations,
};
use prism_call::proto::journal::v1::Part;

#[test]
fn the_parts_of_a_snapshot_rebuild_the_state() {
    let mut ledger = Ledger::default();
    for number in 1..=20 {
        ledger.apply(stored(&format!("of {}", number % 3), number, number, &"x".repeat(number as usize * 7)));
    }
    for part_bytes in [1, 50, 300, 100_000] {
        let parts = encode_parts(&ledger, part_bytes);
        let mut rebuilt = Ledger::default();
        for part in &parts {
            let operations = decode_operations::<Operation>(Part::decode(part.clone()).unwrap().operations).unwrap();
            let size: usize = operations.iter().map(Operation::encoded_len).sum();
            assert!(size <= part_bytes || operations.len() == 1, "{size} bytes in a part of {part_bytes}");
            operations.into_iter().for_each(|operation| rebuilt.apply(operation));
        }
        assert_eq!(rebuilt, ledger);
    }
    assert_eq!(encode_parts(&Ledger::default(), 100).len(), 1, "an empty state has a part too");
}

#[test]
fn a_reader_continues_after_appends_of_its_own_gateway() {
    let head =
        |position: u64| JournalHead { position, revision: position * 10, nonce: vec![position as u8].into(), ..JournalHead::default() };
    let entry = |position: u32| (head(position.into()).nonce, vec![stored("a", position, position, "text")]);
    let segment = |positions: std::ops::RangeInclusive<u32>| JournalSegment { base: None, entries: positions.map(entry).collect() };
    let numbers = |replica: &Replica<Ledger>| replica.state.subjects["a"].keys().copied().collect::<Vec<_>>();
    let mut replica = Replica::<Ledger>::default();
    assert!(replica.advance(&JournalHead::default(), segment(1..=2), head(2)));
    // A reader started at 2 and read up to 5; meanwhile this gateway appended the third entry.
    let known = replica.at.clone();
    assert!(replica.advance(&known, segment(3..=3), head(3)));
    assert!(replica.advance(&known, segment(3..=5), head(5)));
    assert_eq!((numbers(&replica), replica.at.clone()), (vec![1, 2, 3, 4, 5], head(5)));
    // A segment that ends before the state changes nothing; a segment of another history must be read again.
    assert!(replica.advance(&known, segment(3..=4), head(4)));
    assert_eq!(replica.at, head(5));
    let other = JournalSegment { base: None, entries: (3..=6).map(|position| (vec![9, position].into(), Vec::new())).collect() };
    assert!(!replica.advance(&known, other, head(6)));
    let from_scratch = JournalSegment { base: Some(Vec::new()), entries: Vec::new() };
    assert!(!replica.advance(&known, from_scratch, head(6)));
    assert!(replica.has_applied(&head(5).nonce) && !replica.has_applied(&head(6).nonce));
}
