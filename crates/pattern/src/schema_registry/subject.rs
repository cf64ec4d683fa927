//! Names of subjects and contexts.

use std::fmt;

use prism_call::Error;

/// The context of subjects that are named without one.
pub(super) const DEFAULT_CONTEXT: &str = ".";
/// What stands for all contexts.
pub(super) const ALL_CONTEXTS: &str = ":*:";
/// Longest name of a subject or a context, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// Names that other registries use inside, so that they are nobody's subject.
const RESERVED: &[&str] = &["__GLOBAL", "__EMPTY"];

/// A subject of a context. Without a subject it is the context as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    pub context: String,
    pub subject: String,
}

impl Name {
    /// Takes `:.context:name` apart; what has no context is in `context`, and in the default one if that is empty.
    pub fn new(context: &str, text: &str) -> Self {
        if let Some((own, subject)) = text.strip_prefix(':').filter(|rest| rest.starts_with('.')).and_then(|rest| rest.split_once(':')) {
            return Self { context: own.to_owned(), subject: subject.to_owned() };
        }
        Self { context: self::context(context), subject: text.to_owned() }
    }

    /// A subject that a request names.
    ///
    /// Errors: `INVALID_ARGUMENT INVALID_SUBJECT`, `INVALID_ARGUMENT INVALID_CONTEXT`.
    pub fn subject(context: &str, text: &str) -> Result<Self, Error> {
        let name = Self::scope(context, text)?;
        if name.subject.is_empty() || RESERVED.contains(&&*name.subject) {
            return Err(invalid_subject(text, "names no subject"));
        }
        Ok(name)
    }

    /// A subject or, without one, a context that a request names.
    pub fn scope(context: &str, text: &str) -> Result<Self, Error> {
        let name = Self::new(context, text);
        if name.subject.len() > MAX_NAME_BYTES || name.subject.chars().any(char::is_control) {
            return Err(invalid_subject(text, "takes 1 to 255 bytes, without control characters"));
        }
        let rest = name.context.strip_prefix('.').unwrap_or(&name.context);
        if name.context.len() > MAX_NAME_BYTES || rest.chars().any(|one| one.is_control() || one == ':' || one == '/') {
            let message = "takes at most 255 bytes, without colons, slashes and control characters";
            return Err(Error::invalid("context", message).with_reason("INVALID_CONTEXT").with("context", name.context));
        }
        Ok(name)
    }

    /// Whether it is the scope that holds for everything.
    pub fn is_global(&self) -> bool {
        self.subject.is_empty() && self.context == DEFAULT_CONTEXT
    }
}

/// With the context, if that is not the default one.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&qualified(&self.context, &self.subject))
    }
}

/// The name of a subject as it is told.
pub(super) fn qualified(context: &str, subject: &str) -> String {
    if context == DEFAULT_CONTEXT { subject.to_owned() } else { format!(":{context}:{subject}") }
}

/// The name of a context, with its dot; `:.context:` is that context, too.
pub(super) fn context(text: &str) -> String {
    let text = text.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).filter(|inner| inner.starts_with('.')).unwrap_or(text);
    if text.is_empty() {
        DEFAULT_CONTEXT.to_owned()
    } else if text.starts_with('.') {
        text.to_owned()
    } else {
        format!(".{text}")
    }
}

/// Which subjects are listed: those of one context or of all, whose names begin with something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    /// All if there is none.
    pub context: Option<String>,
    pub subject: String,
}

impl Prefix {
    pub fn new(context: &str, text: &str) -> Self {
        if let Some(subject) = text.strip_prefix(ALL_CONTEXTS) {
            // Under a context of its own, everything is that context.
            let context = (!context.is_empty()).then(|| self::context(context));
            return Self { context, subject: subject.to_owned() };
        }
        let Name { context, subject } = Name::new(context, text);
        Self { context: Some(context), subject }
    }
}

fn invalid_subject(subject: &str, why: &str) -> Error {
    Error::invalid("subject", format!("{subject:?} {why}")).with_reason("INVALID_SUBJECT").with("subject", subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (context, text, expected) in [
            ("", "a", (".", "a")),
            ("", ":.x:a", (".x", "a")),
            ("y", ":.x:a:b", (".x", "a:b")),
            ("y", "a", (".y", "a")),
            (".y", "", (".y", "")),
            (":.y:", "a", (".y", "a")),
            ("", ":.:a", (".", "a")),
            ("", ":a", (".", ":a")),
            ("", ":.x", (".", ":.x")),
        ] {
            let name = Name::new(context, text);
            assert_eq!((&*name.context, &*name.subject), expected, "{context} {text}");
        }
        assert_eq!(Name::new("", ":.x:a").to_string(), ":.x:a");
        assert_eq!(Name::new("", ":.:a").to_string(), "a");
        for bad in ["", "\u{7}", ":.x:", "__GLOBAL", &"a".repeat(256), ":.a/b:c"] {
            assert!(Name::subject("", bad).is_err(), "{bad}");
        }
        assert_eq!(Prefix::new("", ":*:a"), Prefix { context: None, subject: "a".to_owned() });
        assert_eq!(Prefix::new("", ":.x:a"), Prefix { context: Some(".x".to_owned()), subject: "a".to_owned() });
    }
}
