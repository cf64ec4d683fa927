//! The statements on `streams` and `records`.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{PARTITION, unsigned};
use crate::{attributes, error::DatabaseResult, writer::Tx};
use prism_call::{Code, Error, proto::models::stream::v1::Record};
use prism_driver::{
    cursor,
    time::{self, Millis},
};

/// A page ends with the record that takes it over this many bytes.
const PAGE_BYTES: usize = 1 << 20;
/// What a record takes beside its key, attributes and payload, as retention counts it.
pub const OVERHEAD: i64 = 32;

/// A stream.
#[derive(Clone, Copy)]
pub struct Head {
    pub id: i64,
    pub next_offset: i64,
    /// Retention has removed records below it.
    pub expired_to: i64,
}

/// A stream, if it was ever touched.
pub fn find(connection: &Connection, space: i64, name: &str) -> DatabaseResult<Option<Head>> {
    let mut select = connection.prepare_cached("SELECT id, next_offset, expired_to FROM streams WHERE keyspace = ?1 AND name = ?2")?;
    Ok(select.query_row((space, name), head).optional()?)
}

fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head { id: row.get(0)?, next_offset: row.get(1)?, expired_to: row.get(2)? })
}

/// A stream, which is made if it is not there.
pub fn open(tx: &Tx<'_>, space: i64, name: &str) -> DatabaseResult<Head> {
    if let Some(head) = find(tx.connection, space, name)? {
        return Ok(head);
    }
    let mut insert =
        tx.connection.prepare_cached("INSERT INTO streams (keyspace, name) VALUES (?1, ?2) RETURNING id, next_offset, expired_to")?;
    Ok(insert.query_row((space, name), head)?)
}

/// Offset of the oldest record at or behind an offset.
pub fn first_from(connection: &Connection, stream: i64, offset: i64) -> DatabaseResult<Option<i64>> {
    Ok(place_from(connection, stream, offset)?.map(|(offset, _)| offset))
}

/// Offset and time of the oldest record at or behind an offset.
fn place_from(connection: &Connection, stream: i64, offset: i64) -> DatabaseResult<Option<(i64, Millis)>> {
    let mut select =
        connection.prepare_cached("SELECT offset, time FROM records WHERE stream = ?1 AND offset >= ?2 ORDER BY offset LIMIT 1")?;
    Ok(select.query_row((stream, offset), |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Offset of the last record.
pub fn last(connection: &Connection, stream: i64) -> DatabaseResult<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT offset FROM records WHERE stream = ?1 ORDER BY offset DESC LIMIT 1")?;
    Ok(select.query_row([stream], |row| row.get(0)).optional()?)
}

/// The first offset at which there may be a record of that time or later. Times never decrease, so it halves the stream until
/// it is found, and appending needs no second index.
pub fn from_time(connection: &Connection, head: &Head, time: Millis) -> DatabaseResult<i64> {
    let (mut low, mut high) = (head.expired_to, head.next_offset);
    while low < high {
        let middle = low + (high - low) / 2;
        match place_from(connection, head.id, middle)? {
            Some((offset, found)) if offset < high && found < time => low = offset + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Records from one offset, inclusive, to another, exclusive: at most `most`, and at most a page of bytes.
pub fn page(connection: &Connection, head: &Head, stream: &str, from: i64, to: i64, most: usize) -> DatabaseResult<Vec<Record>> {
    let mut select = connection.prepare_cached(
        "SELECT offset, time, key, attributes, payload FROM records WHERE stream = ?1 AND offset >= ?2 AND offset < ?3 ORDER BY offset",
    )?;
    let mut rows = select.query((head.id, from, to))?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while page.len() < most
        && bytes < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let record = record(row, stream)?;
        bytes += record.key.len() + record.payload.len();
        page.push(record);
    }
    Ok(page)
}

/// One record, if it is still there.
pub fn one(connection: &Connection, head: &Head, stream: &str, offset: i64) -> DatabaseResult<Option<Record>> {
    Ok(page(connection, head, stream, offset, offset.saturating_add(1), 1)?.pop())
}

fn record(row: &Row<'_>, stream: &str) -> DatabaseResult<Record> {
    let offset: i64 = row.get(0)?;
    let blob = |column| row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from);
    Ok(Record {
        offset: unsigned(offset),
        partition: PARTITION,
        key: Bytes::copy_from_slice(blob(2)?),
        payload: Bytes::copy_from_slice(blob(4)?),
        attributes: attributes::decode(blob(3)?)?,
        append_time: Some(time::timestamp(row.get(1)?)),
        cursor: cursor_behind(stream, offset),
    })
}

/// A cursor holds which stream it is of, so that it can't be mistaken for a place in another one.
fn cursor_behind(stream: &str, offset: i64) -> String {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&fingerprint(stream).to_be_bytes());
    place[8..].copy_from_slice(&offset.to_be_bytes());
    cursor::encode(&place)
}

/// The offset that a cursor is behind; `None` for the empty cursor.
pub fn behind(stream: &str, text: &str) -> Result<Option<i64>, Error> {
    let Some(place) = cursor::decode(text)? else { return Ok(None) };
    let Some((mark, offset)) = place.split_first_chunk::<8>() else { return Err(cursor::invalid()) };
    let offset = <[u8; 8]>::try_from(offset).map_or(-1, i64::from_be_bytes);
    if u64::from_be_bytes(*mark) != fingerprint(stream) || !(0..i64::MAX).contains(&offset) {
        return Err(cursor::invalid());
    }
    Ok(Some(offset))
}

/// FNV-1a with 64 bits: it must stay the same in all versions, because clients keep cursors.
fn fingerprint(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// `OUT_OF_RANGE OFFSET_EXPIRED`
pub fn expired(connection: &Connection, head: &Head) -> Error {
    let first = first_from(connection, head.id, 0).ok().flatten().unwrap_or(head.next_offset);
    Error::new(
        Code::OutOfRange,
        "OFFSET_EXPIRED",
        format!("retention has removed records behind this place; read on from offset {first}, the oldest one that is there"),
    )
    .with("first_offset", first.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_fits_its_stream_only() {
        let cursor = cursor_behind("orders", 7);
        assert_eq!(behind("orders", &cursor).unwrap(), Some(7));
        assert_eq!(behind("orders", "").unwrap(), None);
        for (stream, cursor) in [("users", cursor.as_str()), ("orders", "AAAA"), ("orders", "!"), ("orders", &cursor_behind("orders", -1))]
        {
            assert_eq!(behind(stream, cursor).unwrap_err().reason(), "INVALID_CURSOR");
        }
    }
}
