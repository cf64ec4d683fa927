//! Statements on the tables `streams` and `records`.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{PARTITION, unsigned};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{Error, proto::models::stream::v1::Record};
use prism_driver::{
    attributes, cursor,
    stream::offset_expired,
    time::{self, Millis},
};

/// A page ends after the record with which it exceeds this number of bytes.
const PAGE_BYTES: usize = 64 << 10;
/// Bytes that each record counts for retention in addition to its key, attributes and payload.
pub const OVERHEAD: i64 = 32;

/// A row of `streams`.
#[derive(Clone, Copy)]
pub struct StreamRow {
    pub id: i64,
    pub next_offset: i64,
    /// Retention has removed the records below this offset.
    pub expired_to: i64,
}

/// Finds a stream; `None` if it was never used.
pub fn find(connection: &Connection, keyspace: i64, name: &str) -> DatabaseResult<Option<StreamRow>> {
    let mut select = connection.prepare_cached("SELECT id, next_offset, expired_to FROM streams WHERE keyspace = ?1 AND name = ?2")?;
    Ok(select.query_row((keyspace, name), stream_row).optional()?)
}

fn stream_row(row: &Row<'_>) -> rusqlite::Result<StreamRow> {
    Ok(StreamRow { id: row.get(0)?, next_offset: row.get(1)?, expired_to: row.get(2)? })
}

/// Finds a stream, or creates it.
pub fn open(tx: &Tx<'_>, keyspace: i64, name: &str) -> DatabaseResult<StreamRow> {
    if let Some(stream) = find(tx.connection, keyspace, name)? {
        return Ok(stream);
    }
    let mut insert =
        tx.connection.prepare_cached("INSERT INTO streams (keyspace, name) VALUES (?1, ?2) RETURNING id, next_offset, expired_to")?;
    Ok(insert.query_row((keyspace, name), stream_row)?)
}

/// The offset of the first record at an offset or after it.
pub fn first_offset_from(connection: &Connection, stream: i64, offset: i64) -> DatabaseResult<Option<i64>> {
    Ok(first_record_from(connection, stream, offset)?.map(|(offset, _)| offset))
}

/// Offset and time of the first record at an offset or after it.
fn first_record_from(connection: &Connection, stream: i64, offset: i64) -> DatabaseResult<Option<(i64, Millis)>> {
    let mut select =
        connection.prepare_cached("SELECT offset, time FROM records WHERE stream = ?1 AND offset >= ?2 ORDER BY offset LIMIT 1")?;
    Ok(select.query_row((stream, offset), |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// The offset of the last record.
pub fn last_offset(connection: &Connection, stream: i64) -> DatabaseResult<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT offset FROM records WHERE stream = ?1 ORDER BY offset DESC LIMIT 1")?;
    Ok(select.query_row([stream], |row| row.get(0)).optional()?)
}

/// The offset of the first record of a time or later, or the next offset if there is none. Times never decrease, so a binary search
/// finds it without an index of times.
pub fn offset_at(connection: &Connection, stream: &StreamRow, time: Millis) -> DatabaseResult<i64> {
    let (mut low, mut high) = (stream.expired_to, stream.next_offset);
    while low < high {
        let middle = low + (high - low) / 2;
        match first_record_from(connection, stream.id, middle)? {
            Some((offset, record_time)) if offset < high && record_time < time => low = offset + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Reads records from one offset (inclusive) to another (exclusive): at most `most`, and at most a page of bytes. `name` is that of the
/// stream.
pub fn page(connection: &Connection, stream: &StreamRow, name: &str, from: i64, to: i64, most: usize) -> DatabaseResult<Vec<Record>> {
    let mut select = connection.prepare_cached(
        "SELECT offset, time, key, attributes, payload FROM records WHERE stream = ?1 AND offset >= ?2 AND offset < ?3 ORDER BY offset",
    )?;
    let mut rows = select.query((stream.id, from, to))?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while page.len() < most
        && bytes < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let record = read_record(row, name)?;
        bytes += record.key.len() + record.payload.len();
        page.push(record);
    }
    Ok(page)
}

/// Reads one record; `None` if it does not exist.
pub fn record(connection: &Connection, stream: &StreamRow, name: &str, offset: i64) -> DatabaseResult<Option<Record>> {
    Ok(page(connection, stream, name, offset, offset.saturating_add(1), 1)?.pop())
}

fn read_record(row: &Row<'_>, stream: &str) -> DatabaseResult<Record> {
    let offset: i64 = row.get(0)?;
    let blob = |column| row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from);
    Ok(Record {
        offset: unsigned(offset),
        partition: PARTITION,
        key: Bytes::copy_from_slice(blob(2)?),
        payload: Bytes::copy_from_slice(blob(4)?),
        attributes: attributes::decode(blob(3)?)?,
        append_time: Some(time::timestamp(row.get(1)?)),
        cursor: encode_cursor(stream, offset),
    })
}

/// Encodes a cursor after a record. It contains a hash of the stream's name, so that a cursor of another stream is noticed.
fn encode_cursor(stream: &str, offset: i64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&name_hash(stream).to_be_bytes());
    bytes[8..].copy_from_slice(&offset.to_be_bytes());
    cursor::encode(&bytes)
}

/// Decodes a cursor: the offset of the last record before it; `None` if the cursor is empty.
pub fn decode_cursor(stream: &str, text: &str) -> Result<Option<i64>, Error> {
    let Some(bytes) = cursor::decode(text)? else { return Ok(None) };
    let Some((hash, offset)) = bytes.split_first_chunk::<8>() else { return Err(cursor::invalid()) };
    let offset = <[u8; 8]>::try_from(offset).map_or(-1, i64::from_be_bytes);
    if u64::from_be_bytes(*hash) != name_hash(stream) || !(0..i64::MAX).contains(&offset) {
        return Err(cursor::invalid());
    }
    Ok(Some(offset))
}

/// FNV-1a with 64 bits. It must be the same in all versions, because clients store cursors.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// `OUT_OF_RANGE OFFSET_EXPIRED`
pub fn expired(connection: &Connection, stream: &StreamRow) -> Error {
    let first = first_offset_from(connection, stream.id, 0).ok().flatten().unwrap_or(stream.next_offset);
    offset_expired(unsigned(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_valid_only_for_its_stream() {
        let cursor = encode_cursor("orders", 7);
        assert_eq!(decode_cursor("orders", &cursor).unwrap(), Some(7));
        assert_eq!(decode_cursor("orders", "").unwrap(), None);
        for (stream, cursor) in [("users", cursor.as_str()), ("orders", "AAAA"), ("orders", "!"), ("orders", &encode_cursor("orders", -1))]
        {
            assert_eq!(decode_cursor(stream, cursor).unwrap_err().reason(), "INVALID_CURSOR");
        }
    }
}
