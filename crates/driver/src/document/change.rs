//! Changes of documents: as a whole, by a merge patch, or field by field.

use std::collections::{BTreeSet, btree_map::Entry};

use prost_types::{ListValue, Struct, Value, value::Kind};

use super::{
    path::{self, Path},
    value::{self, Key, check_body, check_value},
};
use crate::check;
use prism_call::{
    Code, Error,
    proto::models::document::v1::{FieldChange, field_change::Operation, update_request},
};

/// Most field changes of a request.
const MAX_CHANGES: u32 = 100;

/// A change that was checked.
#[derive(Clone, Debug)]
pub enum Change {
    /// The new body.
    Replacement(Struct),
    /// A JSON merge patch.
    MergePatch(Struct),
    /// Changes of single fields.
    Fields(Vec<(Path, FieldOperation)>),
}

/// What happens to a field.
#[derive(Clone, Debug)]
pub enum FieldOperation {
    /// It gets a value.
    Set(Value),
    /// It is removed.
    Remove,
    /// A number is added to it.
    Increment(f64),
    /// Values are added to its list.
    Append(Vec<Value>),
    /// Values with these keys are removed from its list.
    RemoveValues(BTreeSet<Key>),
}

impl Change {
    /// Checks the change of a request.
    pub fn new(change: Option<update_request::Change>) -> Result<Self, Error> {
        use update_request::Change as Given;
        Ok(match change {
            None => return Err(Error::invalid("change", "must be set: replacement, merge_patch or field_changes")),
            Some(Given::Replacement(body)) => {
                check_body("replacement", &body)?;
                Self::Replacement(body)
            }
            Some(Given::MergePatch(patch)) => {
                check_body("merge_patch", &patch)?;
                Self::MergePatch(patch)
            }
            Some(Given::FieldChanges(list)) => Self::Fields(parse_changes(list.changes)?),
        })
    }

    /// The body after the change, which is checked.
    pub fn apply(&self, body: &Struct) -> Result<Struct, Error> {
        let (field, changed) = match self {
            Self::Replacement(replacement) => return Ok(replacement.clone()),
            Self::MergePatch(patch) => ("merge_patch", merge(body.clone(), patch)),
            Self::Fields(changes) => {
                let mut root = Value { kind: Some(Kind::StructValue(body.clone())) };
                for (path, operation) in changes {
                    operation.apply(path, &mut root)?;
                }
                match root.kind {
                    Some(Kind::StructValue(body)) => ("field_changes", body),
                    _ => return Err(Error::internal("a change of fields has replaced the body")),
                }
            }
        };
        check_body(field, &changed)?;
        Ok(changed)
    }
}

fn parse_changes(changes: Vec<FieldChange>) -> Result<Vec<(Path, FieldOperation)>, Error> {
    check::count("field_changes.changes", changes.len(), MAX_CHANGES)?;
    let mut parsed = Vec::with_capacity(changes.len());
    for (index, change) in changes.into_iter().enumerate() {
        let field = |name: &str| format!("field_changes.changes[{index}].{name}");
        let path = Path::new(&field("path"), &change.path)?;
        if parsed.iter().any(|(other, _): &(Path, _)| path.is_within(other) || other.is_within(&path)) {
            return Err(Error::invalid(field("path"), "meets the path of another change: it is the same, or one lies within the other"));
        }
        let operation = match change.operation {
            None => {
                return Err(Error::invalid(field("operation"), "must be set: set_value, remove, increment, append or remove_values"));
            }
            Some(Operation::SetValue(value)) => {
                check_value(&field("set_value"), &value)?;
                FieldOperation::Set(value)
            }
            Some(Operation::Remove(true)) => FieldOperation::Remove,
            Some(Operation::Remove(false)) => return Err(Error::invalid(field("remove"), "must be true")),
            Some(Operation::Increment(number)) if number.is_finite() => FieldOperation::Increment(number),
            Some(Operation::Increment(_)) => return Err(Error::invalid(field("increment"), "must be a finite number")),
            Some(Operation::Append(list)) => {
                check_elements(&field("append"), &list)?;
                FieldOperation::Append(list.values)
            }
            Some(Operation::RemoveValues(list)) => {
                check_elements(&field("remove_values"), &list)?;
                FieldOperation::RemoveValues(list.values.iter().map(|value| value::key(Some(value))).collect())
            }
        };
        parsed.push((path, operation));
    }
    Ok(parsed)
}

fn check_elements(field: &str, list: &ListValue) -> Result<(), Error> {
    list.values.iter().enumerate().try_for_each(|(index, value)| check_value(&format!("{field}.values[{index}]"), value))
}

