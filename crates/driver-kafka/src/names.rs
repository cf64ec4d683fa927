//! Names of the Kafka topics of a keyspace. The documentation of the crate has the table of all of them.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};

use prism_driver::Keyspace;

/// Longest escaped name that is part of the name of a Kafka topic as it is. Kafka accepts 249 characters.
const MAX_NAME: usize = 96;

/// The names of one keyspace.
#[derive(Clone, Debug)]
pub struct Names {
    /// `prism.NAMESPACE.SLOT.`
    prefix: String,
}

impl Names {
    pub fn new(topic_prefix: &str, keyspace: &Keyspace) -> Self {
        Self { prefix: format!("{topic_prefix}{}.{}.", short(&keyspace.namespace, 63), short(&keyspace.slot, 32)) }
    }

    /// The Kafka topic of a stream.
    pub fn stream(&self, stream: &str) -> String {
        format!("{}stream.{}", self.prefix, short(stream, MAX_NAME))
    }

    /// The Kafka topic of the stored messages of a topic.
    pub fn topic(&self, topic: &str) -> String {
        format!("{}topic.{}", self.prefix, short(topic, MAX_NAME))
    }

    /// The Kafka topic of messages for subscribers.
    pub fn bus(&self) -> String {
        format!("{}bus", self.prefix)
    }

    /// The Kafka topic of the commands.
    pub fn journal(&self) -> String {
        format!("{}journal", self.prefix)
    }
}

/// Escapes a name. Of long names, a digest takes the place of the rest.
fn short(name: &str, most: usize) -> String {
    let escaped = escape(name.as_bytes());
    if escaped.len() <= most {
        return escaped;
    }
    let digest = digest(&SHA256, name.as_bytes());
    let mut text = escaped[..most.saturating_sub(33)].to_owned();
    // No escaped name has `_` before a character that is not a hexadecimal digit.
    text.push_str("_x");
    for byte in &digest.as_ref()[..15] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || *byte == b'-' {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "_{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(namespace: &str, slot: &str) -> Names {
        Names::new("prism.", &Keyspace { namespace: namespace.to_owned(), slot: slot.to_owned() })
    }

    #[test]
    fn keyspaces_never_share_a_name() {
        let shop = names("shop", "events");
        assert_eq!(shop.stream("orders/eu"), "prism.shop.events.stream.orders_2Feu");
        assert_ne!(names("a_b", "c").bus(), names("a", "b_c").bus());
        assert_ne!(names("a.b", "c").bus(), names("a", "b.c").bus());
    }

    #[test]
    fn long_names_stay_different_and_fit() {
        let longest = "\u{6771}".repeat(66);
        let names = names(&"n".repeat(63), &longest);
        for name in ["s".repeat(200), longest.clone()] {
            let (one, other) = (names.stream(&name), names.stream(&format!("{}x", &name[..198])));
            assert!(one.len() <= 249 && one != other, "{one}");
        }
    }
}
