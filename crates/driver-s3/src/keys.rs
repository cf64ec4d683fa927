//! Keys of objects in the bucket.
//!
//! | data | key |
//! |---|---|
//! | a blob | `<prefix><namespace>/<slot>/<key>`; with `escape_keys`, the key is escaped |
//! | a value of KeyValue | `<prefix><namespace>/<slot>.values/<escaped key>` |
//!
//! Escaping keeps letters and digits. Every other byte is a mark and two hexadecimal digits. The mark sorts where the byte does, so escaped
//! keys have the order of the keys, and an escaped prefix is the prefix of escaped keys. An escaped key has `-/` after each 200 characters, since
//! services that store objects in a file system limit the names between two `/`. It is at the same places in all keys, so it changes no order.

use std::borrow::Cow;

use prism_call::Error;
use prism_driver::Keyspace;

/// Longest key that is escaped: three times as many bytes fit in a key of S3, with the prefix.
pub const MAX_ESCAPED_KEY: u64 = 256;
/// Longest key that is not escaped. Keys of S3 have at most 1,024 bytes, with the prefix.
pub const MAX_PLAIN_KEY: u64 = 700;

/// Characters of an escaped key between two `/`. File systems allow 255 bytes.
const SEGMENT: usize = 200;
/// What is between two segments. It is not `/` alone, because a key of one segment is a file, and this is a folder.
const SEPARATOR: &str = "-/";

/// The keys of the blobs of one keyspace.
#[derive(Clone, Debug)]
pub struct BlobKeys {
    folder: String,
    escape: bool,
}

impl BlobKeys {
    /// Creates the keys of a keyspace.
    pub fn new(prefix: &str, keyspace: &Keyspace, escape: bool) -> Self {
        Self { folder: format!("{prefix}{}/{}/", keyspace.namespace, keyspace.slot), escape }
    }

    /// Checks a key. Without escaping, it must not have the segments `.` and `..`: a service that stores objects in a file system, or a proxy,
    /// could take it for a key of another keyspace.
    pub fn check(&self, field: &str, key: &str) -> Result<(), Error> {
        if !self.escape && key.split('/').any(|segment| matches!(segment, "." | "..")) {
            let problem = "must not have the segments `.` and `..`, which need escape_keys";
            return Err(Error::invalid(field, problem).with_reason("INVALID_KEY"));
        }
        Ok(())
    }

    /// Checks a prefix of keys, whose last segment may go on.
    pub fn check_prefix(&self, prefix: &str) -> Result<(), Error> {
        self.check("prefix", prefix.rsplit_once('/').map_or("", |(complete, _)| complete))
    }

    /// Returns the key in the bucket. Also for a prefix of keys.
    pub fn object(&self, key: &str) -> String {
        let key = if self.escape { Cow::Owned(escape(key.as_bytes())) } else { Cow::Borrowed(key) };
        format!("{}{key}", self.folder)
    }

    /// Returns the key of a blob, or `None` for an object that is none of them.
    pub fn blob(&self, object: &str) -> Option<String> {
        let key = object.strip_prefix(&self.folder)?;
        if self.escape { String::from_utf8(unescape(key)?).ok() } else { Some(key.to_owned()) }
    }

    /// Whether the bucket can group keys by this delimiter.
    pub fn groups(&self) -> bool {
        !self.escape
    }

    /// Returns a key in the bucket that is greater than those of all blobs with this prefix.
    pub fn after_all(&self, prefix: &str) -> String {
        self.object(prefix) + "\u{10ffff}"
    }
}

/// Returns the folder of the values of a keyspace.
pub fn values_folder(prefix: &str, keyspace: &Keyspace) -> String {
    format!("{prefix}{}/{}.values/", keyspace.namespace, keyspace.slot)
}

/// Escapes a key.
pub fn escape(key: &[u8]) -> String {
    split(&escape_bytes(key))
}

fn escape_bytes(key: &[u8]) -> String {
    let mut out = String::with_capacity(key.len() * 2);
    for byte in key {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(char::from(*byte)),
            _ => {
                out.push(mark(*byte));
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
                }
            }
        }
    }
    out
}

