//! One row of the table: a value with its metadata in headers.

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::{
    error,
    jetstream::{SUBJECT, Stored},
};
use prism_call::{Error, proto::models::keyvalue::v1::Entry};
use prism_driver::{
    keyvalue::EntryMetadata,
    time::{self, Millis},
    transactions::Numbers,
};

/// Revision of the last write of the value, if a later message only changed the expiration. Otherwise the sequence is the revision.
const REVISION: &str = "Prism-Revision";
/// Revision of the write that created the key, if it is an earlier one.
const CREATE_REVISION: &str = "Prism-Create-Revision";
/// Number of writes, if there was more than one.
const VERSION: &str = "Prism-Version";
const FLAGS: &str = "Prism-Flags";
/// Milliseconds since 1970.
const EXPIRES: &str = "Prism-Expires";
/// Revision of the value that had expired before this write, if no marker took its place.
const EXPIRED_REVISION: &str = "Prism-Expired-Revision";
/// Why a message without a value takes the place of a row. The server writes such a marker when it removes an expired row.
const MARKER: &str = "Nats-Marker-Reason";
const MARKER_OF_REMOVAL: &str = "Remove";
const MARKER_OF_EXPIRATION: &str = "MaxAge";
/// Seconds after which the server removes the message.
const TTL: &str = "Nats-TTL";

/// A row.
pub struct Row {
    stored: Stored,
    metadata: EntryMetadata,
}

impl Row {
    pub fn parse(stored: Stored) -> Result<Self, Error> {
        let number = |name| stored.number(name);
        let revision = number(REVISION)?.unwrap_or(stored.sequence);
        let numbers =
            Numbers { revision, create_revision: number(CREATE_REVISION)?.unwrap_or(revision), version: number(VERSION)?.unwrap_or(1) };
        let expires = number(EXPIRES)?.map(|millis| Millis::try_from(millis).map_err(|_| error::foreign_message())).transpose()?;
        let metadata = EntryMetadata { numbers, expires, flags: number(FLAGS)?.unwrap_or(0) };
        Ok(Self { stored, metadata })
    }

    /// The sequence of its message.
    pub fn sequence(&self) -> u64 {
        self.stored.sequence
    }

    pub fn metadata(&self) -> &EntryMetadata {
        &self.metadata
    }

    pub fn value(&self) -> &Bytes {
        &self.stored.payload
    }

    /// When its message was stored.
    pub fn stored_at(&self) -> Millis {
        self.stored.time
    }

    /// Whether it has a value that has not expired.
    pub fn is_alive(&self) -> bool {
        !self.is_marker() && self.metadata.expires.is_none_or(|expires| expires > time::now())
    }

    /// Whether it is a marker in the place of a row that was removed.
    fn is_marker(&self) -> bool {
        self.stored.header(MARKER).is_some()
    }

    /// What was removed, if the row is a marker: the former revision, 0 if it is unknown, and whether it had expired.
    pub fn removal(&self) -> Result<Option<(u64, bool)>, Error> {
        let Some(reason) = self.stored.header(MARKER) else { return Ok(None) };
        Ok(Some((self.stored.number(REVISION)?.unwrap_or(0), reason == MARKER_OF_EXPIRATION)))
    }

    /// The revision of the value that had expired before this write, if there is no marker of the expiration.
    pub fn expired_before(&self) -> Result<Option<u64>, Error> {
        self.stored.number(EXPIRED_REVISION)
    }

    /// Whether its message only changed the expiration.
    pub fn is_expiration_change(&self) -> bool {
        self.metadata.numbers.revision != self.stored.sequence
    }

    /// The subject of its message.
    pub fn subject(&self) -> Option<&str> {
        self.stored.header(SUBJECT)
    }

    pub fn into_entry(self, key: Bytes) -> Entry {
        self.metadata.into_entry(key, self.stored.payload)
    }

    /// The headers of a write of a value over a row.
    pub fn headers_of_write(row: Option<&Self>, expires: Option<Millis>, flags: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(Self { metadata: EntryMetadata { numbers, .. }, .. }) = row {
            headers.insert(CREATE_REVISION, numbers.create_revision.to_string());
            headers.insert(VERSION, (numbers.version + 1).to_string());
        }
        add_flags_and_expiration(&mut headers, flags, expires);
        headers
    }

