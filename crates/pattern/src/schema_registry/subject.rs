//! Names of subjects and contexts.

use std::fmt;

use prism_call::Error;

/// The context of subjects that are named without one.
pub(super) const DEFAULT_CONTEXT: &str = ".";
/// The context whose configuration and mode apply to all contexts, where these have none. It has no subjects.
pub(super) const GLOBAL_CONTEXT: &str = ".__GLOBAL";
/// The prefix that means all contexts.
pub(super) const ALL_CONTEXTS: &str = ":*:";
/// Longest name of a subject or a context, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// Names that other registries use internally, so they can't be subjects.
const RESERVED: &[&str] = &["__GLOBAL", "__EMPTY"];

/// The name of a subject and its context. If the subject is empty, it names the context as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SubjectName {
    pub context: String,
    pub subject: String,
}

impl SubjectName {
    /// Parses `:.context:name`. A name without a context belongs to `context`, or to the default context if that is empty.
    pub fn new(context: &str, text: &str) -> Self {
        if let Some((own, subject)) = text.strip_prefix(':').filter(|rest| rest.starts_with('.')).and_then(|rest| rest.split_once(':')) {
            return Self { context: own.to_owned(), subject: subject.to_owned() };
        }
        Self { context: self::context(context), subject: text.to_owned() }
    }

    /// Parses the name of a subject in a request.
    ///
    /// Errors: `INVALID_ARGUMENT INVALID_SUBJECT`, `INVALID_ARGUMENT INVALID_CONTEXT`.
    pub fn subject(context: &str, text: &str) -> Result<Self, Error> {
        let name = Self::scope(context, text)?;
        if name.subject.is_empty() || name.context == GLOBAL_CONTEXT {
            return Err(invalid_subject(text, "names no subject"));
        }
        Ok(name)
    }

    /// Parses the name of a subject or, if that is empty, of a context in a request.
    pub fn scope(context: &str, text: &str) -> Result<Self, Error> {
        let name = Self::new(context, text);
        if RESERVED.contains(&&*name.subject) {
            return Err(invalid_subject(text, "is a reserved name"));
        }
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

    /// Whether it names a scope that always has a configuration and a mode: the default context, or all contexts.
    pub fn is_global(&self) -> bool {
        self.subject.is_empty() && (self.context == DEFAULT_CONTEXT || self.context == GLOBAL_CONTEXT)
    }
}

/// Shows the context, unless it is the default one.
impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&qualified(&self.context, &self.subject))
    }
}

/// Returns the name of a subject as responses show it.
pub(super) fn qualified(context: &str, subject: &str) -> String {
    if context == DEFAULT_CONTEXT { subject.to_owned() } else { format!(":{context}:{subject}") }
}

/// Returns the name of a context with its dot. `:.context:` is accepted too.
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

/// A filter of subjects: by context, and by the beginning of their names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SubjectPrefix {
    /// `None`: all contexts.
    pub context: Option<String>,
    pub subject: String,
}

impl SubjectPrefix {
    pub fn new(context: &str, text: &str) -> Self {
        if let Some(subject) = text.strip_prefix(ALL_CONTEXTS) {
            // If the request sets a context, `:*:` means that context only.
            let context = (!context.is_empty()).then(|| self::context(context));
            return Self { context, subject: subject.to_owned() };
        }
        let SubjectName { context, subject } = SubjectName::new(context, text);
        Self { context: Some(context), subject }
    }

    /// Whether it selects a subject.
    pub fn matches(&self, context: &str, subject: &str) -> bool {
        self.context.as_ref().is_none_or(|wanted| wanted == context) && subject.starts_with(&self.subject)
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
            let name = SubjectName::new(context, text);
            assert_eq!((&*name.context, &*name.subject), expected, "{context} {text}");
        }
        assert_eq!(SubjectName::new("", ":.x:a").to_string(), ":.x:a");
        assert_eq!(SubjectName::new("", ":.:a").to_string(), "a");
        for bad in ["", "\u{7}", ":.x:", "__GLOBAL", ":.__GLOBAL:a", &"a".repeat(256), ":.a/b:c"] {
            assert!(SubjectName::subject("", bad).is_err(), "{bad}");
        }
        assert_eq!(SubjectPrefix::new("", ":*:a"), SubjectPrefix { context: None, subject: "a".to_owned() });
        assert_eq!(SubjectPrefix::new("", ":.x:a"), SubjectPrefix { context: Some(".x".to_owned()), subject: "a".to_owned() });
    }
}
