//! Checks the syntax of regular expressions, ECMA 262 section 22.2.1 with annex B.
//!
//! A pattern is valid if an implementation takes it with or without the flag `u`: drafts 4, 6 and 7 say nothing about the flag, and later
//! ones only recommend it. Implementations in Java also take flags for the whole pattern, such as `(?i)`, so these are valid too.
//! Nothing is compiled, so that a short pattern with a large automaton costs nothing here.

/// The maximum nesting depth of groups.
const MAX_DEPTH: usize = 200;
/// The maximum length of what stands in braces, in characters.
const MAX_BRACES: usize = 100;

/// Returns whether a text is a regular expression.
pub fn is_pattern(pattern: &str) -> bool {
    let letters: Vec<char> = pattern.chars().collect();
    [false, true].into_iter().any(|unicode| PatternReader::new(&letters, unicode).read().is_some())
}

/// Reads a pattern. Its functions return `None` if the pattern is invalid.
struct PatternReader<'a> {
    letters: &'a [char],
    at: usize,
    unicode: bool,
    /// Whether the pattern has named groups. Only then is `\k` a reference.
    has_names: bool,
    names: Vec<&'a [char]>,
    /// The names that `\k` refers to.
    references: Vec<&'a [char]>,
}

/// What one part of a class matches: a character, or a set such as `\d`.
enum ClassAtom {
    Character(u32),
    Set,
}

impl<'a> PatternReader<'a> {
    fn new(letters: &'a [char], unicode: bool) -> Self {
        let has_names = letters.windows(4).any(|four| matches!(four, ['(', '?', '<', name] if !matches!(name, '=' | '!')));
        Self { letters, at: 0, unicode, has_names, names: Vec::new(), references: Vec::new() }
    }

    fn read(mut self) -> Option<()> {
        self.disjunction(0)?;
        let known: std::collections::HashSet<&[char]> = self.names.iter().copied().collect();
        // Two groups may have one name if they are in different alternatives.
        let unique = known.len() == self.names.len() || self.letters.contains(&'|');
        (self.at == self.letters.len() && unique && self.references.iter().all(|name| known.contains(name))).then_some(())
    }

