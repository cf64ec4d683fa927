mod conversion;
mod errors;
mod evaluation;
mod hostile;

use serde_json::json;

use super::{Expression, Member, Object, Scope, Type, Value, value};
use crate::tests::{SCHEMA, id};

fn member(name: &str, value: Type, required: bool) -> Member {
    Member { name: name.to_owned(), value, required }
}

/// Returns a scope with the variables of a request and a reply.
fn scope() -> Scope {
    let query = [
        member("limit", Type::Int, false),
        member("prefix", Type::String, false),
        member("verbose", Type::Bool, true),
        member("tags", Type::list(Type::String), true),
    ];
    let path = [member("key", Type::String, true), member("id", Type::String, true)];
    Scope::new()
        .with("path", Type::object(path))
        .with("query", Type::object(query))
        .with("header", Type::map(Type::String))
        .with("body", Type::Object(Object { members: vec![member("name", Type::String, true)], open: true }.into()))
        .with("reply", Type::Message(id("Everything")))
        .with("count", Type::Uint)
        .with("ratio", Type::Double)
}

fn compile(text: &str) -> Result<Expression, String> {
    Expression::compile(text, &SCHEMA, &scope())
}

fn variables() -> [(&'static str, Value); 6] {
    let reply = crate::tests::bytes(
        "Everything",
        &json!({
            "textValue": "text", "int64Value": "-5", "uint32Value": 7, "color": "COLOR_RED",
            "choiceInner": {"name": "one", "size": 3},
            "inners": [{"name": "a", "size": 1}, {"name": "b", "size": 20}],
        })
        .to_string(),
    );
    [
        ("path", value::from_json(&json!({"key": "a/b c", "id": "17"}))),
        ("query", value::from_json(&json!({"limit": 5, "verbose": true, "tags": ["x", "y", "x"]}))),
        ("header", value::from_json(&json!({"if-match": "W/1"}))),
        ("body", value::from_json(&json!({"name": "n", "deep": {"list": [1, 2, 3]}}))),
        ("reply", value::from_message(&SCHEMA, id("Everything"), &reply).unwrap()),
        ("count", Value::UInt(9)),
    ]
}

/// Evaluates an expression and returns its value as JSON.
fn evaluate(text: &str) -> Result<serde_json::Value, String> {
    let value = compile(text)?.evaluate(&variables())?;
    let mut out = Vec::new();
    value::to_json(&value, &mut out);
    Ok(serde_json::from_slice(&out).unwrap())
}
