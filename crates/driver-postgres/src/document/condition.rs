//! Conditions as SQL.
//!
//! No part of a condition is ever NULL, so that `NOT` means what it says.

use prost_types::value::Kind;

use super::{
    escape::{escape, escape_json, escape_key},
    statement::{INDEXED_BYTES, Statement},
};
use crate::parameter::Parameter;
use prism_call::proto::models::document::v1::TextPosition;
use prism_driver::document::{
    filter::{Filter, KeyRange, TextSearch},
    json,
    path::{self, Path},
    value::{self, rank},
};

/// The condition that a filter is for the bodies of rows.
pub fn write_filter(statement: &mut Statement<'_>, filter: &Filter) -> String {
    let mut conditions = vec![write(statement, filter, "body", 0)];
    // For the index of whole bodies, conditions that follow from the others.
    filter.for_each_required(&mut |required| {
        // PostgreSQL compares each element of a list with each other one to find out whether it is contained, so lists are left out.
        if let Filter::Equal(path, expected) = required
            && !matches!(expected.kind, Some(Kind::ListValue(_) | Kind::StructValue(_)))
            && let Some(body) = body_with(path, expected)
        {
            let parameter = statement.parameter(Parameter::Text(escape_json(&body)));
            conditions.push(format!("body @> {parameter}::text::jsonb"));
        }
    });
    conditions.join(" AND ")
}

/// A body that has only one field. `None` if the path may lead into a list.
fn body_with(path: &Path, expected: &prost_types::Value) -> Option<String> {
    let mut body = expected.clone();
    for name in path.names().iter().rev() {
        if path::place(name).is_some() {
            return None;
        }
        let fields = [(name.clone(), body)].into();
        body = prost_types::Value { kind: Some(Kind::StructValue(prost_types::Struct { fields })) };
    }
    Some(json::write_value(&body))
}

/// Writes a condition on an expression, within `depth` lists.
fn write(statement: &mut Statement<'_>, filter: &Filter, root: &str, depth: usize) -> String {
    match filter {
        Filter::All(filters) => join(statement, filters, " AND ", "true", root, depth),
        Filter::Any(filters) => join(statement, filters, " OR ", "false", root, depth),
        Filter::Not(inner) => format!("NOT {}", write(statement, inner, root, depth)),
        Filter::Equal(path, expected) => write_equal(statement, path, expected, root),
        Filter::Range(path, range) => write_range(statement, path, range, root),
        Filter::OneOf(path, values, keys) => {
            let field = statement.field(root, path);
            let keys: Vec<Vec<u8>> = keys.iter().map(|key| escape_key(key)).collect();
            if keys.iter().all(|key| key.len() < INDEXED_BYTES && !is_container(key)) {
                let key = statement.indexed_key(&field);
                return format!("{key} = ANY ({})", statement.parameter(Parameter::ByteStrings(keys)));
            }
            let values = values.iter().map(|value| escape_json(&json::write_value(value))).collect();
            format!("coalesce({field} = ANY ({}::text[]::jsonb[]), false)", statement.parameter(Parameter::Texts(values)))
        }
        Filter::Present(path) => format!("({} IS NOT NULL)", statement.field(root, path)),
        Filter::Text(path, search) => match filter.own_range() {
            Some((_, range)) => write_range(statement, path, &range, root),
            None => write_text(statement, path, search, root),
        },
        Filter::AnyElement(path, inner) => {
            let field = statement.field(root, path);
            let condition = write(statement, inner, &format!("e{depth}.value"), depth + 1);
            format!(
                "EXISTS (SELECT FROM jsonb_array_elements(CASE jsonb_typeof({field}) WHEN 'array' THEN {field} ELSE '[]'::jsonb END) AS e{depth} (value)
                 WHERE {condition})"
            )
        }
    }
}

fn join(statement: &mut Statement<'_>, filters: &[Filter], operator: &str, none: &str, root: &str, depth: usize) -> String {
    if filters.is_empty() {
        return none.to_owned();
    }
    let conditions: Vec<String> = filters.iter().map(|filter| write(statement, filter, root, depth)).collect();
    format!("({})", conditions.join(operator))
}

/// Whether a key is that of a list or an object. PostgreSQL makes another one of these.
fn is_container(key: &[u8]) -> bool {
    matches!(key.first(), Some(&(rank::LIST | rank::OBJECT)))
}

fn write_equal(statement: &mut Statement<'_>, path: &Path, expected: &prost_types::Value, root: &str) -> String {
    let field = statement.field(root, path);
    let key = escape_key(&value::key(Some(expected)));
    let indexed = statement.indexed_key(&field);
    if key.len() < INDEXED_BYTES && !is_container(&key) {
        return format!("{indexed} = {}", statement.parameter(Parameter::Bytes(key)));
    }
    let parameter = statement.parameter(Parameter::Text(escape_json(&json::write_value(expected))));
    let expected = format!("{parameter}::text::jsonb");
    // If the first half is true, the field is there.
    format!("({indexed} = {} AND {field} = {expected})", statement.indexed_key(&expected))
}

fn write_range(statement: &mut Statement<'_>, path: &Path, range: &KeyRange, root: &str) -> String {
    let field = statement.field(root, path);
    let (lower, upper) = (escape_key(&range.lower), escape_key(&range.upper));
    let indexed = statement.indexed_key(&field);
    let mut conditions = Vec::new();
    for (bound, exact, nearly) in [(lower, ">=", ">="), (upper, "<", "<=")] {
        // A bound that is shorter than the keys of indexes divides these as it divides whole keys.
        if bound.len() < INDEXED_BYTES {
            conditions.push(format!("{indexed} {exact} {}", statement.parameter(Parameter::Bytes(bound))));
        } else {
            let first = statement.parameter(Parameter::Bytes(bound[..INDEXED_BYTES].to_vec()));
            let whole = statement.parameter(Parameter::Bytes(bound));
            conditions.push(format!("{indexed} {nearly} {first} AND {} {exact} {whole}", statement.key(&field)));
        }
    }
    format!("({})", conditions.join(" AND "))
}

fn write_text(statement: &mut Statement<'_>, path: &Path, search: &TextSearch, root: &str) -> String {
    let field = statement.field(root, path);
    let text = format!("{}::text", statement.parameter(Parameter::Text(escape(&search.text))));
    // The collation C knows only ASCII.
    let string = if search.ignore_case { format!("lower(({field} #>> '{{}}') COLLATE \"C\")") } else { format!("({field} #>> '{{}}')") };
    let test = match search.position {
        TextPosition::Start => format!("starts_with({string}, {text})"),
        TextPosition::End => format!("right({string}, length({text})) = {text}"),
        TextPosition::Anywhere | TextPosition::Unspecified => format!("strpos({string}, {text}) > 0"),
    };
    format!("coalesce(jsonb_typeof({field}) = 'string' AND {test}, false)")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_string_that_is_long_when_escaped_is_compared_as_a_whole() {
        let text = prost_types::Value { kind: Some(Kind::StringValue("\0".repeat(100))) };
        let keys = BTreeSet::from([value::key(Some(&text))]);
        let filter = Filter::OneOf(Path::parse("a").unwrap(), vec![text], keys);
        let written = write_filter(&mut Statement::new("prism"), &filter);
        assert!(written.contains("::text[]::jsonb[]"), "{written}");
    }
}
