//! Names of subjects, with the context that they are in: `:.context:subject`, or the bare subject in the default context.

/// The context of subjects that are named without one.
pub const DEFAULT_CONTEXT: &str = ".";

/// Splits a subject's full name into context and subject.
pub fn split_subject(name: &str) -> (&str, &str) {
    let qualified = name.strip_prefix(':').filter(|rest| rest.starts_with('.'));
    qualified.and_then(|rest| rest.split_once(':')).unwrap_or((DEFAULT_CONTEXT, name))
}

/// Returns the full name of a subject in a context.
pub fn qualify_subject(context: &str, subject: &str) -> String {
    if context == DEFAULT_CONTEXT { subject.to_owned() } else { format!(":{context}:{subject}") }
}

/// Returns the full name of a subject: a bare name is in the given context, a qualified one in its own.
pub fn resolve_subject(context: Option<&str>, name: &str) -> String {
    let (own, subject) = split_subject(name);
    let is_bare = subject.len() == name.len();
    let context = context.filter(|_| is_bare).unwrap_or(own);
    qualify_subject(context, subject)
}

/// Returns the scope of a whole context in requests about configurations and modes; empty for the default context.
pub fn context_scope(context: &str) -> String {
    qualify_subject(context, "")
}

/// Parses a context that a user wrote, with or without its dot.
pub fn parse_context(text: &str) -> Result<String, String> {
    let text = text.trim_matches(':');
    let context = if text.starts_with('.') { text.to_owned() } else { format!(".{text}") };
    if context.contains([':', '/']) || (context == "." && text != ".") {
        return Err("a context is a name with a dot before it, such as `.team`; `.` is the default context".to_owned());
    }
    Ok(context)
}

/// Selects subjects: those of one context or of all contexts whose names begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPrefix {
    /// All contexts if it is `None`.
    context: Option<String>,
    subject: String,
}

impl SubjectPrefix {
    /// Selects subjects by a prefix. A prefix that begins with `:.context:` or `:*:` overrides the context.
    pub fn new(context: Option<&str>, prefix: &str) -> Self {
        if let Some(subject) = prefix.strip_prefix(":*:") {
            return Self { context: None, subject: subject.to_owned() };
        }
        let (own, subject) = split_subject(prefix);
        let explicit = (subject.len() != prefix.len()).then_some(own);
        Self { context: explicit.or(context).map(str::to_owned), subject: subject.to_owned() }
    }

    /// Selects the subjects of all contexts.
    pub fn everything() -> Self {
        Self { context: None, subject: String::new() }
    }

    /// Whether it selects the subjects of all contexts.
    pub fn is_everything(&self) -> bool {
        self.context.is_none() && self.subject.is_empty()
    }

    /// Returns the value of the query parameter `subjectPrefix`.
    pub fn to_query(&self) -> String {
        let context = self.context.as_deref().unwrap_or("*");
        format!(":{context}:{}", self.subject)
    }

    /// Whether it selects the subject with this full name.
    pub fn matches(&self, name: &str) -> bool {
        let (context, subject) = split_subject(name);
        self.context.as_ref().is_none_or(|wanted| wanted == context) && subject.starts_with(&self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_contexts() {
        assert_eq!(split_subject(":.x:a:b"), (".x", "a:b"));
        assert_eq!(split_subject("a"), (".", "a"));
        assert_eq!(split_subject(":a"), (".", ":a"));
        assert_eq!(resolve_subject(Some(".x"), "a"), ":.x:a");
        assert_eq!(resolve_subject(Some(".x"), ":.y:a"), ":.y:a");
        assert_eq!(resolve_subject(Some("."), "a"), "a");
        assert_eq!(resolve_subject(Some(".x"), ":.:a"), "a");
        assert_eq!((&*context_scope("."), &*context_scope(".x")), ("", ":.x:"));
        assert_eq!(parse_context("x"), Ok(".x".to_owned()));
        assert!(parse_context("").is_err());
    }

    #[test]
    fn prefixes_select_subjects() {
        let prefix = SubjectPrefix::new(Some(".x"), "or");
        assert!(prefix.matches(":.x:orders") && !prefix.matches("orders"));
        assert_eq!(prefix.to_query(), ":.x:or");
        assert!(SubjectPrefix::new(None, "or").matches(":.x:orders"));
        assert_eq!(SubjectPrefix::new(None, "or").to_query(), ":*:or");
        assert!(!SubjectPrefix::new(None, ":.:or").matches(":.x:orders"));
        assert!(SubjectPrefix::new(None, "").is_everything() && !SubjectPrefix::new(Some("."), "").is_everything());
    }
}
