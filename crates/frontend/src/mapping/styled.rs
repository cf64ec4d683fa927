//! Parameters whose text has several values: the styles of OpenAPI (Parameter Object, `style`; RFC 6570).
//!
//! A text is split before it is decoded, so that a value may contain an encoded delimiter.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::text_type::{TextObject, TextType, insert};
use crate::percent::{self, Slash};

/// How a parameter is serialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterStyle {
    /// `a,b` in a path or a header.
    Simple,
    /// `.a.b` in a path.
    Label,
    /// `;x=a;x=b` in a path.
    Matrix,
    /// `x=a&x=b` or `x=a,b` in a query, a cookie or a form.
    Form,
    /// `x=a%20b` in a query or a form.
    Space,
    /// `x=a|b` in a query or a form.
    Pipe,
    /// `x[a]=b` in a query or a form.
    Deep,
}

/// How the encoded texts in a part of a request are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoding {
    /// Percent-decoded.
    Path,
    /// Percent-decoded, and `+` is a space.
    Query,
    /// Percent-decoded if it is encoded. Many clients send cookies as they are.
    Cookie,
    /// Not at all (OpenAPI 3.1.1, appendix D).
    Header,
}

impl Decoding {
    /// Decodes a text.
    pub fn decode(self, raw: &str) -> Result<Cow<'_, str>, &'static str> {
        match self {
            Self::Path => percent::decode(raw, Slash::Decoded),
            Self::Query => percent::decode_query(raw),
            Self::Cookie => Ok(percent::decode(raw, Slash::Decoded).unwrap_or(Cow::Borrowed(raw))),
            Self::Header => Ok(Cow::Borrowed(raw)),
        }
    }
}

/// How a parameter with several values is read.
#[derive(Clone, Debug)]
pub struct StyledFormat {
    /// Its style.
    pub style: ParameterStyle,
    /// Whether each value is written by itself.
    pub explode: bool,
    /// What its texts become.
    pub kind: TextType,
}

impl StyledFormat {
    /// Reads the text of a parameter that is one text, such as a segment of a path. `name` is the name of the parameter.
    pub fn read(&self, name: &str, raw: &str, decoding: Decoding) -> Result<Json, String> {
        match self.style {
            ParameterStyle::Label => {
                let rest = raw.strip_prefix('.').filter(|_| !raw.is_empty());
                if raw.is_empty() {
                    return self.values("", ",", self.explode, decoding);
                }
                let rest = rest.ok_or_else(|| format!("must begin with `.`, not {raw:?}"))?;
                self.values(rest, if self.explode { "." } else { "," }, self.explode, decoding)
            }
            ParameterStyle::Matrix => self.matrix(name, raw, decoding),
            _ => self.values(raw, ",", self.explode, decoding),
        }
    }

