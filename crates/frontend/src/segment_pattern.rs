//! Segments of a path that have text beside their parameters, such as `{id}.json` or `{base}...{head}`.

use std::fmt;

use super::percent;

/// The text around the parameters of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPattern {
    /// Decoded. The text before the first parameter, between them, and after the last one. Only the first and the last may be empty.
    literals: Vec<String>,
}

impl SegmentPattern {
    /// Creates a pattern from the texts around its parameters. Returns `None` if there is no text between two parameters.
    pub fn new(literals: Vec<String>) -> Option<Self> {
        let between = literals.get(1..literals.len().checked_sub(1)?)?;
        (literals.len() > 1 && !between.iter().any(String::is_empty)).then_some(Self { literals })
    }

    /// Returns the number of bytes of text. Of two patterns, the one with more text is more specific.
    pub fn weight(&self) -> usize {
        self.literals.iter().map(String::len).sum()
    }

    /// Whether an encoded segment matches.
    pub fn matches(&self, segment: &str) -> bool {
        self.walk(segment, |_, _| {})
    }

    /// Returns the part of an encoded segment that a parameter matches, or an empty text if the segment does not match.
    pub fn capture<'s>(&self, segment: &'s str, parameter: usize) -> &'s str {
        let mut found = "";
        let matched = self.walk(segment, |index, part| {
            if index == parameter {
                found = part;
            }
        });
        if matched { found } else { "" }
    }

    /// Writes the segment with these texts in the place of its parameters.
    pub fn write<'v>(&self, mut parameters: impl Iterator<Item = &'v str>, out: &mut String) -> Option<()> {
        for (index, literal) in self.literals.iter().enumerate() {
            if index > 0 {
                out.push_str(parameters.next()?);
            }
            out.push_str(&percent::encode(literal, percent::Slash::Decoded));
        }
        Some(())
    }

    /// Matches a segment. Each parameter takes as little as possible, but at least one character. A later end of a parameter would leave
    /// less for the others, so nothing has to be tried twice.
    fn walk<'s>(&self, segment: &'s str, mut each: impl FnMut(usize, &'s str)) -> bool {
        let (Some(first), Some(rest)) = (self.literals.first(), self.literals.get(1..)) else { return false };
        let Some(start) = prefix(segment, first) else { return false };
        let mut left = &segment[start..];
        for (index, literal) in rest.iter().enumerate() {
            let last = index + 1 == rest.len();
            let ends = left.char_indices().map(|(end, _)| end).chain([left.len()]).skip(1);
            let found = ends.filter(|end| !is_in_escape(left, *end)).find_map(|end| {
                let length = prefix(&left[end..], literal)?;
                (!last || end + length == left.len()).then_some((end, end + length))
            });
            let Some((end, next)) = found else { return false };
            each(index, &left[..end]);
            left = &left[next..];
        }
        true
    }
}

/// Whether a position is within a character that is percent-encoded.
fn is_in_escape(text: &str, position: usize) -> bool {
    let before = &text.as_bytes()[..position];
    before.ends_with(b"%") || before.len() >= 2 && before[before.len() - 2] == b'%'
}

/// Returns how many bytes of an encoded text a decoded literal takes at its start, or `None` if the text begins differently. A reserved
/// character (RFC 3986, section 2.2) that is encoded is data, and not the literal.
fn prefix(text: &str, literal: &str) -> Option<usize> {
    const RESERVED: &[u8] = b":/?#[]@!$&'()*+,;=";
    let (bytes, mut at) = (text.as_bytes(), 0);
    for wanted in literal.bytes() {
        if bytes.get(at) == Some(&wanted) && wanted != b'%' {
            at += 1;
            continue;
        }
        let digits = text.get(at..)?.strip_prefix('%')?.get(..2)?;
        if u8::from_str_radix(digits, 16).ok()? != wanted || RESERVED.contains(&wanted) {
            return None;
        }
        at += 3;
    }
    text.is_char_boundary(at).then_some(at)
}

impl fmt::Display for SegmentPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.literals.join("{}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(literals: &[&str]) -> SegmentPattern {
        SegmentPattern::new(literals.iter().map(|literal| (*literal).to_owned()).collect()).unwrap()
    }

    #[test]
    fn parameters_take_what_is_between_the_texts() {
        for (literals, segment, wanted) in [
            (vec!["", ".json"], "a.json", vec!["a"]),
            (vec!["", ".json"], "a.json.json", vec!["a.json"]),
            (vec!["", ".json"], "%2E.json", vec!["%2E"]),
            (vec!["", ".json"], "a%2ejson", vec!["a"]),
            (vec!["", "...", ""], "main...topic", vec!["main", "topic"]),
            (vec!["", "...", ""], "a....b", vec!["a", ".b"]),
            (vec!["", ",", ""], "a%2Cb,c", vec!["a%2Cb", "c"]),
            (vec!["v", ""], "v12", vec!["12"]),
            (vec!["", "3", ""], "%33%313b", vec!["%33%31", "b"]),
            (vec!["", "2", ""], "a%20b2c", vec!["a%20b", "c"]),
            (vec!["é", "-", ":x"], "%C3%A9ä-b:x", vec!["ä", "b"]),
        ] {
            let pattern = pattern(&literals);
            assert!(pattern.matches(segment), "{segment}");
            let parts: Vec<&str> = (0..wanted.len()).map(|index| pattern.capture(segment, index)).collect();
            assert_eq!(parts, wanted, "{segment}");
        }
    }

    #[test]
    fn parameters_are_not_empty_and_encoded_delimiters_are_data() {
        for (literals, segment) in [
            (vec!["", ".json"], ".json"),
            (vec!["", ".json"], "a.xml"),
            (vec!["", "...", ""], "a..."),
            (vec!["", "...", ""], "a..b"),
            (vec!["", ":x"], "a%3Ax"),
            (vec!["v", ""], "v"),
            (vec!["v", ""], ""),
            (vec!["%", ""], "%"),
        ] {
            assert!(!pattern(&literals).matches(segment), "{segment}");
        }
        assert!(SegmentPattern::new(vec!["a".into(), String::new(), "b".into()]).is_none());
        assert!(SegmentPattern::new(vec!["a".into()]).is_none() && SegmentPattern::new(Vec::new()).is_none());
    }
}
