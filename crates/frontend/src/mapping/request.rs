//! Reads the parameters of a request as the OpenAPI document describes them.

use std::{borrow::Cow, sync::LazyLock};

use http::{HeaderMap, HeaderName, Method, header};

use super::{
    body::Payload,
    check::RequestSchemas,
    input::{Parameter, ParameterLocation, ParameterStyle, invalid},
    raw_parameter::RawParameter,
    value,
};
use crate::{
    bind::MAX_PARAMETERS,
    expression::{self, Type},
    percent::{self, Slash},
    template::PathTemplate,
};
use prism_call::{Code, Error, Proof};

/// A received request. The body is read later.
#[derive(Clone, Debug)]
pub struct ReceivedRequest<'a> {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: Cow<'a, str>,
    /// The values of the operation's parameters, in their order.
    pub given: Vec<Option<RawParameter<'a>>>,
    /// Its body, if it has been read.
    pub payload: Payload,
}

/// The request without its body.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a, 'h> {
    /// The method.
    pub method: &'h Method,
    /// The path below the base.
    pub path: &'a str,
    /// The text after `?`.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'h HeaderMap,
}

/// The parameters of an operation.
#[derive(Debug, Default)]
pub struct Parameters {
    /// The parameters.
    pub list: Vec<Parameter>,
    /// For each variable of the path template, the index of its parameter. A template may lack the first ones.
    pub variables: Vec<usize>,
    /// The number of variables that a template may lack: those of `also_under`.
    pub of_prefix: usize,
    /// Whether unknown query parameters are ignored.
    pub ignore_unknown: bool,
    /// The schemas of parameters and bodies.
    pub checks: RequestSchemas,
}

