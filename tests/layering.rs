//! Rules that the compiler does not check: files stay small, modules have no import cycles, and nothing outside of tests panics on a
//! missing value. Which crate may use which others is in their manifests.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Maximum number of lines in a file, including comments and tests.
const MAX_LINES: usize = 500;

/// Calls that panic on a missing value.
const FORBIDDEN: &[&str] = &[".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", "dbg!("];

/// Lines that may panic: the file, a part of the line, and the reason.
const ALLOWED: &[(&str, &str, &str)] =
    &[("crates/registry/src/lib.rs", "the embedded registry is broken", "it is compiled in, and a test loads it: no input can get here")];

/// Modules that import each other: the crate, the module that they are in (empty: the crate's root), their names, and the reason.
const CYCLES: &[(&str, &str, &[&str], &str)] = &[(
    "crates/frontend/src",
    "mapping",
    &["error", "rendered", "scope", "template"],
    "an evaluator: a template is evaluated in a scope, a scope has named templates, an error in a reply is rendered by templates",
)];

struct Source {
    /// Path relative to the repository, with `/` as the separator.
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
    assert!(found.len() > 400, "the source files were not found");
    found
}

/// Removes comments, strings and characters. Line breaks stay.
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

/// Returns the length of a raw string such as `r"…"` or `br#"…"#`.
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

/// Distinguishes the character `'a'` from the lifetime `'a`.
fn is_character(text: &str) -> bool {
    let mut letters = text.chars().skip(1);
    letters.next() == Some('\\') || letters.next() == Some('\'')
}

/// Removes each item after `#[cfg(test)]`, up to its `;` or the end of its braces.
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

/// Returns the length of a group in braces.
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
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{path} has {lines} lines, more than {MAX_LINES}; split it"))
        .collect();
    assert!(large.is_empty(), "{}", large.join("\n"));
}

#[test]
fn nothing_panics_on_a_missing_value() {
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
            problems.push(format!("{path}: {part:?} is allowed, but does not exist any more; remove it from the list"));
        }
    }
    assert!(problems.is_empty(), "return an error, or add the line to the list with its reason:\n{}", problems.join("\n"));
}