/// Splits an escaped key, which is ASCII, into segments.
fn split(escaped: &str) -> String {
    if escaped.len() <= SEGMENT {
        return escaped.to_owned();
    }
    let mut out = String::with_capacity(escaped.len() + escaped.len() / SEGMENT * SEPARATOR.len());
    for (index, character) in escaped.chars().enumerate() {
        if index > 0 && index % SEGMENT == 0 {
            out.push_str(SEPARATOR);
        }
        out.push(character);
    }
    out
}

/// Returns the mark of a byte that is neither a letter nor a digit: a character between the letters and digits around it.
fn mark(byte: u8) -> char {
    match byte {
        0..b'0' => '!',
        b'0'..b'A' => '=',
        b'A'..b'a' => '_',
        _ => '~',
    }
}

/// Returns the key of an escaped key, or `None` for a text that is none.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let joined = text.replace(SEPARATOR, "");
    let mut out = Vec::with_capacity(joined.len());
    let mut rest = joined.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if first.is_ascii_alphanumeric() {
            out.push(*first);
            rest = behind;
            continue;
        }
        let byte = u8::from_str_radix(std::str::from_utf8(behind.get(..2)?).ok()?, 16).ok()?;
        out.push(byte);
        rest = &behind[2..];
    }
    (escape(&out) == text).then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys with and without common prefixes of one segment or more.
    fn keys() -> impl Strategy<Value = Vec<u8>> {
        (prop_oneof![Just(0_usize), 60..70_usize, 195..205_usize, 395..405_usize], prop::collection::vec(any::<u8>(), 0..80))
            .prop_map(|(common, rest)| [vec![b'a'; common], rest].concat())
    }

    proptest! {
        #[test]
        fn escaping_keeps_order_and_prefixes(one in keys(), two in keys()) {
            let (first, second) = (escape(&one), escape(&two));
            prop_assert_eq!(first.cmp(&second), one.cmp(&two));
            prop_assert_eq!(second.starts_with(&first), two.starts_with(&one));
            prop_assert_eq!(unescape(&first), Some(one));
        }
    }

    #[test]
    fn escaped_keys_are_readable_and_have_no_other_form() {
        assert_eq!(escape(b"user:42/a.B"), "user=3a42!2fa!2eB");
        assert_eq!(escape("ü".as_bytes()), "~c3~bc");
        assert_eq!(escape(&[b'a'; 200]), "a".repeat(200));
        assert_eq!(escape(&[b'a'; 401]), format!("{}-/{}-/a", "a".repeat(200), "a".repeat(200)));
        for other in ["a/b", "a-/b", "!61", "=2f", "!2", "~C3", "!2F"] {
            assert_eq!(unescape(other), None, "{other}");
        }
    }

    #[test]
    fn keys_of_blobs_are_below_the_keyspace() {
        let keyspace = Keyspace { namespace: "shop".to_owned(), slot: "storage".to_owned() };
        let plain = BlobKeys::new("a/", &keyspace, false);
        assert_eq!(plain.object("x/y.jpg"), "a/shop/storage/x/y.jpg");
        assert_eq!(plain.blob("a/shop/storage/x/y.jpg").as_deref(), Some("x/y.jpg"));
        assert_eq!(plain.blob("a/shop/storage.values/x"), None);
        for (key, is_valid) in
            [("..", false), ("a/../../b", false), ("a/.", false), ("./a", false), ("a/..b/.c", true), ("a..", true), ("//", true)]
        {
            assert_eq!(plain.check("key", key).is_ok(), is_valid, "{key}");
        }
        assert!(plain.check_prefix("a/.").is_ok() && plain.check_prefix("a/../").is_err());
        let escaped = BlobKeys::new("", &keyspace, true);
        assert!(escaped.check("key", "../a").is_ok());
        assert_eq!(escaped.object(".."), "shop/storage/!2e!2e");
        assert_eq!(escaped.blob("shop/storage/!2e!2e").as_deref(), Some(".."));
        assert!(escaped.after_all("a/") > escaped.object("a/\u{10ffff}\u{10ffff}"));
    }
}
