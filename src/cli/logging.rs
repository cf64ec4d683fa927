//! The log on standard error.

use std::{
    fmt::{self, Write as _},
    io::IsTerminal as _,
};

use tracing::field::Field;
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    fmt::format::{Writer, debug_fn},
};

use prism_config::{self as config, LogFormat};

/// Starts the log.
pub fn start(log: &config::Log) {
    // The driver for NATS logs what the events of its client mean.
    let filter = EnvFilter::new(format!("{},async_nats=off", log.level.name()));
    // A log that can't be written, because its disk is full or its reader has gone, must not disturb calls: by default, the subscriber says so on
    // standard error, and panics if that fails too.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    match log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).fmt_fields(debug_fn(write_field).delimited(" ")).init(),
        // JSON escapes control characters itself.
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// Writes a field. Its value may be a client's, which must not be able to write lines of its own, or to control the terminal.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let mut out = Escaping(writer);
    match field.name() {
        "message" => write!(out, "{value:?}"),
        name => write!(out, "{}={value:?}", name.strip_prefix("r#").unwrap_or(name)),
    }
}

/// Escapes control characters, and characters that change the order in which a terminal shows text.
struct Escaping<'w, W>(&'w mut W);

impl<W: fmt::Write> fmt::Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            let (plain, after) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut letters = after.chars();
            for escaped in letters.next().into_iter().flat_map(char::escape_default) {
                self.0.write_char(escaped)?;
            }
            rest = letters.as_str();
        }
        self.0.write_str(rest)
    }
}

fn is_unsafe(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_can_not_write_lines_or_control_the_terminal() {
        let mut text = String::new();
        Escaping(&mut text).write_str("größe\n2026 ERROR\r\u{1b}[2J\u{7}\u{9b}\u{202e}\u{2028}\0.").unwrap();
        assert_eq!(text, r"größe\n2026 ERROR\r\u{1b}[2J\u{7}\u{9b}\u{202e}\u{2028}\u{0}.");
    }
}
