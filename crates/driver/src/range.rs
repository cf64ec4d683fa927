//! Ranges of keys, for scans.

use std::ops::Bound;

use bytes::Bytes;

use super::{check, cursor};
use crate::Limits;
use prism_call::Error;

/// A range of keys in ascending byte order. It combines the prefix, the bounds and the cursor of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The start. It moves forward during the scan.
    pub lower: Bound<Bytes>,
    /// The end, exclusive. `None` is unbounded.
    pub upper: Option<Bytes>,
}

impl KeyRange {
    /// Creates a range from the fields of a request. Empty fields are not bounds.
    pub fn new(limits: &Limits, prefix: Bytes, start_key: Bytes, end_key: Bytes, cursor: &str) -> Result<Self, Error> {
        check::key_bound(limits, "prefix", &prefix)?;
        check::key_bound(limits, "start_key", &start_key)?;
        check::key_bound(limits, "end_key", &end_key)?;
        let after = cursor::decode(cursor)?.map(Bytes::from);
        if after.as_ref().is_some_and(|key| key.len() as u64 > limits.max_key_bytes) {
            return Err(cursor::invalid());
        }
        let upper = match (successor(&prefix), (!end_key.is_empty()).then_some(end_key)) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let first = prefix.max(start_key);
        let lower = match after {
            Some(after) if after >= first => Bound::Excluded(after),
            _ => Bound::Included(first),
        };
        Ok(Self { lower, upper })
    }

    /// Returns whether the range contains no key.
    pub fn is_empty(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Bound::Included(lower) | Bound::Excluded(lower), Some(upper)) => lower >= upper,
            _ => false,
        }
    }

    /// Returns the start as an inclusive bound.
    pub fn inclusive_lower(&self) -> Vec<u8> {
        match &self.lower {
            Bound::Included(key) => key.to_vec(),
            Bound::Excluded(key) => next_after(key),
            Bound::Unbounded => Vec::new(),
        }
    }

    /// Returns the bounds for `BTreeMap::range`. Must not be called if the range [is empty](Self::is_empty): `BTreeMap` would panic.
    pub fn bounds(&self) -> (Bound<Bytes>, Bound<Bytes>) {
        (self.lower.clone(), self.upper.clone().map_or(Bound::Unbounded, Bound::Excluded))
    }
}

/// Returns the least byte string that is greater than another one: that one with a zero byte appended.
pub fn next_after(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0]].concat()
}

/// Returns the least byte string that is greater than all byte strings with the prefix, or `None` if there is none.
pub fn successor(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(prefix: &'static [u8], start: &'static [u8], end: &'static [u8], after: &[u8]) -> KeyRange {
        KeyRange::new(&Limits::default(), prefix.into(), start.into(), end.into(), &cursor::encode(after)).unwrap()
    }

    #[test]
    fn the_narrowest_bounds_count() {
        let included = |key: &'static [u8]| Bound::Included(Bytes::from(key));
        let all = range(b"", b"", b"", b"");
        assert_eq!((all.lower.clone(), all.upper.clone()), (included(b""), None));
        assert!(!all.is_empty());
        let both = range(b"a", b"ab", b"b\x00", b"");
        assert_eq!((both.lower, both.upper), (included(b"ab"), Some("b".into())));
        let continued = range(b"a", b"", b"", b"ac");
        assert_eq!(continued.lower, Bound::Excluded("ac".into()));
        let before = range(b"a", b"", b"", b"A");
        assert_eq!(before.lower, included(b"a"));
        assert!(range(b"", b"b", b"a", b"").is_empty());
        assert!(range(b"", b"b", b"b", b"").is_empty());
        assert!(range(b"a", b"", b"", b"z").is_empty());
    }

    #[test]
    fn a_prefix_of_the_highest_bytes_has_no_successor() {
        assert_eq!(successor(b"a\xff\xff"), Some("b".into()));
        assert_eq!(successor(b"\xff"), None);
        assert_eq!(successor(b""), None);
    }
}
