//! One row of the table: a value with its metadata in headers.

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::{error, jetstream::Stored};
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

    /// Whether it has not expired.
    pub fn is_alive(&self) -> bool {
        self.metadata.expires.is_none_or(|expires| expires > time::now())
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
    fn a_message_of_another_program_is_reported() {
        let mut headers = HeaderMap::new();
        headers.insert(VERSION, "many");
        let stored = Stored { sequence: 1, time: 0, headers, payload: Bytes::new() };
        assert_eq!(Row::parse(stored).err().map(|error| error.reason().to_owned()).as_deref(), Some("BACKEND_KEY_CONFLICT"));
    }
}