/// Applies a merge patch (RFC 7396).
fn merge(mut target: Struct, patch: &Struct) -> Struct {
    for (name, value) in &patch.fields {
        match &value.kind {
            None | Some(Kind::NullValue(_)) => {
                target.fields.remove(name);
            }
            Some(Kind::StructValue(inner)) => {
                let former = match target.fields.remove(name).and_then(|former| former.kind) {
                    Some(Kind::StructValue(former)) => former,
                    _ => Struct::default(),
                };
                let merged = Value { kind: Some(Kind::StructValue(merge(former, inner))) };
                target.fields.insert(name.clone(), merged);
            }
            Some(_) => {
                target.fields.insert(name.clone(), value.clone());
            }
        }
    }
    target
}

/// `FAILED_PRECONDITION FIELD_TYPE`
fn wrong_type(path: &Path, problem: &str) -> Error {
    let path = path.text();
    Error::new(Code::FailedPrecondition, "FIELD_TYPE", format!("the field {path} {problem}; nothing was changed")).with("path", path)
}

impl FieldOperation {
    fn apply(&self, path: &Path, root: &mut Value) -> Result<(), Error> {
        match self {
            Self::Set(value) => {
                *reach(path, root)?.get_or_insert(value::null()) = value.clone();
            }
            Self::Remove => remove(root, path.names()),
            Self::Increment(number) => {
                let field = reach(path, root)?.get_or_insert(value::number(0.0));
                let Some(Kind::NumberValue(present)) = &mut field.kind else { return Err(wrong_type(path, "is not a number")) };
                *present += number;
                if !present.is_finite() {
                    return Err(wrong_type(path, "would become too large for a number"));
                }
            }
            Self::Append(values) => {
                let field = reach(path, root)?.get_or_insert(Value { kind: Some(Kind::ListValue(ListValue::default())) });
                let Some(Kind::ListValue(list)) = &mut field.kind else { return Err(wrong_type(path, "is not a list")) };
                list.values.extend(values.iter().cloned());
            }
            Self::RemoveValues(keys) => {
                let Some(field) = find(root, path.names()) else { return Ok(()) };
                let Some(Kind::ListValue(list)) = &mut field.kind else { return Err(wrong_type(path, "is not a list")) };
                list.values.retain(|value| !keys.contains(&value::key(Some(value))));
            }
        }
        Ok(())
    }
}

/// A field of an object, which may not exist yet, or an element of a list.
enum Field<'v> {
    Member(Entry<'v, String, Value>),
    Element(&'v mut Value),
}

impl<'v> Field<'v> {
    fn get_or_insert(self, value: Value) -> &'v mut Value {
        match self {
            Self::Member(member) => member.or_insert(value),
            Self::Element(element) => element,
        }
    }
}

/// The field of a path. Objects on the way to it are made.
fn reach<'v>(path: &Path, root: &'v mut Value) -> Result<Field<'v>, Error> {
    let mut field = Field::Element(root);
    for name in path.names() {
        let value = field.get_or_insert(Value { kind: Some(Kind::StructValue(Struct::default())) });
        field = match &mut value.kind {
            Some(Kind::StructValue(object)) => Field::Member(object.fields.entry(name.clone())),
            Some(Kind::ListValue(list)) => {
                let element = path::place(name).and_then(|place| list.values.get_mut(place));
                Field::Element(element.ok_or_else(|| wrong_type(path, "is not at a place that its list has"))?)
            }
            _ => return Err(wrong_type(path, "lies within a value that is neither an object nor a list")),
        };
    }
    Ok(field)
}

/// The field of a path, if it is there.
fn find<'v>(root: &'v mut Value, names: &[String]) -> Option<&'v mut Value> {
    let mut value = root;
    for name in names {
        value = match &mut value.kind {
            Some(Kind::StructValue(object)) => object.fields.get_mut(name)?,
            Some(Kind::ListValue(list)) => list.values.get_mut(path::place(name)?)?,
            _ => return None,
        };
    }
    Some(value)
}

