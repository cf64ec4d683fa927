//! The fields that bodies in replies have.

use std::collections::BTreeMap;

use prost_types::{ListValue, Struct, Value, value::Kind};

use super::path::{self, Path};
use prism_call::Error;

/// Most paths of a request.
const MAX_FIELDS: usize = 100;

/// Which fields of a body a reply has.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    /// `None` = all fields.
    fields: Option<Node>,
}

/// The paths that go on from a name.
#[derive(Clone, Debug, Default)]
struct Node {
    /// A path ends here: the value is kept as a whole.
    whole: bool,
    children: BTreeMap<String, Node>,
}

impl Projection {
    /// Checks the field `fields` of a request. No paths mean all fields.
    pub fn new(fields: &[String]) -> Result<Self, Error> {
        if fields.len() > MAX_FIELDS {
            return Err(Error::invalid("fields", format!("has {} paths; at most {MAX_FIELDS} are allowed", fields.len())));
        }
        let mut root: Option<Node> = None;
        for (index, field) in fields.iter().enumerate() {
            let path = Path::new(&format!("fields[{index}]"), field)?;
            let mut node = root.get_or_insert_default();
            for name in path.names() {
                node = node.children.entry(name.clone()).or_default();
            }
            node.whole = true;
        }
        Ok(Self { fields: root })
    }

    /// A body with the fields that were asked for.
    pub fn apply(&self, body: &Struct) -> Struct {
        match &self.fields {
            None => body.clone(),
            Some(node) => node.object(body),
        }
    }

    /// The same for a body that is not needed any more.
    pub fn apply_to(&self, body: Struct) -> Struct {
        match &self.fields {
            None => body,
            Some(node) => node.object(&body),
        }
    }
}

impl Node {
    fn object(&self, object: &Struct) -> Struct {
        let children = self.children.iter();
        let fields = children.filter_map(|(name, node)| Some((name.clone(), node.value(object.fields.get(name)?)?)));
        Struct { fields: fields.collect() }
    }

    /// The part of a value that was asked for; `None` if no path leads to anything in it.
    fn value(&self, value: &Value) -> Option<Value> {
        if self.whole {
            return Some(value.clone());
        }
        let kind = match &value.kind {
            Some(Kind::StructValue(object)) => {
                let part = self.object(object);
                (!part.fields.is_empty()).then_some(Kind::StructValue(part))
            }
            Some(Kind::ListValue(list)) => {
                let mut places: Vec<(usize, &Node)> =
                    self.children.iter().filter_map(|(name, node)| Some((path::place(name)?, node))).collect();
                places.sort_unstable_by_key(|(place, _)| *place);
                let values: Vec<Value> = places.iter().filter_map(|(place, node)| node.value(list.values.get(*place)?)).collect();
                (!values.is_empty()).then_some(Kind::ListValue(ListValue { values }))
            }
            _ => None,
        };
        kind.map(|kind| Value { kind: Some(kind) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::json;
    use serde_json::json;

    #[test]
    fn fields_are_selected() {
        let body = json::from_object(&json!({"a": {"b": 1, "c": 2}, "l": [{"x": 1, "y": 2}, 5, [6]], "n": null, "d.e": 7}));
        let project = |fields: &[&str]| {
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            json::write(&Projection::new(&fields).unwrap().apply(&body))
        };
        assert_eq!(project(&[]), json::write(&body));
        assert_eq!(project(&["a.b", "n", r"d\.e"]), r#"{"a":{"b":1},"d.e":7,"n":null}"#);
        assert_eq!(project(&["a.b", "a"]), r#"{"a":{"b":1,"c":2}}"#);
        assert_eq!(project(&["l.2", "l.0.x"]), r#"{"l":[{"x":1},[6]]}"#);
        assert_eq!(project(&["a.x", "l.7", "n.a", "none"]), "{}");
        assert_eq!(Projection::new(&["a".to_owned(), String::new()]).unwrap_err().violations()[0].field, "fields[1]");
        assert_eq!(Projection::new(&vec!["a".to_owned(); 101]).unwrap_err().violations()[0].field, "fields");
    }
}
