//! A request as an operation's document describes it: parameters by place and type, and the body.

use std::{borrow::Cow, sync::LazyLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use super::{check::Checks, value};
use crate::{
    bind::{ContentType, MAX_PARAMETERS},
    definition::{Body, Location, Parameter, Reading, Style},
    expression::{self, Type, Value},
    percent::{self, Slash},
    template::Template,
};
use prism_call::{Code, Error};

/// What a request gives for one parameter.
#[derive(Clone, Debug)]
pub enum Given<'a> {
    /// One text.
    Text(Cow<'a, str>),
    /// A header's value.
    Header(HeaderValue),
    /// Several texts.
    List(Vec<Cow<'a, str>>),
    /// Texts by name.
    Members(Vec<(Cow<'a, str>, Cow<'a, str>)>),
    /// It stands there without a value.
    Empty,
}

impl Given<'_> {
    /// The one text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Header(value) => value.to_str().ok(),
            _ => None,
        }
    }

    fn into_owned(self) -> Given<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Text(text) => Given::Text(own(text)),
            Self::Header(value) => Given::Header(value),
            Self::List(texts) => Given::List(texts.into_iter().map(own).collect()),
            Self::Members(members) => Given::Members(members.into_iter().map(|(name, text)| (own(name), own(text))).collect()),
            Self::Empty => Given::Empty,
        }
    }
}

/// The body of a request, read as its type says.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    /// There is none.
    #[default]
    Absent,
    /// JSON, as it came and as a value of the type that its schema describes; `plain`: the text says all of the value, so
    /// that it can go into a message as it is.
    Json {
        /// As it came.
        bytes: Bytes,
        /// The value.
        value: Value,
        /// Whether no member is of a type that JSON doesn't have.
        plain: bool,
    },
    /// The fields of a form.
    Form(Value),
    /// Text in UTF-8.
    Text(Bytes),
    /// Bytes.
    Bytes(Bytes),
}

/// A request of which everything but the body has been read.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: Cow<'a, str>,
    /// What it gives for each parameter of the operation, in their order.
    pub given: Vec<Option<Given<'a>>>,
    /// Its body, once that has been read.
    pub payload: Payload,
}

/// Where the parts of a request are.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a, 'h> {
    /// The method.
    pub method: &'h Method,
    /// The path below the base.
    pub path: &'a str,
    /// What stands behind `?`.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'h HeaderMap,
}

/// What is asked of the parameters of a request.
#[derive(Debug, Default)]
pub struct Parameters {
    /// The parameters of the operation.
    pub list: Vec<Parameter>,
    /// For each variable of the path template, the parameter that it is; a template may lack the first ones.
    pub variables: Vec<usize>,
    /// How many of them the template may lack: those of `also_under`.
    pub of_prefix: usize,
    /// Whether query parameters that are not in the list are passed over.
    pub ignore_unknown: bool,
    /// The schemas of parameters and bodies.
    pub checks: Checks,
}

