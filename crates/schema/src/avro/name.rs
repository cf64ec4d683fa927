//! Names ("Names" in the specification).

use super::primitive::Primitive;
use crate::text::shorten;

/// Names of complex types. A reference to a type with such a name needs its namespace.
pub(super) const COMPLEX_TYPES: [&str; 6] = ["record", "enum", "array", "map", "union", "fixed"];

/// The maximum length of a name with its namespace, in bytes. Types are found by their names, and each name is kept several times.
pub(super) const MAX_NAME: usize = 1_024;
/// The maximum length of a name in a message, in characters.
const MAX_SHOWN: usize = 100;
/// The maximum length of names that are searched for similar ones, in bytes.
const MAX_SIMILAR: usize = 64;
/// The maximum number of names that are searched for similar ones.
const MAX_SEARCHED: usize = 1_000;

/// A name with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FullName {
    full: String,
    /// The offset at which the simple name starts.
    simple: usize,
}

impl FullName {
    /// Resolves a name in a namespace. A name with a dot has its own namespace; a leading dot means no namespace.
    pub fn new(name: &str, namespace: Option<&str>) -> Result<Self, String> {
        let name = Self::in_any_namespace(name, namespace)?;
        for part in name.namespace().into_iter().flat_map(|namespace| namespace.split('.')) {
            validate_name(part, name.namespace().unwrap_or_default()).map_err(|wrong| format!("the namespace is invalid: {wrong}"))?;
        }
        Ok(name)
    }

    /// Resolves a name as [`Self::new`] does, but accepts any namespace, such as `my-company.events`.
    pub fn in_any_namespace(name: &str, namespace: Option<&str>) -> Result<Self, String> {
        let (namespace, simple) = match name.rfind('.') {
            Some(dot) => (Some(&name[..dot]), &name[dot + 1..]),
            None => (namespace, name),
        };
        validate_name(simple, name)?;
        let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) else {
            return Ok(Self { full: simple.to_owned(), simple: 0 });
        };
        check_length(namespace.len() + 1 + simple.len(), namespace)?;
        Ok(Self { full: format!("{namespace}.{simple}"), simple: namespace.len() + 1 })
    }

    /// Returns the full name, `com.example.Name`.
    pub fn full(&self) -> &str {
        &self.full
    }

    /// Returns the name without its namespace.
    pub fn simple(&self) -> &str {
        &self.full[self.simple..]
    }

    /// Returns the namespace, if there is one.
    pub fn namespace(&self) -> Option<&str> {
        self.simple.checked_sub(1).map(|dot| &self.full[..dot])
    }

    /// Returns the shortest reference to this name inside of a namespace. A simple name that is also the name of a kind of type would be
    /// read as that kind, so the full name is used then.
    pub fn relative_to(&self, namespace: Option<&str>) -> &str {
        let simple = self.simple();
        if self.namespace() == namespace && Primitive::from_name(simple).is_none() && !COMPLEX_TYPES.contains(&simple) {
            simple
        } else {
            &self.full
        }
    }
}

fn check_length(bytes: usize, name: &str) -> Result<(), String> {
    if bytes <= MAX_NAME {
        return Ok(());
    }
    Err(format!("`{}` has {bytes} bytes with its namespace, and at most {MAX_NAME} are allowed; shorten it", shorten(name, MAX_SHOWN)))
}

/// Checks a name; the error says what is wrong. `whole` is the name as the text has it. The specification allows only Latin letters, but
/// Java accepts the letters of all scripts, and schemas use them.
pub(super) fn validate_name(name: &str, whole: &str) -> Result<(), String> {
    check_length(name.len(), whole)?;
    let rule = "a name starts with a letter or `_` and goes on with letters, digits and `_`";
    let mut chars = name.chars();
    let Some(first) = chars.next() else {
        return Err(if whole.is_empty() { format!("the name is empty; {rule}") } else { format!("a part of `{whole}` is empty; {rule}") });
    };
    let bad = if first.is_alphabetic() || first == '_' {
        chars.find(|letter| !(letter.is_alphanumeric() || *letter == '_'))
    } else {
        Some(first)
    };
    match bad {
        None => Ok(()),
        Some(bad) => {
            let better: String = name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect();
            let better = if better.starts_with(char::is_numeric) { format!("_{better}") } else { better };
            let (whole, better) = (shorten(whole, MAX_SHOWN), shorten(&better, MAX_SHOWN));
            Err(format!("`{whole}` can't be a name because of `{}`; {rule}, for example `{better}`", bad.escape_debug()))
        }
    }
}

/// Returns up to three similar names as the end of a sentence; empty if no name is similar.
pub(super) fn suggest_names<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let lower = name.to_lowercase();
    if name.len() > MAX_SIMILAR {
        return String::new();
    }
    let mut similar: Vec<(f64, &str)> = known
        .take(MAX_SEARCHED)
        .filter(|known| known.len() <= MAX_SIMILAR)
        .map(|known| {
            let simple = known.rsplit('.').next().unwrap_or(known).to_lowercase();
            let similarity = strsim::jaro_winkler(&known.to_lowercase(), &lower)
                .max(strsim::jaro_winkler(&simple, lower.rsplit('.').next().unwrap_or(&lower)));
            (similarity, known)
        })
        .filter(|(similarity, _)| *similarity > 0.8)
        .collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    similar.dedup_by(|a, b| a.1 == b.1);
    let names: Vec<String> = similar.into_iter().take(3).map(|(_, known)| format!("`{known}`")).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}
