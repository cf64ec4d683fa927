//! Reads JSON (RFC 8259) piece by piece, as a decoder asks for it.

use std::borrow::Cow;

use super::{Fault, MAX_DEPTH};

/// What comes next.
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

/// A place in a JSON text.
#[derive(Clone)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    member_at: usize,
}

impl<'a> Reader<'a> {
    /// At the beginning of a text.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, member_at: 0 }
    }

    /// Bytes from the beginning.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Where the name that [`member`](Self::member) read last begins.
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

    /// What kind of value comes next.
    pub fn peek(&mut self) -> Result<Token, Fault> {
        self.space();
        Ok(match self.byte() {
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b'"') => Token::String,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b't' | b'f') => Token::Bool,
            Some(b'n') => Token::Null,
            Some(_) => return Err(self.fault("a value was expected")),
            None => return Err(self.fault("a value was expected, but the text ends")),
        })
    }

    fn fault(&self, description: &'static str) -> Fault {
        Fault::syntax(self.at, description)
    }

    fn open(&mut self, bracket: u8, description: &'static str) -> Result<(), Fault> {
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

    /// Steps into an object.
    pub fn open_object(&mut self) -> Result<(), Fault> {
        self.open(b'{', "an object was expected")
    }

    /// Steps into a list.
    pub fn open_array(&mut self) -> Result<(), Fault> {
        self.open(b'[', "a list was expected")
    }

    /// The name of the object's next member; `None` behind the last one. `first` starts as `true`.
    pub fn member(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, Fault> {
        if !self.another(first, b'}', "`,` or `}` was expected")? {
            return Ok(None);
        }
        self.space();
        if self.byte() != Some(b'"') {
            return Err(self.fault("a name in quotes was expected"));
        }
        self.member_at = self.at;
        let name = self.string()?;
        self.space();
        if self.byte() != Some(b':') {
            return Err(self.fault("`:` was expected"));
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// Whether the list has another element. `first` starts as `true`.
    pub fn element(&mut self, first: &mut bool) -> Result<bool, Fault> {
        self.another(first, b']', "`,` or `]` was expected")
    }

    fn another(&mut self, first: &mut bool, end: u8, description: &'static str) -> Result<bool, Fault> {
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
                    return Err(self.fault("a comma may not stand before the end"));
                }
            }
            Some(_) if *first => {}
            _ => return Err(self.fault(description)),
        }
        *first = false;
        Ok(true)
    }

    /// A string.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
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

    /// A string with escapes, from its first escape on.
    fn escaped(&mut self, start: usize) -> Result<String, Fault> {
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

    fn escape(&mut self) -> Result<char, Fault> {
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
                let half = || Fault::syntax(at, "half of a surrogate pair stands alone");
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
                return Err(self.fault("this escape does not exist"));
            }
        })
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let value = value.ok_or_else(|| self.fault("four hexadecimal digits were expected"))?;
        self.at += 4;
        Ok(value)
    }

    /// A number, as it is written.
    pub fn number(&mut self) -> Result<&'a str, Fault> {
        self.space();
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.fault("a number was expected")),
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

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("a digit was expected")) } else { Ok(()) }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool, Fault> {
        if self.word("true") {
            Ok(true)
        } else if self.word("false") {
            Ok(false)
        } else {
            Err(self.fault("true or false was expected"))
        }
    }

    /// `null`.
    pub fn null(&mut self) -> Result<(), Fault> {
        if self.word("null") { Ok(()) } else { Err(self.fault("null was expected")) }
    }

    fn word(&mut self, word: &str) -> bool {
        self.space();
        let is = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        if is {
            self.at += word.len();
        }
        is
    }

    /// Passes over a value and gives its text.
    pub fn skip(&mut self) -> Result<&'a str, Fault> {
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

    /// Nothing may follow.
    pub fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at < self.text.len() { Err(self.fault("something stands behind the value")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        let mut reader = Reader::new(text);
        reader.skip().and_then(|_| reader.end()).is_ok()
    }

    proptest! {
        #[test]
        fn strings_come_back(text: String) {
            let written = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(Reader::new(&written).string().unwrap(), text);
        }

        #[test]
        fn accepts_what_another_parser_accepts(text in r#"[\[\]{}:,"a0-9.eE+\- \\untrefals]{0,24}"#) {
            // The other one refuses numbers beyond a double's range, which is no matter of grammar.
            let other = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(accepts(&text), other, "{}", text);
        }
    }

    #[test]
    fn escapes_make_characters_and_halves_of_pairs_are_refused() {
        assert_eq!(Reader::new(r#""\u00e4\ud83d\ude00\/\n""#).string().unwrap(), "ä😀/\n");
        for bad in [r#""\ud83d""#, r#""\ud83dx""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\x""#, r#""\u12"#, "\"\n\"", "\"", "\"\\"] {
            assert!(Reader::new(bad).string().is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_ends_somewhere() {
        assert!(accepts(&("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH))));
        assert!(!accepts(&"[".repeat(MAX_DEPTH + 1)));
        assert!(!accepts(&"[".repeat(1_000_000)));
    }
}
