//! Names of the subjects and JetStream streams of a keyspace. The documentation of the crate has the table of all of them.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};

use prism_driver::{Keyspace, cursor};

/// Bytes of a key in one token of its subject. A filter of subjects can use as many whole tokens of a prefix as there are.
const TOKEN_BYTES: usize = 4;
/// Longest name that is part of the name of a JetStream stream as it is.
const MAX_NAME: usize = 120;

/// The names of one keyspace.
#[derive(Clone, Debug)]
pub struct Names {
    /// `prism.NAMESPACE.SLOT.`
    subjects: String,
    /// `prism_NAMESPACE_SLOT_`
    streams: String,
}

impl Names {
    pub fn new(subject_prefix: &str, keyspace: &Keyspace) -> Self {
        let (namespace, slot) = (escape(keyspace.namespace.as_bytes()), escape(keyspace.slot.as_bytes()));
        // Names of streams have no dots. The escaped names have no underscores, so no two keyspaces share a prefix.
        let prefix = subject_prefix.replace('.', "_");
        Self { subjects: format!("{subject_prefix}{namespace}.{slot}."), streams: format!("{prefix}{namespace}_{slot}_") }
    }

    /// A subject below a kind, for example `prism.shop.store.kv.` and more tokens.
    pub fn subject(&self, kind: &str, tokens: &str) -> String {
        format!("{}{kind}.{tokens}", self.subjects)
    }

    /// The JetStream stream of a kind, for example `prism_shop_store_kv`.
    pub fn stream(&self, kind: &str) -> String {
        format!("{}{kind}", self.streams)
    }

    /// The JetStream stream of a named object, for example `prism_shop_store_stream_orders`.
    pub fn named_stream(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}_{}", self.streams, short(name))
    }
}

/// One token for any text. Letters, digits and `-` stand for themselves.
pub fn token(text: &str) -> String {
    escape(text.as_bytes())
}

/// The tokens of a topic, or of a pattern with the wildcards of NATS, which are those of the contract.
pub fn topic_tokens(topic: &str) -> String {
    let tokens = topic.split('.').map(|token| if matches!(token, "*" | ">") { token.to_owned() } else { escape(token.as_bytes()) });
    tokens.collect::<Vec<_>>().join(".")
}

/// The topic of tokens from [`topic_tokens`].
pub fn parse_topic<'t>(tokens: impl Iterator<Item = &'t str>) -> Option<String> {
    let parts: Option<Vec<String>> = tokens.map(|token| String::from_utf8(unescape(token)?).ok()).collect();
    parts.map(|parts| parts.join("."))
}

/// The text of a token.
pub fn parse_token(token: &str) -> Option<String> {
    String::from_utf8(unescape(token)?).ok()
}

/// The tokens of a key: four bytes each, so that subjects can be listed by the prefix of their keys.
pub fn key_tokens(key: &[u8]) -> String {
    key.chunks(TOKEN_BYTES).map(escape).collect::<Vec<_>>().join(".")
}

/// The key of tokens from [`key_tokens`].
pub fn parse_key(tokens: &str) -> Option<Vec<u8>> {
    let parts: Option<Vec<Vec<u8>>> = tokens.split('.').map(unescape).collect();
    parts.map(|parts| parts.concat())
}

/// Tokens with a wildcard that match all keys with a prefix, and others if the prefix does not end with a whole token.
pub fn prefix_filter(prefix: &[u8]) -> String {
    // `>` stands for at least one token, and a key may be as long as the prefix.
    let whole = prefix.len().saturating_sub(1) / TOKEN_BYTES * TOKEN_BYTES;
    if whole == 0 { ">".to_owned() } else { format!("{}.>", key_tokens(&prefix[..whole])) }
}

/// A name as part of the name of a JetStream stream, which has at most 255 bytes. Of long names, a digest takes the place of the rest.
fn short(name: &str) -> String {
    let escaped = escape(name.as_bytes());
    if escaped.len() <= MAX_NAME {
        return escaped;
    }
    let digest = digest(&SHA256, name.as_bytes());
    // No escaped name has `=` before a character that is not a hexadecimal digit.
    format!("{}=_{}", &escaped[..MAX_NAME / 2], escape(cursor::encode(&digest.as_ref()[..16]).as_bytes()))
}

fn escape(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || *byte == b'-' {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "={byte:02X}");
        }
    }
    text
}

fn unescape(token: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        if *first == b'=' {
            let (digits, others) = others.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = others;
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(namespace: &str, slot: &str) -> Names {
        Names::new("prism.", &Keyspace { namespace: namespace.to_owned(), slot: slot.to_owned() })
    }

    #[test]
    fn keyspaces_never_share_a_name() {
        let shop = names("shop", "store");
        assert_eq!(shop.subject("kv", &key_tokens(b"user:42")), "prism.shop.store.kv.user.=3A42");
        assert_eq!(shop.named_stream("stream", "orders/eu"), "prism_shop_store_stream_orders=2Feu");
        assert_ne!(names("a_b", "c").stream("kv"), names("a", "b_c").stream("kv"));
        assert_ne!(names("a.b", "c").subject("kv", "x"), names("a", "b.c").subject("kv", "x"));
    }

    #[test]
    fn keys_of_any_bytes() {
        for key in [&b"a"[..], b"abcd", b"abcde", b"\x00\xff.*> =3A", "größe".as_bytes()] {
            assert_eq!(parse_key(&key_tokens(key)).as_deref(), Some(key));
        }
        assert_eq!(parse_key("=4"), None);
        assert_eq!(parse_key("=zz"), None);
    }

    #[test]
    fn a_filter_matches_all_keys_with_the_prefix() {
        assert_eq!(prefix_filter(b""), ">");
        assert_eq!(prefix_filter(b"user"), ">");
        assert_eq!(prefix_filter(b"user:"), "user.>");
        assert_eq!(prefix_filter(b"user:42:"), "user.>");
    }

    #[test]
    fn long_names_stay_different() {
        let (one, other) = ("n".repeat(200), "n".repeat(199) + "m");
        assert!(short(&one).len() <= MAX_NAME);
        assert_ne!(short(&one), short(&other));
        assert_ne!(short(&"\u{6771}".repeat(60)), short(&"\u{6771}".repeat(61)));
    }

    #[test]
    fn topics_keep_their_tokens_and_wildcards() {
        assert_eq!(topic_tokens("orders.*.größe.>"), "orders.*.gr=C3=B6=C3=9Fe.>");
        assert_eq!(parse_topic("orders.gr=C3=B6=C3=9Fe".split('.')).as_deref(), Some("orders.größe"));
    }
}