    /// Reads `;x=a,b`, `;x=a;x=b` or `;a=1;b=2`.
    fn matrix(&self, name: &str, raw: &str, decoding: Decoding) -> Result<Json, String> {
        if raw.is_empty() {
            return self.values("", ",", false, decoding);
        }
        let rest = raw.strip_prefix(';').ok_or_else(|| format!("must begin with `;`, not {raw:?}"))?;
        let own = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            decoding.decode(key).is_ok_and(|key| key == name).then(|| value.to_owned())
        };
        if self.explode
            && self.kind.object().is_some()
            && (self.kind.list().is_none() || own(rest.split(';').next().unwrap_or_default()).is_none())
        {
            return self.values(rest, ";", true, decoding);
        }
        let values: Option<Vec<String>> = if self.explode && self.kind.list().is_some() {
            rest.split(';').map(own).collect()
        } else {
            own(rest).map(|value| vec![value])
        };
        let values = values.ok_or_else(|| format!("must be written as ;{name}=value"))?;
        match values.as_slice() {
            [one] if !self.explode || self.kind.list().is_none() => self.values(one, ",", false, decoding),
            several => self.list(several.iter().map(String::as_str), decoding),
        }
    }

    /// Reads a text with several values between delimiters.
    pub fn values(&self, raw: &str, delimiter: &str, pairs: bool, decoding: Decoding) -> Result<Json, String> {
        let is_several = split(raw, delimiter).nth(1).is_some();
        if let Some(single) = self.kind.single() {
            let plain = self.kind.list().is_none() && self.kind.object().is_none();
            if plain || !is_several {
                let read = decoding.decode(raw).map_err(str::to_owned).and_then(|text| single.json(&text));
                if plain || read.is_ok() {
                    return read;
                }
            }
        }
        // A list and an object without a value are both nothing.
        let parts = || split(raw, delimiter).filter(|_| !raw.is_empty());
        match (self.kind.list(), self.kind.object()) {
            (Some(_), None) => self.list(parts(), decoding),
            (Some(_), Some(_)) if !(pairs && raw.contains('=')) => self.list(parts(), decoding),
            (_, Some(object)) if pairs => {
                let pair = |part: &str| {
                    let (name, value) =
                        part.split_once('=').ok_or_else(|| format!("must have the form name=value in each part, not {part:?}"))?;
                    member(object, name, value, decoding)
                };
                unique(parts().map(|part| pair(part.trim())))
            }
            (_, Some(object)) => {
                let parts: Vec<&str> = parts().map(str::trim).collect();
                if parts.len() % 2 == 1 {
                    return Err("must have a value after each name".to_owned());
                }
                unique(parts.chunks_exact(2).map(|pair| member(object, pair[0], pair[1], decoding)))
            }
            (None, None) => Err("has a type that can't be written in this style".to_owned()),
        }
    }

    /// Reads a list whose items were split.
    pub fn list<'r>(&self, items: impl Iterator<Item = &'r str>, decoding: Decoding) -> Result<Json, String> {
        let element = self.kind.list().unwrap_or(&TextType::Any);
        let read = |item: &str| {
            let item = if decoding == Decoding::Header { item.trim() } else { item };
            element.json(&decoding.decode(item)?)
        };
        items.map(read).collect::<Result<Vec<_>, _>>().map(Json::Array)
    }

    /// Reads the pairs of a query, a form or cookies. Each has the path of its member, which is empty for the parameter itself, and its
    /// encoded value.
    pub fn pairs(&self, pairs: &[(Vec<&str>, &str)], decoding: Decoding) -> Result<Json, String> {
        let delimiter = match self.style {
            ParameterStyle::Space => " ",
            ParameterStyle::Pipe => "|",
            _ => ",",
        };
        if !self.explode && self.style != ParameterStyle::Deep {
            return match pairs {
                [(_, raw)] => self.values(raw, delimiter, false, decoding),
                _ => Err("appears twice, but takes one value".to_owned()),
            };
        }
        if let ([(steps, raw)], Some(single)) = (pairs, self.kind.single())
            && steps.is_empty()
            && let Ok(value) = decoding.decode(raw).map_err(str::to_owned).and_then(|text| single.json(&text))
        {
            return Ok(value);
        }
        let mut tree = None;
        for (steps, raw) in pairs {
            if steps.is_empty() && self.kind.list().is_none() && self.kind.single().is_none() {
                return Err("is an object, so its members are written by themselves".to_owned());
            }
            let text = decoding.decode(raw)?;
            insert(&mut tree, &self.kind, steps, &text)?;
        }
        Ok(tree.unwrap_or_default())
    }
}

/// Splits an encoded text. A space and a `|` are delimiters also if they are encoded, because a URL can't contain them.
fn split<'r>(raw: &'r str, delimiter: &'r str) -> Box<dyn Iterator<Item = &'r str> + 'r> {
    match delimiter {
        " " => Box::new(raw.split("%20").flat_map(|part| part.split(['+', ' ']))),
        "|" => Box::new(raw.split("%7C").flat_map(|part| part.split("%7c")).flat_map(|part| part.split('|'))),
        other => Box::new(raw.split(other)),
    }
}

fn member(object: &TextObject, name: &str, value: &str, decoding: Decoding) -> Result<(String, Json), String> {
    let name = decoding.decode(name)?.into_owned();
    let value = object.member(&name).json(&decoding.decode(value)?).map_err(|refusal| format!("[{name}] {refusal}"))?;
    Ok((name, value))
}

/// Collects members, each of which appears once.
fn unique(members: impl Iterator<Item = Result<(String, Json), String>>) -> Result<Json, String> {
    let mut object = Map::new();
    for member in members {
        let (name, value) = member?;
        if object.contains_key(&name) {
            return Err(format!("[{name}] appears twice, but takes one value"));
        }
        object.insert(name, value);
    }
    Ok(Json::Object(object))
}
