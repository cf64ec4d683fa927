//! The texts of notifications.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use prost::Message as _;

use prism_call::proto::models::pubsub::v1::Message;

/// Most bytes of the text of a notification. PostgreSQL allows fewer than 8,000.
pub const MAX_TEXT_BYTES: usize = 7900;

/// Most topics of one notification.
pub const MAX_TOPICS: usize = (MAX_TEXT_BYTES - 1 - 16) / 16;

/// A notification.
#[derive(Debug, PartialEq)]
pub enum Notification {
    /// These topics have changed; an empty list means all of the keyspace. Announced by the gateway with this number.
    Changes { gateway: u64, topics: Vec<u64> },
    /// A message.
    Message(Message),
    /// A message that is in a table, with its topic. A sequence of 0 means none.
    LargeMessage { sequence: u64, id: i64, topic: String },
}

/// The text that announces changes.
pub fn changes_text(gateway: u64, topics: impl Iterator<Item = u64>) -> String {
    let mut text = format!("c{gateway:016x}");
    for topic in topics {
        // Writing to a string can't fail.
        let _ = write!(text, "{topic:016x}");
    }
    text
}

/// The text before that of a message. The sequence is 0 if the message has it, or none.
pub fn sequence_text(kind: char, sequence: u64) -> String {
    format!("{kind}{sequence}")
}

/// The text of a message behind its sequence.
pub fn message_text(encoded: &[u8]) -> String {
    format!(":{}", STANDARD_NO_PAD.encode(encoded))
}

/// The text of a message in the table behind its sequence.
pub fn large_message_text(id: i64, topic: &str) -> String {
    format!(":{:016x}{}", id.cast_unsigned(), STANDARD_NO_PAD.encode(topic))
}

/// Parses a notification; `None` if Prism has not sent it.
pub fn parse(text: &str) -> Option<Notification> {
    let rest = text.get(1..)?;
    match text.as_bytes()[0] {
        b'c' => parse_changes(rest),
        b'm' => {
            let (sequence, encoded) = parse_sequence(rest)?;
            decode_message(sequence, STANDARD_NO_PAD.decode(encoded).ok()?.into()).map(Notification::Message)
        }
        b'l' => {
            let (sequence, rest) = parse_sequence(rest)?;
            let id = u64::from_str_radix(rest.get(..16)?, 16).ok()?.cast_signed();
            let topic = String::from_utf8(STANDARD_NO_PAD.decode(rest.get(16..)?).ok()?).ok()?;
            Some(Notification::LargeMessage { sequence, id, topic })
        }
        _ => None,
    }
}

/// Decodes a message. A sequence of 0 keeps that of the message.
pub fn decode_message(sequence: u64, encoded: Bytes) -> Option<Message> {
    let message = Message::decode(encoded).ok()?;
    Some(if sequence == 0 { message } else { Message { sequence, ..message } })
}

fn parse_sequence(text: &str) -> Option<(u64, &str)> {
    let (sequence, rest) = text.split_once(':')?;
    Some((sequence.parse().ok()?, rest))
}

fn parse_changes(text: &str) -> Option<Notification> {
    let mut numbers = text.as_bytes().chunks(16).map(|digits| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
    let gateway = numbers.next()??;
    Some(Notification::Changes { gateway, topics: numbers.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_has_written() {
        let changes = Notification::Changes { gateway: u64::MAX, topics: vec![7, 1 << 63] };
        assert_eq!(parse(&changes_text(u64::MAX, [7, 1 << 63].into_iter())), Some(changes));
        assert_eq!(parse(&changes_text(1, std::iter::empty())), Some(Notification::Changes { gateway: 1, topics: vec![] }));
        let message = Message { topic: "a".to_owned(), payload: Bytes::from_static(b"\0\xff"), ..Message::default() };
        let text = format!("{}{}", sequence_text('m', 0), message_text(&message.encode_to_vec()));
        assert_eq!(parse(&text), Some(Notification::Message(message.clone())));
        let text = format!("{}{}", sequence_text('m', 9), message_text(&message.encode_to_vec()));
        assert_eq!(parse(&text), Some(Notification::Message(Message { sequence: 9, ..message })));
        let text = format!("{}{}", sequence_text('l', 3), large_message_text(-1, "gr\u{f6}\u{df}e"));
        assert_eq!(parse(&text), Some(Notification::LargeMessage { sequence: 3, id: -1, topic: "gr\u{f6}\u{df}e".to_owned() }));
        for text in ["", "c", "cxyz", "m", "m1", "mx:", "m1:?", "l1:", "l1:0123", "\u{f6}", "\u{6771}\u{4eac}", "x1:"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(changes_text(0, 0..MAX_TOPICS as u64).len() <= MAX_TEXT_BYTES);
    }
}
