//! Path templates (google.api.http, "Path template syntax").
//!
//! ```text
//! template  = "/" [ segments ] [ ":" verb ]
//! segments  = segment { "/" segment }
//! segment   = "*" | "**" | literal | variable
//! variable  = "{" field { "." field } [ "=" segments ] "}"
//! ```
//!
//! `*` matches one segment that is not empty. `**` matches any number of segments, also none; only a verb may follow it. `{var}` means
//! `{var=*}`. Literals may be percent-encoded.
//!
//! The paths of OpenAPI documents have another syntax ([`PathTemplate::of_openapi`]): a parameter may be a part of a segment, an empty last
//! segment is a `/` at the end, and all other characters are literals, also `*` and `:`.

use std::{error::Error, fmt};

use super::{
    percent::{self, Slash},
    segment_pattern::SegmentPattern,
};

/// A parsed path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A literal, decoded.
    Literal(String),
    /// `*`
    One,
    /// `**`
    Rest,
    /// Variables with text around them, such as `{id}.json`.
    Mixed(SegmentPattern),
}

/// A variable: segments of the path that set a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The path of names from the request message to the field.
    pub field: Vec<String>,
    /// Index of the first segment.
    pub start: usize,
    /// Index after the last segment.
    pub end: usize,
    /// Whether `%2F` in its value is decoded.
    pub slash: Slash,
    /// Its index in a [`Segment::Mixed`].
    pub part: usize,
}

/// A syntax error in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Byte offset of the error.
    pub position: usize,
    /// Describes the error.
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.position, self.message)
    }
}

impl Error for TemplateError {}