    fn rest(&self) -> &'a [char] {
        self.letters.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().first().copied()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(letter)
    }

    /// Skips a text, if it follows.
    fn skip(&mut self, text: &str) -> bool {
        let follows = text.chars().zip(self.rest()).filter(|(wanted, letter)| wanted == *letter).count() == text.chars().count();
        if follows {
            self.at += text.chars().count();
        }
        follows
    }

    fn disjunction(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        while let Some(letter) = self.peek().filter(|letter| *letter != ')') {
            if letter == '|' {
                self.at += 1;
                continue;
            }
            if self.term(depth)? {
                self.quantifier()?;
            } else if self.peek().is_some_and(|next| "*+?".contains(next)) || self.braces().is_some() {
                return None;
            }
        }
        Some(())
    }

    /// Reads an atom or an assertion. Returns whether a quantifier may follow.
    fn term(&mut self, depth: usize) -> Option<bool> {
        match self.next()? {
            '^' | '$' => Some(false),
            '*' | '+' | '?' => None,
            '(' => self.group(depth),
            '[' => {
                self.class()?;
                Some(true)
            }
            '\\' => self.escape(),
            '{' => {
                self.at -= 1;
                let quantifier = self.braces().is_some();
                self.at += 1;
                (!quantifier && !self.unicode).then_some(true)
            }
            _ => Some(true),
        }
    }

    /// Reads a group behind its parenthesis.
    fn group(&mut self, depth: usize) -> Option<bool> {
        let mut quantifiable = true;
        if self.skip("?=") || self.skip("?!") {
            quantifiable = !self.unicode;
        } else if self.skip("?<=") || self.skip("?<!") {
            quantifiable = false;
        } else if self.skip("?<") {
            let name = self.name()?;
            self.names.push(name);
        } else if self.skip("?") {
            while self.peek().is_some_and(|flag| "imsux-".contains(flag)) {
                self.at += 1;
            }
            if self.letters.get(self.at.checked_sub(1)?) != Some(&'?') && self.skip(")") {
                return Some(false);
            }
            if !self.skip(":") {
                return None;
            }
        }
        self.disjunction(depth + 1)?;
        self.skip(")").then_some(quantifiable)
    }

    /// Reads the name of a group and its `>`.
    fn name(&mut self) -> Option<&'a [char]> {
        let rest = self.rest();
        let end = rest.iter().position(|letter| *letter == '>')?;
        let name = rest.get(..end)?;
        let (first, others) = name.split_first()?;
        let begins = first.is_alphabetic() || matches!(first, '_' | '$');
        self.at += end + 1;
        (begins && others.iter().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '\u{200c}' | '\u{200d}')))
            .then_some(name)
    }

    fn quantifier(&mut self) -> Option<()> {
        if let Some((least, most)) = self.braces() {
            if most.is_some_and(|most| most < least) {
                return None;
            }
            self.at += self.rest().iter().position(|letter| *letter == '}')? + 1;
        } else if self.peek().is_some_and(|letter| "*+?".contains(letter)) {
            self.at += 1;
        } else {
            return Some(());
        }
        self.skip("?");
        let repeated = self.peek().is_some_and(|letter| "*+?".contains(letter)) || self.braces().is_some();
        (!repeated).then_some(())
    }

    /// Returns the bounds of a quantifier such as `{1,2}`, if one follows.
    fn braces(&self) -> Option<(u64, Option<u64>)> {
        let rest = self.rest().strip_prefix(&['{'])?;
        let inner: String = rest.get(..rest.iter().take(MAX_BRACES).position(|letter| *letter == '}')?)?.iter().collect();
        let number = |digits: &str| {
            let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            valid.then(|| digits.parse().unwrap_or(u64::MAX))
        };
        match inner.split_once(',') {
            None => number(&inner).map(|count| (count, Some(count))),
            Some((least, "")) => Some((number(least)?, None)),
            Some((least, most)) => Some((number(least)?, Some(number(most)?))),
        }
    }

    /// Reads an escape outside of classes behind its backslash. Returns whether a quantifier may follow.
    fn escape(&mut self) -> Option<bool> {
        match self.next()? {
            'b' | 'B' => Some(false),
            'k' if self.has_names => {
                if !self.skip("<") {
                    return None;
                }
                let name = self.name()?;
                self.references.push(name);
                Some(true)
            }
            letter => {
                self.character(letter)?;
                Some(true)
            }
        }
    }

    /// Reads the rest of an escape that begins with `letter`, and returns what it matches.
    fn character(&mut self, letter: char) -> Option<ClassAtom> {
        Some(match letter {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' | '1'..='9' | 'c' | 'b' | 'B' => ClassAtom::Set,
            'p' | 'P' if self.peek() == Some('{') => {
                if let Some(end) = self.rest().iter().take(MAX_BRACES).position(|letter| *letter == '}')
                    && self.unicode
                {
                    self.at += end + 1;
                }
                ClassAtom::Set
            }
            'n' => ClassAtom::Character(10),
            't' => ClassAtom::Character(9),
            'v' => ClassAtom::Character(11),
            'f' => ClassAtom::Character(12),
            'r' => ClassAtom::Character(13),
            'x' => ClassAtom::Character(self.digits(2).unwrap_or(u32::from(letter))),
            'u' => {
                if self.unicode && self.skip("{") {
                    let end = self.rest().iter().position(|letter| *letter == '}')?;
                    let digits: String = self.rest().get(..end)?.iter().collect();
                    self.at += end + 1;
                    let code = u32::from_str_radix(&digits, 16).ok().filter(|code| *code <= 0x0010_ffff)?;
                    return Some(ClassAtom::Character(code));
                }
                ClassAtom::Character(self.digits(4).unwrap_or(u32::from(letter)))
            }
            '0' => ClassAtom::Character(0),
            letter => ClassAtom::Character(u32::from(letter)),
        })
    }

    /// Reads hexadecimal digits, if so many follow.
    fn digits(&mut self, count: usize) -> Option<u32> {
        let digits: String = self.rest().get(..count)?.iter().collect();
        let code = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(&digits, 16).ok())??;
        self.at += count;
        Some(code)
    }

    /// Reads a class behind its bracket.
    fn class(&mut self) -> Option<()> {
        self.skip("^");
        loop {
            if self.skip("]") {
                return Some(());
            }
            let from = self.class_atom()?;
            let ranges = self.peek() == Some('-') && self.rest().get(1).is_some_and(|next| *next != ']');
            if !ranges {
                continue;
            }
            self.at += 1;
            if let (ClassAtom::Character(from), ClassAtom::Character(to)) = (from, self.class_atom()?)
                && from > to
            {
                return None;
            }
        }
    }

    fn class_atom(&mut self) -> Option<ClassAtom> {
        match self.next()? {
            '\\' => {
                let letter = self.next()?;
                self.character(letter)
            }
            letter => Some(ClassAtom::Character(u32::from(letter))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_valid_with_or_without_the_flag_u() {
        let valid = [
            "",
            "a|b|",
            r"^[\w-.]+$",
            r"[\d-x]",
            "a{,3}",
            r"\A",
            "^[^]+$",
            r"^(?<y>a)\k<y>$",
            r"\k<y>",
            "a{2}{",
            "x{a}",
            "]}",
            "[]a",
            r"(?=a)*b",
            "(?:a)+?",
            "(?i)abc",
            "(?i:a)b",
            r"[\u{1F600}-\u{1F64F}]",
            "[😀-😎]",
            r"\u{61}",
            r"\p{L}{800}",
            r"\p{Script=Greek}",
            "(?<a>x)|(?<a>y)",
            r"\cA\x41\u0041\0",
            r"[\b]",
            "(?<!a)b",
            "a{2,3}?",
            "[a-]",
            "[-a]",
            "a{99999999999999999999}",
            r"\_\-\@",
        ];
        for pattern in valid {
            assert!(is_pattern(pattern), "{pattern}");
        }
        let invalid = [
            "(",
            ")",
            "[",
            "a**",
            "*a",
            "+",
            "?",
            "a{2}{3}",
            "{2}",
            "a{3,2}",
            "[b-a]",
            "\\",
            "(?<y>a",
            "(?<1>a)",
            r"(?<y>a)\k<z>",
            r"(?<y>a)\k",
            "(?<y>a)(?<y>b)",
            "(?",
            "(?a)",
            "^*",
            r"\b+",
            "(?<=a)*",
            "a++",
            "(?P<y>a)",
            "[a",
        ];
        for pattern in invalid {
            assert!(!is_pattern(pattern), "{pattern}");
        }
        assert!(!is_pattern(&"(".repeat(100_000)) && is_pattern(&format!("{}{}", "(".repeat(150), ")".repeat(150))));
    }
}
