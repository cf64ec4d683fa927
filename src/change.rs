//! What a reload changed, for people.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use crate::generation::Difference;

/// Names in a list of what has changed.
const MAX_NAMES: usize = 10;

/// What a reload changed.
#[derive(Debug)]
pub struct Change {
    /// Number of the generation.
    pub generation: u64,
    /// How long it took.
    pub took: Duration,
    /// By name.
    pub listeners: Difference,
    /// By name.
    pub backends: Difference,
    /// By name.
    pub namespaces: Difference,
    /// Settings that need a restart.
    pub needs_restart: Vec<&'static str>,
}

/// One line, such as `generation 2: namespaces +orders ~users -old (12 ms)`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (what, difference) in [("listeners", &self.listeners), ("backends", &self.backends), ("namespaces", &self.namespaces)] {
            let Difference { added, changed, removed } = difference;
            let mut part = String::new();
            for (sign, names) in [('+', added), ('~', changed), ('-', removed)] {
                for name in names.iter().take(MAX_NAMES) {
                    let _ = write!(part, " {sign}{name}");
                }
                if names.len() > MAX_NAMES {
                    let _ = write!(part, " and {} more {sign}", names.len() - MAX_NAMES);
                }
            }
            if !part.is_empty() {
                parts.push(format!("{what}{part}"));
            }
        }
        let changes = if parts.is_empty() { "no backend or namespace has changed".to_owned() } else { parts.join("; ") };
        write!(f, "generation {}: {changes} ({} ms)", self.generation, self.took.as_millis())?;
        if !self.needs_restart.is_empty() {
            write!(f, "; changes of {} take effect after a restart", self.needs_restart.join(", "))?;
        }
        Ok(())
    }
}
