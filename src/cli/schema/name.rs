//! Names of subjects, with the context that they are in: `:.context:subject`, or the bare subject in the default context.

/// The context of subjects that are named without one.
pub(super) const DEFAULT_CONTEXT: &str = ".";

/// Takes a name apart into context and subject.
pub(super) fn split(name: &str) -> (&str, &str) {
    let own = name.strip_prefix(':').filter(|rest| rest.starts_with('.'));
    own.and_then(|rest| rest.split_once(':')).unwrap_or((DEFAULT_CONTEXT, name))
}

/// Puts a name together.
pub(super) fn join(context: &str, subject: &str) -> String {
    if context == DEFAULT_CONTEXT { subject.to_owned() } else { format!(":{context}:{subject}") }
}

/// The full name of a subject, which is in the context unless it says another one.
pub(super) fn within(context: Option<&str>, name: &str) -> String {
    let (own, subject) = split(name);
    // A bare name says no context.
    let context = context.filter(|_| subject.len() == name.len()).unwrap_or(own);
    join(context, subject)
}

/// What stands for a context as a whole; empty for the default one.
pub(super) fn whole(context: &str) -> String {
    join(context, "")
}

/// A context as people write it, with or without its dot.
pub(super) fn context(text: &str) -> Result<String, String> {
    let text = text.trim_matches(':');
    let context = if text.starts_with('.') { text.to_owned() } else { format!(".{text}") };
    if context.contains([':', '/']) || (context == "." && text != ".") {
        return Err("a context is a name with a dot before it, as `.team`; `.` is the default one".to_owned());
    }
    Ok(context)
}

/// Which subjects: those of one context or of all, whose names begin with something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    /// All if there is none.
    context: Option<String>,
    subject: String,
}

impl Prefix {
    /// `:.context:` or `:*:` in the text counts more than the context.
    pub fn new(context: Option<&str>, text: &str) -> Self {
        if let Some(subject) = text.strip_prefix(":*:") {
            return Self { context: None, subject: subject.to_owned() };
        }
        let (own, subject) = split(text);
        let explicit = (subject.len() != text.len()).then_some(own);
        Self { context: explicit.or(context).map(str::to_owned), subject: subject.to_owned() }
    }

    /// Whether it is everything.
    pub fn is_everything(&self) -> bool {
        self.context.is_none() && self.subject.is_empty()
    }

    /// As requests have it.
    pub fn query(&self) -> String {
        let context = self.context.as_deref().unwrap_or("*");
        format!(":{context}:{}", self.subject)
    }

    pub fn matches(&self, name: &str) -> bool {
        let (context, subject) = split(name);
        self.context.as_ref().is_none_or(|wanted| wanted == context) && subject.starts_with(&self.subject)
    }
}

/// Takes `SUBJECT@VERSION` apart. What is behind the last `@` counts only if it can be a version.
pub(super) fn versioned(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('@') {
        Some((subject, version)) if version == "latest" || version.parse::<u32>().is_ok() => (subject, Some(version)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(split(":.x:a:b"), (".x", "a:b"));
        assert_eq!(split("a"), (".", "a"));
        assert_eq!(split(":a"), (".", ":a"));
        assert_eq!(within(Some(".x"), "a"), ":.x:a");
        assert_eq!(within(Some(".x"), ":.y:a"), ":.y:a");
        assert_eq!(within(Some("."), "a"), "a");
        assert_eq!(within(Some(".x"), ":.:a"), "a");
        assert_eq!((&*whole("."), &*whole(".x")), ("", ":.x:"));
        assert_eq!(versioned("a@b@3"), ("a@b", Some("3")));
        assert_eq!(versioned("a@b"), ("a@b", None));
        assert_eq!(context("x"), Ok(".x".to_owned()));
        assert!(context("").is_err());
    }

    #[test]
    fn prefixes() {
        let prefix = Prefix::new(Some(".x"), "or");
        assert!(prefix.matches(":.x:orders") && !prefix.matches("orders"));
        assert_eq!(prefix.query(), ":.x:or");
        assert!(Prefix::new(None, "or").matches(":.x:orders"));
        assert_eq!(Prefix::new(None, "or").query(), ":*:or");
        assert!(!Prefix::new(None, ":.:or").matches(":.x:orders"));
        assert!(Prefix::new(None, "").is_everything() && !Prefix::new(Some("."), "").is_everything());
    }
}
