//! `tickets`.

use std::time::Duration;

use crate::{
    model::{TicketKeys, Tickets},
    reader::{Scalar, Section},
};
use prism_yaml::{Position, Value};

const MAX_KEYS: usize = 4;
const KEY_LENGTH: std::ops::RangeInclusive<usize> = 32..=1024;
const LIFETIME: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);

pub(super) fn tickets(top: &Section<'_, '_>) -> Tickets {
    let section = top.section("tickets");
    let keys = keys(&section);
    let lifetime = section.duration("lifetime").unwrap_or(Tickets::default().lifetime);
    if !LIFETIME.contains(&lifetime) {
        section.reader.problem(section.position_of("lifetime"), "`lifetime` must be from 1s to 10m");
    }
    section.finish();
    Tickets { keys, lifetime }
}

/// Reads the keys. In a variable, they are separated by commas. They are never part of a message.
fn keys(section: &Section<'_, '_>) -> TicketKeys {
    let reader = section.reader;
    let foreign = reader.override_of(&section.path_of("keys"));
    let mut keys = TicketKeys::default();
    let mut count = 0;
    let mut add = |key: &str, printable: String, position: &Position| {
        count += 1;
        if count == MAX_KEYS + 1 {
            reader.problem(position, format!("`keys` may have {MAX_KEYS} keys at most; remove old ones"));
        }
        if KEY_LENGTH.contains(&key.chars().count()) {
            keys.push(key.to_owned(), printable);
        } else {
            let message = "each of the `keys` must be a random text of 32 to 1,024 characters, as `openssl rand -base64 32` writes it";
            reader.problem(position, message);
        }
    };
    let nodes = section.list("keys").unwrap_or_default();
    if let Some(Scalar { value: Value::Text(text), position, .. }) = foreign {
        for key in text.split(',') {
            add(key.trim(), "***".to_owned(), &position);
        }
        return keys;
    }
    for node in nodes {
        let Some(Scalar { value, shown, external, position }) = reader.scalar("keys", node) else { continue };
        let printable = if external { shown.clone() } else { "***".to_owned() };
        let key = if let Value::Text(text) = value { text } else { shown };
        add(&key, printable, &position);
    }
    keys
}
