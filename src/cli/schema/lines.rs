//! The lines that differ between two texts.

use std::fmt::Write as _;

/// Lines around a change.
const AROUND: usize = 3;
/// Largest table of common lines; texts that need a larger one differ as a whole.
const MAX_CELLS: usize = 4 << 20;

/// A line, and on which side it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Both(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// Changes with the lines around them, in the form that `diff -u` has.
pub(super) fn unified(old: &str, new: &str) -> String {
    let lines = compare(&old.lines().collect::<Vec<_>>(), &new.lines().collect::<Vec<_>>());
    let near = |at: usize| {
        let from = at.saturating_sub(AROUND);
        let to = (at + AROUND + 1).min(lines.len());
        lines[from..to].iter().any(|line| !matches!(line, Line::Both(_)))
    };
    let (mut out, mut number) = (String::new(), (0, 0));
    let mut at = 0;
    while at < lines.len() {
        let from = at;
        while at < lines.len() && near(at) {
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
        while at < lines.len() && !near(at) {
            number = (number.0 + 1, number.1 + 1);
            at += 1;
        }
    }
    out
}

fn count(lines: &[Line], old: bool) -> usize {
    lines.iter().filter(|line| if old { !matches!(line, Line::New(_)) } else { !matches!(line, Line::Old(_)) }).count()
}

/// The longest common lines, and what is between them.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let head = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut lines: Vec<_> = old[..head].iter().map(|line| Line::Both(line)).collect();
    middle(old_middle, new_middle, &mut lines);
    lines.extend(old_rest[old_middle.len()..].iter().map(|line| Line::Both(line)));
    lines
}

fn middle<'a>(old: &[&'a str], new: &[&'a str], lines: &mut Vec<Line<'a>>) {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > MAX_CELLS {
        lines.extend(old.iter().map(|line| Line::Old(line)).chain(new.iter().map(|line| Line::New(line))));
        return;
    }
    // How many lines are common from here on.
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
    fn what_differs_is_told_as_diff_tells_it() {
        assert_eq!(unified("a\nb\nc\n", "a\nx\nc\n"), "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        assert_eq!(unified("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified("a\n", "a\n"), "");
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12";
        let new = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13";
        assert_eq!(unified(old, new), "@@ -10,3 +10,4 @@\n 10\n 11\n 12\n+13\n");
        assert_eq!(
            unified(&format!("0\n{old}"), &format!("{old}\n13")),
            "@@ -1,4 +1,3 @@\n-0\n 1\n 2\n 3\n@@ -11,3 +10,4 @@\n 10\n 11\n 12\n+13\n"
        );
    }
}
