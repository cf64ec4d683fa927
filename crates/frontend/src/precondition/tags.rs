//! Entity tags (RFC 9110, section 8.8.3). Ours are strong and hold a revision: `"7"`.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use prism_call::{Code, Error};

/// What `If-Match` or `If-None-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whatever there is.
    Any,
    /// One tag or more.
    List(Vec<Tag>),
}

/// An entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Whether it has `W/` before it.
    pub weak: bool,
    /// What stands between the quotes.
    pub text: String,
}

impl Tags {
    /// Those of a header, whose lines are one list; `None`: it is not there.
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

    /// `None`: that is no list of tags.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.trim_ascii() == b"*" {
            return Some(Self::Any);
        }
        let (mut list, mut rest) = (Vec::new(), value.trim_ascii_start());
        while !rest.is_empty() {
            // Empty elements of a list count for nothing (section 5.6.1).
            if let Some(behind) = rest.strip_prefix(b",") {
                rest = behind.trim_ascii_start();
                continue;
            }
            let (tag, behind) = Tag::parse(rest)?;
            list.push(tag);
            rest = behind.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
        }
        (!list.is_empty()).then_some(Self::List(list))
    }

    /// Whether a client has what this tag names: `If-None-Match` with the weak comparison. What is no list of tags names nothing.
    pub fn known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
        let Some((tag, _)) = Tag::parse(tag.as_bytes()) else { return false };
        match Self::of(headers, &header::IF_NONE_MATCH) {
            Ok(Some(Self::Any)) => true,
            Ok(Some(Self::List(tags))) => tags.iter().any(|known| known.text == tag.text),
            Ok(None) | Err(_) => false,
        }
    }

    /// The strong comparison: a weak tag equals nothing. For `If-Match`.
    pub fn strongly(&self, revision: u64) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.revision() == Some(revision)),
        }
    }

    /// The weak comparison: weakness is passed over. For `If-None-Match`.
    pub fn weakly(&self, revision: u64) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => {
                let text = revision.to_string();
                tags.iter().any(|tag| tag.text == text)
            }
        }
    }
}

impl Tag {
    /// The first of a list, and what stands behind it.
    fn parse(value: &[u8]) -> Option<(Self, &[u8])> {
        let (weak, quoted) = value.strip_prefix(b"W/").map_or((false, value), |quoted| (true, quoted));
        let opened = quoted.strip_prefix(b"\"")?;
        let end = opened.iter().position(|byte| *byte == b'"')?;
        let (text, behind) = opened.split_at(end);
        // Visible characters; obs-text may be in foreign tags, and no tag of ours is like that.
        let fit = text.iter().all(|byte| byte.is_ascii_graphic() || *byte >= 0x80);
        fit.then(|| (Self { weak, text: String::from_utf8_lossy(text).into_owned() }, behind.get(1..).unwrap_or_default()))
    }

    /// The revision of a tag that can be one of ours: decimal, without a sign or leading zeros. Nothing has revision 0.
    pub fn revision(&self) -> Option<u64> {
        let revision = self.text.parse::<u64>().ok().filter(|_| !self.weak)?;
        (revision > 0 && revision.to_string() == self.text).then_some(revision)
    }
}

/// `INVALID_ARGUMENT INVALID_PRECONDITION`
fn malformed(name: &HeaderName) -> Error {
    refusal("INVALID_PRECONDITION", name, "must be * or a list of entity tags in double quotes, as \"7\" or \"7\", \"9\"")
}

/// The refusal of a header that holds a precondition.
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

    fn parse(value: &str) -> Option<Tags> {
        Tags::parse(value.as_bytes())
    }

    #[test]
    fn lists_are_read_as_the_specification_has_them() {
        let strong = |text: &str| Tag { weak: false, text: text.to_owned() };
        let weak = |text: &str| Tag { weak: true, text: text.to_owned() };
        for (value, wanted) in [
            ("\"7\"", vec![strong("7")]),
            (" \"7\" , W/\"9\" ", vec![strong("7"), weak("9")]),
            ("\"7\",,\"9\",", vec![strong("7"), strong("9")]),
            ("\"a,b\"", vec![strong("a,b")]),
            ("\"\"", vec![strong("")]),
        ] {
            assert_eq!(parse(value), Some(Tags::List(wanted)), "{value}");
        }
        assert_eq!(parse(" * "), Some(Tags::Any));
        for value in ["", " ", ",", "7", "\"7", "7\"", "w/\"7\"", "W/7", "W/ \"7\"", "\"7\" \"9\"", "*, \"7\"", "\"7\", *", "\"a b\"", "**"]
        {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn only_a_strong_tag_of_ours_is_a_revision() {
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
        assert!(!parse("\"0\"").unwrap().strongly(0), "0 is nothing's revision");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = Tags::parse(&value);
        }
    }
}
