//! The parsers: they get any bytes, from clients and from files of operators.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method as HttpMethod;
use prism::{
    call::Method,
    config::{self, Origin, Source},
    frontend::{
        bind::{BindOptions, Media, PathAndQuery},
        definition::{self, DocumentFolders, Texts},
        json,
        message_types::MessageTypes,
        percent,
        precondition::EntityTags,
        render::Accept,
        route,
        router::Router,
        template::PathTemplate,
    },
    proto,
    schema::{CompatibilityPolicy, Schema, SchemaFormat},
    yaml,
};

use super::input::{run, run_text};

const SERVICE: &str = "prism.patterns.keyvalue.v1.KeyValueService";
const MESSAGES: [&str; 4] = [
    "prism.patterns.keyvalue.v1.TransactRequest",
    "prism.patterns.keyvalue.v1.StoreBatchRequest",
    "prism.patterns.keyvalue.v1.GetExpirationResponse",
    "google.rpc.Status",
];
const BODIES: [&str; 5] = [
    r#"{"conditions":[{"key":"a","revision":"1"}],"success":[{"store":{"key":"a","value":"aGVsbG8=","ttl":"1.5s"}}]}"#,
    r#"{"items":[{"key":"a","value":"dg==","ttl":"3600s","flags":"7"},{"key":"b"}]}"#,
    r#"{"expireTime":"2026-11-30T06:00:00.123Z"}"#,
    r#"{"code":5,"message":"é\n","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R","metadata":{"a":"b"}}]}"#,
    "{}",
];

#[test]
fn json_that_is_read_is_written_and_read_again() {
    let types = MessageTypes::all();
    run_text("json", &BODIES, |body| {
        for message in MESSAGES.iter().map(|name| types.find(name).unwrap()) {
            let (mut bytes, mut text) = (Vec::new(), Vec::new());
            // Values that JSON can carry but a reply can't, such as a time out of range inside of an Any, may still be refused.
            if json::decode(types, message, body.as_bytes(), &mut bytes).is_err()
                || json::encode(types, message, &bytes, &mut text).is_err()
            {
                continue;
            }
            let (mut again, mut twice) = (Vec::new(), Vec::new());
            json::decode(types, message, text.as_slice(), &mut again).expect("what is written can be read");
            json::encode(types, message, &again, &mut twice).expect("what is read can be written");
            assert_eq!(text, twice);
        }
    });
}

#[test]
fn replies_of_any_bytes_are_written_or_refused() {
    let types = MessageTypes::all();
    let mut seeds = Vec::new();
    for (message, body) in MESSAGES.iter().zip(BODIES) {
        let mut bytes = Vec::new();
        let _ = json::decode(types, types.find(message).unwrap(), body.as_bytes(), &mut bytes);
        seeds.push(bytes);
    }
    seeds.push(b"\x0a\x03abc\x12\x02\x08\x01".to_vec());
    let seeds: Vec<_> = seeds.iter().map(Vec::as_slice).collect();
    run("replies", &seeds, |_, reply| {
        for name in ["prism.patterns.keyvalue.v1.TransactResponse", "prism.patterns.keyvalue.v1.ScanResponse", "google.rpc.Status"] {
            let _ = json::encode(types, types.find(name).unwrap(), reply, &mut Vec::new());
        }
    });
}

#[test]
fn urls_are_bound_or_refused() {
    let routes = route::annotated(&Method::of_service(proto::descriptors(), SERVICE).unwrap(), BindOptions::default()).unwrap();
    run_text("queries", &["prefix=a&limit=10&cursor=x", "ttl=1.5s&flags=7", "a.b.c=1&a%2Eb=%zz&=&&x", "key=%E2%82%AC+b"], |query| {
        for (method, path) in [(HttpMethod::GET, "/v1/keys"), (HttpMethod::PUT, "/v1/values/a"), (HttpMethod::GET, "/v1/count")] {
            let found = routes.find(&method, path).unwrap_or_else(|_| panic!("no route for {path}"));
            let parts = PathAndQuery { path, query: Some(query) };
            let _ = found.value.binding.message(found.template, parts, &Bytes::new(), &Media::Raw(String::new()));
        }
        for method in [HttpMethod::GET, HttpMethod::PUT, HttpMethod::POST, HttpMethod::DELETE] {
            let path = format!("/v1/{query}");
            if let Ok(found) = routes.find(&method, &path) {
                let parts = PathAndQuery { path: &path, query: None };
                let _ = found.value.binding.message(found.template, parts, &Bytes::from_static(b"x"), &Media::Raw(String::new()));
            }
        }
    });
}

#[test]
fn templates_print_as_they_were_read() {
    let seeds = ["/v1/{key=**}", "/v1/{a}/b/{c.d=x/*}:verb", "/v1/values/a%2Fb", "/{a=**}", "/*/**"];
    run_text("templates", &seeds, |text| {
        let (text, path) = text.split_once('\n').unwrap_or((text, "/v1/values/a/b"));
        let Ok(template) = PathTemplate::parse(text) else { return };
        assert_eq!(PathTemplate::parse(&template.to_string()), Ok(template.clone()));
        let mut router = Router::default();
        if router.insert(Some(HttpMethod::GET), template, ()).is_ok()
            && let Ok(found) = router.find(&HttpMethod::GET, path)
        {
            for (variable, capture) in found.template.variables().iter().zip(found.captures()) {
                let _ = percent::decode(capture, variable.slash);
            }
        }
    });
}

