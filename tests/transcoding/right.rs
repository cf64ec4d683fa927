//! Describes the correct response to a request. It specifies what the row is about, and leaves open what transcoders may choose, such as
//! the shape of an error body or whether fields with the value zero are written.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::client::Answer;

#[derive(Clone, Debug)]
pub struct Right {
    status: u16,
    checks: Vec<Check>,
    /// An alternative that is correct too.
    or: Option<Box<Right>>,
}

#[derive(Clone, Debug)]
enum Check {
    /// A JSON object with these members. Members that are zero, empty or `null` may be missing, and other members may exist.
    Json(Value),
    /// Such objects, one in each line, either directly or in its member `result`.
    Lines(Vec<Value>),
    /// Such objects in a JSON list.
    List(Vec<Value>),
    /// Such objects as the data of server-sent events.
    Events(Vec<Value>),
    /// The last line, list item or event is an error whose text contains these words.
    Ends(Stream, &'static str),
    /// The body contains these words.
    Says(Vec<&'static str>),
    /// The body contains this line and column.
    At(u32, u32),
    /// The error body of the frontend: a JSON object.
    ErrorObject,
    /// The member at this pointer is a field mask with these paths.
    Mask(&'static str, Vec<&'static str>),
    /// A header with this name, or with a name that ends with it, such as `grpc-trailer-…`.
    Header(&'static str, &'static str),
    /// The header `Allow` lists these methods.
    Allows(Vec<&'static str>),
    /// The body begins with these bytes.
    Begins(&'static [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Lines,
    List,
    Events,
}

/// A response with this status.
pub const fn status(status: u16) -> Right {
    Right { status, checks: Vec::new(), or: None }
}

impl Right {
    fn and(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    pub fn json(self, members: Value) -> Self {
        self.and(Check::Json(members))
    }

    pub fn lines(self, lines: impl Into<Vec<Value>>) -> Self {
        self.and(Check::Lines(lines.into()))
    }

    pub fn list(self, items: impl Into<Vec<Value>>) -> Self {
        self.and(Check::List(items.into()))
    }

    pub fn events(self, events: impl Into<Vec<Value>>) -> Self {
        self.and(Check::Events(events.into()))
    }

    pub fn ends(self, stream: Stream, words: &'static str) -> Self {
        self.and(Check::Ends(stream, words))
    }

    pub fn says(self, words: &[&'static str]) -> Self {
        self.and(Check::Says(words.to_vec()))
    }

    pub fn at(self, line: u32, column: u32) -> Self {
        self.and(Check::At(line, column))
    }

    pub fn error_object(self) -> Self {
        self.and(Check::ErrorObject)
    }

    pub fn mask(self, pointer: &'static str, paths: &[&'static str]) -> Self {
        self.and(Check::Mask(pointer, paths.to_vec()))
    }

    pub fn header(self, name: &'static str, value: &'static str) -> Self {
        self.and(Check::Header(name, value))
    }

    pub fn allows(self, methods: &[&'static str]) -> Self {
        self.and(Check::Allows(methods.to_vec()))
    }

    pub fn begins(self, bytes: &'static [u8]) -> Self {
        self.and(Check::Begins(bytes))
    }

    /// Adds an alternative that is correct too.
    pub fn or(mut self, other: Self) -> Self {
        self.or = Some(Box::new(other));
        self
    }

    /// Checks a response, and returns what is wrong with it.
    pub fn check(&self, answer: &Answer) -> Result<(), String> {
        if self.or.as_ref().is_some_and(|other| other.check(answer).is_ok()) {
            return Ok(());
        }
        if answer.status != self.status {
            return Err(format!("status {}, not {}", answer.status, self.status));
        }
        if answer.broken {
            return Err("the body broke off".to_owned());
        }
        self.checks.iter().try_for_each(|check| check.check(answer))
    }

    /// Returns the description for the table.
    pub fn words(&self) -> String {
        let checks = self.checks.iter().map(Check::words);
        let words = std::iter::once(self.status.to_string()).chain(checks).collect::<Vec<_>>().join(", ");
        self.or.as_ref().map_or(words.clone(), |other| format!("{words}; or {}", other.words()))
    }

    /// Returns the headers that belong to the description.
    pub fn headers(&self) -> impl Iterator<Item = &'static str> {
        self.checks.iter().filter_map(|check| match check {
            Check::Header(name, _) => Some(*name),
            Check::Allows(_) => Some("allow"),
            _ => None,
        })
    }
}

impl Check {
    fn check(&self, answer: &Answer) -> Result<(), String> {
        let ensure = |said: bool, what: String| if said { Ok(()) } else { Err(what) };
        match self {
            Self::Json(wanted) => compare(wanted, &answer.json()?),
            Self::Lines(wanted) => {
                let unwrapped = |line: Value| line.get("result").cloned().unwrap_or(line);
                each(wanted, &lines(answer)?.into_iter().map(unwrapped).collect::<Vec<_>>())
            }
            Self::List(wanted) => each(wanted, &list(answer)?),
            Self::Events(wanted) => {
                let events = events(answer)?.into_iter().map(|(_, data)| data).collect::<Vec<_>>();
                each(wanted, &events)
            }
            Self::Ends(stream, words) => {
                let last = match stream {
                    Stream::Lines => lines(answer)?.pop(),
                    Stream::List => list(answer)?.pop(),
                    Stream::Events => events(answer)?.pop().filter(|(name, _)| name == "error").map(|(_, data)| data),
                };
                let last = last.unwrap_or_default().to_string();
                ensure(last.contains(words), format!("the end is not an error that says {words:?}, but {last}"))
            }
            Self::Says(words) => {
                let text = answer.text();
                let missing = words.iter().find(|word| !text.contains(**word));
                ensure(missing.is_none(), format!("the body does not say {missing:?}"))
            }
            Self::At(line, column) => {
                let text = answer.text();
                // The forms in use: `line 3, column 11`, `(line 3:11)`, and separate members.
                let contains_column = |column: u32| {
                    text.contains(&format!("line {line}, column {column}"))
                        || text.contains(&format!("line {line}:{column}"))
                        || text.contains(&format!("\"line\":\"{line}\",\"column\":\"{column}\""))
                };
                // Some transcoders count from 0, or report the start of the token.
                ensure((column - 1..=column + 1).any(contains_column), format!("the body does not say line {line}, column {column}"))
            }
            Self::ErrorObject => {
                let body = answer.json()?;
                ensure(body.as_object().is_some_and(|members| !members.is_empty()), "the body is no JSON object".to_owned())
            }
            Self::Mask(pointer, paths) => {
                let body = answer.json()?;
                let mask = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                let have: BTreeSet<&str> = mask.split(',').filter(|path| !path.is_empty()).collect();
                ensure(have == paths.iter().copied().collect(), format!("the mask at {pointer} is {mask:?}"))
            }
            Self::Header(name, value) => {
                let header =
                    answer.headers.iter().find(|(known, have)| known.as_str().ends_with(name) && have.as_bytes() == value.as_bytes());
                ensure(header.is_some(), format!("no header {name}: {value}"))
            }
            Self::Allows(methods) => {
                let allow = answer.header("allow").unwrap_or_default();
                let have: BTreeSet<&str> = allow.split(',').map(str::trim).collect();
                ensure(methods.iter().all(|method| have.contains(method)), format!("the header Allow is {allow:?}"))
            }
            Self::Begins(wanted) => ensure(answer.body.starts_with(wanted), format!("the body is {:?}", answer.body)),
        }
    }

    fn words(&self) -> String {
        let joined = |values: &[Value], what: &str| match values {
            [] => format!("no {what}"),
            _ => format!("{what} {}", values.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")),
        };
        match self {
            Self::Json(members) => members.to_string(),
            Self::Lines(lines) => joined(lines, "lines"),
            Self::List(items) => Value::from(items.clone()).to_string(),
            Self::Events(events) => joined(events, "events"),
            Self::Ends(Stream::Lines, words) => format!("last line {{\"error\": … {words} …}}"),
            Self::Ends(Stream::List, words) => format!("last item {{\"error\": … {words} …}}"),
            Self::Ends(Stream::Events, words) => format!("event: error with {words:?}"),
            Self::Says(words) => format!("says {}", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" and ")),
            Self::At(line, column) => format!("tells line {line}, column {column}"),
            Self::ErrorObject => "a JSON error body".to_owned(),
            Self::Mask(_, paths) if paths.is_empty() => "no mask".to_owned(),
            Self::Mask(_, paths) => format!("mask {}", paths.join(",")),
            Self::Header(name, value) => format!("{name}: {value}"),
            Self::Allows(methods) => format!("allow: {}", methods.join(", ")),
            Self::Begins(bytes) => format!("begins with {}", bytes.escape_ascii()),
        }
    }
}

fn lines(answer: &Answer) -> Result<Vec<Value>, String> {
    let parse = |line: &str| serde_json::from_str(line).map_err(|error| format!("a line is no JSON: {error}"));
    answer.text().lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
}

fn list(answer: &Answer) -> Result<Vec<Value>, String> {
    match answer.json()? {
        Value::Array(items) => Ok(items),
        _ => Err("the body is no JSON list".to_owned()),
    }
}

/// Returns names and data of events (HTML standard, "Server-sent events"). Events without data are skipped.
fn events(answer: &Answer) -> Result<Vec<(String, Value)>, String> {
    let kind = answer.header("content-type").unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return Err(format!("the content type is {kind}"));
    }
    let mut events = Vec::new();
    for block in answer.text().split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start().to_owned());
        if let Some(data) = field("data:") {
            let data = serde_json::from_str(&data).map_err(|error| format!("the data of an event is no JSON: {error}"))?;
            events.push((field("event:").unwrap_or_default(), data));
        }
    }
    Ok(events)
}

fn each(wanted: &[Value], have: &[Value]) -> Result<(), String> {
    if wanted.len() != have.len() {
        return Err(format!("{} items, not {}", have.len(), wanted.len()));
    }
    wanted.iter().zip(have).try_for_each(|(wanted, have)| compare(wanted, have))
}

fn compare(wanted: &Value, have: &Value) -> Result<(), String> {
    if fits(wanted, have) { Ok(()) } else { Err(format!("the body is {have}, not {wanted}")) }
}

fn fits(wanted: &Value, have: &Value) -> bool {
    match (wanted, have) {
        (Value::Object(wanted), Value::Object(have)) => members_fit(wanted, have),
        (Value::Array(wanted), Value::Array(have)) => {
            wanted.len() == have.len() && wanted.iter().zip(have).all(|(wanted, have)| fits(wanted, have))
        }
        (Value::Number(wanted), Value::Number(have)) => wanted.as_f64() == have.as_f64(),
        _ => wanted == have || is_zero(wanted) && is_zero(have),
    }
}

fn members_fit(wanted: &Map<String, Value>, have: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, value)| fits(value, have.get(name).unwrap_or(&Value::Null)))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty() || value == "0" || value.ends_with("_UNSPECIFIED"),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}