impl PathTemplate {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser { text, at: 0, template: Self { segments: Vec::new(), variables: Vec::new(), verb: None } };
        parser.template()?;
        Ok(parser.template)
    }

    /// Parses a path of an OpenAPI document. Returns it with the names of its parameters. The variables are named `p0`, `p1` and so on,
    /// because a name in OpenAPI may have any characters.
    pub fn of_openapi(text: &str) -> Result<(Self, Vec<String>), TemplateError> {
        let error = |position: usize, message: &str| Err(TemplateError { position, message: message.to_owned() });
        let Some(rest) = text.strip_prefix('/') else { return error(0, "a path begins with /") };
        if let Some(position) = text.find(['?', '#']) {
            return error(position, "a path has no query and no fragment; describe them as parameters");
        }
        let mut template = Self { segments: Vec::new(), variables: Vec::new(), verb: None };
        let (mut names, mut at): (Vec<String>, usize) = (Vec::new(), 1);
        for segment in rest.split('/').filter(|_| !rest.is_empty()) {
            let (mut literals, start, mut left) = (Vec::new(), template.segments.len(), segment);
            while let Some((before, behind)) = left.split_once('{') {
                let Some((name, behind)) = behind.split_once('}') else { return error(at, "a parameter is not closed with }") };
                if name.is_empty() || name.contains('{') || before.contains('}') || names.iter().any(|known| known == name) {
                    return error(at, "a parameter needs a name that no other parameter of the path has");
                }
                let (field, part) = (vec![format!("p{}", names.len())], literals.len());
                template.variables.push(Variable { field, start, end: start + 1, slash: Slash::Decoded, part });
                names.push(name.to_owned());
                literals.push(before);
                left = behind;
            }
            if left.contains('}') {
                return error(at, "a } has no {");
            }
            literals.push(left);
            let decode = |literal: &&str| percent::decode(literal, Slash::Decoded).map(std::borrow::Cow::into_owned);
            let Ok(mut literals) = literals.iter().map(decode).collect::<Result<Vec<_>, _>>() else {
                return error(at, "the text can't be decoded");
            };
            template.segments.push(match literals.as_slice() {
                [_] => Segment::Literal(literals.remove(0)),
                [before, behind] if before.is_empty() && behind.is_empty() => Segment::One,
                _ => match SegmentPattern::new(literals) {
                    Some(pattern) => Segment::Mixed(pattern),
                    None => return error(at, "there must be text between two parameters of a segment"),
                },
            });
            at += segment.len() + 1;
        }
        Ok((template, names))
    }

    /// The segments, including those of variables.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The variables, from left to right.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The verb after the `:`.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// Returns the part of a path that a variable matches, still encoded. The path must match the template.
    pub fn capture<'p>(&self, variable: &Variable, path: &'p str) -> &'p str {
        let path = self.verb.as_ref().and_then(|verb| path.strip_suffix(verb.as_str())?.strip_suffix(':')).unwrap_or(path);
        let mut rest = path;
        for _ in 0..=variable.start {
            match rest.split_once('/') {
                Some((_, behind)) => rest = behind,
                // `**` matched no segments.
                None => return "",
            }
        }
        match self.segments.get(variable.end - 1) {
            Some(Segment::Rest) => return rest,
            Some(Segment::Mixed(pattern)) => {
                return pattern.capture(rest.split_once('/').map_or(rest, |(segment, _)| segment), variable.part);
            }
            _ => {}
        }
        let mut slashes = rest.match_indices('/').skip(variable.end - variable.start - 1);
        slashes.next().map_or(rest, |(at, _)| &rest[..at])
    }

    /// Builds a path from values of the variables. Returns `None` if a value does not match its variable.
    pub fn path(&self, values: &[&str]) -> Option<String> {
        let mut out = String::new();
        let (mut place, mut values) = (0, values.iter());
        while place < self.segments.len() {
            let variable = self.variables.iter().find(|variable| variable.start == place);
            match (variable, &self.segments[place]) {
                (_, Segment::Mixed(pattern)) => {
                    out.push('/');
                    let count = self.variables.iter().filter(|variable| variable.start == place).count();
                    let parts: Vec<String> = values.by_ref().take(count).map(|value| percent::encode(value, Slash::Decoded)).collect();
                    pattern.write(parts.iter().map(String::as_str), &mut out)?;
                }
                (Some(variable), _) => {
                    out.push('/');
                    out.push_str(&percent::encode(values.next()?, variable.slash));
                    place = variable.end - 1;
                }
                (None, Segment::Literal(literal)) => {
                    out.push('/');
                    out.push_str(&percent::encode(literal, Slash::Decoded));
                }
                // A wildcard without a variable takes the next value.
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

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            f.write_str("/")?;
        }
        for (place, segment) in self.segments.iter().enumerate() {
            f.write_str("/")?;
            if let Segment::Mixed(pattern) = segment {
                let mut out = String::new();
                let names: Vec<String> = self
                    .variables
                    .iter()
                    .filter(|variable| variable.start == place)
                    .map(|variable| format!("{{{}}}", variable.field.join(".")))
                    .collect();
                if pattern.write(names.iter().map(String::as_str), &mut out).is_some() {
                    f.write_str(&out)?;
                }
                continue;
            }
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
                Segment::One | Segment::Mixed(_) => f.write_str("*")?,
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
    template: PathTemplate,
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
                return self.error("a verb of letters, digits, - and _ must follow :");
            }
            self.template.verb = Some(verb.to_owned());
        }
        match self.rest().chars().next() {
            None => Ok(()),
            Some(letter) => self.error(format!("{letter:?} is not allowed here; it must be percent-encoded")),
        }
    }

    fn segments(&mut self, inside: bool) -> Result<(), TemplateError> {
        loop {
            if self.template.segments.last() == Some(&Segment::Rest) {
                return self.error("only a verb may follow **");
            }
            self.segment(inside)?;
            if !self.take("/") {
                return Ok(());
            }
        }
    }

    fn segment(&mut self, inside: bool) -> Result<(), TemplateError> {
        if self.rest().starts_with('{') {
            return if inside { self.error("a variable can't contain another variable") } else { self.variable() };
        }
        let segment = if self.take("**") {
            Segment::Rest
        } else if self.take("*") {
            Segment::One
        } else {
            let start = self.at;
            let word = self.word();
            if word.is_empty() {
                return self.error("expected a segment: text, *, ** or {field}");
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
                return self.error("expected the name of a field");
            }
            field.push(rest[..length].to_owned());
            self.at += length;
            if !self.take(".") {
                break;
            }
        }
        if self.template.variables.iter().any(|variable| variable.field == field) {
            self.at = opened;
            return self.error(format!("{} appears twice", field.join(".")));
        }
        let start = self.template.segments.len();
        if self.take("=") {
            self.segments(true)?;
        } else {
            self.template.segments.push(Segment::One);
        }
        if !self.take("}") {
            return self.error("expected }");
        }
        let end = self.template.segments.len();
        let slash = if self.template.segments[start..] == [Segment::One] { Slash::Decoded } else { Slash::Kept };
        self.template.variables.push(Variable { field, start, end, slash, part: 0 });
        Ok(())
    }

    /// Consumes a literal: unreserved characters, `%`, and the delimiters that have no meaning in templates.
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
