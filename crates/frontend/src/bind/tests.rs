use http::Method;
use proptest::prelude::*;

use serde_json::{Value, json};

use super::*;
use crate::{
    percent::Slash,
    route::Routes,
    tests::{SCHEMA, id, reference, routes, shown},
};

/// Takes a request through router and binding.
fn bind(options: BindOptions, request: &str, content_type: Option<&str>, body: &str) -> Result<Value, Error> {
    bind_with(&routes(options), request, content_type, body)
}

fn bind_with(routes: &Routes, request: &str, content_type: Option<&str>, body: &str) -> Result<Value, Error> {
    let (method, target) = request.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let found = routes.find(&method.parse::<Method>().unwrap(), path).unwrap();
    let route = found.value;
    let media = route.binding.media(content_type)?;
    let message = route.binding.message(found.template, PathAndQuery { path, query }, &Bytes::copy_from_slice(body.as_bytes()), &media)?;
    Ok(shown(&route.method.descriptor.input(), &message))
}

fn query(query: &str) -> Result<Value, Error> {
    bind(BindOptions::default(), &format!("GET /v1/query/x?{query}"), None, "")
}

fn everything(json: &str) -> Value {
    reference("Everything", json)
}

fn update(json: &str) -> Value {
    reference("UpdateRequest", json)
}