impl Parameters {
    /// None, as where no operation is known.
    pub fn none() -> &'static Self {
        static NONE: LazyLock<Parameters> = LazyLock::new(Parameters::default);
        &NONE
    }

    /// Reads path, query and headers.
    pub fn read<'a>(&self, template: &Template, parts: Parts<'a, '_>) -> Result<Received<'a>, Error> {
        let mut given: Vec<Option<Given<'a>>> = vec![None; self.list.len()];
        let lacking = self.variables.len().saturating_sub(template.variables().len());
        for (variable, place) in template.variables().iter().zip(self.variables.iter().skip(lacking)) {
            let raw = template.capture(variable, parts.path);
            let text = percent::decode(raw, Slash::Decoded).map_err(|refusal| self.refuse(*place, refusal))?;
            given[*place] = Some(Given::Text(text));
        }
        if let Some(query) = parts.query.filter(|query| !query.is_empty()) {
            self.query(query, &mut given)?;
        }
        for (place, parameter) in self.list.iter().enumerate() {
            match parameter.location {
                Location::Header => given[place] = header(parts.headers, &parameter.name),
                Location::Cookie => given[place] = cookie(parts.headers, &parameter.name),
                Location::Path | Location::Query => {}
            }
            if parameter.style == Style::Commas
                && let Some(found) = given[place].take()
            {
                given[place] = Some(found.text().map_or(Given::List(Vec::new()), |text| {
                    Given::List(text.split(',').map(|item| Cow::Owned(item.trim().to_owned())).collect())
                }));
            }
            self.check(place, given[place].as_ref())?;
        }
        Ok(Received { method: parts.method.clone(), path: Cow::Borrowed(parts.path), given, payload: Payload::Absent })
    }

    fn query<'a>(&self, query: &'a str, given: &mut [Option<Given<'a>>]) -> Result<(), Error> {
        for (count, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if count == MAX_PARAMETERS {
                return Err(Error::new(
                    Code::InvalidArgument,
                    "TOO_MANY_PARAMETERS",
                    format!("the query has more than {MAX_PARAMETERS} parameters"),
                ));
            }
            let (raw_name, raw_value) = pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
            let name = percent::decode_query(raw_name).map_err(|refusal| invalid("query", raw_name, refusal))?;
            let (place, member) = match self.find(&name) {
                Some(found) => found,
                None if self.ignore_unknown => continue,
                None => return Err(self.unknown(&name)),
            };
            let value = percent::decode_query(raw_value.unwrap_or_default()).map_err(|refusal| self.refuse(place, refusal))?;
            let parameter = &self.list[place];
            match (parameter.style, &mut given[place]) {
                (Style::Deep, Some(Given::Members(members))) => members.push((Cow::Owned(member.unwrap_or_default()), value)),
                (Style::Deep, slot) => *slot = Some(Given::Members(vec![(Cow::Owned(member.unwrap_or_default()), value)])),
                (Style::Repeated, Some(Given::List(list))) => list.push(value),
                (Style::Repeated, slot) => *slot = Some(Given::List(vec![value])),
                (_, Some(_)) => return Err(self.refuse(place, "stands twice, but takes one value")),
                (_, slot) if parameter.allow_empty && value.is_empty() => *slot = Some(Given::Empty),
                (_, slot) => *slot = Some(Given::Text(value)),
            }
        }
        Ok(())
    }

    /// The query parameter of a name, and the member of it that `name[member]` means.
    fn find(&self, name: &str) -> Option<(usize, Option<String>)> {
        let query = |wanted: &str, deep: bool| {
            let fits = |parameter: &Parameter| {
                parameter.location == Location::Query && parameter.name == wanted && deep == (parameter.style == Style::Deep)
            };
            self.list.iter().position(fits)
        };
        if let Some(place) = query(name, false) {
            return Some((place, None));
        }
        let (outer, member) = name.split_once('[')?;
        Some((query(outer, true)?, Some(member.strip_suffix(']')?.to_owned())))
    }

    /// Whether what is given is what the document asks for. Every value is of its type behind this.
    fn check(&self, place: usize, given: Option<&Given<'_>>) -> Result<(), Error> {
        let parameter = &self.list[place];
        let Some(given) = given else {
            return if parameter.required { Err(self.refuse(place, "is required")) } else { Ok(()) };
        };
        if let Given::Header(value) = given
            && value.to_str().is_err()
        {
            return Err(self.refuse(place, "has characters that are not visible ASCII"));
        }
        // Most are texts without a rule of their own.
        if parameter.schema.is_none() && parameter.value == Type::String && given.text().is_some() {
            return Ok(());
        }
        let value = value::of_parameter(parameter, given).map_err(|refusal| self.refuse(place, &refusal))?;
        if parameter.schema.is_some() {
            let mut json = Vec::new();
            expression::value::to_json(&value, &mut json);
            let json = serde_json::from_slice(&json).unwrap_or_default();
            self.checks.parameter(place, &json).map_err(|refusal| self.refuse(place, &refusal))?;
        }
        Ok(())
    }

    /// `INVALID_ARGUMENT INVALID_FIELD` for a parameter.
    pub fn refuse(&self, place: usize, refusal: &str) -> Error {
        let parameter = &self.list[place];
        invalid(parameter.location.name(), &parameter.name, refusal)
    }

    #[cold]
    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> =
            self.list.iter().filter(|known| known.location == Location::Query).map(|known| known.name.as_str()).collect();
        let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let description = format!("is not known; this operation takes {takes}");
        Error::new(Code::InvalidArgument, "UNKNOWN_PARAMETER", format!("the query parameter {name} {description}"))
            .with_violation(name, description)
            .with("in", "query")
            .with("parameter", name)
    }
}

fn invalid(place: &'static str, name: &str, refusal: &str) -> Error {
    Error::invalid(name, refusal.to_owned()).with("in", place).with("parameter", name)
}

fn header<'a>(headers: &HeaderMap, name: &str) -> Option<Given<'a>> {
    headers.get(name).cloned().map(Given::Header)
}

/// A cookie's value (RFC 6265, section 4.2).
fn cookie<'a>(headers: &HeaderMap, name: &str) -> Option<Given<'a>> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    Some(Given::Text(Cow::Owned(value.trim_matches('"').to_owned())))
}

impl<'a> Received<'a> {
    /// A request of which nothing but its method and path is known.
    pub fn bare(method: &Method, path: &'a str) -> Self {
        Self { method: method.clone(), path: Cow::Borrowed(path), given: Vec::new(), payload: Payload::Absent }
    }
}

impl Received<'_> {
    /// The same without borrowing from the request.
    pub fn into_owned(self) -> Received<'static> {
        Received {
            method: self.method,
            path: Cow::Owned(self.path.into_owned()),
            given: self.given.into_iter().map(|given| given.map(Given::into_owned)).collect(),
            payload: self.payload,
        }
    }
}

