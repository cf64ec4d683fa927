//! Indexes into ordered data, such as lists: they count from 0 at the start, and negative ones count from the end.

use std::ops::Range;

/// Largest index that this module computes with. Nothing in memory or in Redis has so many items.
const MOST: i64 = 1 << 52;

/// Limits an index to numbers that a double represents exactly, because Lua has no other numbers. The result means the same.
pub fn clamp(index: i64) -> i64 {
    index.clamp(-MOST, MOST)
}

/// Returns the position of an index among `length` items, or `None` if there is no such item.
pub fn position(index: i64, length: usize) -> Option<usize> {
    usize::try_from(from_start(index, length)).ok().filter(|position| *position < length)
}

/// Returns the positions from `start` to `stop`, both included, as far as they exist. No `stop` is the last item.
pub fn span(start: i64, stop: Option<i64>, length: usize) -> Range<usize> {
    let end = from_start(stop.unwrap_or(-1), length).saturating_add(1);
    let start = usize::try_from(from_start(start, length)).unwrap_or(0).min(length);
    let end = usize::try_from(end).unwrap_or(0).min(length);
    start..end.max(start)
}

/// The index counted from the start. It is negative if it lies before the first item.
fn from_start(index: i64, length: usize) -> i64 {
    let length = i64::try_from(length).unwrap_or(MOST);
    let index = clamp(index);
    if index < 0 { index + length } else { index }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_indexes_count_from_the_end() {
        let positions = [0, 2, 3, -1, -3, -4, i64::MAX, i64::MIN].map(|index| position(index, 3));
        assert_eq!(positions, [Some(0), Some(2), None, Some(2), Some(0), None, None, None]);
        assert_eq!(position(0, 0), None);
        assert_eq!(position(-1, 0), None);
    }

    #[test]
    fn spans_are_cut_at_the_ends() {
        let spans = |start, stop| span(start, stop, 4);
        assert_eq!(spans(0, None), 0..4);
        assert_eq!(spans(1, Some(2)), 1..3);
        assert_eq!(spans(-2, Some(-1)), 2..4);
        assert_eq!(spans(-100, Some(100)), 0..4);
        assert_eq!(spans(i64::MIN, Some(i64::MAX)), 0..4);
        for (start, stop) in [(2, Some(1)), (4, None), (0, Some(-5)), (i64::MAX, None), (100, Some(200))] {
            assert!(spans(start, stop).is_empty(), "{start} {stop:?}");
        }
        assert!(span(0, None, 0).is_empty());
    }
}