fn remove(root: &mut Value, names: &[String]) {
    let Some((last, way)) = names.split_last() else { return };
    match find(root, way).map(|parent| &mut parent.kind) {
        Some(Some(Kind::StructValue(object))) => {
            object.fields.remove(last);
        }
        Some(Some(Kind::ListValue(list))) => {
            if let Some(element) = path::place(last).and_then(|place| list.values.get_mut(place)) {
                *element = value::null();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::json;
    use serde_json::json;

    fn changed(body: &serde_json::Value, changes: &[(&str, Operation)]) -> Result<String, Error> {
        let changes =
            changes.iter().map(|(path, operation)| FieldChange { path: (*path).to_owned(), operation: Some(operation.clone()) }).collect();
        let list = prism_call::proto::models::document::v1::FieldChangeList { changes };
        let change = Change::new(Some(update_request::Change::FieldChanges(list)))?;
        change.apply(&json::from_object(body)).map(|body| json::write(&body))
    }

    fn list(values: &serde_json::Value) -> ListValue {
        match json::from_value(values).kind {
            Some(Kind::ListValue(list)) => list,
            _ => panic!("not a list"),
        }
    }

    #[test]
    fn merge_patches() {
        // The cases of RFC 7396, appendix A, whose target and patch are objects.
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), r#"{"a":"c"}"#),
            (json!({"a": "b"}), json!({"b": "c"}), r#"{"a":"b","b":"c"}"#),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), r#"{"b":"c"}"#),
            (json!({"a": ["b"]}), json!({"a": "c"}), r#"{"a":"c"}"#),
            (json!({"a": "c"}), json!({"a": ["b"]}), r#"{"a":["b"]}"#),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), r#"{"a":{"b":"d"}}"#),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), r#"{"a":[1]}"#),
            (json!({"e": null}), json!({"a": 1}), r#"{"a":1,"e":null}"#),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(json::write(&merge(json::from_object(&target), &json::from_object(&patch))), expected);
        }
    }

    #[test]
    fn fields_change() {
        let set = |value: serde_json::Value| Operation::SetValue(json::from_value(&value));
        let body = json!({"n": 1, "l": [1, "1", 1, [2]], "o": {"x": null}, "s": "text"});
        for (path, operation, expected) in [
            ("n", Operation::Increment(1.5), r#"{"l":[1,"1",1,[2]],"n":2.5,"o":{"x":null},"s":"text"}"#),
            ("a.b", Operation::Increment(2.0), r#"{"a":{"b":2},"l":[1,"1",1,[2]],"n":1,"o":{"x":null},"s":"text"}"#),
            ("o.x", set(json!([])), r#"{"l":[1,"1",1,[2]],"n":1,"o":{"x":[]},"s":"text"}"#),
            ("l.1", set(json!(0)), r#"{"l":[1,0,1,[2]],"n":1,"o":{"x":null},"s":"text"}"#),
            ("l.1", Operation::Remove(true), r#"{"l":[1,null,1,[2]],"n":1,"o":{"x":null},"s":"text"}"#),
            ("l.9", Operation::Remove(true), r#"{"l":[1,"1",1,[2]],"n":1,"o":{"x":null},"s":"text"}"#),
            ("s.a", Operation::Remove(true), r#"{"l":[1,"1",1,[2]],"n":1,"o":{"x":null},"s":"text"}"#),
            ("o", Operation::Remove(true), r#"{"l":[1,"1",1,[2]],"n":1,"s":"text"}"#),
            ("l.3", Operation::Append(list(&json!([3]))), r#"{"l":[1,"1",1,[2,3]],"n":1,"o":{"x":null},"s":"text"}"#),
            ("k", Operation::Append(list(&json!([]))), r#"{"k":[],"l":[1,"1",1,[2]],"n":1,"o":{"x":null},"s":"text"}"#),
            ("l", Operation::RemoveValues(list(&json!([1, [2]]))), r#"{"l":["1"],"n":1,"o":{"x":null},"s":"text"}"#),
            ("k", Operation::RemoveValues(list(&json!([1]))), r#"{"l":[1,"1",1,[2]],"n":1,"o":{"x":null},"s":"text"}"#),
        ] {
            assert_eq!(changed(&body, &[(path, operation)]).unwrap(), expected, "{path}");
        }
        for (path, operation) in [
            ("s", Operation::Increment(1.0)),
            ("s", Operation::Append(list(&json!([1])))),
            ("s", Operation::RemoveValues(list(&json!([1])))),
            ("s.a", set(json!(1))),
            ("o.x.a", set(json!(1))),
            ("l.4", set(json!(1))),
            ("l.x", set(json!(1))),
            ("l.01", set(json!(1))),
        ] {
            let error = changed(&body, &[(path, operation)]).unwrap_err();
            assert_eq!((error.reason(), error.get("path")), ("FIELD_TYPE", Some(path)));
        }
        let large = json!({"n": f64::MAX});
        assert_eq!(changed(&large, &[("n", Operation::Increment(f64::MAX))]).unwrap_err().reason(), "FIELD_TYPE");
    }

    #[test]
    fn bad_changes_name_their_field() {
        let body = json!({});
        for (changes, reason, field) in [
            (vec![], "BATCH_SIZE", "field_changes.changes"),
            (vec![("a", Operation::Remove(true)), ("a.b", Operation::Remove(true))], "INVALID_FIELD", "field_changes.changes[1].path"),
            (vec![("a.b", Operation::Remove(true)), ("a", Operation::Remove(true))], "INVALID_FIELD", "field_changes.changes[1].path"),
            (vec![("a", Operation::Remove(false))], "INVALID_FIELD", "field_changes.changes[0].remove"),
            (vec![("a", Operation::Increment(f64::NAN))], "INVALID_FIELD", "field_changes.changes[0].increment"),
            (vec![("", Operation::Remove(true))], "INVALID_FIELD", "field_changes.changes[0].path"),
        ] {
            let error = changed(&body, &changes).unwrap_err();
            assert_eq!((error.reason(), error.violations()[0].field.as_str()), (reason, field));
        }
        changed(&body, &[("a", Operation::Remove(true)), ("ab", Operation::Remove(true))]).unwrap();
        assert_eq!(Change::new(None).unwrap_err().violations()[0].field, "change");
    }
}
