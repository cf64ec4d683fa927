//! Names of files for keys.
//!
//! Every key has exactly one name, and every name one key, on file systems with and without upper case. Lower-case letters, digits, `-`, `_`
//! and `.` (except at the start) stand for themselves, all other bytes are `%` and two hexadecimal digits. So a name is never a path, nor
//! hidden. A name that would be too long is cut, and ends with `~` and the SHA-256 of the key; the file itself has the key.

use aws_lc_rs::digest;

/// Most bytes of a name without a digest; file systems allow 255.
const MAX_NAME: usize = 200;
/// Bytes of a long name before its digest.
const MAX_STEM: usize = 128;

/// Returns the name of the file of a key.
pub fn encode(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for (index, byte) in key.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_') || (byte == b'.' && index > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&hexadecimal(&[byte]));
        }
    }
    if name.len() <= MAX_NAME {
        return name;
    }
    name.truncate(MAX_STEM);
    name.push('~');
    name.push_str(&hexadecimal(digest::digest(&digest::SHA256, key.as_bytes()).as_ref()));
    name
}

/// What the name of a file says.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The whole key.
    Key(String),
    /// Too little: the key is in the file.
    Long,
    /// The file is not one of this driver.
    Foreign,
}

/// Decodes the name of a file.
pub fn decode(name: &str) -> Decoded {
    if name.len() == MAX_STEM + 65 && name.as_bytes().get(MAX_STEM) == Some(&b'~') {
        return Decoded::Long;
    }
    let decoded = decode_key(name).filter(|key| encode(key) == name);
    decoded.map_or(Decoded::Foreign, Decoded::Key)
}

fn decode_key(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok().filter(|key| !key.is_empty())
}

/// Returns the lock that a name belongs to, from 0 to 255. All processes must agree on it.
pub fn lock_number(name: &str) -> usize {
    usize::from(digest::digest(&digest::SHA256, name.as_bytes()).as_ref().first().copied().unwrap_or_default())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_never_paths_or_hidden() {
        for (key, name) in [
            ("photos/2026/a.jpg", "photos%2f2026%2fa.jpg"),
            ("..", "%2e."),
            (".hidden", "%2ehidden"),
            ("A", "%41"),
            ("a b%", "a%20b%25"),
            ("ü", "%c3%bc"),
            ("~", "%7e"),
        ] {
            assert_eq!((encode(key).as_str(), decode(name)), (name, Decoded::Key(key.to_owned())));
        }
        for foreign in ["A", "..", ".x", "%2E.", "%zz", "%2", "", "%ff", "a/b", "%61"] {
            assert_eq!(decode(foreign), Decoded::Foreign, "{foreign}");
        }
    }

    #[test]
    fn long_names_fit_and_differ() {
        let keys = ["x".repeat(1024), "x".repeat(1023), "x".repeat(201), "Ü".repeat(100), "Ü".repeat(101)];
        let names: HashSet<String> = keys.iter().map(|key| encode(key)).collect();
        assert_eq!(names.len(), keys.len());
        for name in names {
            assert!(name.len() <= 255, "{name}");
            assert_eq!(decode(&name), Decoded::Long);
        }
    }

    proptest! {
        #[test]
        fn every_key_has_its_own_name(one in "\\PC{1,40}", two in "\\PC{1,40}") {
            let (name, other) = (encode(&one), encode(&two));
            prop_assert_eq!(one == two, name.to_lowercase() == other.to_lowercase());
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
            if let Decoded::Key(key) = decode(&name) {
                prop_assert_eq!(key, one);
            }
        }
    }
}