impl Body {
    /// How a body of this type is read, or the refusal of the type.
    pub fn reading(&self, content_type: Option<&str>) -> Result<Reading, Error> {
        let Some(first) = self.contents.first() else { return Ok(Reading::Bytes) };
        if self.any_type {
            return Ok(first.reading);
        }
        let Some(sent) = content_type.map(ContentType::of).filter(|sent| !sent.essence.is_empty()) else {
            let json = self.contents.iter().any(|content| content.reading == Reading::Json);
            return Ok(if json { Reading::Json } else { first.reading });
        };
        let essence = sent.essence.to_ascii_lowercase();
        let exactly = || self.contents.iter().find(|content| content.media == essence);
        let any_json = || self.contents.iter().find(|content| content.reading == Reading::Json && sent.is_json());
        let range = || {
            self.contents.iter().find(|content| {
                let group = content.media.strip_suffix('*').unwrap_or("\0");
                content.media == "*/*" || essence.starts_with(group)
            })
        };
        let utf8 = |reading: Reading| {
            let charset = sent.charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"));
            matches!(reading, Reading::Bytes | Reading::Form) || charset
        };
        let found = exactly().or_else(any_json).or_else(range).map(|content| content.reading).filter(|reading| utf8(*reading));
        found.ok_or_else(|| {
            let types: Vec<&str> = self.contents.iter().map(|content| content.media.as_str()).collect();
            let message = format!("the body can't be {}; send {} in UTF-8", content_type.unwrap_or_default(), types.join(" or "));
            Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message)
        })
    }

    /// The payload that bytes are, if they are what the schemas say.
    pub fn payload(&self, reading: Reading, bytes: Bytes, checks: &Checks) -> Result<Payload, Error> {
        // No text is a text too, and no bytes are bytes.
        if bytes.is_empty() && matches!(reading, Reading::Json | Reading::Form) {
            return if self.required { Err(required()) } else { Ok(Payload::Absent) };
        }
        let content = self.contents.iter().find(|content| content.reading == reading);
        let typed = |tree: &serde_json::Value| {
            checks.body(reading, tree)?;
            let kind = content.map_or(&Type::Dyn, |content| &content.value);
            let value = value::typed(kind, tree).map_err(|(path, why)| Error::invalid(path.trim_start_matches('.'), why))?;
            Ok::<_, Error>(value)
        };
        Ok(match reading {
            Reading::Json => {
                let value = typed(&value::parse_json(&bytes)?)?;
                Payload::Json { bytes, value, plain: content.is_none_or(|content| !has_bytes(&content.value)) }
            }
            Reading::Bytes => Payload::Bytes(bytes),
            Reading::Text => {
                if std::str::from_utf8(&bytes).is_err() {
                    return Err(Error::invalid("", "the body is no text in UTF-8"));
                }
                Payload::Text(bytes)
            }
            Reading::Form => Payload::Form(typed(&self.form(&bytes)?)?),
        })
    }

    fn form(&self, bytes: &[u8]) -> Result<serde_json::Value, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid("", "the form is no text in UTF-8"))?;
        let content = self.contents.iter().find(|content| content.reading == Reading::Form);
        let object = content.and_then(|content| if let Type::Object(object) = &content.value { Some(object) } else { None });
        let mut members = serde_json::Map::new();
        for (count, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent::decode_query(name).map_err(|refusal| invalid("body", name, refusal))?;
            if count == MAX_PARAMETERS {
                return Err(Error::invalid("", format!("the form has more than {MAX_PARAMETERS} fields")));
            }
            let value = percent::decode_query(value).map_err(|refusal| invalid("body", &name, refusal))?;
            let kind = object.and_then(|object| object.member(&name)).map(|member| &member.value);
            let list = matches!(kind, Some(Type::List(_)));
            let kind = if let Some(Type::List(element)) = kind { Some(&**element) } else { kind };
            let value = value::json_of_text(kind.unwrap_or(&Type::String), &value).map_err(|refusal| invalid("body", &name, &refusal))?;
            match members.get_mut(&*name) {
                Some(serde_json::Value::Array(items)) => items.push(value),
                Some(_) => return Err(invalid("body", &name, "stands twice, but takes one value")),
                None if list => drop(members.insert(name.into_owned(), vec![value].into())),
                None => drop(members.insert(name.into_owned(), value)),
            }
        }
        Ok(members.into())
    }
}

/// Whether a value of this type may have bytes in it, which are base64 in JSON.
fn has_bytes(kind: &Type) -> bool {
    match kind {
        Type::Bytes => true,
        Type::List(inner) | Type::Map(inner) => has_bytes(inner),
        Type::Object(object) => object.members.iter().any(|member| has_bytes(&member.value)),
        _ => false,
    }
}

/// A body that is required and isn't there.
pub fn required() -> Error {
    Error::new(Code::InvalidArgument, "BODY_REQUIRED", "the request needs a body")
}

impl Payload {
    /// The value of JSON or of a form.
    pub fn tree(&self) -> Option<&Value> {
        match self {
            Self::Json { value, .. } | Self::Form(value) => Some(value),
            _ => None,
        }
    }

    /// The value in expressions; none if there is no body.
    pub fn value(&self) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Json { value, .. } | Self::Form(value) => Some(value.clone()),
            Self::Text(bytes) => Some(Value::String(String::from_utf8_lossy(bytes).into_owned().into())),
            Self::Bytes(bytes) => Some(Value::Bytes(bytes.to_vec().into())),
        }
    }
}
