//! The state of a group.

use super::{lease, state};
use prism_call::proto::messaging::v1::{GroupState, MessageLease};

/// A state with the messages 0 to 2 in flight until 100.
fn three_in_flight() -> (GroupState, Vec<MessageLease>) {
    let mut group = GroupState::default();
    let leases = (0..3).map(|offset| state::deliver(&mut group, offset, 100)).collect();
    (group, leases)
}

#[test]
fn messages_are_ready_again_when_their_leases_end() {
    let (mut group, leases) = three_in_flight();
    assert_eq!((group.next_offset, state::ready(&group, 99, 9), state::ready(&group, 100, 2)), (3, vec![], vec![0, 1]));
    assert!(state::ack(&mut group, &leases[1]) && !state::ack(&mut group, &leases[1]));
    let again = state::deliver(&mut group, 0, 200);
    assert_eq!((again.attempt, again.number), (2, 4));
    assert!(!state::ack(&mut group, &leases[0]), "the first lease has ended");
    assert!(!state::extend(&mut group, &leases[0], 300) && state::extend(&mut group, &again, 300));
    assert_eq!(state::ready(&group, 299, 9), [2]);
}

#[test]
fn messages_die_after_the_last_delivery() {
    let (mut group, leases) = three_in_flight();
    assert_eq!(state::nack(&mut group, &leases[2], 50, 1), Some(true));
    assert_eq!(state::nack(&mut group, &leases[2], 50, 1), None);
    assert!(!state::bury(&mut group, 99, 1) && state::bury(&mut group, 100, 1) && !state::bury(&mut group, 100, 1));
    assert_eq!((group.open.len(), &group.dead[..]), (0, &[0, 1, 2][..]));
    assert_eq!((state::discard(&mut group, 1), state::redrive(&mut group, 9)), (1, 2));
    assert_eq!(state::ready(&group, 0, 9), [1, 2]);
    assert_eq!(state::deliver(&mut group, 1, 100).attempt, 1);
}

#[test]
fn a_group_with_many_dead_messages_retries_instead() {
    let mut group = GroupState { dead: (0..1000).collect(), ..GroupState::default() };
    let token = state::deliver(&mut group, 5000, 100);
    assert!(!state::bury(&mut group, 100, 1));
    assert_eq!(state::nack(&mut group, &token, 200, 1), Some(false));
    assert_eq!(state::ready(&group, 200, 1), [5000]);
}

#[test]
fn a_seek_ends_all_leases() {
    let (mut group, leases) = three_in_flight();
    state::seek(&mut group, 1);
    assert_eq!((group.next_offset, state::ack(&mut group, &leases[0])), (1, false));
    let token = state::deliver(&mut group, 1, 100);
    assert_eq!((token.attempt, token.number, group.next_offset), (1, 4, 2));
}

#[test]
fn a_dead_message_is_delivered_once_after_a_seek() {
    let (mut group, leases) = three_in_flight();
    assert_eq!([0, 2].map(|offset| state::nack(&mut group, &leases[offset], 50, 1)), [Some(true); 2]);
    state::seek(&mut group, 0);
    let again = state::deliver(&mut group, 0, 100);
    assert_eq!(state::nack(&mut group, &again, 200, 1), Some(true));
    assert_eq!(group.dead, [0, 2]);
    state::seek(&mut group, 0);
    let again = state::deliver(&mut group, 0, 100);
    assert_eq!((state::redrive(&mut group, 9), group.open.len(), group.next_offset), (2, 1, 1));
    assert!(state::ack(&mut group, &again) && group.open.is_empty());
}

#[test]
fn a_lease_is_valid_for_its_topic_and_group_only() {
    let token = MessageLease { offset: 7, number: 1, lease: String::new(), attempt: 2, ..MessageLease::default() };
    let text = lease::encode("orders", "billing", &token);
    assert_eq!(lease::decode("lease", "orders", "billing", &text).unwrap(), token);
    for (topic, group) in [("orders", "other"), ("other", "billing")] {
        assert_eq!(lease::decode("lease", topic, group, &text).unwrap_err().reason(), "INVALID_LEASE");
    }
}