#[test]
fn headers_are_read_or_refused() {
    let seeds = ["application/json, text/plain, */*", "text/html;q=0.8,*/*;q=0.001", "\"1\", W/\"a\", \"7--gzip\"", "*", "1.5, 250ms, 1H"];
    run_text("headers", &seeds, |text| {
        let accept = Accept::of(Some(text));
        let _ = (accept.any(), accept.best([["a/b"].as_slice()].into_iter()), accept.first(["application/json"].into_iter()));
        let _ = percent::decode_query(text);
        if let Ok(value) = http::HeaderValue::from_str(text) {
            let headers = http::HeaderMap::from_iter([(http::header::IF_NONE_MATCH, value.clone()), (http::header::IF_MATCH, value)]);
            let _ = EntityTags::known(&headers, &http::HeaderValue::from_static("\"1\""));
        }
    });
}

#[test]
fn yaml_and_configurations_are_read_or_refused() {
    let examples: Vec<String> = ["default", "redis", "postgres", "notes"]
        .iter()
        .map(|name| std::fs::read_to_string(format!("{}/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap())
        .collect();
    let seeds: Vec<_> = examples.iter().map(String::as_str).chain(["a: &a [1, {b: *a}]", "--- |\n  x\n...", "? a\n: - b"]).collect();
    let known = prism::cli::known();
    run_text("configurations", &seeds, |text| {
        let (_, problems) = yaml::parse(text);
        let _ = problems.iter().map(|problem| format!("{problem:?}")).count();
        let checked = config::check_text(text, Origin::Embedded, &Source::default(), &known);
        let _ = checked.problems.to_string();
    });
}

#[test]
fn definitions_and_documents_are_compiled_or_refused() {
    let texts = Texts::embedded("consul-kv").unwrap();
    let document = texts.document.clone().unwrap();
    let methods = |_: &str| Method::of_service(proto::descriptors(), SERVICE);
    let seeds = [texts.text.clone(), document.to_string()];
    let seeds: Vec<_> = seeds.iter().map(String::as_str).collect();
    let mut turn = 0;
    run_text("definitions", &seeds, |text| {
        turn += 1;
        if turn % 2 == 0 {
            let _ = definition::document("fuzzed.yaml", text, &DocumentFolders::default());
        } else {
            let fuzzed = Texts { text: text.into(), ..Texts::embedded("consul-kv").unwrap() };
            let _ = definition::compile(&fuzzed, &methods, &["keyvalue"], &BTreeMap::new());
        }
    });
}

#[test]
fn schemas_are_parsed_or_refused() {
    const AVRO: [&str; 3] = [
        r#"{"type":"record","name":"a.R","fields":[{"name":"x","type":["null","int"],"default":null},{"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}}]}"#,
        r#"{"type":"array","items":{"type":"map","values":{"type":"fixed","name":"F","size":4}}}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#,
    ];
    const JSON: [&str; 2] = [
        r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"a":{"type":"string","pattern":"^a+$"}},"properties":{"x":{"$ref":"#/$defs/a"}},"oneOf":[{"required":["x"]},{"maxProperties":0}]}"##,
        r#"{"type":["object","null"],"additionalProperties":{"minimum":1,"multipleOf":0.5},"enum":[1,"a",null]}"#,
    ];
    const PROTOBUF: [&str; 2] = [
        "syntax = \"proto3\";\npackage a;\nimport \"google/protobuf/timestamp.proto\";\nmessage M { reserved 5 to 7; map<string, int32> m = 1; oneof o { string s = 2; } google.protobuf.Timestamp t = 3; enum E { A = 0; } }",
        "edition = \"2023\"; message M { extensions 100 to 200 [verification = UNVERIFIED]; string s = 1 [features.field_presence = IMPLICIT]; } extend M { int32 x = 100; }",
    ];
    let formats: [(SchemaFormat, &[&str]); 3] =
        [(SchemaFormat::Avro, &AVRO), (SchemaFormat::Json, &JSON), (SchemaFormat::Protobuf, &PROTOBUF)];
    let seeds: Vec<_> = formats.iter().flat_map(|(_, seeds)| seeds.iter().copied()).collect();
    let known: Vec<_> = formats.iter().map(|(format, seeds)| (*format, Schema::parse(*format, seeds[0], &[]).unwrap())).collect();
    run_text("schemas", &seeds, |text| {
        for (format, other) in &known {
            let Ok(schema) = Schema::parse(*format, text, &[]) else { continue };
            let canonical = schema.canonical();
            assert!(Schema::parse(*format, &canonical, &[]).is_ok(), "the canonical form is not a schema: {canonical}");
            let policy = CompatibilityPolicy::default();
            let _ = (schema.normalized(), Schema::differences(&schema, other, policy), Schema::differences(other, &schema, policy));
        }
    });
}
