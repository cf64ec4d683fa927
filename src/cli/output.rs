//! Output of commands: a table for people, or JSON or YAML for programs.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;

use super::Outcome;

/// An output format.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum, PartialEq, Eq)]
pub enum Format {
    /// A table for people
    #[default]
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Prints a value in a format. `table` renders the text for [`Format::Table`].
pub fn print(format: Format, value: &impl Serialize, table: impl FnOnce() -> String) -> Outcome {
    let text = match format {
        Format::Table => table(),
        Format::Json => serde_json::to_string_pretty(value)? + "\n",
        Format::Yaml => serde_saphyr::to_string(value)?,
    };
    print_text(&text)
}

/// Prints text. It is not a failure if the reader closes its end early, as `head` does.
pub fn print_text(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Prints a line on standard error. Nothing can be done if nobody can read it.
pub fn print_note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Formats rows as aligned columns.
pub fn columns(rows: &[Vec<String>]) -> String {
    columns_apart(4, rows)
}

/// Formats rows as aligned columns with `gap` spaces between them.
pub fn columns_apart(gap: usize, rows: &[Vec<String>]) -> String {
    let width = |text: &str| text.chars().count();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths = (0..count)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect::<Vec<_>>();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, wanted) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', wanted - width(cell) + gap));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Joins names with commas; returns `none` for an empty list.
pub fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let text = names.into_iter().map(|name| name.as_ref().to_owned()).collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect();
        assert_eq!(columns(&[row(&["a", "✓ b", "c"]), row(&["long", "d", ""])]), "a       ✓ b    c\nlong    d\n");
    }
}
