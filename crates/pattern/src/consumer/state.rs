//! The state of a group that reads a stream: pure changes of it.

use std::time::Duration;

use prism_call::proto::messaging::v1::{Delivery, GroupState, MessageLease};
use prism_slot::time::Millis;

/// Most dead messages of a group. While there are so many, messages are retried instead of dying.
const MAX_DEAD: usize = 1000;

/// Sets aside deliveries that were delivered too often and are ready again. Returns whether there were any.
pub fn bury(state: &mut GroupState, now: Millis, max_attempts: u32) -> bool {
    let mut room = MAX_DEAD.saturating_sub(state.dead.len());
    let before = state.open.len();
    let dead = &mut state.dead;
    state.open.retain(|delivery| {
        let dies = room > 0 && delivery.until_millis <= now && delivery.attempt >= max_attempts;
        if dies {
            room -= 1;
            dead.push(delivery.offset);
        }
        !dies
    });
    sort_dead(dead);
    state.open.len() < before
}

/// Returns the offsets of deliveries that are ready again, in order.
pub fn ready(state: &GroupState, now: Millis, limit: usize) -> Vec<u64> {
    state.open.iter().filter(|delivery| delivery.until_millis <= now).take(limit).map(|delivery| delivery.offset).collect()
}

/// Returns when the next delivery is ready again.
pub fn next_ready(state: &GroupState) -> Option<Millis> {
    state.open.iter().map(|delivery| delivery.until_millis).min()
}

/// Delivers a message: a new one, or one that is ready again.
pub fn deliver(state: &mut GroupState, offset: u64, until: Millis) -> MessageLease {
    state.last_lease += 1;
    let number = state.last_lease;
    if let Some(delivery) = state.open.iter_mut().find(|delivery| delivery.offset == offset) {
        delivery.lease = number;
        delivery.until_millis = until;
        delivery.attempt = delivery.attempt.saturating_add(1);
        return MessageLease { offset, number, attempt: delivery.attempt, ..MessageLease::default() };
    }
    state.open.push(Delivery { offset, lease: number, until_millis: until, attempt: 1 });
    pass_over(state, offset);
    MessageLease { offset, number, attempt: 1, ..MessageLease::default() }
}

/// Moves the group behind a new message without delivering it.
pub fn pass_over(state: &mut GroupState, offset: u64) {
    state.next_offset = state.next_offset.max(offset.saturating_add(1));
}

/// Removes deliveries whose messages the stream does not have any more, or the group does not want.
pub fn forget(state: &mut GroupState, offsets: &[u64]) {
    state.open.retain(|delivery| !offsets.contains(&delivery.offset));
}

/// Acknowledges a delivery. Returns whether its lease had not ended.
pub fn ack(state: &mut GroupState, lease: &MessageLease) -> bool {
    let before = state.open.len();
    state.open.retain(|delivery| !is_of(delivery, lease));
    state.open.len() < before
}

/// Gives a delivery back until a time. Returns whether it is dead, or `None` if its lease has ended.
pub fn nack(state: &mut GroupState, lease: &MessageLease, until: Millis, max_attempts: u32) -> Option<bool> {
    let delivery = state.open.iter_mut().find(|delivery| is_of(delivery, lease))?;
    delivery.lease = 0;
    if delivery.attempt >= max_attempts && state.dead.len() < MAX_DEAD {
        let offset = delivery.offset;
        forget(state, &[offset]);
        state.dead.push(offset);
        sort_dead(&mut state.dead);
        return Some(true);
    }
    delivery.until_millis = until;
    Some(false)
}

/// Lets a lease end at another time. Returns whether it had not ended.
pub fn extend(state: &mut GroupState, lease: &MessageLease, until: Millis) -> bool {
    let delivery = state.open.iter_mut().find(|delivery| is_of(delivery, lease));
    delivery.map(|delivery| delivery.until_millis = until).is_some()
}

/// Moves the group. Leases end.
pub fn seek(state: &mut GroupState, offset: u64) {
    state.next_offset = offset;
    state.open.clear();
}

/// Makes the oldest dead messages ready again. Returns how many.
pub fn redrive(state: &mut GroupState, limit: usize) -> usize {
    let count = state.dead.len().min(limit);
    let next_offset = state.next_offset;
    // After a seek, a dead message may be in flight again, or the group has not come to it yet. It must not be delivered twice.
    let revived = state.dead.drain(..count).filter(|offset| *offset < next_offset).map(|offset| Delivery { offset, ..Delivery::default() });
    state.open.extend(revived);
    // The sort is stable, so a delivery in flight precedes the new one of the same message.
    state.open.sort_by_key(|delivery| delivery.offset);
    state.open.dedup_by_key(|delivery| delivery.offset);
    count
}

/// Forgets the oldest dead messages. Returns how many.
pub fn discard(state: &mut GroupState, limit: usize) -> usize {
    let count = state.dead.len().min(limit);
    state.dead.drain(..count);
    count
}

/// Returns the time until a delivery is ready again, at most `most`.
pub fn until_ready(state: &GroupState, now: Millis, most: Duration) -> Duration {
    let millis = next_ready(state).map_or(Millis::MAX, |ready| ready.saturating_sub(now));
    most.min(Duration::from_millis(u64::try_from(millis).unwrap_or_default()))
}

/// Puts dead messages in order. A message can die again after a seek.
fn sort_dead(dead: &mut Vec<u64>) {
    dead.sort_unstable();
    dead.dedup();
}

fn is_of(delivery: &Delivery, lease: &MessageLease) -> bool {
    delivery.offset == lease.offset && delivery.lease == lease.number && lease.number != 0
}