#[test]
fn parameters_of_every_kind_are_bound_to_fields() {
    for (text, json) in [
        ("", "{}"),
        ("&&", "{}"),
        (
            "int32Value=-3&uint64_value=18446744073709551615&doubleValue=1.5e3",
            r#"{"int32Value":-3,"uint64Value":"18446744073709551615","doubleValue":1500}"#,
        ),
        ("boolValue=true&optionalValue=0", r#"{"boolValue":true,"optionalValue":0}"#),
        (
            "nested.inner.name=a+b%26c&nested.inner.size=2&nested.tags=x&nested.tags=",
            r#"{"nested":{"inner":{"name":"a b&c","size":2},"tags":["x",""]}}"#,
        ),
        ("numbers=1&strings=a&numbers=2", r#"{"numbers":[1,2],"strings":["a"]}"#),
        ("color=COLOR_DARK_BLUE&colors=COLOR_RED&colors=-2&colors=9", r#"{"color":-2,"colors":[1,-2,9]}"#),
        ("bytesValue=-_8&by_big[7]=%2B%2F8%3D", r#"{"bytesValue":"+/8=","byBig":{"7":"+/8="}}"#),
        ("labels[a.b]=c&labels[]=d&labels[%5D]=e&byBool[true]=1", r#"{"labels":{"a.b":"c","":"d","]":"e"},"byBool":{"true":"COLOR_RED"}}"#),
        ("at=2026-05-01T12:00:00%2B02:00&ttl=1.5s&mask=fooBar,a.b_c", r#"{"at":"2026-05-01T10:00:00Z","ttl":"1.5s","mask":"fooBar,a.bC"}"#),
        (
            "maybeText=&maybeNumber=7&maybeBool=false&times=1970-01-01T00:00:00Z",
            r#"{"maybeText":"","maybeNumber":"7","maybeBool":false,"times":["1970-01-01T00:00:00Z"]}"#,
        ),
        ("choiceInner.name=a&choiceInner.size=1&other-name=b", r#"{"choiceInner":{"name":"a","size":1},"renamed":"b"}"#),
    ] {
        let mut wanted = everything(json);
        wanted["textValue"] = json!("x");
        assert_eq!(query(text).unwrap(), wanted, "{text}");
    }
}

#[test]
fn errors_name_the_invalid_parameter() {
    for (text, name, reason) in [
        ("nope=1", "nope", "UNKNOWN_PARAMETER"),
        ("nested.nope=1", "nested.nope", "UNKNOWN_PARAMETER"),
        ("textValue=y", "textValue", "UNKNOWN_PARAMETER"),
        ("_optional_value=1", "_optional_value", "UNKNOWN_PARAMETER"),
        ("int32Value=x", "int32Value", "INVALID_FIELD"),
        ("int32Value=", "int32Value", "INVALID_FIELD"),
        ("int32Value=1&int32_value=1", "int32_value", "INVALID_FIELD"),
        ("labels[a]=1&labels[a]=2", "labels[a]", "INVALID_FIELD"),
        ("labels=1", "labels", "INVALID_FIELD"),
        ("strings[0]=1", "strings[0]", "INVALID_FIELD"),
        ("byNumber[1]=x", "byNumber[1]", "INVALID_FIELD"),
        ("color=COLOR_GREEN", "color", "INVALID_FIELD"),
        ("nested=x", "nested", "INVALID_FIELD"),
        ("inners=x", "inners", "INVALID_FIELD"),
        ("inners.name=x", "inners.name", "UNKNOWN_PARAMETER"),
        ("choiceText=a&choiceNumber=1", "choiceNumber", "INVALID_FIELD"),
        ("choiceText=a&choiceInner.name=b", "choiceInner.name", "INVALID_FIELD"),
        ("strings=%zz", "strings", "INVALID_FIELD"),
        ("strings=%ff", "strings", "INVALID_FIELD"),
        ("any=x", "any", "INVALID_FIELD"),
    ] {
        let error = query(text).unwrap_err();
        assert_eq!((error.reason(), error.get("parameter"), error.get("in")), (reason, Some(name), Some("query")), "{text}: {error:?}");
        assert!(!error.message().replace(name, "").contains("_optional"), "{error:?}");
    }
    let many = "strings=a&".repeat(MAX_PARAMETERS + 1);
    assert_eq!(query(&many).unwrap_err().reason(), "TOO_MANY_PARAMETERS");
}

#[test]
fn unknown_parameters_can_be_ignored_but_invalid_values_cannot() {
    let options = BindOptions { ignore_unknown_parameters: true };
    let found = bind(options, "GET /v1/query/x?nope=1&int32Value=2", None, "").unwrap();
    assert_eq!(found, everything(r#"{"textValue":"x","int32Value":2}"#));
    assert!(bind(options, "GET /v1/query/x?int32Value=y", None, "").is_err());
}

#[test]
fn paths_bind_nested_fields_and_keep_encoded_slashes() {
    let found = bind(BindOptions::default(), "GET /v1/nested/inner/a%2Fb?nested.inner.size=1&nested.tags=t", None, "").unwrap();
    assert_eq!(found, everything(r#"{"nested":{"inner":{"name":"inner/a%2Fb","size":1},"tags":["t"]}}"#));
    let found = bind(BindOptions::default(), "GET /v1/query/a%2Fb", None, "").unwrap();
    assert_eq!(found, everything(r#"{"textValue":"a/b"}"#));
    for bad in ["GET /v1/nested/inner/a?nested.inner.name=b", "GET /v1/query/%ff", "GET /v1/query/%z"] {
        assert!(bind(BindOptions::default(), bad, None, "").is_err(), "{bad}");
    }
}

#[test]
fn the_path_takes_precedence_over_the_body() {
    let found =
        bind(BindOptions::default(), "PUT /v1/things/path", Some("application/json"), r#"{"textValue":"body","int32Value":1}"#).unwrap();
    assert_eq!(found, everything(r#"{"textValue":"path","int32Value":1}"#));
    let error = bind(BindOptions::default(), "PUT /v1/things/path?int32Value=1", None, "{}").unwrap_err();
    assert_eq!(error.reason(), "UNKNOWN_PARAMETER");
}

#[test]
fn a_missing_update_mask_is_derived_from_the_body() {
    let bind = |query: &str, body: &str| bind(BindOptions::default(), &format!("PATCH /v1/things/a{query}"), None, body).unwrap();
    let body = r#"{"textValue":"t","nested":{"inner":{"size":1},"tags":[]},"labels":{"a":"b"},"optionalValue":null,"at":"1970-01-01T00:00:00Z","structure":{"x":{}},"inners":[{"name":"n"}]}"#;
    let mask = "textValue,nested.inner.size,nested.tags,labels,optionalValue,at,structure,inners";
    let wanted = format!(r#"{{"name":"things/a","thing":{body},"updateMask":"{mask}"}}"#);
    assert_eq!(bind("", body), update(&wanted));
    let given = bind("?updateMask=textValue", r#"{"textValue":"t","int32Value":1}"#);
    assert_eq!(given, update(r#"{"name":"things/a","thing":{"textValue":"t","int32Value":1},"updateMask":"textValue"}"#));
    assert_eq!(bind("", r#"{"nested":{}}"#), update(r#"{"name":"things/a","thing":{"nested":{}},"updateMask":"nested"}"#));
}

#[test]
fn only_json_content_types_are_accepted() {
    let put = |content_type: Option<&str>| bind(BindOptions::default(), "PUT /v1/things/a", content_type, r#"{"int32Value":1}"#);
    for good in [None, Some("application/json"), Some("Application/JSON; charset=UTF-8"), Some("application/merge-patch+json")] {
        assert!(put(good).is_ok(), "{good:?}");
    }
    for bad in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/x-ndjson", ""] {
        assert_eq!(put(Some(bad)).unwrap_err().reason(), "UNSUPPORTED_MEDIA_TYPE", "{bad}");
    }
}

#[test]
fn http_bodies_keep_content_type_and_bytes() {
    for request in ["POST /v1/raw", "REPORT /v1/any"] {
        let found = bind(BindOptions::default(), request, Some("text/csv"), "a,b").unwrap();
        assert_eq!(found, json!({"contentType": "text/csv", "data": "YSxi"}));
    }
}

/// The items that come out of a body that arrives in pieces of this size.
fn items(body: &str, size: usize) -> Result<Vec<String>, Error> {
    let (mut items, mut found) = (Items::new(40), Vec::new());
    for piece in body.as_bytes().chunks(size) {
        items.push(piece);
        while let Some(item) = items.item(false)? {
            found.push(String::from_utf8(item.text.to_vec()).unwrap().trim().to_owned());
        }
    }
    while let Some(item) = items.item(true)? {
        found.push(String::from_utf8(item.text.to_vec()).unwrap().trim().to_owned());
    }
    Ok(found)
}

#[test]
fn streamed_bodies_are_a_list_or_lines() {
    for size in [1, 2, 3, 100] {
        for body in [
            "[{\"a\":\"]}\\\"\"},{\"b\":[1,{}]} , 7]",
            "{\"a\":\"]}\\\"\"}\n{\"b\":[1,{}]}\r\n\n7",
            "\u{1e}{\"a\":\"]}\\\"\"}\n\u{1e}{\"b\":[1,{}]}\n\u{1e}7\n",
        ] {
            assert_eq!(items(body, size).unwrap(), [r#"{"a":"]}\""}"#, r#"{"b":[1,{}]}"#, "7"], "{body}");
        }
        for body in ["", " ", "[]", " [ ] \n"] {
            assert!(items(body, size).unwrap().is_empty(), "{body}");
        }
        for body in
            ["[", "[{}", "[{},", "[{}{}]", "[,]", "[{},]", "[] x", "{\"a\":", "[{\"a\":\"0123456789012345678901234567890123456789\"}]"]
        {
            assert!(items(body, size).is_err(), "{body}");
        }
    }
}

#[test]
fn errors_in_streamed_messages_have_the_position_in_the_body() {
    let found = routes(BindOptions::default());
    let upload = found.find(&Method::POST, "/v1/uploads/x").unwrap();
    let refusal = |body: &str, size: usize| {
        let mut items = Items::new(100);
        let mut pieces = body.as_bytes().chunks(size);
        loop {
            let piece = pieces.next();
            items.push(piece.unwrap_or_default());
            loop {
                match items.item(piece.is_none()) {
                    Ok(Some(item)) => match upload.value.binding.item(&item, &Media::Json, b"") {
                        Ok(_) => {}
                        Err(error) => return error,
                    },
                    Ok(None) => break,
                    Err(error) => return error,
                }
            }
        }
    };
    for (body, line, column, field) in [
        ("[{},\n {\"int32Value\": \"x\"}]", "2", "17", Some("[1].int32Value")),
        ("{}\n\n{\"int32Value\": \"x\"}\n", "3", "16", Some("int32Value")),
        ("[{\"textValue\":\"ä\"},{\"textValue\":}]", "1", "33", None),
        ("[{}\n{}]", "2", "1", None),
        ("[{},\n", "2", "1", None),
        ("[{}, {\n", "2", "1", None),
    ] {
        for size in [1, 3, 100] {
            let error = refusal(body, size);
            assert_eq!((error.get("line"), error.get("column")), (Some(line), Some(column)), "{body:?}: {error}");
            assert_eq!(error.violations().first().map(|violation| violation.field.as_str()), field, "{body:?}");
        }
    }
}

proptest! {
    #[test]
    fn streamed_items_survive_a_round_trip(values in proptest::collection::vec("[a-z{}\\[\\]\",]{0,8}", 0..5), size in 1..9_usize) {
        let wanted: Vec<String> = values.iter().map(|value| serde_json::to_string(&json!({"v": value})).unwrap()).collect();
        prop_assert_eq!(items(&format!("[{}]", wanted.join(",")), size).unwrap(), wanted.clone());
        prop_assert_eq!(items(&wanted.join("\n"), size).unwrap(), wanted);
    }

    #[test]
    fn arbitrary_bodies_are_split_or_refused(body in "[\\[\\]{}\",a\\\\ \n]{0,24}", size in 1..9_usize) {
        let _ = items(&body, size);
    }

    #[test]
    fn parameters_survive_a_round_trip(text: String, key: String, number: i64, flag: bool) {
        let encode = |value: &str| percent::encode(value, Slash::Decoded);
        let found = query(&format!("strings={}&labels[{}]={number}&sint64Value={number}&boolValue={flag}", encode(&text), encode(&key))).unwrap();
        let wanted = json!({"textValue": "x", "strings": [text], "labels": {key: number.to_string()}, "sint64Value": number, "boolValue": flag});
        prop_assert_eq!(found, everything(&wanted.to_string()));
    }

    #[test]
    fn arbitrary_queries_are_bound_or_refused(text in "(nested|inner|name|strings|labels|at|color|[a-z.=&%\\[\\]0-9+]){0,10}") {
        let _ = query(&text);
    }
}

#[test]
fn rules_with_unknown_or_unsuitable_fields_are_refused() {
    use crate::rule::RuleBody;
    let compile = |template: &str, body: RuleBody| {
        let rule = HttpRule { method: Some(Method::POST), template: PathTemplate::parse(template).unwrap(), body, response_body: None };
        Binding::compile(&SCHEMA, id("Everything"), &rule, false, BindOptions::default()).map(drop)
    };
    assert_eq!(compile("/{nested.inner.name}/{at}/{color}", RuleBody::Field("labels".to_owned())), Ok(()));
    for (template, body) in
        [("/{nope}", ""), ("/{nested}", ""), ("/{strings}", ""), ("/{labels}", ""), ("/{text_value.x}", ""), ("/x", "nope")]
    {
        let body = if body.is_empty() { RuleBody::None } else { RuleBody::Field(body.to_owned()) };
        assert!(compile(template, body).is_err(), "{template}");
    }
}
