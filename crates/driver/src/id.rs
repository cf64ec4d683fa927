//! Random identifiers: 128 bits, written as 32 hexadecimal digits.

/// A new random identifier. Two of them are never equal in practice.
pub fn random() -> u128 {
    rand::random()
}

/// A random number, for what is told apart only from what was there before.
pub fn random_number() -> u64 {
    rand::random()
}

/// A new random identifier as text.
pub fn random_text() -> String {
    to_text(random())
}

/// The text of an identifier: 32 lower-case hexadecimal digits.
pub fn to_text(id: u128) -> String {
    format!("{id:032x}")
}

/// Parses the text of an identifier; `None` if it is not exactly 32 hexadecimal digits.
pub fn parse(text: &str) -> Option<u128> {
    // `from_str_radix` alone would accept a sign and shorter texts.
    let valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if valid { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_only_its_own_text() {
        let id = random();
        assert_eq!(parse(&to_text(id)), Some(id));
        assert_eq!(parse(&to_text(7)), Some(7));
        for bad in ["", "7", "+0000000000000000000000000000007", "0000000000000000000000000000000g"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
