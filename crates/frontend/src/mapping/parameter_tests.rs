//! Parameters and forms in all styles. Each operation answers with what it has read.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Api, rehearsal::Request};
use crate::definition::{DocumentFolders, Texts, compile};
use prism_call::{Method as Rpc, proto};

/// An API with one operation, which answers with one value of the request.
fn echo(path: &str, operation: &str, value: &str) -> Arc<Api> {
    let document = format!(
        "openapi: 3.1.0\ninfo: {{title: T, version: '1'}}\npaths:\n  '{path}': {{post: {{operationId: echo, {operation}, responses: \
         {{'200': {{description: ok, content: {{application/json: {{}}}}}}}}}}}}\ncomponents: {{schemas: {{Range: {{type: object, properties: \
         {{gte: {{type: integer}}, lt: {{type: integer}}}}}}}}}}\n"
    );
    let text = format!(
        "frontend: t\nopenapi: t.yaml\npattern: one\nerrors: {{body: error.message}}\nroutes: {{echo: {{response: {{body: {value}}}}}}}\n"
    );
    let texts =
        Texts { name: "t".into(), text, document_name: "d".into(), document: Ok(document.clone()), folders: DocumentFolders::default() };
    let methods = |_: &str| Rpc::of_service(proto::descriptors(), "prism.patterns.keyvalue.v1.KeyValueService");
    match compile(&texts, &methods, &["one"], &BTreeMap::new()) {
        Ok(definition) => definition.api,
        Err(problems) => panic!("{document}\n{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// Returns the body of the answer, or the status and the error.
fn answer(api: &Api, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
    let pairs = headers;
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    let request = Request { method: http::Method::POST, path: path.to_owned(), query, headers, body: body.to_owned().into() };
    let response = api.rehearse("ns", &request, None).unwrap().response.unwrap();
    let text = String::from_utf8_lossy(&response.body).into_owned();
    // The order of members has no meaning.
    let sorted = |text: &str| {
        serde_json::from_str::<BTreeMap<String, serde_json::Value>>(text).ok().and_then(|map| serde_json::to_string(&map).ok())
    };
    if response.status == 200 { sorted(&text).unwrap_or(text) } else { format!("{} {text}", response.status.as_u16()) }
}

const LIST: &str = "schema: {type: array, items: {type: string}}";
const NUMBERS: &str = "schema: {type: array, items: {type: integer}}";
const OBJECT: &str = "schema: {type: object, properties: {R: {type: integer}, G: {type: integer}, n: {type: string}}}";

#[test]
fn path_parameters_are_read_in_all_styles() {
    for (style, schema, segment, wanted) in [
        ("style: simple", "schema: {type: integer}", "5", "5"),
        ("style: simple", LIST, "a%2Cb,c", r#"["a,b","c"]"#),
        ("style: simple, explode: true", LIST, "a,b%20c", r#"["a","b c"]"#),
        ("style: simple", NUMBERS, "3,4,5", "[3,4,5]"),
        ("style: simple", OBJECT, "R,1,G,2", r#"{"G":2,"R":1}"#),
        ("style: simple, explode: true", OBJECT, "R=1,n=a%3Db", r#"{"R":1,"n":"a=b"}"#),
        ("style: label", "schema: {type: integer}", ".5", "5"),
        ("style: label", "schema: {type: number}", ".1.5", "1.5"),
        ("style: label", NUMBERS, ".3,4,5", "[3,4,5]"),
        ("style: label, explode: true", LIST, ".a.b%2Ec", r#"["a","b.c"]"#),
        ("style: label", OBJECT, ".R,1,G,2", r#"{"G":2,"R":1}"#),
        ("style: label, explode: true", OBJECT, ".R=1.G=2", r#"{"G":2,"R":1}"#),
        ("style: matrix", "schema: {type: integer}", ";v=5", "5"),
        ("style: matrix", LIST, ";v=a,b%3Bc", r#"["a","b;c"]"#),
        ("style: matrix, explode: true", NUMBERS, ";v=3;v=4", "[3,4]"),
        ("style: matrix", OBJECT, ";v=R,1,G,2", r#"{"G":2,"R":1}"#),
        ("style: matrix, explode: true", OBJECT, ";R=1;G=2", r#"{"G":2,"R":1}"#),
        ("content: {application/json: {schema: {type: array, items: {type: integer}}}}", "", "%5B1,2%5D", "[1,2]"),
    ] {
        let parts = if schema.is_empty() { style.to_owned() } else { format!("{style}, {schema}") };
        let api = echo("/x/{v}", &format!("parameters: [{{name: v, in: path, required: true, {parts}}}]"), "path.v");
        assert_eq!(answer(&api, &format!("/x/{segment}"), &[], ""), wanted, "{parts}: {segment}");
    }
    for (style, schema, segment, refusal) in [
        ("style: simple", NUMBERS, "3,x", "400 \"v: must be a whole number, not \\\"x\\\"\""),
        ("style: simple", OBJECT, "R,1,G", "400 \"v: must have a value after each name\""),
        ("style: simple, explode: true", OBJECT, "R=1,R=2", "400 \"v: [R] appears twice, but takes one value\""),
        ("style: label", NUMBERS, "5", "400 \"v: must begin with `.`, not \\\"5\\\"\""),
        ("style: matrix", NUMBERS, ";w=5", "400 \"v: must be written as ;v=value\""),
        ("style: matrix", "schema: {type: integer}", "5", "400 \"v: must begin with `;`, not \\\"5\\\"\""),
    ] {
        let api = echo("/x/{v}", &format!("parameters: [{{name: v, in: path, required: true, {style}, {schema}}}]"), "path.v");
        assert_eq!(answer(&api, &format!("/x/{segment}"), &[], ""), refusal, "{style}: {segment}");
    }
}

#[test]
fn query_parameters_are_split_before_they_are_decoded() {
    for (parts, query, wanted) in [
        (LIST, "v=a%2Cb&v=c,d", r#"["a,b","c,d"]"#),
        ("explode: false, schema: {type: array, items: {type: string}}", "v=a%2Cb,c", r#"["a,b","c"]"#),
        ("explode: false, schema: {type: array, items: {type: string}}", "v=a+b,%2B", r#"["a b","+"]"#),
        ("explode: false, schema: {type: array, items: {type: string}}", "v=", "[]"),
        ("style: spaceDelimited, schema: {type: array, items: {type: integer}}", "v=1%202+3", "[1,2,3]"),
        ("style: spaceDelimited, explode: true, schema: {type: array, items: {type: integer}}", "v=1&v=2", "[1,2]"),
        ("style: pipeDelimited, schema: {type: array, items: {type: string}}", "v=a|b%7Cc", r#"["a","b","c"]"#),
        ("style: pipeDelimited, schema: {type: object, properties: {R: {type: integer}}}", "v=R|1", r#"{"R":1}"#),
        (
            "explode: false, schema: {type: object, properties: {R: {type: integer}, n: {type: string}}}",
            "v=R,1,n,a%2Cb",
            r#"{"R":1,"n":"a,b"}"#,
        ),
        (OBJECT, "R=1&n=x%26y", r#"{"R":1,"n":"x&y"}"#),
        ("schema: {type: object, additionalProperties: {type: integer}}", "a=1&b=2", r#"{"a":1,"b":2}"#),
        ("content: {application/json: {schema: {type: object}}}", "v=%7B%22a%22:1%7D", r#"{"a":1}"#),
        ("style: deepObject, schema: {type: object, properties: {a: {type: integer}}}", "v[a]=1&v%5Bb%5D=2", r#"{"a":1,"b":"2"}"#),
        ("style: deepObject, schema: {type: object}", "v[a][b]=x&v[a][c]=y", r#"{"a":{"b":"x","c":"y"}}"#),
        (
            "style: deepObject, schema: {type: object, properties: {a: {type: array, items: {type: integer}}}}",
            "v[a][]=1&v[a][]=2",
            r#"{"a":[1,2]}"#,
        ),
        (
            "style: deepObject, schema: {type: object, properties: {a: {type: array, items: {type: integer}}}}",
            "v[a]=1&v[a]=2",
            r#"{"a":[1,2]}"#,
        ),
        (
            "style: deepObject, schema: {type: array, items: {$ref: '#/components/schemas/Range'}}",
            "v[0][gte]=1&v[0][lt]=2&v[1][lt]=3",
            r#"[{"gte":1,"lt":2},{"lt":3}]"#,
        ),
        ("style: deepObject, schema: {type: array, items: {type: string}}", "v[]=a&v[]=b", r#"["a","b"]"#),
        ("style: deepObject, schema: {anyOf: [{$ref: '#/components/schemas/Range'}, {type: integer}]}", "v=5", "5"),
        (
            "style: deepObject, schema: {anyOf: [{$ref: '#/components/schemas/Range'}, {type: integer}]}",
            "v[gte]=5&v[lt]=7",
            r#"{"gte":5,"lt":7}"#,
        ),
        ("schema: {anyOf: [{type: string}, {type: array, items: {type: string}}]}", "v=a", r#""a""#),
        ("schema: {anyOf: [{type: string}, {type: array, items: {type: string}}]}", "v=a&v=b", r#"["a","b"]"#),
        ("schema: {oneOf: [{type: integer}, {type: string, enum: [all]}]}", "v=7", "7"),
        ("schema: {oneOf: [{type: integer}, {type: string, enum: [all]}]}", "v=all", r#""all""#),
        ("schema: {oneOf: [{type: integer}, {type: string}]}", "v=007", r#""007""#),
        ("schema: {type: [integer, 'null']}", "v=7", "7"),
        ("schema: {type: [boolean, integer]}", "v=true", "true"),
        ("schema: {allOf: [{type: integer}, {minimum: 3}]}", "v=4", "4"),
        ("schema: {enum: [1, 2]}", "v=2", "2"),
        ("schema: {type: array, items: {type: integer}}, allowEmptyValue: true", "v", "[]"),
    ] {
        let api = echo("/x", &format!("parameters: [{{name: v, in: query, {parts}}}]"), "query.v");
        assert_eq!(answer(&api, &format!("/x?{query}"), &[], ""), wanted, "{parts}: {query}");
    }
}

#[test]
fn malformed_queries_are_refused_and_nothing_is_lost() {
    let deep = "style: deepObject, schema: {type: object, properties: {a: {type: integer}, l: {type: array, items: {type: integer}}}}";
    for (parts, query, wanted) in [
        (deep, "v[a]=1&v[a]=2", "v: [a] appears twice, but takes one value"),
        (deep, "v[a][b]=1", "v: [a] has no members"),
        (deep, "v[l][3]=1", "v: [l] has no item before the item 3"),
        (deep, "v[a=1", "v: has a misplaced bracket in \\\"v[a\\\""),
        (deep, "v[a]b=1", "v: has a misplaced bracket in \\\"v[a]b\\\""),
        (deep, "v[]=1", "v: is an object, so each member needs a name between its brackets"),
        (deep, "v=1", "v: is an object, so its members are written by themselves"),
        (deep, "v[b]=1&v[b][c]=2", "v: [b] appears twice, but takes one value"),
        (deep, "w[a]=1", "the query parameter w[a] is unknown; this operation has v"),
        ("explode: false, schema: {type: array, items: {type: integer}}", "v=1&v=2", "v: appears twice, but takes one value"),
        ("schema: {type: array, maxItems: 2, items: {type: integer}}", "v=1&v=2&v=3", "v: [1,2,3] has more than 2 items"),
        ("content: {application/json: {schema: {type: object}}}", "v={", "v: must be JSON"),
        ("schema: {oneOf: [{type: integer}, {type: boolean}]}", "v=x", "v: has none of the types of its schema: \\\"x\\\""),
        ("schema: {type: array, items: {type: integer}}", "v=%ff", "v: is not UTF-8 after decoding"),
    ] {
        let api = echo("/x", &format!("parameters: [{{name: v, in: query, {parts}}}]"), "\"has(query.v) ? query.v : null\"");
        assert_eq!(answer(&api, &format!("/x?{query}"), &[], ""), format!("400 \"{wanted}\""), "{parts}: {query}");
    }
}

#[test]
fn a_parameter_of_its_own_comes_before_a_member_of_an_exploded_object() {
    let api = echo(
        "/x",
        "parameters: [{name: filter, in: query, schema: {type: object, properties: {a: {type: integer}, b: {type: integer}}}}, \
         {name: b, in: query, schema: {type: string}}, {name: 'c[d]', in: query, schema: {type: string}}]",
        "{a: query.filter, b: query.b, c: 'query[\"c[d]\"]'}",
    );
    assert_eq!(answer(&api, "/x?a=1&b=2&c[d]=3", &[], ""), r#"{"a":{"a":1},"b":"2","c":"3"}"#);
    assert_eq!(
        answer(&api, "/x?filter=1&b=1&c[d]=1", &[], ""),
        "400 \"the query parameter filter is unknown; this operation has filter, b, c[d]\""
    );
}

#[test]
fn names_with_brackets_are_names() {
    let api = echo(
        "/x",
        "parameters: [{name: 'page[size]', in: query, schema: {type: integer}}, {name: 'page[filter]', in: query, style: deepObject, schema: {type: \
         object}}, {name: 'ids[]', in: query, schema: {type: array, items: {type: integer}}}]",
        "{a: 'query[\"page[size]\"]', b: 'query[\"page[filter]\"]', c: 'query[\"ids[]\"]'}",
    );
    assert_eq!(answer(&api, "/x?page[size]=3&page%5Bfilter%5D%5Bx%5D=1&ids[]=1&ids[]=2", &[], ""), r#"{"a":3,"b":{"x":"1"},"c":[1,2]}"#);
    assert_eq!(
        answer(&api, "/x?page[other]=3", &[], ""),
        "400 \"the query parameter page[other] is unknown; this operation has page[size], page[filter], ids[]\""
    );
}

#[test]
fn an_object_without_members_is_written_as_nothing() {
    for style in ["explode: true", "style: deepObject"] {
        let schema = "schema: {type: object, properties: {a: {type: integer}}}";
        let api = echo("/x", &format!("parameters: [{{name: v, in: query, required: true, {style}, {schema}}}]"), "query.v");
        assert_eq!(answer(&api, "/x", &[], ""), "{}");
        let schema = "schema: {type: object, required: [a], properties: {a: {type: integer}}}";
        let api = echo("/x", &format!("parameters: [{{name: v, in: query, required: true, {style}, {schema}}}]"), "query.v");
        assert_eq!(answer(&api, "/x", &[], ""), "400 \"v: is required\"");
    }
}

#[test]
fn headers_and_cookies_are_read_in_all_styles() {
    for (parts, values, wanted) in [
        (NUMBERS, &["3, 4", "5"][..], "[3,4,5]"),
        (LIST, &["a%2Cb , c"], r#"["a%2Cb","c"]"#),
        (OBJECT, &["R,1,G,2"], r#"{"G":2,"R":1}"#),
        ("explode: true, schema: {type: object, properties: {R: {type: integer}}}", &["R=1, n=x"], r#"{"R":1,"n":"x"}"#),
        ("content: {application/json: {schema: {type: object}}}", &["{\"a\": [1]}"], r#"{"a":[1]}"#),
        ("schema: {type: integer}", &["7"], "7"),
        ("schema: {type: integer}", &["7", "8"], "400 \"x-v: must be a whole number, not \\\"7, 8\\\"\""),
        ("schema: {type: string}", &["a", "b"], "\"a, b\""),
        (NUMBERS, &["x"], "400 \"x-v: must be a whole number, not \\\"x\\\"\""),
    ] {
        let api = echo("/x", &format!("parameters: [{{name: X-V, in: header, {parts}}}]"), "header.x_v");
        let headers: Vec<(&str, &str)> = values.iter().map(|value| ("x-v", *value)).collect();
        assert_eq!(answer(&api, "/x", &headers, ""), wanted, "{parts}");
    }
    for (parts, cookie, wanted) in [
        ("schema: {type: string}", "a=1; v=x%20y", r#""x y""#),
        ("schema: {type: string}", "v=\"100%\"", r#""100%""#),
        ("explode: false, schema: {type: array, items: {type: integer}}", "v=1,2", "[1,2]"),
        ("explode: false, schema: {type: array, items: {type: string}}", "v=a%2Cb,c", r#"["a,b","c"]"#),
        (NUMBERS, "v=1; v=2", "[1,2]"),
        (NUMBERS, "v=1&v=2", "[1,2]"),
        ("explode: false, schema: {type: object, properties: {R: {type: integer}}}", "v=R,1", r#"{"R":1}"#),
        (OBJECT, "R=1; other=x; G=2", r#"{"G":2,"R":1}"#),
        (OBJECT, "R=1&G=2", r#"{"G":2,"R":1}"#),
        ("content: {application/json: {schema: {type: array}}}", "v=[1]", "[1]"),
    ] {
        let api = echo("/x", &format!("parameters: [{{name: v, in: cookie, {parts}}}]"), "cookie.v");
        assert_eq!(answer(&api, "/x", &[("cookie", cookie)], ""), wanted, "{parts}: {cookie}");
    }
}

#[test]
fn headers_that_openapi_ignores_are_not_parameters() {
    let ignored = "parameters: [{name: Content-Type, in: header, required: true, schema: {enum: [application/json]}}, {name: Accept, in: header, \
                   schema: {enum: [text/x]}}, {name: Authorization, in: header, required: true, schema: {type: string}}]";
    let api = echo("/x", ignored, "\"'fine'\"");
    assert_eq!(answer(&api, "/x", &[("content-type", "application/json; charset=utf-8"), ("accept", "a/b")], ""), "\"fine\"");
}

#[test]
fn forms_are_read_by_their_encoding() {
    let form = |encoding: &str| {
        let body = format!(
            "requestBody: {{content: {{application/x-www-form-urlencoded: {{schema: {{type: object, properties: {{b: {{type: array, items: {{type: \
             string}}}}, m: {{type: object, properties: {{a: {{type: integer}}}}}}, n: {{type: integer}}}}}}, encoding: {{{encoding}}}}}}}}}"
        );
        echo("/x", &body, "body")
    };
    let send = |api: &Api, body: &str| answer(api, "/x", &[(header::CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")], body);
    let styled = form("b: {explode: false}, m: {style: deepObject}");
    assert_eq!(send(&styled, "b=x,y&m[a]=1"), r#"{"b":["x","y"],"m":{"a":1}}"#);
    assert_eq!(send(&styled, "b=x%2Cy&n=7&o=z"), r#"{"b":["x,y"],"n":7,"o":"z"}"#);
    let plain = form("");
    assert_eq!(send(&plain, "b=x&b=y&m=%7B%22a%22%3A1%7D"), r#"{"b":["x","y"],"m":{"a":1}}"#);
    assert_eq!(send(&plain, "m=1"), "400 \"m: must be an object in JSON, not \\\"1\\\"\"");
    assert_eq!(send(&plain, "n=1&n=2"), "400 \"n: appears twice, but takes one value\"");
    assert_eq!(send(&plain, "o=1&o=2"), "400 \"o: appears twice, but takes one value\"");
    assert_eq!(send(&form("m: {style: form, explode: true}"), "a=1"), r#"{"m":{"a":1}}"#);
    assert_eq!(send(&form("b: {style: pipeDelimited}, n: {contentType: application/json}"), "b=x%7Cy&n=7"), r#"{"b":["x","y"],"n":7}"#);
    assert_eq!(send(&form("b: {contentType: application/json}"), "b=%5B%22x%22%5D"), r#"{"b":["x"]}"#);
}

#[test]
fn members_of_json_appear_once() {
    let body = "requestBody: {content: {application/json: {schema: {type: object}}}}";
    let api = echo("/x", body, "body");
    let send = |body: &str| answer(&api, "/x", &[("content-type", "application/json")], body);
    assert_eq!(send(r#"{"a":1,"b":{"a":2}}"#), r#"{"a":1,"b":{"a":2}}"#);
    assert_eq!(send("{\"a\":1,\n\"a\":2}"), "400 \"the body is not valid JSON: the member `a` appears twice at line 2, column 3\"");
    assert!(send(r#"{"x":[{"a":1,"a":1}]}"#).starts_with("400 "));
}

#[test]
fn a_trailing_slash_is_ignored_by_the_dry_run_as_by_the_server() {
    let mut api = echo("/x/", "parameters: []", "\"'slash'\"");
    assert_eq!(answer(&api, "/x/", &[], ""), "\"slash\"");
    assert!(answer(&api, "/x", &[], "").starts_with("404"));
    let ignoring = Arc::get_mut(&mut api).unwrap();
    ignoring.ignore_slash = true;
    assert_eq!(answer(&api, "/x/", &[], ""), "\"slash\"");
    let mut api = echo("/x", "parameters: []", "\"'plain'\"");
    assert!(answer(&api, "/x/", &[], "").starts_with("404"));
    Arc::get_mut(&mut api).unwrap().ignore_slash = true;
    assert_eq!(answer(&api, "/x/", &[], ""), "\"plain\"");
}