impl Parameters {
    /// Returns an empty list, for requests that match no operation.
    pub fn none() -> &'static Self {
        static NONE: LazyLock<Parameters> = LazyLock::new(Parameters::default);
        &NONE
    }

    /// Returns the text of a path parameter, to select the namespace of a request before it is admitted.
    pub fn path_text<'a>(&self, name: &str, template: &PathTemplate, path: &'a str) -> Option<Cow<'a, str>> {
        let lacking = self.variables.len().saturating_sub(template.variables().len());
        let mut variables = template.variables().iter().zip(self.variables.iter().skip(lacking));
        let (variable, _) = variables.find(|(_, place)| self.list.get(**place).is_some_and(|parameter| parameter.name == name))?;
        percent::decode(template.capture(variable, path), Slash::Decoded).ok()
    }

    /// Whether the operation has one of these headers as a parameter, so that the definition decides what they mean.
    pub fn has_header(&self, names: &[HeaderName]) -> bool {
        self.list.iter().any(|known| known.location == ParameterLocation::Header && names.iter().any(|name| name.as_str() == known.name))
    }

    /// Reads path, query, headers and cookies.
    pub fn read<'a>(&self, _proof: Proof, template: &PathTemplate, parts: RequestHead<'a, '_>) -> Result<ReceivedRequest<'a>, Error> {
        let mut given: Vec<Option<RawParameter<'a>>> = vec![None; self.list.len()];
        let lacking = self.variables.len().saturating_sub(template.variables().len());
        for (variable, place) in template.variables().iter().zip(self.variables.iter().skip(lacking)) {
            let raw = template.capture(variable, parts.path);
            let text = percent::decode(raw, Slash::Decoded).map_err(|refusal| self.refuse(*place, refusal))?;
            given[*place] = Some(RawParameter::Text(text));
        }
        if let Some(query) = parts.query.filter(|query| !query.is_empty()) {
            self.query(query, &mut given)?;
        }
        for (place, parameter) in self.list.iter().enumerate() {
            match parameter.location {
                ParameterLocation::Header => given[place] = header(parts.headers, &parameter.name),
                ParameterLocation::Cookie => given[place] = cookie(parts.headers, &parameter.name),
                ParameterLocation::Path | ParameterLocation::Query => {}
            }
            if parameter.style == ParameterStyle::Commas
                && let Some(found) = given[place].take()
            {
                given[place] = Some(found.text().map_or(RawParameter::List(Vec::new()), |text| {
                    RawParameter::List(text.split(',').map(|item| Cow::Owned(item.trim().to_owned())).collect())
                }));
            }
            self.check(place, given[place].as_ref())?;
        }
        Ok(ReceivedRequest { method: parts.method.clone(), path: Cow::Borrowed(parts.path), given, payload: Payload::Absent })
    }

    fn query<'a>(&self, query: &'a str, given: &mut [Option<RawParameter<'a>>]) -> Result<(), Error> {
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
                (ParameterStyle::Deep, Some(RawParameter::Members(members))) => {
                    members.push((Cow::Owned(member.unwrap_or_default()), value));
                }
                (ParameterStyle::Deep, slot) => *slot = Some(RawParameter::Members(vec![(Cow::Owned(member.unwrap_or_default()), value)])),
                (ParameterStyle::Repeated, Some(RawParameter::List(list))) => list.push(value),
                (ParameterStyle::Repeated, slot) => *slot = Some(RawParameter::List(vec![value])),
                (_, Some(_)) => return Err(self.refuse(place, "appears twice, but takes one value")),
                (_, slot) if parameter.allow_empty && value.is_empty() => *slot = Some(RawParameter::Empty),
                (_, slot) => *slot = Some(RawParameter::Text(value)),
            }
        }
        Ok(())
    }

    /// Finds a query parameter by its name. For `name[member]`, also returns the member.
    fn find(&self, name: &str) -> Option<(usize, Option<String>)> {
        let query = |wanted: &str, deep: bool| {
            let fits = |parameter: &Parameter| {
                parameter.location == ParameterLocation::Query
                    && parameter.name == wanted
                    && deep == (parameter.style == ParameterStyle::Deep)
            };
            self.list.iter().position(fits)
        };
        if let Some(place) = query(name, false) {
            return Some((place, None));
        }
        let (outer, member) = name.split_once('[')?;
        Some((query(outer, true)?, Some(member.strip_suffix(']')?.to_owned())))
    }

    /// Checks a value against the document. After this, it is known to have its type.
    fn check(&self, place: usize, given: Option<&RawParameter<'_>>) -> Result<(), Error> {
        let parameter = &self.list[place];
        let Some(given) = given else {
            return if parameter.required { Err(self.refuse(place, "is required")) } else { Ok(()) };
        };
        if let RawParameter::Header(value) = given
            && value.to_str().is_err()
        {
            return Err(self.refuse(place, "has characters other than visible ASCII"));
        }
        // Most parameters are strings without a schema.
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

    /// Returns `INVALID_ARGUMENT INVALID_FIELD` for a parameter.
    pub fn refuse(&self, place: usize, refusal: &str) -> Error {
        let parameter = &self.list[place];
        invalid(parameter.location.name(), &parameter.name, refusal)
    }

    #[cold]
    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> =
            self.list.iter().filter(|known| known.location == ParameterLocation::Query).map(|known| known.name.as_str()).collect();
        let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let description = format!("is unknown; this operation has {takes}");
        Error::new(Code::InvalidArgument, "UNKNOWN_PARAMETER", format!("the query parameter {name} {description}"))
            .with_violation(name, description)
            .with("in", "query")
            .with("parameter", name)
    }
}

fn header<'a>(headers: &HeaderMap, name: &str) -> Option<RawParameter<'a>> {
    headers.get(name).cloned().map(RawParameter::Header)
}

/// Returns the value of a cookie (RFC 6265, section 4.2).
fn cookie<'a>(headers: &HeaderMap, name: &str) -> Option<RawParameter<'a>> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    Some(RawParameter::Text(Cow::Owned(value.trim_matches('"').to_owned())))
}

impl<'a> ReceivedRequest<'a> {
    /// Creates a request with a method and a path only.
    pub fn bare(method: &Method, path: &'a str) -> Self {
        Self { method: method.clone(), path: Cow::Borrowed(path), given: Vec::new(), payload: Payload::Absent }
    }
}

impl ReceivedRequest<'_> {
    /// Copies what is borrowed from the HTTP request.
    pub fn into_owned(self) -> ReceivedRequest<'static> {
        ReceivedRequest {
            method: self.method,
            path: Cow::Owned(self.path.into_owned()),
            given: self.given.into_iter().map(|given| given.map(RawParameter::into_owned)).collect(),
            payload: self.payload,
        }
    }
}
