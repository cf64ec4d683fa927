//! Reads the parameters of a request as the OpenAPI document describes them.

use std::{borrow::Cow, sync::LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::Value as Json;

use super::{
    body::Payload,
    check::RequestSchemas,
    pairs::{self, Collected, PairNames},
    parameter::{Parameter, ParameterFormat, ParameterLocation, invalid},
    raw_parameter::RawParameter,
    styled::Decoding,
    text_type::TextType,
    unique_json::parse_json,
    value,
};
use crate::{
    bind::{ContentType, MAX_PARAMETERS},
    expression::{self, Type},
    percent::{self, Slash},
    template::PathTemplate,
};
use prism_call::{Code, Error, Proof};

/// Why a header can't be read.
const UNREADABLE: &str = "has characters other than visible ASCII";

/// A received request. The body is read later.
#[derive(Clone, Debug)]
pub struct ReceivedRequest<'a> {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: Cow<'a, str>,
    /// The values of the operation's parameters, in their order.
    pub given: Vec<Option<RawParameter<'a>>>,
    /// The content type of its body in lower case, without parameters; empty: it has none.
    pub content_type: Cow<'static, str>,
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
    /// The names of the parameters in the query.
    pub query_names: PairNames,
    /// The names of the cookies.
    pub cookie_names: PairNames,
    /// Whether the first value counts if a parameter that takes one appears twice. Otherwise the request is refused.
    pub first_of_repeated: bool,
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
            let (raw, parameter) = (template.capture(variable, parts.path), &self.list[*place]);
            given[*place] = Some(match &parameter.format {
                ParameterFormat::Styled(format) => self.several(
                    *place,
                    &format.read(&parameter.name, raw, Decoding::Path).map_err(|refusal| self.refuse(*place, &refusal))?,
                )?,
                ParameterFormat::Segments(kind) => self.segments(*place, raw, kind)?,
                _ => RawParameter::Text(percent::decode(raw, Slash::Decoded).map_err(|refusal| self.refuse(*place, refusal))?),
            });
        }
        if let Some(query) = parts.query.filter(|query| !query.is_empty()) {
            self.query(query, &mut given)?;
        }
        for (place, parameter) in self.list.iter().enumerate() {
            match parameter.location {
                ParameterLocation::Header => given[place] = self.header(place, parts.headers)?,
                ParameterLocation::Cookie => given[place] = self.cookie(place, parts.headers)?,
                ParameterLocation::Path | ParameterLocation::Query | ParameterLocation::Form => {}
            }
            if let (ParameterFormat::Json, Some(RawParameter::Text(_) | RawParameter::Header(_))) = (&parameter.format, &given[place]) {
                let text = given[place].as_ref().and_then(RawParameter::text).unwrap_or_default();
                let json = parse_json(text.as_bytes()).map_err(|_| self.refuse(place, "must be JSON"))?;
                given[place] = Some(self.several(place, &json)?);
            }
            // A number has no empty value. So an empty parameter is as good as none.
            if matches!(given[place], Some(RawParameter::Empty)) && !matches!(parameter.value, Type::Bool | Type::String | Type::Dyn) {
                given[place] = None;
                continue;
            }
            if given[place].is_none() && parameter.required {
                given[place] = self.empty_object(place);
            }
            self.check(place, given[place].as_ref())?;
        }
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.map(|value| in_lower_case(ContentType::of(value).essence)).unwrap_or_default();
        let (method, path) = (parts.method.clone(), Cow::Borrowed(parts.path));
        Ok(ReceivedRequest { method, path, given, content_type, payload: Payload::Absent })
    }

    /// Reads a list of segments. Each is decoded by itself, so a segment may have an encoded slash.
    fn segments<'a>(&self, place: usize, raw: &str, kind: &TextType) -> Result<RawParameter<'a>, Error> {
        let segments = raw.split('/').filter(|_| !raw.is_empty());
        let items = segments.map(|segment| {
            let text = percent::decode(segment, Slash::Decoded).map_err(|refusal| self.refuse(place, refusal))?;
            kind.json(&text).map_err(|refusal| self.refuse(place, &refusal))
        });
        let list = Json::Array(items.collect::<Result<_, _>>()?);
        self.several(place, &list)
    }

    fn query<'a>(&self, query: &'a str, given: &mut [Option<RawParameter<'a>>]) -> Result<(), Error> {
        let mut collected = Collected::new();
        for (count, (raw_name, raw)) in pairs::split(query).enumerate() {
            if count == MAX_PARAMETERS {
                return Err(Error::new(
                    Code::InvalidArgument,
                    "TOO_MANY_PARAMETERS",
                    format!("the query has more than {MAX_PARAMETERS} parameters"),
                ));
            }
            let name = pairs::decode_name(ParameterLocation::Query, raw_name)?;
            match self.query_names.find(&self.list, &name) {
                Some(place) if self.first_of_repeated && given[place].is_some() => {}
                Some(place) => PairNames::take(place, &self.list[place], &name, raw, &mut given[place], &mut collected)?,
                None if self.ignore_unknown => {}
                None => return Err(self.unknown(&name)),
            }
        }
        self.collect(&collected, Decoding::Query, given)
    }

    /// Sets the parameters whose pairs were collected.
    fn collect(&self, collected: &Collected<'_>, decoding: Decoding, given: &mut [Option<RawParameter<'_>>]) -> Result<(), Error> {
        for (index, (place, ..)) in collected.iter().enumerate() {
            // A parameter with several pairs is read once.
            if collected[..index].iter().any(|(earlier, ..)| earlier == place) {
                continue;
            }
            let json =
                PairNames::collect(*place, &self.list[*place], collected, decoding).map_err(|refusal| self.refuse(*place, &refusal))?;
            given[*place] = json.map(|json| self.several(*place, &json)).transpose()?;
        }
        Ok(())
    }

    /// Returns an empty object for a parameter that is not there, if its style writes an empty object so, and its schema allows it.
    fn empty_object<'a>(&self, place: usize) -> Option<RawParameter<'a>> {
        let format = &self.list[place].format;
        let written_by_members = format.free_members().is_some() || format.is_deep();
        let ParameterFormat::Styled(styled) = format else { return None };
        styled.kind.object().filter(|_| written_by_members)?;
        self.several(place, &Json::Object(serde_json::Map::new())).ok()
    }

    /// Checks a value that is more than one text, and converts it to its type.
    fn several<'a>(&self, place: usize, json: &Json) -> Result<RawParameter<'a>, Error> {
        self.checks.parameter(place, json).map_err(|refusal| self.refuse(place, &refusal))?;
        let typed = value::typed(&self.list[place].value, json);
        typed.map(RawParameter::Value).map_err(|(path, refusal)| self.refuse(place, format!("{path} {refusal}").trim_start()))
    }

    fn header<'a>(&self, place: usize, headers: &HeaderMap) -> Result<Option<RawParameter<'a>>, Error> {
        let parameter = &self.list[place];
        let ParameterFormat::Styled(format) = &parameter.format else {
            let mut lines = headers.get_all(&parameter.name).iter();
            let (Some(first), second) = (lines.next(), lines.next()) else { return Ok(None) };
            if second.is_none() {
                return Ok(Some(RawParameter::Header(first.clone())));
            }
            // Several lines mean the same as one with commas (RFC 9110, section 5.3).
            let lines: Vec<&[u8]> = headers.get_all(&parameter.name).iter().map(HeaderValue::as_bytes).collect();
            let joined = HeaderValue::from_bytes(&lines.join(&b", "[..])).map_err(|_| self.refuse(place, UNREADABLE))?;
            return Ok(Some(RawParameter::Header(joined)));
        };
        // Several lines are one list (RFC 9110, section 5.3).
        let lines: Result<Vec<&str>, _> = headers.get_all(&parameter.name).iter().map(HeaderValue::to_str).collect();
        let lines = lines.map_err(|_| self.refuse(place, UNREADABLE))?;
        if lines.is_empty() {
            return Ok(None);
        }
        let json = format.read(&parameter.name, &lines.join(","), Decoding::Header).map_err(|refusal| self.refuse(place, &refusal))?;
        self.several(place, &json).map(Some)
    }

    fn cookie<'a>(&self, place: usize, headers: &HeaderMap) -> Result<Option<RawParameter<'a>>, Error> {
        let parameter = &self.list[place];
        let ParameterFormat::Styled(format) = &parameter.format else {
            let found = pairs::cookies(headers).find(|(name, _)| *name == parameter.name);
            let decoded =
                found.map(|(_, value)| Decoding::Cookie.decode(value)).transpose().map_err(|refusal| self.refuse(place, refusal))?;
            return Ok(decoded.map(|text| RawParameter::Text(Cow::Owned(text.into_owned()))));
        };
        let mut collected = Collected::new();
        for (name, value) in pairs::cookies(headers) {
            let mut take = |name: &str, value| {
                if self.cookie_names.find(&self.list, name) == Some(place) {
                    collected.push((place, name.to_owned(), value));
                }
            };
            if !format.explode {
                take(name, value);
                continue;
            }
            // The values of one parameter are several cookies, or pairs in one cookie.
            let mut parts = value.split('&');
            take(name, parts.next().unwrap_or_default());
            for part in parts {
                let (name, value) = part.split_once('=').unwrap_or((name, part));
                take(name, value);
            }
        }
        let json = PairNames::collect(place, parameter, &collected, Decoding::Cookie).map_err(|refusal| self.refuse(place, &refusal))?;
        json.map(|json| self.several(place, &json)).transpose()
    }

    /// Checks a value against the document. After this, it is known to have its type.
    fn check(&self, place: usize, given: Option<&RawParameter<'_>>) -> Result<(), Error> {
        let parameter = &self.list[place];
        let Some(given) = given else {
            return if parameter.required { Err(self.refuse(place, "is required")) } else { Ok(()) };
        };
        match given {
            RawParameter::Header(value) if value.to_str().is_err() => return Err(self.refuse(place, UNREADABLE)),
            // It was checked when it was read.
            RawParameter::Value(_) => return Ok(()),
            _ => {}
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

/// Returns a content type in lower case. The most frequent one is not allocated.
fn in_lower_case(essence: &str) -> Cow<'static, str> {
    const JSON: &str = "application/json";
    if essence.eq_ignore_ascii_case(JSON) { Cow::Borrowed(JSON) } else { Cow::Owned(essence.to_ascii_lowercase()) }
}

impl<'a> ReceivedRequest<'a> {
    /// Creates a request with a method and a path only.
    pub fn bare(method: &Method, path: &'a str) -> Self {
        let (method, path, content_type) = (method.clone(), Cow::Borrowed(path), Cow::default());
        Self { method, path, given: Vec::new(), content_type, payload: Payload::Absent }
    }
}

impl ReceivedRequest<'_> {
    /// Copies what is borrowed from the HTTP request.
    pub fn into_owned(self) -> ReceivedRequest<'static> {
        ReceivedRequest {
            method: self.method,
            path: Cow::Owned(self.path.into_owned()),
            given: self.given.into_iter().map(|given| given.map(RawParameter::into_owned)).collect(),
            content_type: self.content_type,
            payload: self.payload,
        }
    }
}