#[test]
fn comments_strings_and_tests_are_not_checked() {
    let text = "let x = \"a.unwrap()\"; let y: &'a str = r#\"b\".unwrap()\"#; // c.unwrap()\nlet q = '\"'; let r = '\\'';\n\
                #[cfg(test)]\nmod tests { fn f() { d.unwrap() } mod x {} }\ne.f();";
    let code = without_tests(&code_of(text));
    assert!(!code.contains("unwrap"), "{code}");
    assert!(code.contains("e.f();"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
}

type ModulePath = Vec<String>;

/// A use of another module.
struct Import {
    from: ModulePath,
    to: ModulePath,
}

#[test]
fn sibling_modules_have_no_import_cycles() {
    let sources: Vec<Source> = sources().into_iter().filter(|source| !source.is_test()).collect();
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in &sources {
        let end = source.path.find("src/").unwrap() + "src".len();
        crates.entry(&source.path[..end]).or_default().push(source);
    }
    let (mut problems, mut used) = (Vec::new(), BTreeSet::new());
    for (root, sources) in crates {
        let modules: BTreeMap<ModulePath, &str> = sources.iter().map(|source| (module(root, &source.path), source.code.as_str())).collect();
        let imports: Vec<Import> = modules.iter().flat_map(|(from, code)| imports(from, code, &modules)).collect();
        let parents: BTreeSet<&[String]> = modules.keys().filter_map(|path| path.split_last().map(|(_, parent)| parent)).collect();
        for parent in parents {
            for cycle in cycles(parent, &imports) {
                let inside = parent.join("::");
                let allowed = CYCLES.iter().position(|entry| (entry.0, entry.1) == (root, &inside) && cycle.iter().eq(entry.2));
                match allowed {
                    Some(index) => drop(used.insert(index)),
                    None => problems.push(format!("{root}, in {:?}: {}", inside, cycle.join(", "))),
                }
            }
        }
    }
    let unused = CYCLES.iter().enumerate().filter(|(index, _)| !used.contains(index));
    problems.extend(
        unused.map(|(_, (root, inside, names, _))| {
            format!("{root}, in {inside:?}: {names:?} is not a cycle any more; remove it from the list")
        }),
    );
    assert!(problems.is_empty(), "move what both sides need to a module of its own:\n{}", problems.join("\n"));
}

/// `crates/call/src/a/mod.rs` → `["a"]`
fn module(root: &str, path: &str) -> ModulePath {
    let name = path[root.len()..].trim_end_matches(".rs").trim_end_matches("/mod");
    let name = if matches!(name, "/lib" | "/main") { "" } else { name };
    name.split('/').filter(|step| !step.is_empty()).map(str::to_owned).collect()
}

fn imports(from: &ModulePath, code: &str, modules: &BTreeMap<ModulePath, &str>) -> Vec<Import> {
    let mut paths = Vec::new();
    let mut rest = code.to_owned();
    while let Some(start) = find_use(&rest) {
        let end = start + rest[start..].find(';').map_or(rest.len() - start, |end| end + 1);
        expand(&[], rest[start..end].trim_end_matches(';').trim_start_matches("use "), &mut paths);
        rest.replace_range(start..end, "");
    }
    let is_path = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':');
    let inline = rest.split(|letter| !is_path(letter)).filter(|word| word.contains("::"));
    paths.extend(inline.map(|word| word.split("::").map(str::to_owned).collect()));
    paths.iter().filter_map(|path| resolve(from, path, modules)).map(|to| Import { from: from.clone(), to }).collect()
}

/// The start of the next `use` declaration.
fn find_use(code: &str) -> Option<usize> {
    code.match_indices("use ").map(|(at, _)| at).find(|at| code[..*at].chars().next_back().is_none_or(char::is_whitespace))
}

/// `a::{b, c::d}` → `a::b`, `a::c::d`
fn expand(before: &[String], tree: &str, paths: &mut Vec<ModulePath>) {
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in tree.char_indices().chain([(tree.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let (steps, group) =
                    tree[start..at].split_once('{').map_or((&tree[start..at], None), |(steps, group)| (steps, Some(group)));
                let steps = steps.split(" as ").next().unwrap_or_default().split("::").map(|step| step.trim().to_owned());
                let path: ModulePath = before.iter().cloned().chain(steps.filter(|step| !step.is_empty())).collect();
                match group.and_then(|group| group.rsplit_once('}')) {
                    Some((group, _)) => expand(&path, group, paths),
                    None if path.len() > before.len() => paths.push(path),
                    None => {}
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The module of this crate that a path leads to, or into.
fn resolve(from: &ModulePath, path: &[String], modules: &BTreeMap<ModulePath, &str>) -> Option<ModulePath> {
    let known = |path: &[String]| modules.keys().any(|module| module.starts_with(path));
    let (mut to, mut rest) = (from.clone(), path);
    match rest.first()?.as_str() {
        "crate" => to.clear(),
        "self" => {}
        "super" => drop(to.pop()),
        first => {
            to.push(first.to_owned());
            if !known(&to) {
                return None;
            }
        }
    }
    rest = &rest[1..];
    while let Some((step, behind)) = rest.split_first() {
        if step == "super" {
            to.pop();
        } else {
            to.push(step.clone());
            if !known(&to) {
                to.pop();
                break;
            }
        }
        rest = behind;
    }
    Some(to)
}

/// The groups of modules in a module that import each other.
fn cycles(parent: &[String], imports: &[Import]) -> Vec<Vec<String>> {
    let child = |path: &ModulePath| path.strip_prefix(parent).and_then(<[String]>::first).cloned();
    let mut reached: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for import in imports {
        if let (Some(from), Some(to)) = (child(&import.from), child(&import.to))
            && from != to
        {
            reached.entry(from).or_default().insert(to);
        }
    }
    // Transitive closure: repeats until nothing is added.
    loop {
        let before: usize = reached.values().map(BTreeSet::len).sum();
        for from in reached.keys().cloned().collect::<Vec<_>>() {
            let further: BTreeSet<String> = reached[&from].iter().filter_map(|to| reached.get(to)).flatten().cloned().collect();
            reached.entry(from).or_default().extend(further);
        }
        if reached.values().map(BTreeSet::len).sum::<usize>() == before {
            break;
        }
    }
    let is_mutual = |from: &str, to: &String| reached.get(to).is_some_and(|back| back.contains(from));
    let group = |from: &String| reached[from].iter().filter(|to| is_mutual(from, to)).cloned().collect::<Vec<_>>();
    let groups: BTreeSet<Vec<String>> = reached.keys().map(group).filter(|group| !group.is_empty()).collect();
    groups.into_iter().collect()
}

#[test]
fn imports_are_found_in_all_their_forms() {
    let code = "use super::{b::X, c::{self, Y as Z}};\nuse crate::d;\nfn f() { e::g(); crate::b::h(); std::fs::read(); }";
    let modules: BTreeMap<ModulePath, &str> =
        ["p/a", "p/b", "p/c", "p/a/e", "d", "b"].map(|path| (path.split('/').map(str::to_owned).collect(), "")).into();
    let found: Vec<String> =
        imports(&vec!["p".to_owned(), "a".to_owned()], code, &modules).iter().map(|import| import.to.join("/")).collect();
    assert_eq!(found, ["p/b", "p/c", "p/c", "d", "p/a/e", "b"]);
}

#[test]
fn cycles_are_found_over_several_modules() {
    let import = |from: &str, to: &str| Import { from: vec![from.to_owned()], to: vec![to.to_owned(), "inner".to_owned()] };
    let imports = [import("a", "b"), import("b", "c"), import("c", "a"), import("d", "a"), import("a", "e")];
    assert_eq!(cycles(&[], &imports), [["a", "b", "c"]]);
}

/// The image is built from a part of the repository: the Dockerfile must copy every crate.
#[test]
fn image_build_has_every_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dockerfile = fs::read_to_string(root.join("Dockerfile")).unwrap();
    let copied: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY ").filter(|rest| !rest.starts_with("--")))
        .flat_map(|rest| rest.split_whitespace().rev().skip(1))
        .collect();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    for member in members.split(',').map(|member| member.trim().trim_matches('"')).filter(|member| !member.is_empty()) {
        assert!(copied.iter().any(|path| Path::new(member).starts_with(path)), "the Dockerfile does not copy {member}");
    }
    // The client of Docker leaves out what `.dockerignore` names, unless a later line with `!` takes it back.
    let ignored = fs::read_to_string(root.join(".dockerignore")).unwrap();
    for path in &copied {
        let is_left_out = ignored.lines().fold(false, |is_left_out, line| {
            let (pattern, excludes) = line.strip_prefix('!').map_or((line, true), |pattern| (pattern, false));
            let pattern = pattern.trim_start_matches('/');
            let matches = match pattern.strip_suffix("/*") {
                Some(folder) => Path::new(path).starts_with(folder) && *path != folder,
                None => Path::new(path).starts_with(pattern),
            };
            if matches { excludes } else { is_left_out }
        });
        assert!(!is_left_out, "the Dockerfile copies {path}, but .dockerignore leaves it out");
    }
    // Cargo searches for a target without a path at every build, but the image has no tests.
    for target in manifest.split("\n[[test]]").skip(1) {
        let section = target.split("\n[").next().unwrap();
        assert!(section.contains("\npath = "), "a [[test]] of Cargo.toml has no path:{section}");
    }
}
