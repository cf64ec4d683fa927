//! Names of the Redis keys of a keyspace; the table is in the driver's module.

use std::fmt::Write as _;

use prism_driver::Keyspace;

/// The Redis keys of one keyspace.
#[derive(Clone, Debug)]
pub struct Keys {
    root: Vec<u8>,
    /// The last revision.
    pub revision: Vec<u8>,
    /// The index of keys.
    pub index: Vec<u8>,
    /// Keys that expire.
    pub expirations: Vec<u8>,
    /// What stands before a key whose value is stored.
    pub values: Vec<u8>,
}

impl Keys {
    pub fn new(prefix: &str, keyspace: &Keyspace) -> Self {
        let root = format!("{prefix}{{{}/{}}}:", escaped(&keyspace.namespace), escaped(&keyspace.slot)).into_bytes();
        let below = |name: &str| [&root, name.as_bytes()].concat();
        Self { revision: below("revision"), index: below("keys"), expirations: below("expirations"), values: below("value:"), root }
    }

    /// Where the value of a key is stored.
    pub fn value(&self, key: &[u8]) -> Vec<u8> {
        [&self.values, key].concat()
    }

    /// Something named, as `stream:orders`.
    pub fn named(&self, kind: &str, name: &str) -> Vec<u8> {
        [&self.root, kind.as_bytes(), b":", name.as_bytes()].concat()
    }
}

/// A name without what separates names, and without what ends a hash tag.
fn escaped(name: &str) -> String {
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
            Keys::new("prism:", &Keyspace { namespace: namespace.to_owned(), slot: slot.to_owned() }).value(b"k")
        };
        assert_eq!(keys("shop", "store"), b"prism:{shop/store}:value:k");
        assert_eq!(keys("a}/b", "c"), b"prism:{a%7D%2Fb/c}:value:k");
        assert_ne!(keys("a/b", "c"), keys("a", "b/c"));
        assert_ne!(keys("a%2Fb", "c"), keys("a/b", "c"));
    }
}
