//! Path templates (google.api.http, "Path template syntax").
//!
//! ```text
//! template  = "/" [ segments ] [ ":" verb ]
//! segments  = segment { "/" segment }
//! segment   = "*" | "**" | literal | variable
//! variable  = "{" field { "." field } [ "=" segments ] "}"
//! ```
//!
//! `*` stands for one segment that is not empty, `**` for any number of them, also none; `**` ends a template, but for the
//! verb. `{var}` is `{var=*}`. Literals may be percent-encoded.

use std::{error::Error, fmt};

use super::percent::{self, Slash};

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text, decoded.
    Literal(String),
    /// `*`
    One,
    /// `**`
    Rest,
}

/// Segments that fill a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Names from the request down to the field.
    pub field: Vec<String>,
    /// First segment.
    pub start: usize,
    /// Behind the last segment.
    pub end: usize,
    /// What becomes of an encoded slash in it.
    pub slash: Slash,
}

/// Why a text is not a template, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Bytes from the beginning.
    pub position: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.position, self.message)
    }
}

impl Error for TemplateError {}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser { text, at: 0, template: Self { segments: Vec::new(), variables: Vec::new(), verb: None } };
        parser.template()?;
        Ok(parser.template)
    }

    /// The segments, variables opened up.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The variables from left to right.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// What stands behind the `:`.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// The part of a path that a variable takes, as it is written there. The path must match the template.
    pub fn capture<'p>(&self, variable: &Variable, path: &'p str) -> &'p str {
        let path = self.verb.as_ref().and_then(|verb| path.strip_suffix(verb.as_str())?.strip_suffix(':')).unwrap_or(path);
        let mut rest = path;
        for _ in 0..=variable.start {
            match rest.split_once('/') {
                Some((_, behind)) => rest = behind,
                // `**` for no segments.
                None => return "",
            }
        }
        if self.segments.get(variable.end - 1) == Some(&Segment::Rest) {
            return rest;
        }
        let mut slashes = rest.match_indices('/').skip(variable.end - variable.start - 1);
        slashes.next().map_or(rest, |(at, _)| &rest[..at])
    }

    /// A path that the template matches, with these values for its variables; `None`: one of them doesn't fit.
    pub fn path(&self, values: &[&str]) -> Option<String> {
        let mut out = String::new();
        let (mut place, mut values) = (0, values.iter());
        while place < self.segments.len() {
            let variable = self.variables.iter().find(|variable| variable.start == place);
            match (variable, &self.segments[place]) {
                (Some(variable), _) => {
                    out.push('/');
                    out.push_str(&percent::encode(values.next()?, variable.slash));
                    place = variable.end - 1;
                }
                (None, Segment::Literal(literal)) => {
                    out.push('/');
                    out.push_str(&percent::encode(literal, Slash::Decoded));
                }
                // A wildcard without a variable takes a value like one.
                (None, Segment::One) => {
                    out.push('/');
                    out.push_str(&percent::encode(values.next()?, Slash::Decoded));
                }
                (None, Segment::Rest) => {
                    out.push('/');
                    out.push_str(&percent::encode(values.next()?, Slash::Kept));
                }
            }
            place += 1;
        }
        if out.is_empty() {
            out.push('/');
        }
        if let Some(verb) = &self.verb {
            out.push(':');
            out.push_str(verb);
        }
        Some(out)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            f.write_str("/")?;
        }
        for (place, segment) in self.segments.iter().enumerate() {
            f.write_str("/")?;
            let opening = self.variables.iter().find(|variable| variable.start == place);
            let closing = self.variables.iter().any(|variable| variable.end == place + 1);
            if let Some(variable) = opening {
                write!(f, "{{{}", variable.field.join("."))?;
                if closing && *segment == Segment::One {
                    f.write_str("}")?;
                    continue;
                }
                f.write_str("=")?;
            }
            match segment {
                Segment::Literal(literal) => f.write_str(&percent::encode(literal, Slash::Decoded))?,
                Segment::One => f.write_str("*")?,
                Segment::Rest => f.write_str("**")?,
            }
            if closing {
                f.write_str("}")?;
            }
        }
        match &self.verb {
            Some(verb) => write!(f, ":{verb}"),
            None => Ok(()),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    template: Template,
}

impl<'a> Parser<'a> {
    fn error<T>(&self, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError { position: self.at, message: message.into() })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, token: &str) -> bool {
        let is = self.rest().starts_with(token);
        if is {
            self.at += token.len();
        }
        is
    }

    fn template(&mut self) -> Result<(), TemplateError> {
        if !self.take("/") {
            return self.error("a template begins with /");
        }
        if !self.rest().is_empty() {
            self.segments(false)?;
        }
        if self.take(":") {
            let start = self.at;
            let verb = self.word();
            if verb.is_empty() || verb.contains('%') {
                self.at = start;
                return self.error("a verb of letters, digits, - and _ was expected behind :");
            }
            self.template.verb = Some(verb.to_owned());
        }
        match self.rest().chars().next() {
            None => Ok(()),
            Some(letter) => self.error(format!("{letter:?} can't stand here; it must be percent-encoded")),
        }
    }

    fn segments(&mut self, inside: bool) -> Result<(), TemplateError> {
        loop {
            if self.template.segments.last() == Some(&Segment::Rest) {
                return self.error("nothing but a verb may follow **");
            }
            self.segment(inside)?;
            if !self.take("/") {
                return Ok(());
            }
        }
    }

    fn segment(&mut self, inside: bool) -> Result<(), TemplateError> {
        if self.rest().starts_with('{') {
            return if inside { self.error("a variable can't stand inside of another one") } else { self.variable() };
        }
        let segment = if self.take("**") {
            Segment::Rest
        } else if self.take("*") {
            Segment::One
        } else {
            let start = self.at;
            let word = self.word();
            if word.is_empty() {
                return self.error("a segment was expected: text, *, ** or {field}");
            }
            match percent::decode(word, Slash::Decoded) {
                Ok(literal) => Segment::Literal(literal.into_owned()),
                Err(refusal) => {
                    self.at = start;
                    return self.error(format!("{word:?} {refusal}"));
                }
            }
        };
        self.template.segments.push(segment);
        Ok(())
    }

    fn variable(&mut self) -> Result<(), TemplateError> {
        let opened = self.at;
        self.at += 1;
        let mut field = Vec::new();
        loop {
            let rest = self.rest();
            let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
            if length == 0 || rest.starts_with(|letter: char| letter.is_ascii_digit()) {
                return self.error("the name of a field was expected");
            }
            field.push(rest[..length].to_owned());
            self.at += length;
            if !self.take(".") {
                break;
            }
        }
        if self.template.variables.iter().any(|variable| variable.field == field) {
            self.at = opened;
            return self.error(format!("{} stands twice", field.join(".")));
        }
        let start = self.template.segments.len();
        if self.take("=") {
            self.segments(true)?;
        } else {
            self.template.segments.push(Segment::One);
        }
        if !self.take("}") {
            return self.error("} was expected");
        }
        let end = self.template.segments.len();
        let slash = if self.template.segments[start..] == [Segment::One] { Slash::Decoded } else { Slash::Kept };
        self.template.variables.push(Variable { field, start, end, slash });
        Ok(())
    }

    /// What may stand in a literal: unreserved characters, `%`, and those of the delimiters that have no meaning here.
    fn word(&mut self) -> &'a str {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;@".contains(byte);
        let rest = self.rest();
        let length = rest.bytes().take_while(|byte| allowed(byte)).count();
        self.at += length;
        &rest[..length]
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
