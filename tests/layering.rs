//! The rules of the house that the compiler does not know: imports run one way, files stay small, and nothing outside of
//! tests ends the process for want of a value.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Which module of the top level may use which others. All may use themselves and `proto`.
const MAY_USE: &[(&str, &[&str])] = &[
    // The way of a call: bytes of a protocol, a frontend's mapping, the pipeline.
    ("edge", &["frontend", "call"]),
    ("frontend", &["call", "yaml"]),
    ("call", &[]),
    // Handlers, and what is below them.
    ("pattern", &["slot", "schema", "call"]),
    ("idempotency", &["slot", "registry", "call"]),
    ("remote", &["call"]),
    ("slot", &["registry", "driver", "call"]),
    ("driver", &["call"]),
    // Data and what checks it. A configuration is held against the registry.
    ("config", &["registry", "yaml"]),
    ("registry", &["yaml"]),
    ("yaml", &[]),
    // A leaf. Generated code names `call`; what is written by hand beside it does not.
    ("proto", &[]),
    // A leaf: texts in, answers out.
    ("schema", &[]),
];

/// They put the rooms together, and see all of them.
const SEE_ALL: &[&str] = &["app", "cli", "lib", "main"];

/// What `slot` and drivers may use of `driver`; the rest is a driver, and its own business.
const DRIVER_CONTRACT: &[&str] = &["Backend", "Connecting", "KINDS", "Keyspace", "Kind", "Limits", "Settings", "common", "kind", "self"];

/// Lines of a file, all of them counted.
const MOST_LINES: usize = 500;

/// What ends the process or the call for want of a value.
const FORBIDDEN: &[&str] = &[".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", "dbg!("];

/// File, the part of a line that is allowed in it, and why.
const ALLOWED: &[(&str, &str, &str)] =
    &[("registry/mod.rs", "the embedded registry is broken", "it is compiled in, and a test loads it: no input can get here")];

struct Source {
    /// Below `src/`, with `/`.
    path: String,
    text: String,
    /// The text without comments, strings and tests.
    code: String,
}

impl Source {
    /// `edge` for `edge/grpc/mod.rs`, `app` for `app.rs`.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = without_tests(&code_of(&text));
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { path, text, code });
            }
        }
    }
    assert!(found.len() > 50, "src/ was not found");
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

/// All paths below `crate::`, groups written out, as `call::Error`.
fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, beginning) in code.match_indices("crate::") {
        if !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$') {
            expand("", code[at + beginning.len()..].trim_start(), &mut found);
        }
    }
    found
}

fn expand(prefix: &str, text: &str, found: &mut BTreeSet<String>) {
    let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    if text.starts_with('{') {
        let group = &text[1..braces(text).max(2) - 1];
        let mut depth = 0;
        for item in group.split(|letter| {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            letter == ',' && depth == 0
        }) {
            if !item.trim().is_empty() {
                expand(prefix, item.trim(), found);
            }
        }
        return;
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let path = join(&text[..end]);
    match text[end..].strip_prefix("::") {
        Some(more) if !more.starts_with('<') => expand(&path, more.trim_start(), found),
        _ => {
            found.insert(path);
        }
    }
}

#[test]
fn imports_run_one_way() {
    let mut problems = Vec::new();
    for source in sources() {
        let module = source.module();
        if SEE_ALL.contains(&module) {
            continue;
        }
        let Some((_, may)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            problems.push(format!("{}: {module} is not in the table of this test", source.path));
            continue;
        };
        // A driver is a folder in `driver`, beside the contract.
        let own = source.path.strip_prefix("driver/").and_then(|path| path.split_once('/')).map(|(folder, _)| folder);
        for path in paths(&source.code) {
            let mut parts = path.split("::");
            let used = parts.next().unwrap();
            if used != module && used != "proto" && !may.contains(&used) {
                problems.push(format!("{}: {module} may not use crate::{path}", source.path));
            }
            if used == "driver" && source.path != "driver/mod.rs" {
                let part = parts.next().unwrap_or("self");
                if !DRIVER_CONTRACT.contains(&part) && Some(part) != own {
                    problems.push(format!("{}: crate::{path} is not of the drivers' contract", source.path));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
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
fn the_reader_of_this_test_knows_rust() {
    let text = "use crate::{a::{self, b as c}, d::*}; // crate::no\nlet x = \"crate::no\"; let y: &'a str = r#\"crate::\"no\"#;\n\
                crate::e::f::<T>(); let q = '\"'; let r = '\\''; crate::g!();\n#[cfg(test)]\nmod tests { use crate::no; mod x {} }\nuse crate::h;";
    let code = without_tests(&code_of(text));
    let found: Vec<_> = paths(&code).into_iter().collect();
    assert_eq!(found, ["a::b", "a::self", "d::", "e::f", "g", "h"]);
    assert_eq!(code.lines().count(), text.lines().count());
}