    /// Adds to the headers of a write that this row, the one before it, has expired. Watchers have not seen that if the server has not
    /// removed it yet.
    pub fn add_expiration(&self, headers: &mut HeaderMap) {
        if !self.is_marker() && !self.is_alive() {
            headers.insert(EXPIRED_REVISION, self.metadata.numbers.revision.to_string());
        }
    }

    /// The headers of a marker in the place of this row.
    pub fn headers_of_removal(&self, seconds: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(MARKER, MARKER_OF_REMOVAL);
        headers.insert(REVISION, self.metadata.numbers.revision.to_string());
        headers.insert(TTL, seconds.to_string());
        headers
    }

    /// The headers of a message that only changes the expiration.
    pub fn headers_of_expiration(&self, expires: Option<Millis>) -> HeaderMap {
        let EntryMetadata { numbers, flags, .. } = self.metadata;
        let mut headers = HeaderMap::new();
        headers.insert(REVISION, numbers.revision.to_string());
        headers.insert(CREATE_REVISION, numbers.create_revision.to_string());
        headers.insert(VERSION, numbers.version.to_string());
        add_flags_and_expiration(&mut headers, flags, expires);
        headers
    }
}

fn add_flags_and_expiration(headers: &mut HeaderMap, flags: u64, expires: Option<Millis>) {
    if flags != 0 {
        headers.insert(FLAGS, flags.to_string());
    }
    if let Some(expires) = expires {
        headers.insert(EXPIRES, expires.to_string());
        // The server counts whole seconds, and removes the message only after every gateway regards it as expired.
        let seconds = (expires - time::now()).max(0).div_euclid(1000) + 2;
        headers.insert(TTL, seconds.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sequence: u64, headers: HeaderMap) -> Row {
        Row::parse(Stored { sequence, time: 0, headers, payload: Bytes::new() }).unwrap()
    }

    #[test]
    fn metadata_follows_the_writes() {
        let first = row(7, Row::headers_of_write(None, None, 0));
        let numbers = |row: &Row| (row.metadata.numbers.revision, row.metadata.numbers.create_revision, row.metadata.numbers.version);
        assert_eq!(numbers(&first), (7, 7, 1));
        let second = row(9, Row::headers_of_write(Some(&first), None, u64::MAX));
        assert_eq!((numbers(&second), second.metadata.flags), ((9, 7, 2), u64::MAX));
        let expiring = row(12, second.headers_of_expiration(Some(time::now() + 1500)));
        assert_eq!((numbers(&expiring), expiring.metadata.flags, expiring.is_alive()), ((9, 7, 2), u64::MAX, true));
        assert_eq!(expiring.stored.header(TTL), Some("3"));
        assert!(!row(13, second.headers_of_expiration(Some(time::now()))).is_alive());
    }

    #[test]
    fn markers_take_the_place_of_rows() {
        let first = row(7, Row::headers_of_write(None, None, 0));
        let marker = row(8, first.headers_of_removal(60));
        assert_eq!((marker.is_alive(), marker.removal().unwrap()), (false, Some((7, false))));
        let mut headers = Row::headers_of_write(None, None, 0);
        marker.add_expiration(&mut headers);
        assert_eq!(row(9, headers.clone()).expired_before().unwrap(), None);
        row(9, first.headers_of_expiration(Some(time::now()))).add_expiration(&mut headers);
        assert_eq!(row(10, headers).expired_before().unwrap(), Some(7));
        let mut headers = HeaderMap::new();
        headers.insert(MARKER, MARKER_OF_EXPIRATION);
        assert_eq!(row(11, headers).removal().unwrap(), Some((0, true)));
        assert_eq!(first.removal().unwrap(), None);
    }

    #[test]
    fn a_message_of_another_program_is_reported() {
        let mut headers = HeaderMap::new();
        headers.insert(VERSION, "many");
        let stored = Stored { sequence: 1, time: 0, headers, payload: Bytes::new() };
        assert_eq!(Row::parse(stored).err().map(|error| error.reason().to_owned()).as_deref(), Some("BACKEND_KEY_CONFLICT"));
    }
}
