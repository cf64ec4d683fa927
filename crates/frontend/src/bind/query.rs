//! Binds query parameters to fields.

use std::borrow::Cow;

use super::{Binding, FieldStep, parameter, target, unknown_parameter};
use crate::{
    message_types::{Field, FieldKind, FieldShape, MessageTypes},
    percent, scalar,
    wire::{self, WireType},
};
use prism_call::{Code, Error};

/// Maximum number of parameters in a query. Each one is compared with those before it.
pub const MAX_PARAMETERS: usize = 1_000;

/// A resolved parameter: the path to its field, and the key if the field is a map.
struct QueryParameter<'a> {
    steps: Vec<FieldStep>,
    key: Option<Cow<'a, str>>,
}

impl Binding {
    /// Decodes the query and appends its fields. Returns whether it set the field mask.
    pub(super) fn query(&self, query: &str, out: &mut Vec<u8>) -> Result<bool, Error> {
        let mut seen: Vec<QueryParameter<'_>> = Vec::new();
        for (count, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if count == MAX_PARAMETERS {
                return Err(Error::new(
                    Code::InvalidArgument,
                    "TOO_MANY_PARAMETERS",
                    format!("the query has more than {MAX_PARAMETERS} parameters; send a body instead"),
                ));
            }
            let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent::decode_query(raw_name).map_err(|refusal| parameter("query", raw_name, refusal))?;
            let value = percent::decode_query(raw_value).map_err(|refusal| parameter("query", &name, refusal))?;
            let read = match self.resolve(&name) {
                Err(_) if self.options.ignore_unknown_parameters => continue,
                resolved => resolved?,
            };
            self.check(&name, &read, &seen)?;
            self.put(&name, &read, &value, out)?;
            seen.push(QueryParameter { steps: read.steps, key: read.key.map(|key| Cow::Owned(key.into_owned())) });
        }
        let input = self.types.message(self.input);
        Ok(self.mask.is_some_and(|mask| seen.iter().any(|parameter| input.fields[parameter.steps[0].place].number == mask)))
    }

    /// Resolves a name such as `a.b` or `m[key]`.
    fn resolve<'a>(&self, name: &'a str) -> Result<QueryParameter<'a>, Error> {
        let (path, key) = match name.split_once('[').and_then(|(path, rest)| Some((path, rest.strip_suffix(']')?))) {
            Some((path, key)) => (path, Some(Cow::Borrowed(key))),
            None => (name, None),
        };
        let found = super::FieldPath::resolve(self.types, self.input, path.split('.'));
        let steps = found.map_err(|_| unknown_parameter(name, &self.known_parameters()))?.steps;
        Ok(QueryParameter { steps, key })
    }

    /// Describes the parameters that the route supports.
    #[cold]
    fn known_parameters(&self) -> String {
        let fields = &self.types.message(self.input).fields;
        let names: Vec<&str> =
            fields.iter().filter(|field| self.taken(field).is_none()).take(30).map(|field| field.json_name.as_str()).collect();
        match names.as_slice() {
            [] => "is unknown; this route has no query parameters".to_owned(),
            _ => format!("is unknown; this route has {}", names.join(", ")),
        }
    }

    /// Returns which other part of the request binds a field.
    fn taken(&self, field: &Field) -> Option<&'static str> {
        if self.body.takes(self.types, self.input, field.number) {
            return Some("the body");
        }
        if self.header_fields.contains(&field.number) {
            return Some("a header");
        }
        let bound = |target: &super::FieldPath| target.steps.len() == 1 && target.field(self.types).number == field.number;
        self.variables.iter().any(|(_, target)| bound(target)).then_some("the path")
    }

    fn check(&self, name: &str, read: &QueryParameter<'_>, seen: &[QueryParameter<'_>]) -> Result<(), Error> {
        let types = self.types;
        if let Some(place) = self.taken(read.steps[0].field(types)) {
            return Err(unknown_parameter(name, &format!("can't be set in the query, since {place} sets it")));
        }
        // A parameter must not set the field of a path variable, nor a message that contains it.
        let overlaps = |target: &super::FieldPath| target.steps.starts_with(&read.steps) || read.steps.starts_with(&target.steps);
        if self.variables.iter().any(|(_, target)| overlaps(target)) {
            return Err(unknown_parameter(name, "can't be set in the query, since the path sets it"));
        }
        let field = read.steps[read.steps.len() - 1].field(types);
        match (field.shape, &read.key) {
            (FieldShape::Map(_), None) => return Err(parameter("query", name, &format!("is a map; write {name}[key]=value"))),
            (FieldShape::Singular { .. } | FieldShape::Repeated, Some(_)) => {
                return Err(parameter("query", name, "is not a map, so it has no keys"));
            }
            _ => {}
        }
        if !scalar::has_text_form(types, field.kind) {
            return Err(parameter("query", name, &no_text_form(types, field)));
        }
        for other in seen {
            if other.steps == read.steps && other.key == read.key && field.shape != FieldShape::Repeated {
                return Err(parameter("query", name, "appears twice, but takes one value"));
            }
            let difference = other.steps.iter().zip(&read.steps).find(|(one, two)| one != two);
            if let Some((one, two)) = difference {
                let (one, two) = (one.field(types), two.field(types));
                if one.oneof.is_some() && one.oneof == two.oneof {
                    return Err(parameter("query", name, &format!("can't be set together with {}", one.json_name)));
                }
            }
        }
        Ok(())
    }

    fn put(&self, name: &str, read: &QueryParameter<'_>, value: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        let types = self.types;
        let written = target::put(types, &read.steps, out, &mut |field, out| {
            let (FieldShape::Map(key_kind), Some(key)) = (field.shape, &read.key) else {
                wire::put_tag(out, field.number, field.kind.wire());
                return scalar::put(types, field.kind, value, out);
            };
            wire::put_tag(out, field.number, WireType::Bytes);
            wire::put_sized(out, |out| {
                wire::put_tag(out, 1, key_kind.wire());
                scalar::put(types, key_kind, key, out)?;
                wire::put_tag(out, 2, field.kind.wire());
                scalar::put(types, field.kind, value, out)
            })
        });
        written.map_err(|refusal| parameter("query", name, &refusal))
    }
}

fn no_text_form(types: &MessageTypes, field: &Field) -> String {
    let FieldKind::Message(id) = field.kind else { return "has no text form".to_owned() };
    match (field.shape, types.message(id).fields.first()) {
        (FieldShape::Singular { .. }, Some(inner)) => format!("is a message; set its fields, as {}.{}", field.json_name, inner.json_name),
        _ => "can't be set in the query; it needs a body".to_owned(),
    }
}
