//! Reads texts of the form `name=value&name=value`: queries, forms, and the cookies of a request.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::{
    parameter::{Parameter, ParameterFormat, ParameterLocation, invalid},
    raw_parameter::RawParameter,
    styled::{Decoding, ParameterStyle, StyledFormat},
    text_type::MAX_STEPS,
};
use prism_call::Error;

/// The names of the pairs that belong to parameters of one location.
#[derive(Debug, Default)]
pub struct PairNames {
    location: Option<ParameterLocation>,
    /// The members of parameters that are written without the name of the parameter.
    members: Vec<(String, usize)>,
    /// The parameter that takes all other names.
    rest: Option<usize>,
}

/// The pairs of parameters with several values, collected until all have been read.
pub type Collected<'q> = Vec<(usize, String, &'q str)>;

impl PairNames {
    /// Collects the names of the parameters of a location.
    pub fn new(parameters: &[Parameter], location: ParameterLocation) -> Self {
        let mut names = Self { location: Some(location), ..Self::default() };
        for (place, parameter) in parameters.iter().enumerate().filter(|(_, parameter)| parameter.location == location) {
            let Some(object) = parameter.format.free_members() else { continue };
            names.members.extend(object.members.iter().map(|(name, _)| (name.clone(), place)));
            if object.takes_any || object.members.is_empty() {
                names.rest = names.rest.or(Some(place));
            }
        }
        names
    }

    /// Finds the parameter to which a name belongs. A parameter of its own is found before a member of another one.
    pub fn find(&self, parameters: &[Parameter], name: &str) -> Option<usize> {
        let own = |wanted: &str| {
            parameters.iter().position(|parameter| {
                Some(parameter.location) == self.location && parameter.name == wanted && parameter.format.has_own_name()
            })
        };
        let member = |wanted: &str| self.members.iter().find(|(known, _)| known == wanted).map(|(_, place)| *place);
        let base = || name.split_once('[').map(|(base, _)| base);
        let is_inside = |outer: &str| name.strip_prefix(outer).is_some_and(|rest| rest.starts_with('['));
        let deep = || {
            let fits = |parameter: &Parameter| {
                Some(parameter.location) == self.location && parameter.format.is_deep() && is_inside(&parameter.name)
            };
            parameters.iter().position(fits)
        };
        own(name).or_else(deep).or_else(|| member(name)).or_else(|| member(base()?)).or(self.rest)
    }

    /// Takes a pair: sets the parameter, or collects the pair if the parameter may have several.
    pub fn take<'q>(
        place: usize,
        parameter: &Parameter,
        name: &str,
        raw: &'q str,
        given: &mut Option<RawParameter<'q>>,
        collected: &mut Collected<'q>,
    ) -> Result<(), Error> {
        let refuse = |refusal: &str| invalid(parameter.location.name(), &parameter.name, refusal);
        if let ParameterFormat::Styled(_) = parameter.format {
            collected.push((place, name.to_owned(), raw));
            return Ok(());
        }
        if given.is_some() {
            return Err(refuse("appears twice, but takes one value"));
        }
        let text = Decoding::Query.decode(raw).map_err(&refuse)?;
        *given = Some(if parameter.allow_empty && text.is_empty() { RawParameter::Empty } else { RawParameter::Text(text) });
        Ok(())
    }

    /// Converts the collected pairs of a parameter. Returns `None` if it has none.
    pub fn collect(place: usize, parameter: &Parameter, collected: &Collected<'_>, decoding: Decoding) -> Result<Option<Json>, String> {
        let ParameterFormat::Styled(format) = &parameter.format else { return Ok(None) };
        let mut pairs = Vec::new();
        for (_, name, raw) in collected.iter().filter(|(known, ..)| *known == place) {
            pairs.push((steps(parameter, format, name)?, *raw));
        }
        match pairs.as_slice() {
            [] => Ok(None),
            // An empty value, where it is allowed, is an empty list or object.
            [(steps, "")] if steps.is_empty() && parameter.allow_empty => Ok(Some(format.kind.empty())),
            pairs => format.pairs(pairs, decoding).map(Some),
        }
    }
}

/// Returns the path of a name in its parameter: `f[a][b]` is `["a", "b"]` in `f`.
fn steps<'n>(parameter: &Parameter, format: &StyledFormat, name: &'n str) -> Result<Vec<&'n str>, String> {
    let malformed = || format!("has a misplaced bracket in {name:?}");
    if name == parameter.name && parameter.format.has_own_name() {
        return Ok(Vec::new());
    }
    let own = name.strip_prefix(parameter.name.as_str()).filter(|rest| rest.starts_with('[') && format.style == ParameterStyle::Deep);
    let (mut steps, mut rest) = match (own, name.split_once('[')) {
        (Some(rest), _) => (Vec::new(), rest),
        (None, Some((base, _))) if format.kind.object().is_some_and(|object| object.members.iter().any(|(known, _)| known == base)) => {
            (vec![base], &name[base.len()..])
        }
        _ => return Ok(vec![name]),
    };
    while !rest.is_empty() {
        let (step, behind) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(malformed)?;
        if step.contains('[') || steps.len() == MAX_STEPS {
            return Err(malformed());
        }
        steps.push(step);
        rest = behind;
    }
    Ok(steps)
}

/// Returns the pairs of all cookies of a request, without the quotes around values (RFC 6265, section 4.1.1).
pub fn cookies(headers: &http::HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let values = headers.get_all(http::header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| (name, value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)))
}

/// Splits a form or a query into names and encoded values.
pub fn split(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Decodes the name of a pair.
pub fn decode_name(location: ParameterLocation, raw: &str) -> Result<Cow<'_, str>, Error> {
    Decoding::Query.decode(raw).map_err(|refusal| invalid(location.name(), raw, refusal))
}
