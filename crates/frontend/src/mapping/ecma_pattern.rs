//! Regular expressions of schemas, which are of ECMA-262.
//!
//! JSON Schema does not require the flag `u`. Without it, some characters need no escape that have one with it (ECMA-262, annex B.1.2), and
//! many documents use that: `[\w-.]`, `[^]`, `a{,3}`. The validator reads patterns as with `u`, so they are rewritten.

use std::borrow::Cow;

use jsonschema::Draft;
use serde_json::json;

/// Whether the validator can run a pattern.
pub fn is_usable(pattern: &str) -> bool {
    let schema = json!({"pattern": rewrite(pattern)});
    jsonschema::options().with_draft(Draft::Draft202012).offline().build(&schema).is_ok()
}

/// Rewrites a pattern so that it is valid, and means the same, with the flag `u`.
pub fn rewrite(pattern: &str) -> Cow<'_, str> {
    let rewritten = Rewriter { rest: pattern, whole: pattern, out: String::with_capacity(pattern.len() + 8) }.run();
    if rewritten == pattern { Cow::Borrowed(pattern) } else { Cow::Owned(rewritten) }
}

struct Rewriter<'a> {
    rest: &'a str,
    whole: &'a str,
    out: String,
}

impl<'a> Rewriter<'a> {
    fn run(mut self) -> String {
        while let Some(c) = self.take() {
            match c {
                '\\' => {
                    self.escape(false);
                }
                '[' => self.class(),
                '{' => match quantifier(self.rest) {
                    None => self.out.push_str("\\{"),
                    Some(end) => {
                        self.out.push('{');
                        self.out.push_str(&self.rest[..end]);
                        self.rest = &self.rest[end..];
                    }
                },
                '}' | ']' => self.out.extend(['\\', c]),
                other => self.out.push(other),
            }
        }
        self.out
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn class(&mut self) {
        for (class, rewritten) in [("^]", "[\\s\\S]"), ("]", "(?!)")] {
            if let Some(rest) = self.rest.strip_prefix(class) {
                self.rest = rest;
                self.out.push_str(rewritten);
                return;
            }
        }
        self.out.push('[');
        // Whether the last member was a set such as `\w`, which can't begin a range.
        let mut set = false;
        while let Some(c) = self.take() {
            match c {
                ']' => {
                    self.out.push(']');
                    return;
                }
                '\\' => set = self.escape(true),
                '-' => {
                    let ends = self.rest.starts_with(']');
                    let before_set = self.rest.strip_prefix('\\').is_some_and(|rest| rest.starts_with(['d', 'D', 'w', 'W', 's', 'S']));
                    self.out.push_str(if (set || before_set) && !ends { "\\-" } else { "-" });
                    set = false;
                }
                other => {
                    self.out.push(other);
                    set = false;
                }
            }
        }
    }

    /// Rewrites what follows a backslash. Returns whether it is a set of characters.
    fn escape(&mut self, in_class: bool) -> bool {
        let Some(c) = self.take() else {
            self.out.push('\\');
            return false;
        };
        let hexadecimal = |rest: &str, count: usize| rest.len() >= count && rest.bytes().take(count).all(|byte| byte.is_ascii_hexdigit());
        let known = match c {
            'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | 'c' => true,
            'B' => !in_class,
            'x' => hexadecimal(self.rest, 2),
            'u' => hexadecimal(self.rest, 4) || self.rest.starts_with('{'),
            'p' | 'P' => self.rest.starts_with('{'),
            'k' if !in_class => {
                if let Some((number, rest)) = self.group() {
                    self.out.push_str("(?:\\");
                    self.out.push_str(&number.to_string());
                    self.out.push(')');
                    self.rest = rest;
                    return false;
                }
                false
            }
            other => !other.is_ascii_alphabetic(),
        };
        if known {
            self.out.push('\\');
        }
        self.out.push(c);
        // The braces of `\p{…}` and `\u{…}` are no quantifier.
        if let (true, 'p' | 'P' | 'u', Some(end)) = (known && self.rest.starts_with('{'), c, self.rest.find('}')) {
            self.out.push_str(&self.rest[..=end]);
            self.rest = &self.rest[end + 1..];
        }
        matches!(c, 'd' | 'D' | 'w' | 'W' | 's' | 'S')
    }

    /// Returns the number of the group that `\k<name>` refers to, and what follows.
    fn group(&self) -> Option<(usize, &'a str)> {
        let (name, rest) = self.rest.strip_prefix('<')?.split_once('>')?;
        let opening = format!("(?<{name}>");
        let before = &self.whole[..self.whole.find(&opening)?];
        let mut count = 0;
        let (mut escaped, mut in_class) = (false, false);
        for (at, c) in before.char_indices() {
            if c == '(' && !escaped && !in_class {
                let behind = &before[at + 1..];
                let looks_behind = behind.starts_with("?<=") || behind.starts_with("?<!");
                let capturing = !behind.starts_with('?') || behind.starts_with("?<") && !looks_behind;
                count += usize::from(capturing);
            }
            in_class = if escaped { in_class } else { c == '[' || in_class && c != ']' };
            escaped = c == '\\' && !escaped;
        }
        Some((count + 1, rest))
    }
}

/// Returns the length of a quantifier after its `{`, with the `}`: `3}`, `3,}` or `3,5}`.
fn quantifier(rest: &str) -> Option<usize> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let from = digits(rest);
    let to = rest[from..].strip_prefix(',').map_or(0, |to| 1 + digits(to));
    (from > 0 && rest[from + to..].starts_with('}')).then_some(from + to + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_usable, rewrite};

    #[test]
    fn patterns_without_the_flag_u_mean_what_they_mean_in_ecmascript() {
        for (pattern, good, bad) in [
            (r"^[\w-.]+$", "a-b.c", "a b"),
            (r"^[\d-x]+$", "1-x", "1y"),
            (r"^[+--\d]+$", "+1", "a"),
            (r"^a{,3}$", "a{,3}", "aa"),
            (r"^a{2,3}$", "aa", "a"),
            (r"^[^]+$", "a\nb", ""),
            (r"^(?<y>a)\k<y>$", "aa", "ab"),
            (r"^((b)(?:c)(?<y>a))\k<y>$", "bcaa", "bcab"),
            (r"^[(\](](?<y>a)\((?<z>b)\k<z>$", "(a(bb", "(a(ba"),
            (r"^a{1,}b{2}{x}{1,y}$", "abb{x}{1,y}", "abb"),
            (r"^\A\Z$", "AZ", ""),
            (r"^[\B\e]$", "B", "b"),
            (r"^\x4\u12$", "x4u12", "x"),
            (r"^a]b}$", "a]b}", "ab"),
            (r"^\p{L}\/\-$", "ä/-", "1"),
            (r"^\u00e4\x41$", "äA", "aA"),
            (r"^(?=.*\d)[a-z\d]+$", "a1", "ab"),
        ] {
            let schema = json!({"pattern": rewrite(pattern)});
            let validator = jsonschema::options().build(&schema).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(validator.is_valid(&json!(good)), "{pattern} matches {good}");
            assert!(!validator.is_valid(&json!(bad)), "{pattern} does not match {bad}");
            assert!(is_usable(pattern));
        }
        for broken in ["(", "a**", "[b-a]", "(?<n>a)(?<n>b)", "*"] {
            assert!(!is_usable(broken), "{broken}");
        }
    }
}
