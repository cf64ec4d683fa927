//! Positions of changes: the sequence of a message, and about when it was stored.
//!
//! The time tells whether markers of removed rows that were stored after a position may be gone. It is that of the message, so that each gateway
//! computes the same position.

use prism_driver::time::Millis;

/// Milliseconds of a unit of time: about 17 minutes.
const UNIT_MILLIS: i64 = 1 << 20;
/// Bits of the time: 17 years, after which it begins again.
const TIME_BITS: u32 = 19;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// Units after which a position is too old. Markers stay for more than four units, so all that were stored after a younger position are there.
const MAX_AGE_UNITS: u64 = 3;

/// The changes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The expiration of the value before.
    Expiration = 0,
    /// The change itself.
    Change = 1,
}

/// The position of a change.
pub fn position(sequence: u64, stored_at: Millis, part: Part) -> u64 {
    (sequence << (TIME_BITS + 1)) | (units(stored_at) << 1) | part as u64
}

/// The sequence of the message at a position.
pub fn sequence(position: u64) -> u64 {
    position >> (TIME_BITS + 1)
}

/// The sequence of the first message with changes after a position.
pub fn next_sequence(position: u64) -> u64 {
    sequence(position) + (position & 1)
}

/// Whether markers that were stored after a position may be gone.
pub fn is_too_old(position: u64, now: Millis) -> bool {
    let stored = (position >> 1) & TIME_MASK;
    let age = units(now).wrapping_sub(stored) & TIME_MASK;
    // Clocks may differ: a time that is a unit ahead is not old.
    age > MAX_AGE_UNITS && age != TIME_MASK
}

fn units(time: Millis) -> u64 {
    (time.max(0).unsigned_abs() / UNIT_MILLIS.unsigned_abs()) & TIME_MASK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::MARKER_SECONDS;

    #[test]
    fn positions_follow_the_sequences() {
        let now = 1_900_000_000_000;
        let ascending = [
            position(0, now, Part::Change),
            position(1, now + 10 * UNIT_MILLIS, Part::Expiration),
            position(1, now + 10 * UNIT_MILLIS, Part::Change),
            position(2, now, Part::Change),
        ];
        assert!(ascending.is_sorted_by(|one, other| one < other));
        assert_eq!(ascending.map(sequence), [0, 1, 1, 2]);
        // After an expiration, the same message has another change.
        assert_eq!(ascending.map(next_sequence), [1, 1, 2, 3]);
    }

    #[test]
    fn a_position_is_too_old_before_markers_are_gone() {
        let stored = 1_900_000_000_000 / UNIT_MILLIS * UNIT_MILLIS + UNIT_MILLIS / 2;
        let position = position(5, stored, Part::Change);
        for age in [-UNIT_MILLIS, 0, 3 * UNIT_MILLIS] {
            assert!(!is_too_old(position, stored + age), "{age}");
        }
        let markers = i64::try_from(MARKER_SECONDS).unwrap() * 1000;
        for age in [4 * UNIT_MILLIS, markers, 1000 * UNIT_MILLIS] {
            assert!(is_too_old(position, stored + age), "{age}");
        }
        // A minute before the first marker after the position may be gone.
        assert!(is_too_old(position, stored - UNIT_MILLIS / 2 + markers - 60_000));
    }
}
