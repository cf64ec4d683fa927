//! Rules that the compiler does not check: files stay small, and nothing outside of tests panics for want of a value. Which crate may
//! use which others is in their manifests.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Lines of a file, all of them counted.
const MOST_LINES: usize = 500;

/// What ends the process or the call for want of a value.
const FORBIDDEN: &[&str] = &[".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", "dbg!("];

/// File, the part of a line that is allowed in it, and why.
const ALLOWED: &[(&str, &str, &str)] =
    &[("crates/registry/src/lib.rs", "the embedded registry is broken", "it is compiled in, and a test loads it: no input can get here")];

struct Source {
    /// Below the repository, with `/`.
    path: String,
    text: String,
    /// The text without comments, strings and tests.
    code: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path().join("src"));
    let mut folders: Vec<_> = crates.chain([root.join("src")]).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = without_tests(&code_of(&text));
                let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { path, text, code });
            }
        }
    }
    assert!(found.len() > 400, "the crates were not found");
    found
}

/// The text with comments and the insides of strings and characters taken out; line breaks stay.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest).filter(|_| !code.ends_with(|before: char| before.is_alphanumeric() || before == '_'))
        {
            length
        } else if letter == '"' {
            quoted(rest, '"')
        } else if letter == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
            continue;
        };
        code.extend(rest[..skipped].chars().filter(|letter| *letter == '\n'));
        rest = &rest[skipped..];
    }
    code
}

/// Length of what begins with `r"` or `r#"`, also behind a `b`.
fn raw_string(text: &str) -> Option<usize> {
    let behind = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = behind.len() - behind.trim_start_matches('#').len();
    let inside = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let before = text.len() - inside.len();
    Some(inside.find(&end).map_or(text.len(), |at| before + at + end.len()))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if !escaped && letter == quote {
            return at + 1;
        }
        escaped = !escaped && letter == '\\';
    }
    text.len()
}

/// Tells `'a'` from the lifetime `'a`.
fn is_character(text: &str) -> bool {
    let mut letters = text.chars().skip(1);
    letters.next() == Some('\\') || letters.next() == Some('\'')
}

/// Takes out what stands behind `#[cfg(test)]`, up to its `;` or the end of its braces.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        kept.push_str(&rest[..at]);
        rest = &rest[at + MARK.len()..];
        let end =
            rest.find([';', '{']).map_or(rest.len(), |end| if rest[end..].starts_with('{') { end + braces(&rest[end..]) } else { end + 1 });
        kept.extend(rest[..end].chars().filter(|letter| *letter == '\n'));
        rest = &rest[end..];
    }
    kept + rest
}

/// Length of a group in braces.
fn braces(text: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn files_are_small() {
    let large: Vec<_> = sources()
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .map(|(lines, path)| format!("{path} has {lines} lines, more than {MOST_LINES}; divide it"))
        .collect();
    assert!(large.is_empty(), "{}", large.join("\n"));
}

#[test]
fn nothing_panics_for_want_of_a_value() {
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (number, (code, text)) in source.code.lines().zip(source.text.lines()).enumerate() {
            if !FORBIDDEN.iter().any(|forbidden| code.contains(forbidden)) {
                continue;
            }
            match ALLOWED.iter().position(|(path, part, _)| *path == source.path && text.contains(part)) {
                Some(index) => {
                    used.insert(index);
                }
                None => problems.push(format!("{}:{}: {}", source.path, number + 1, text.trim())),
            }
        }
    }
    for (index, (path, part, _)) in ALLOWED.iter().enumerate() {
        if !used.contains(&index) {
            problems.push(format!("{path}: {part:?} is allowed, but not there any more; take it off the list"));
        }
    }
    assert!(problems.is_empty(), "return an error, or add the line to the list with its reason:\n{}", problems.join("\n"));
}

#[test]
fn comments_strings_and_tests_are_no_code() {
    let text = "let x = \"a.unwrap()\"; let y: &'a str = r#\"b\".unwrap()\"#; // c.unwrap()\nlet q = '\"'; let r = '\\'';\n\
                #[cfg(test)]\nmod tests { fn f() { d.unwrap() } mod x {} }\ne.f();";
    let code = without_tests(&code_of(text));
    assert!(!code.contains("unwrap"), "{code}");
    assert!(code.contains("e.f();"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
}
