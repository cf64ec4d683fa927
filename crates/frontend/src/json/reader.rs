//! A pull parser for JSON (RFC 8259).

use std::borrow::Cow;

use super::{JsonError, MAX_DEPTH};

/// The kind of the next value, by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// A cursor in a JSON text.
#[derive(Clone)]
pub struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    member_at: usize,
}

impl<'a> JsonReader<'a> {
    /// Starts at the beginning of a text.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, member_at: 0 }
    }

    /// The byte offset.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// The byte offset of the last name that [`member`](Self::member) returned.
    pub const fn member_position(&self) -> usize {
        self.member_at
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Returns the kind of the next value, without consuming it.
    pub fn peek(&mut self) -> Result<Token, JsonError> {
        self.space();
        Ok(match self.byte() {
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b'"') => Token::String,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b't' | b'f') => Token::Bool,
            Some(b'n') => Token::Null,
            Some(_) => return Err(self.fault("expected a value")),
            None => return Err(self.fault("expected a value, but the text ends")),
        })
    }

    fn fault(&self, description: &'static str) -> JsonError {
        JsonError::syntax(self.at, description)
    }

    fn open(&mut self, bracket: u8, description: &'static str) -> Result<(), JsonError> {
        self.space();
        if self.byte() != Some(bracket) {
            return Err(self.fault(description));
        }
        if self.depth == MAX_DEPTH {
            return Err(self.fault("more than 100 levels of nesting"));
        }
        self.at += 1;
        self.depth += 1;
        Ok(())
    }

    /// Enters an object.
    pub fn open_object(&mut self) -> Result<(), JsonError> {
        self.open(b'{', "expected an object")
    }

    /// Enters a list.
    pub fn open_array(&mut self) -> Result<(), JsonError> {
        self.open(b'[', "expected a list")
    }

    /// Returns the name of the next member of the object, or `None` at its end. `first` must be `true` in the first call.
    pub fn member(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, JsonError> {
        if !self.another(first, b'}', "expected `,` or `}`")? {
            return Ok(None);
        }
        self.space();
        if self.byte() != Some(b'"') {
            return Err(self.fault("expected a name in quotes"));
        }
        self.member_at = self.at;
        let name = self.string()?;
        self.space();
        if self.byte() != Some(b':') {
            return Err(self.fault("expected `:`"));
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// Whether the list has another element. `first` must be `true` in the first call.
    pub fn element(&mut self, first: &mut bool) -> Result<bool, JsonError> {
        self.another(first, b']', "expected `,` or `]`")
    }

    fn another(&mut self, first: &mut bool, end: u8, description: &'static str) -> Result<bool, JsonError> {
        self.space();
        match self.byte() {
            Some(byte) if byte == end => {
                self.at += 1;
                self.depth = self.depth.saturating_sub(1);
                return Ok(false);
            }
            Some(b',') if !*first => {
                self.at += 1;
                self.space();
                if self.byte() == Some(end) {
                    return Err(self.fault("a trailing comma is not allowed"));
                }
            }
            Some(_) if *first => {}
            _ => return Err(self.fault(description)),
        }
        *first = false;
        Ok(true)
    }

    /// Consumes a string.
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.space();
        if self.byte() != Some(b'"') {
            return Err(self.fault("a string was expected"));
        }
        self.at += 1;
        let start = self.at;
        loop {
            match self.byte() {
                Some(b'"') => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => return self.escaped(start).map(Cow::Owned),
                Some(0..=0x1f) => return Err(self.fault("a control character in a string must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.fault("the string does not end")),
            }
        }
    }

    /// Consumes the rest of a string, from its first escape.
    fn escaped(&mut self, start: usize) -> Result<String, JsonError> {
        let mut out = self.text[start..self.at].to_owned();
        let mut plain = self.at;
        loop {
            match self.byte() {
                Some(b'"') => {
                    out.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    out.push(self.escape()?);
                    plain = self.at;
                }
                Some(0..=0x1f) => return Err(self.fault("a control character in a string must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.fault("the string does not end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let letter = self.byte();
        self.at += 1;
        Ok(match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let at = self.at;
                let first = self.hex4()?;
                let half = || JsonError::syntax(at, "a surrogate without its pair");
                let scalar = match first {
                    0xd800..=0xdbff => {
                        if self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u") {
                            return Err(half());
                        }
                        self.at += 2;
                        match self.hex4()? {
                            low @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00),
                            _ => return Err(half()),
                        }
                    }
                    other => other,
                };
                return char::from_u32(scalar).ok_or_else(half);
            }
            _ => {
                self.at -= 1;
                return Err(self.fault("unknown escape"));
            }
        })
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let value = value.ok_or_else(|| self.fault("expected four hexadecimal digits"))?;
        self.at += 4;
        Ok(value)
    }

    /// Consumes a number and returns its text.
    pub fn number(&mut self) -> Result<&'a str, JsonError> {
        self.space();
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.fault("expected a number")),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("expected a digit")) } else { Ok(()) }
    }

    /// Consumes `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool, JsonError> {
        if self.word("true") {
            Ok(true)
        } else if self.word("false") {
            Ok(false)
        } else {
            Err(self.fault("expected true or false"))
        }
    }

    /// Consumes `null`.
    pub fn null(&mut self) -> Result<(), JsonError> {
        if self.word("null") { Ok(()) } else { Err(self.fault("expected null")) }
    }

    fn word(&mut self, word: &str) -> bool {
        self.space();
        let is = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        if is {
            self.at += word.len();
        }
        is
    }

    /// Skips a value and returns its text.
    pub fn skip(&mut self) -> Result<&'a str, JsonError> {
        self.space();
        let start = self.at;
        match self.peek()? {
            Token::Object => {
                self.open_object()?;
                let mut first = true;
                while self.member(&mut first)?.is_some() {
                    self.skip()?;
                }
            }
            Token::Array => {
                self.open_array()?;
                let mut first = true;
                while self.element(&mut first)? {
                    self.skip()?;
                }
            }
            Token::String => drop(self.string()?),
            Token::Number => drop(self.number()?),
            Token::Bool => drop(self.boolean()?),
            Token::Null => self.null()?,
        }
        Ok(&self.text[start..self.at])
    }

    /// Checks that nothing follows the value.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at < self.text.len() { Err(self.fault("unexpected text after the value")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        let mut reader = JsonReader::new(text);
        reader.skip().and_then(|_| reader.end()).is_ok()
    }

    proptest! {
        #[test]
        fn strings_survive_a_round_trip(text: String) {
            let written = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(JsonReader::new(&written).string().unwrap(), text);
        }

        #[test]
        fn texts_are_accepted_as_by_a_reference_parser(text in r#"[\[\]{}:,"a0-9.eE+\- \\untrefals]{0,24}"#) {
            // The other one refuses numbers beyond a double's range, which is no matter of grammar.
            let other = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(accepts(&text), other, "{}", text);
        }
    }

    #[test]
    fn escapes_are_decoded_and_lone_surrogates_are_refused() {
        assert_eq!(JsonReader::new(r#""\u00e4\ud83d\ude00\/\n""#).string().unwrap(), "ä😀/\n");
        for bad in [r#""\ud83d""#, r#""\ud83dx""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\x""#, r#""\u12"#, "\"\n\"", "\"", "\"\\"] {
            assert!(JsonReader::new(bad).string().is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_is_limited() {
        assert!(accepts(&("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH))));
        assert!(!accepts(&"[".repeat(MAX_DEPTH + 1)));
        assert!(!accepts(&"[".repeat(1_000_000)));
    }
}
