//! Cursors of queries.

use prost::Message as _;

use super::{Labels, series};
use crate::{cursor, time::Millis};
use prism_call::{Error, proto::models::timeseries::v1::Series};

/// A position in a query: after a point of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPosition {
    /// The labels of the series.
    pub labels: Labels,
    /// The time of the point.
    pub time: Millis,
    /// How many points of the series were sent.
    pub sent: u32,
}

impl QueryPosition {
    /// Encodes the position as a cursor of a query of series with this name.
    pub fn encode(&self, reverse: bool, name: &str) -> String {
        let mut position = [&self.time.to_be_bytes()[..], &self.sent.to_be_bytes()].concat();
        position.extend(series(name, &self.labels).encode_to_vec());
        cursor::seal(scope(reverse), &position)
    }

    /// Decodes a cursor. Returns `None` for the empty cursor.
    pub fn decode(reverse: bool, name: &str, cursor: &str) -> Result<Option<Self>, Error> {
        let Some(position) = cursor::open(scope(reverse), cursor)? else { return Ok(None) };
        let (time, rest) = position.split_first_chunk::<8>().ok_or_else(cursor::invalid)?;
        let (sent, encoded) = rest.split_first_chunk::<4>().ok_or_else(cursor::invalid)?;
        let series = Series::decode(encoded).map_err(|_| cursor::invalid())?;
        if series.name != name {
            return Err(cursor::invalid());
        }
        Ok(Some(Self { labels: series.labels, time: i64::from_be_bytes(*time), sent: u32::from_be_bytes(*sent) }))
    }
}

fn scope(reverse: bool) -> &'static str {
    if reverse { "timeseries:reverse" } else { "timeseries" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_valid_for_its_name_and_direction() {
        let position = QueryPosition { labels: Labels::from([("host".to_owned(), "a".to_owned())]), time: -5, sent: 7 };
        let cursor = position.encode(false, "cpu");
        assert_eq!(QueryPosition::decode(false, "cpu", &cursor).unwrap(), Some(position));
        assert_eq!(QueryPosition::decode(false, "cpu", "").unwrap(), None);
        for (reverse, name) in [(true, "cpu"), (false, "mem")] {
            assert_eq!(QueryPosition::decode(reverse, name, &cursor).unwrap_err().reason(), "INVALID_CURSOR");
        }
    }
}
