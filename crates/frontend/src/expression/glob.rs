//! Matches texts against glob patterns, as shells and key-value stores have them.

/// Whether a text matches a pattern: `*` is any text, `?` any character, `[abc]` and `[a-z]` one of these characters, `[^abc]` any other one,
/// and `\\` makes the next character literal. Takes at most as many steps as the product of both lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut place) = (0, 0);
    // After a `*`: where the pattern continues, and where the text began that the rest must match.
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at + 1, place));
            at += 1;
            continue;
        }
        match one(&pattern, at, text[place]) {
            Some(next) => {
                at = next;
                place += 1;
            }
            None => match star {
                Some((after, began)) => {
                    star = Some((after, began + 1));
                    at = after;
                    place = began + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_none_or(|rest| rest.iter().all(|left| *left == '*'))
}

/// Matches one character. Returns where the pattern continues.
fn one(pattern: &[char], at: usize, character: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => set(pattern, at + 1, character),
        '\\' => match pattern.get(at + 1) {
            Some(literal) => (*literal == character).then_some(at + 2),
            None => (character == '\\').then_some(at + 1),
        },
        literal => (*literal == character).then_some(at + 1),
    }
}

/// Matches one character with a set that begins after `[`. A set without an end lasts until the end of the pattern.
fn set(pattern: &[char], start: usize, character: char) -> Option<usize> {
    let negated = pattern.get(start) == Some(&'^');
    let (mut at, mut found) = (start + usize::from(negated), false);
    while let Some(first) = pattern.get(at).copied().filter(|first| *first != ']') {
        let (first, next) = match (first, pattern.get(at + 1)) {
            ('\\', Some(literal)) => (*literal, at + 2),
            _ => (first, at + 1),
        };
        let last = pattern.get(next + 1).filter(|last| pattern.get(next) == Some(&'-') && **last != ']');
        if let Some(last) = last {
            found |= (first.min(*last)..=first.max(*last)).contains(&character);
            at = next + 2;
        } else {
            found |= first == character;
            at = next;
        }
    }
    (found != negated).then_some((at + 1).min(pattern.len()))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn texts_match_patterns() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("user:*", "user:1", true),
            ("user:*", "users", false),
            ("*:name", "user:name", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            (r"[\]]x", "]x", true),
            ("[abc", "b", true),
            ("?", "é", true),
            ("a**", "a", true),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_bounded_time() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(matches(&"*a".repeat(200), &"a".repeat(200)));
        assert!(!matches(&format!("{}b", "a*".repeat(500)), &"a".repeat(2000)));
    }
}
