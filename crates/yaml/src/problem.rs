//! Problems in files, and their positions.

use std::fmt;

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// In the file. Line 0 is the file as a whole.
    File {
        /// Counts from 1.
        line: u64,
        /// Counts from 1, in characters.
        column: u64,
    },
    /// In an environment variable or a command-line option with this name.
    Named(String),
}

impl Position {
    /// The file as a whole.
    pub const WHOLE_FILE: Self = Self::File { line: 0, column: 0 };
}

/// A problem with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value is.
    pub position: Position,
    /// What is wrong, and how to correct it.
    pub message: String,
}

/// All problems of a file, in the order of the file. The text has one line for each problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The name of the file, as the user gave it.
    pub file: String,
    /// The problems. An error has at least one.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { position, message }) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match position {
                Position::File { line: 0, .. } => write!(f, "{}: {message}", self.file)?,
                Position::File { line, column } => write!(f, "{}:{line}:{column}: {message}", self.file)?,
                Position::Named(name) => write!(f, "{name}: {message}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
