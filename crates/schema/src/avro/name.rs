//! Names ("Names" in the specification).

use super::model::Primitive;

/// Words of types that a text can't mean as a name, or that people would take for one.
pub(super) const COMPLEX: [&str; 6] = ["record", "enum", "array", "map", "union", "fixed"];

/// A name with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FullName {
    full: String,
    /// Where the simple name starts.
    simple: usize,
}

impl FullName {
    /// A name that stands in a namespace, unless it brings its own by a dot. A leading dot means: in none.
    pub fn new(name: &str, namespace: Option<&str>) -> Result<Self, String> {
        let (namespace, simple) = match name.rfind('.') {
            Some(dot) => (Some(&name[..dot]), &name[dot + 1..]),
            None => (namespace, name),
        };
        valid(simple, name)?;
        let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) else {
            return Ok(Self { full: simple.to_owned(), simple: 0 });
        };
        for part in namespace.split('.') {
            valid(part, namespace).map_err(|wrong| format!("the namespace isn't one: {wrong}"))?;
        }
        Ok(Self { full: format!("{namespace}.{simple}"), simple: namespace.len() + 1 })
    }

    /// The whole, `com.example.Name`.
    pub fn full(&self) -> &str {
        &self.full
    }

    /// Without its namespace.
    pub fn simple(&self) -> &str {
        &self.full[self.simple..]
    }

    /// Its namespace, if it is in one.
    pub fn namespace(&self) -> Option<&str> {
        self.simple.checked_sub(1).map(|dot| &self.full[..dot])
    }

    /// How it is referred to inside of a namespace. The simple name of a type that is called as a kind of type would be
    /// taken for that, so it stays whole.
    pub fn within(&self, namespace: Option<&str>) -> &str {
        let simple = self.simple();
        if self.namespace() == namespace && Primitive::from_word(simple).is_none() && !COMPLEX.contains(&simple) {
            simple
        } else {
            &self.full
        }
    }
}

/// Says what is wrong with a name, if anything is. `whole` is what the text says. The specification allows Latin letters
/// only; Java takes those of all scripts, and so do its users.
pub(super) fn valid(name: &str, whole: &str) -> Result<(), String> {
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
            Err(format!("`{whole}` can't be a name because of `{}`; {rule}, as `{better}`", bad.escape_debug()))
        }
    }
}

/// Up to three of the known names that a name may have been meant for, as the end of a sentence; empty if none is near.
pub(super) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let lower = name.to_lowercase();
    let mut near: Vec<(f64, &str)> = known
        .map(|known| {
            let simple = known.rsplit('.').next().unwrap_or(known).to_lowercase();
            let alike = strsim::jaro_winkler(&known.to_lowercase(), &lower)
                .max(strsim::jaro_winkler(&simple, lower.rsplit('.').next().unwrap_or(&lower)));
            (alike, known)
        })
        .filter(|(alike, _)| *alike > 0.8)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup_by(|a, b| a.1 == b.1);
    let near: Vec<String> = near.into_iter().take(3).map(|(_, known)| format!("`{known}`")).collect();
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}
