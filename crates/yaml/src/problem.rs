//! What is wrong in a file, and where.

use std::fmt;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// In the file; line and column from 1. Line 0: the file as a whole.
    File {
        /// From 1.
        line: u64,
        /// From 1, in characters.
        column: u64,
    },
    /// In an environment variable or an option of the command line, by its name.
    Named(String),
}

impl Position {
    /// No line: the file as a whole.
    pub const WHOLE_FILE: Self = Self::File { line: 0, column: 0 };
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub position: Position,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that is wrong, in the order of the file. Its text has one line for each problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file as it was named, for the text.
    pub file: String,
    /// At least one, if this is an error.
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
