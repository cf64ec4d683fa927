//! The points of one keyspace, and the bytes that they take.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use crate::state::{OVERHEAD, SharedState};
use prism_call::Error;
use prism_driver::{
    time::{self, Millis},
    timeseries::{Labels, NewPoints, Span, selector::Selector},
};

/// Series that are looked at while the lock is held once.
const SERIES_PER_LOCK: usize = 256;
/// Bytes that a point counts towards `max_bytes`.
const POINT_BYTES: u64 = 32;

/// The points of a series by time.
pub type Points = BTreeMap<Millis, f64>;

/// All series of a keyspace.
pub struct Store {
    shared: Arc<SharedState>,
    names: HashMap<String, NamedSeries>,
    /// The greatest age of points by name, for names that have one.
    max_ages: HashMap<String, Millis>,
}

/// The series with one name. None of them is empty.
type NamedSeries = BTreeMap<Labels, Points>;

impl Store {
    pub fn new(shared: Arc<SharedState>) -> Self {
        Self { shared, names: HashMap::new(), max_ages: HashMap::new() }
    }

    /// Writes points. Returns how many were written and how many were passed over.
    pub fn insert(&mut self, series: Vec<NewPoints>, keep: bool) -> Result<(u64, u64), Error> {
        let (mut bytes, mut skipped) = (0, 0);
        let mut writes = Vec::with_capacity(series.len());
        for NewPoints { name, labels, mut points } in series {
            let present = self.names.get(&name).and_then(|named| named.get(&labels));
            let oldest = self.oldest(&name);
            let given = points.len();
            points.retain(|time, _| *time >= oldest && !(keep && present.is_some_and(|present| present.contains_key(time))));
            skipped += (given - points.len()) as u64;
            if points.is_empty() {
                continue;
            }
            let new = points.keys().filter(|time| present.is_none_or(|present| !present.contains_key(time))).count();
            bytes += new as u64 * POINT_BYTES + if present.is_none() { series_bytes(&name, &labels) } else { 0 };
            writes.push((name, labels, points));
        }
        self.shared.reserve(bytes)?;
        let mut written = 0;
        for (name, labels, points) in writes {
            written += points.len() as u64;
            self.names.entry(name).or_default().entry(labels).or_default().extend(points);
        }
        Ok((written, skipped))
    }

    /// The time of the oldest point that a name may have.
    pub fn oldest(&self, name: &str) -> Millis {
        self.max_ages.get(name).map_or(Millis::MIN, |age| time::now().saturating_sub(*age))
    }

    /// The first series of a selector from some labels on, among the next [`SERIES_PER_LOCK`] series of its name. Returns the labels of the
    /// last series that was looked at, and the points if it matches; `None` at the end.
    pub fn next_series(&self, selector: &Selector, from: Bound<&Labels>) -> Option<(&Labels, Option<&Points>)> {
        let named = self.names.get(&selector.name)?;
        let mut last = None;
        for (labels, points) in named.range::<Labels, _>((from, Bound::Unbounded)).take(SERIES_PER_LOCK) {
            if selector.matches(labels) {
                return Some((labels, Some(points)));
            }
            last = Some((labels, None));
        }
        last
    }

    /// The points of one series.
    pub fn points(&self, name: &str, labels: &Labels) -> Option<&Points> {
        self.names.get(name)?.get(labels)
    }

    /// The part of a span whose points can be found.
    pub fn visible(&self, name: &str, span: Span) -> Span {
        Span { start: span.start.max(self.oldest(name)), end: span.end }
    }

    /// Sets the greatest age of a name, and returns the former one.
    pub fn set_max_age(&mut self, name: String, max_age: Option<Millis>) -> Result<Option<Millis>, Error> {
        let bytes = name.len() as u64 + OVERHEAD;
        let Some(max_age) = max_age else {
            let former = self.max_ages.remove(&name);
            self.shared.release(if former.is_some() { bytes } else { 0 });
            return Ok(former);
        };
        if !self.max_ages.contains_key(&name) {
            self.shared.reserve(bytes)?;
        }
        Ok(self.max_ages.insert(name, max_age))
    }

    /// Removes the points of a name that are past their retention. Returns how many, and how many series are gone.
    pub fn compact(&mut self, name: &str) -> (u64, u64) {
        let oldest = self.oldest(name);
        let Some(named) = self.names.get_mut(name) else { return (0, 0) };
        let (mut points_removed, mut series_removed, mut bytes) = (0, 0, 0);
        named.retain(|labels, points| {
            if points.first_key_value().is_some_and(|(time, _)| *time < oldest) {
                let kept = points.split_off(&oldest);
                points_removed += points.len() as u64;
                *points = kept;
            }
            if points.is_empty() {
                series_removed += 1;
                bytes += series_bytes(name, labels);
            }
            !points.is_empty()
        });
        if named.is_empty() {
            self.names.remove(name);
        }
        self.shared.release(bytes + points_removed * POINT_BYTES);
        (points_removed, series_removed)
    }

    /// The same for all names.
    pub fn compact_all(&mut self) -> (u64, u64) {
        let names: Vec<String> = self.max_ages.keys().cloned().collect();
        names.iter().map(|name| self.compact(name)).fold((0, 0), |(points, series), (more, gone)| (points + more, series + gone))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let mut bytes: u64 = self.max_ages.keys().map(|name| name.len() as u64 + OVERHEAD).sum();
        for (name, named) in &self.names {
            bytes += named.iter().map(|(labels, points)| series_bytes(name, labels) + points.len() as u64 * POINT_BYTES).sum::<u64>();
        }
        self.shared.release(bytes);
    }
}

/// Bytes that a series counts in addition to its points.
fn series_bytes(name: &str, labels: &Labels) -> u64 {
    name.len() as u64 + OVERHEAD + labels.iter().map(|(label, value)| (label.len() + value.len()) as u64).sum::<u64>()
}
