//! Entity tags (RFC 9110, section 8.8.3). The tags of Prism are strong and contain a revision: `"7"`.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use prism_call::{Code, Error};

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any existing entry.
    Any,
    /// One tag or more.
    List(Vec<EntityTag>),
}

/// An entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// Whether it begins with `W/`.
    pub weak: bool,
    /// The text between the quotes.
    pub text: String,
}

impl EntityTags {
    /// Reads a header. Several lines are one list. Returns `None` if the header is missing.
    pub fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Error> {
        let mut lines = headers.get_all(name).iter();
        let Some(first) = lines.next() else { return Ok(None) };
        let mut value = first.as_bytes().to_vec();
        for line in lines {
            value.push(b',');
            value.extend_from_slice(line.as_bytes());
        }
        Self::parse(&value).map(Some).ok_or_else(|| malformed(name))
    }

    /// Parses a list of tags. Returns `None` if it is malformed.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.trim_ascii() == b"*" {
            return Some(Self::Any);
        }
        let (mut list, mut rest) = (Vec::new(), value.trim_ascii_start());
        while !rest.is_empty() {
            // Empty list elements are ignored (section 5.6.1).
            if let Some(behind) = rest.strip_prefix(b",") {
                rest = behind.trim_ascii_start();
                continue;
            }
            let (tag, behind) = EntityTag::parse(rest)?;
            list.push(tag);
            rest = behind.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
        }
        (!list.is_empty()).then_some(Self::List(list))
    }

    /// Whether `If-None-Match` contains this tag, by the weak comparison. A malformed header contains no tag.
    pub fn known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
        let Some((tag, _)) = EntityTag::parse(tag.as_bytes()) else { return false };
        match Self::of(headers, &header::IF_NONE_MATCH) {
            Ok(Some(Self::Any)) => true,
            Ok(Some(Self::List(tags))) => tags.iter().any(|known| known.text == tag.text),
            Ok(None) | Err(_) => false,
        }
    }

    /// The strong comparison with the text of a tag.
    pub fn has_strong(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| !tag.weak && tag.text == text),
        }
    }

    /// The weak comparison with the text of a tag.
    pub fn has_weak(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.text == text),
        }
    }

    /// The strong comparison, for `If-Match`: weak tags are never equal.
    pub fn strongly(&self, revision: u64) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.revision() == Some(revision)),
        }
    }

    /// The weak comparison, for `If-None-Match`: `W/` is ignored.
    pub fn weakly(&self, revision: u64) -> bool {
        self.has_weak(&revision.to_string())
    }
}

impl EntityTag {
    /// Parses the first tag of a list. Returns it with the rest of the list.
    fn parse(value: &[u8]) -> Option<(Self, &[u8])> {
        let (weak, quoted) = value.strip_prefix(b"W/").map_or((false, value), |quoted| (true, quoted));
        let opened = quoted.strip_prefix(b"\"")?;
        let end = opened.iter().position(|byte| *byte == b'"')?;
        let (text, behind) = opened.split_at(end);
        // Visible characters. Tags of other servers may contain obs-text.
        let fit = text.iter().all(|byte| byte.is_ascii_graphic() || *byte >= 0x80);
        fit.then(|| (Self { weak, text: String::from_utf8_lossy(text).into_owned() }, behind.get(1..).unwrap_or_default()))
    }

    /// Returns the revision in a strong tag: decimal, without a sign or leading zeros. 0 is not a revision.
    pub fn revision(&self) -> Option<u64> {
        let revision = self.text.parse::<u64>().ok().filter(|_| !self.weak)?;
        (revision > 0 && revision.to_string() == self.text).then_some(revision)
    }
}

/// `INVALID_ARGUMENT INVALID_PRECONDITION`
fn malformed(name: &HeaderName) -> Error {
    refusal("INVALID_PRECONDITION", name, "must be * or a list of entity tags in double quotes, such as \"7\" or \"7\", \"9\"")
}

/// Builds the error for a precondition header.
pub(super) fn refusal(reason: &'static str, header: &HeaderName, description: &str) -> Error {
    let name = match header.as_str() {
        "if-match" => "If-Match",
        "if-none-match" => "If-None-Match",
        other => other,
    };
    Error::new(Code::InvalidArgument, reason, format!("the header {name} {description}"))
        .with_violation(name, description)
        .with("in", "header")
        .with("parameter", name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(value: &str) -> Option<EntityTags> {
        EntityTags::parse(value.as_bytes())
    }

    #[test]
    fn tag_lists_are_parsed() {
        let strong = |text: &str| EntityTag { weak: false, text: text.to_owned() };
        let weak = |text: &str| EntityTag { weak: true, text: text.to_owned() };
        for (value, wanted) in [
            ("\"7\"", vec![strong("7")]),
            (" \"7\" , W/\"9\" ", vec![strong("7"), weak("9")]),
            ("\"7\",,\"9\",", vec![strong("7"), strong("9")]),
            ("\"a,b\"", vec![strong("a,b")]),
            ("\"\"", vec![strong("")]),
        ] {
            assert_eq!(parse(value), Some(EntityTags::List(wanted)), "{value}");
        }
        assert_eq!(parse(" * "), Some(EntityTags::Any));
        for value in ["", " ", ",", "7", "\"7", "7\"", "w/\"7\"", "W/7", "W/ \"7\"", "\"7\" \"9\"", "*, \"7\"", "\"7\", *", "\"a b\"", "**"]
        {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn only_strong_tags_of_prism_have_a_revision() {
        for (value, wanted) in [
            ("\"7\"", true),
            ("W/\"7\"", false),
            ("\"07\"", false),
            ("\"+7\"", false),
            ("\"7 \"", false),
            ("\"x\", \"7\"", true),
            ("*", true),
        ] {
            assert_eq!(parse(value).is_some_and(|tags| tags.strongly(7)), wanted, "{value}");
        }
        assert!(parse("W/\"7\"").unwrap().weakly(7));
        assert!(!parse("\"0\"").unwrap().strongly(0), "0 is not a revision");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_parsed_or_refused(value: Vec<u8>) {
            let _ = EntityTags::parse(&value);
        }
    }
}
