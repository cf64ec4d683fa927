//! Names of the Redis keys of a keyspace. The documentation of the crate has the table of all keys.

use std::fmt::Write as _;

use prism_driver::Keyspace;

/// How long the result of an operation on several sets exists that nobody reads, in milliseconds.
pub const RESULT_MILLIS: u64 = 60_000;

/// The names of the Redis keys of one keyspace.
#[derive(Clone, Debug)]
pub struct KeyNames {
    root: Vec<u8>,
    /// The last revision.
    pub revision: Vec<u8>,
    /// The index of all keys.
    pub index: Vec<u8>,
    /// The index of keys that expire.
    pub expirations: Vec<u8>,
    /// The state of the history, if the keyspace is watched.
    pub watch: Vec<u8>,
    /// The changes of the history.
    pub changes: Vec<u8>,
    /// The prefix of the Redis keys that hold values.
    pub value_prefix: Vec<u8>,
}

impl KeyNames {
    pub fn new(prefix: &str, keyspace: &Keyspace) -> Self {
        let root = format!("{prefix}{{{}/{}}}:", escape(&keyspace.namespace), escape(&keyspace.slot)).into_bytes();
        let below = |name: &str| [&root, name.as_bytes()].concat();
        Self {
            revision: below("revision"),
            index: below("keys"),
            expirations: below("expirations"),
            watch: below("watch"),
            changes: below("changes"),
            value_prefix: below("value:"),
            root,
        }
    }

    /// The Redis key that holds the value of a key.
    pub fn value(&self, key: &[u8]) -> Vec<u8> {
        [&self.value_prefix, key].concat()
    }

    /// The Redis key of a named object, for example `stream:orders`.
    pub fn named(&self, kind: &str, name: impl AsRef<[u8]>) -> Vec<u8> {
        [&self.root, kind.as_bytes(), b":", name.as_ref()].concat()
    }
}

/// Escapes the characters that separate names or end a hash tag.
fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '%' | '/' | '{' | '}') {
            let _ = write!(out, "%{:02X}", u32::from(letter));
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyspaces_never_share_a_key() {
        let keys = |namespace: &str, slot: &str| {
            KeyNames::new("prism:", &Keyspace { namespace: namespace.to_owned(), slot: slot.to_owned() }).value(b"k")
        };
        assert_eq!(keys("shop", "store"), b"prism:{shop/store}:value:k");
        assert_eq!(keys("a}/b", "c"), b"prism:{a%7D%2Fb/c}:value:k");
        assert_ne!(keys("a/b", "c"), keys("a", "b/c"));
        assert_ne!(keys("a%2Fb", "c"), keys("a/b", "c"));
    }
}
