//! A line-based comparison of two texts.

use std::fmt::Write as _;

/// Unchanged lines that are printed before and after a change.
const CONTEXT_LINES: usize = 3;
/// Largest table of common lines. Texts that need a larger one are printed as a whole.
const MAX_CELLS: usize = 4 << 20;

/// A line, and the text that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Both(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// Returns the changes in the format of `diff -u`, without its first two lines.
pub(super) fn unified_diff(old: &str, new: &str) -> String {
    let lines = compare(&old.lines().collect::<Vec<_>>(), &new.lines().collect::<Vec<_>>());
    let is_near_change = |at: usize| {
        let from = at.saturating_sub(CONTEXT_LINES);
        let to = (at + CONTEXT_LINES + 1).min(lines.len());
        lines[from..to].iter().any(|line| !matches!(line, Line::Both(_)))
    };
    let (mut out, mut number) = (String::new(), (0, 0));
    let mut at = 0;
    while at < lines.len() {
        let from = at;
        while at < lines.len() && is_near_change(at) {
            at += 1;
        }
        let hunk = &lines[from..at];
        let counts = (count(hunk, true), count(hunk, false));
        if !hunk.is_empty() {
            let range = |before: usize, count: usize| format!("{},{count}", if count == 0 { before } else { before + 1 });
            // Writing into a String can't fail.
            let _ = writeln!(out, "@@ -{} +{} @@", range(number.0, counts.0), range(number.1, counts.1));
            for line in hunk {
                let _ = match line {
                    Line::Both(text) => writeln!(out, " {text}"),
                    Line::Old(text) => writeln!(out, "-{text}"),
                    Line::New(text) => writeln!(out, "+{text}"),
                };
            }
        }
        number = (number.0 + counts.0, number.1 + counts.1);
        while at < lines.len() && !is_near_change(at) {
            number = (number.0 + 1, number.1 + 1);
            at += 1;
        }
    }
    out
}

/// Counts the lines of a hunk that are in the old text or in the new one.
fn count(lines: &[Line], old: bool) -> usize {
    lines.iter().filter(|line| if old { !matches!(line, Line::New(_)) } else { !matches!(line, Line::Old(_)) }).count()
}

/// Compares by a longest common subsequence of lines.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let head = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut lines: Vec<_> = old[..head].iter().map(|line| Line::Both(line)).collect();
    compare_middle(old_middle, new_middle, &mut lines);
    lines.extend(old_rest[old_middle.len()..].iter().map(|line| Line::Both(line)));
    lines
}

/// Compares the lines between the common head and the common tail.
fn compare_middle<'a>(old: &[&'a str], new: &[&'a str], lines: &mut Vec<Line<'a>>) {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > MAX_CELLS {
        lines.extend(old.iter().map(|line| Line::Old(line)).chain(new.iter().map(|line| Line::New(line))));
        return;
    }
    // For each pair of positions, the length of the longest common subsequence of the rests.
    let mut common = vec![0u32; (old.len() + 1) * width];
    for (row, one) in old.iter().enumerate().rev() {
        for (column, other) in new.iter().enumerate().rev() {
            common[row * width + column] = if one == other {
                common[(row + 1) * width + column + 1] + 1
            } else {
                common[(row + 1) * width + column].max(common[row * width + column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    while row < old.len() || column < new.len() {
        if row < old.len() && column < new.len() && old[row] == new[column] {
            lines.push(Line::Both(old[row]));
            (row, column) = (row + 1, column + 1);
        } else if column == new.len() || row < old.len() && common[(row + 1) * width + column] >= common[row * width + column + 1] {
            lines.push(Line::Old(old[row]));
            row += 1;
        } else {
            lines.push(Line::New(new[column]));
            column += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_diff() {
        assert_eq!(unified_diff("a\nb\nc\n", "a\nx\nc\n"), "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        assert_eq!(unified_diff("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified_diff("a\n", "a\n"), "");
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12";
        let new = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13";
        assert_eq!(unified_diff(old, new), "@@ -10,3 +10,4 @@\n 10\n 11\n 12\n+13\n");
        assert_eq!(
            unified_diff(&format!("0\n{old}"), &format!("{old}\n13")),
            "@@ -1,4 +1,3 @@\n-0\n 1\n 2\n 3\n@@ -11,3 +10,4 @@\n 10\n 11\n 12\n+13\n"
        );
    }
}
