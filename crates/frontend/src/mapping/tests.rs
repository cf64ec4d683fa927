//! Definitions at work: what a request becomes, and what a reply turns into. Each case is a route of the small API below.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value as Json, json};

use super::{
    Api,
    rehearsal::{Outcome, Rehearsal, Request},
};
use crate::definition::{DocumentFolders, Texts, compile};
use prism_call::{Code, Error, Method as Rpc, proto};

/// An API with these operations and routes.
fn api(operations: &str, rest: &str) -> std::sync::Arc<Api> {
    api_of("prism.patterns.keyvalue.v1.KeyValueService", operations, rest)
}

/// The same on a service.
fn api_of(service: &'static str, operations: &str, rest: &str) -> std::sync::Arc<Api> {
    let document = format!("openapi: 3.1.0\ninfo: {{title: T, version: '1'}}\npaths:\n{operations}");
    let text = format!("frontend: t\nopenapi: t.yaml\npattern: one\n{rest}");
    let texts =
        Texts { name: "t".to_owned(), text, document_name: "d".to_owned(), document: Ok(document), folders: DocumentFolders::default() };
    match compile(&texts, &|_: &str| Rpc::of_service(proto::descriptors(), service), &["one"], &BTreeMap::new()) {
        Ok(definition) => definition.api,
        Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

fn request(line: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
    let headers = headers.iter().map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()));
    Request {
        method: method.parse::<Method>().unwrap(),
        path: path.to_owned(),
        query,
        headers: headers.collect::<HeaderMap>(),
        body: body.to_owned().into(),
    }
}

fn rehearse(api: &Api, request: &Request, outcome: Option<Outcome>) -> Rehearsal {
    api.rehearse("ns", request, outcome).unwrap()
}

/// The RPC and its one message, or the status and body of the refusal.
fn becomes(api: &Api, line: &str, body: &str) -> String {
    let told = rehearse(api, &request(line, &[("content-type", "application/json")], body), None);
    match told.response {
        Some(response) => format!("{} {}", response.status.as_u16(), String::from_utf8_lossy(&response.body)),
        None => format!("{} {}", told.rpc.unwrap(), told.messages.join(" ")),
    }
}

/// Status and body that replies turn into.
fn turns_into(api: &Api, line: &str, replies: &[Json]) -> String {
    let replies = replies.iter().map(ToString::to_string).collect();
    let told = rehearse(api, &request(line, &[], ""), Some(Outcome::Replies(replies)));
    let response = told.response.unwrap();
    format!("{} {}", response.status.as_u16(), String::from_utf8_lossy(&response.body))
}

const ITEM: &str = "  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: read
      parameters:
        - {name: recurse, in: query, schema: {type: boolean}, allowEmptyValue: true}
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100, default: 7}}
        - {name: order, in: query, schema: {type: string}}
        - {name: tags, in: query, schema: {type: array, items: {type: string}}}
        - {name: x-start, in: header, schema: {type: string}}
        - {name: session, in: cookie, schema: {type: string}}
      responses: {'200': {description: ok, content: {application/json: {}}}, '404': {description: none}, '204': {description: empty}}
";

#[test]
fn parameters_from_all_locations_are_mapped_to_fields() {
    let api = api(
        ITEM,
        "errors: {body: {why: error.message}}\nroutes:\n  read:\n    - when: has(query.recurse)\n      rpc: Scan\n      request: {prefix: path.id, limit: query.limit, \
         start_key: header.x_start, end_key: cookie.session, keys_only: query.recurse}\n    - when: has(query.tags)\n      rpc: RetrieveBatch\n      \
         request: {keys: query.tags}\n    - when: has(query.order)\n      rpc: Scan\n      request: {keys_only: {$from: query.order, $map: {asc: true, \
         desc: false}}}\n    - {rpc: Retrieve, request: {key: path.id}}\n",
    );
    for (line, wanted) in [
        ("GET /items/a", r#"Retrieve {"key":"a"}"#),
        ("GET /items/a%2Fb", r#"Retrieve {"key":"a/b"}"#),
        ("GET /items/a?recurse", r#"Scan {"prefix":"a","limit":7,"keysOnly":true}"#),
        ("GET /items/a?recurse=false&limit=9", r#"Scan {"prefix":"a","limit":9}"#),
        ("GET /items/a?recurse=maybe", r#"400 {"why":"recurse: must be true or false, not \"maybe\""}"#),
        ("GET /items/a?tags=x&tags=y", r#"RetrieveBatch {"keys":["x","y"]}"#),
        ("GET /items/a?order=asc", r#"Scan {"keysOnly":true}"#),
        ("GET /items/a?order=up", r#"400 {"why":"query.order: must be one of asc, desc, not \"up\""}"#),
        ("GET /items/a?limit=0", r#"400 {"why":"limit: 0 is less than the minimum of 1"}"#),
        ("GET /items/a?limit=x", r#"400 {"why":"limit: must be a whole number, not \"x\""}"#),
        ("GET /items/a?nope=1", r#"400 {"why":"the query parameter nope is unknown; this operation has recurse, limit, order, tags"}"#),
        ("GET /items/a?limit=1&limit=2", r#"400 {"why":"limit: appears twice, but takes one value"}"#),
        ("POST /items/a", r#"405 {"why":"/items/a does not support POST; it supports GET, HEAD, OPTIONS"}"#),
        ("GET /other", r#"404 {"why":"there is no route for GET /other"}"#),
    ] {
        assert_eq!(becomes(&api, line, ""), wanted, "{line}");
    }
    let told = rehearse(&api, &request("GET /items/a?recurse", &[("x-start", "s"), ("cookie", "a=b; session=e")], ""), None);
    assert_eq!(told.messages, [r#"{"prefix":"a","startKey":"s","endKey":"e","limit":7,"keysOnly":true}"#]);
    assert_eq!(told.case, Some(1));
}

#[test]
fn rest_wildcards_capture_paths_with_slashes() {
    let api = api(ITEM, "paths: {'/items/{id}': '/items/{id=**}'}\nroutes:\n  read: {rpc: Retrieve, request: {key: path.id}}\n");
    for (path, key) in [("a/b", "a/b"), ("a//b", "a//b"), ("a/", "a/"), ("a%2Fb", "a/b"), ("%C3%A4", "ä"), ("", "")] {
        let wanted = if key.is_empty() { "Retrieve {}".to_owned() } else { format!("Retrieve {}", json!({"key": key})) };
        assert_eq!(becomes(&api, &format!("GET /items/{path}"), ""), wanted, "{path}");
    }
}

#[test]
fn replies_are_mapped_to_status_headers_and_body() {
    let api = api(
        ITEM,
        "max_gathered: 3\nroutes:\n  read:\n    - when: has(query.recurse)\n      rpc: Scan\n      let: {last: \"replies.sortBy(one, one.revision).reverse()\"}\n      response:\n        - {when: size(replies) == 0, error: {code: NOT_FOUND, reason: NONE, message: \"'nothing below ' + path.id\"}}\n        - headers: {X-Last: 'last[0].key'}\n          body:\n            $each: replies\n            $item: {Key: item.key, Value: item.value, at: index, Revision: item.revision, until: item.expire_time}\n    - when: query.limit == 9\n      rpc: Exists\n      response: [{when: '!reply.exists', status: 404}, {status: 204}]\n    - when: query.limit == 8\n      rpc: Count\n      response: {body: reply.count}\n    - rpc: Retrieve\n      response: {headers: {ETag: reply.revision, Expires: reply.expire_time}, body: [reply.value, {n: 1, s: \"'x'\", none: null}]}\n",
    );
    let entry = |key: &str, revision: u64| json!({"key": key, "value": "aGk=", "revision": revision});
    assert_eq!(
        turns_into(&api, "GET /items/a?recurse", &[entry("x", 9), entry("y", 3)]),
        r#"200 [{"Key":"x","Value":"aGk=","at":0,"Revision":9},{"Key":"y","Value":"aGk=","at":1,"Revision":3}]"#
    );
    assert!(turns_into(&api, "GET /items/a?recurse", &[]).starts_with("404 {\"type\":\"urn:prism:problem:none\",\"title\":\"None\""));
    assert_eq!(turns_into(&api, "GET /items/a?limit=9", &[json!({"exists": true})]), "204 ");
    assert_eq!(turns_into(&api, "GET /items/a?limit=9", &[json!({})]), "404 ");
    assert_eq!(turns_into(&api, "GET /items/a?limit=8", &[json!({"count": "12"})]), "200 12");
    assert_eq!(turns_into(&api, "GET /items/a", &[json!({"value": "aGk="})]), r#"200 ["aGk=",{"n":1,"s":"x","none":null}]"#);
    let told = rehearse(&api, &request("GET /items/a?recurse", &[], ""), Some(Outcome::Replies(vec![entry("x", 1).to_string()])));
    assert_eq!(told.response.unwrap().headers["x-last"], "x");
    let told = rehearse(&api, &request("GET /items/a", &[], ""), Some(Outcome::Replies(vec![json!({"revision": 5}).to_string()])));
    let headers = told.response.unwrap().headers;
    assert_eq!(
        (headers.get("etag").unwrap(), headers.get("expires")),
        (&HeaderValue::from_static("5"), None),
        "absent headers are not sent"
    );
}

#[test]
fn messages_are_written_in_the_json_style_of_the_api() {
    let reply = json!({"value": "", "revision": "12", "createRevision": "3"});
    for (style, wanted) in [
        ("", r#"200 {"value":"","revision":12,"expireTime":null}"#),
        ("json: {integers: strings, names: proto, zeros: omit}\n", r#"200 {"revision":"12","create_revision":"3"}"#),
    ] {
        let api = api(ITEM, &format!("{style}routes:\n  read: {{rpc: Retrieve}}\n"));
        let told = turns_into(&api, "GET /items/a", std::slice::from_ref(&reply));
        if style.is_empty() {
            assert!(told.contains("\"revision\":12,\"createRevision\":3") || told.contains("\"revision\":12"), "{told}");
        } else {
            assert_eq!(told, wanted);
        }
    }
}

const BODY: &str = "  /put:
    post:
      operationId: put
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [key]
              additionalProperties: false
              properties:
                key: {type: string, minLength: 1}
                data: {type: string, format: byte}
                text: {type: string}
                seconds: {type: integer}
                items: {type: array, items: {type: object, properties: {k: {type: string}, v: {type: string, contentEncoding: base64}}}}
      responses: {'200': {description: ok, content: {application/json: {}}}}
";

#[test]
fn bodies_are_checked_and_mapped_to_fields() {
    let api = api(
        BODY,
        "errors: {body: {why: error.message, where: 'error.violations.map(v, v.field)'}}\nroutes:\n  put:\n    - when: has(body.items)\n      rpc: StoreBatch\n      request: {items: {$each: body.items, $item: {key: 'item.k', value: 'item.v'}}}\n    - when: has(body.text)\n      rpc: Store\n      request: {key: body.key, value: bytes(body.text), ttl: \"has(body.seconds) ? string(body.seconds) + 's' : null\"}\n    - rpc: Store\n      request: {key: body.key, value: {$from: body.data, $default: \"b'none'\"}, flags: 7}\n",
    );
    for (body, wanted) in [
        (r#"{"key":"a","data":"aGk="}"#, r#"Store {"key":"a","value":"aGk=","flags":"7"}"#),
        (r#"{"key":"a","data":"aGk"}"#, r#"Store {"key":"a","value":"aGk=","flags":"7"}"#),
        (r#"{"key":"a"}"#, r#"Store {"key":"a","value":"bm9uZQ==","flags":"7"}"#),
        (r#"{"key":"a","text":"hi","seconds":90}"#, r#"Store {"key":"a","value":"aGk=","ttl":"90s"}"#),
        (r#"{"key":"a","items":[{"k":"x","v":"aGk="},{"k":"y"}]}"#, r#"StoreBatch {"items":[{"key":"x","value":"aGk="},{"key":"y"}]}"#),
        (r#"{"key":"a","data":"%"}"#, r#"400 {"why":"data: must be base64","where":["data"]}"#),
        (r#"{"key":"a","items":[{"v":"%"}]}"#, r#"400 {"why":"items[0].v: must be base64","where":["items[0].v"]}"#),
        (r#"{"key":5}"#, r#"400 {"why":"key: 5 is not of type \"string\"","where":["key"]}"#),
        (r#"{"data":""}"#, r#"400 {"why":"\"key\" is a required property","where":[""]}"#),
        (r#"{"key":"a","seconds":"1"}"#, r#"400 {"why":"seconds: \"1\" is not of type \"integer\"","where":["seconds"]}"#),
        ("{\"key\":\n ]", r#"400 {"why":"the body is not valid JSON: expected value at line 2, column 2","where":[]}"#),
        ("", r#"400 {"why":"the request needs a body","where":[]}"#),
    ] {
        assert_eq!(becomes(&api, "POST /put", body), wanted, "{body}");
    }
    // Of what is long only the reason is told.
    let told = becomes(&api, "POST /put", &json!({"key": "a", "seconds": "1".repeat(1000)}).to_string());
    assert_eq!(told, r#"400 {"why":"seconds: it is not of type \"integer\"","where":["seconds"]}"#);
    let told = becomes(&api, "POST /put", r#"{"key":"a","other":1}"#);
    assert!(told.starts_with("400") && told.contains("other"), "{told}");
    let told = rehearse(&api, &request("POST /put", &[("content-type", "text/plain")], "x"), None);
    assert_eq!(told.response.unwrap().status, 415);
}

#[test]
fn errors_are_rendered_in_the_format_of_the_api() {
    let api = api(
        ITEM,
        "errors:\n  content_type: application/vnd.t+json\n  headers: {X-Error: error.reason}\n  body: {error_code: error.code, message: error.message}\n  cases:\n    KEY_NOT_FOUND: {code: 40401}\n    ABORTED: {status: 412, message: \"'again, ' + error.metadata.current\", headers: {X-More: 1}}\n    404: {body: null}\n    UNAVAILABLE: {content_type: text/plain, body: error.message}\nroutes:\n  read: {rpc: Retrieve, request: {key: path.id}, errors: {DATA_LOSS: {status: 200, body: false}}}\n",
    );
    let tell = |error: Error| rehearse(&api, &request("GET /items/a", &[], ""), Some(Outcome::Error(error))).response.unwrap();
    let shown = |response: &super::Rendered| format!("{} {}", response.status.as_u16(), String::from_utf8_lossy(&response.body));
    let response = tell(Error::new(Code::NotFound, "KEY_NOT_FOUND", "it is not there"));
    assert_eq!(shown(&response), r#"404 {"error_code":40401,"message":"it is not there"}"#);
    assert_eq!(
        (&response.headers["content-type"], &response.headers["x-error"]),
        (&HeaderValue::from_static("application/vnd.t+json"), &HeaderValue::from_static("KEY_NOT_FOUND"))
    );
    let response = tell(Error::new(Code::Aborted, "REVISION_MISMATCH", "no").with("current", "7"));
    assert_eq!(shown(&response), r#"412 {"error_code":412,"message":"again, 7"}"#);
    assert_eq!(
        (&response.headers["x-error"], &response.headers["x-more"]),
        (&HeaderValue::from_static("REVISION_MISMATCH"), &HeaderValue::from_static("1"))
    );
    let response = tell(Error::new(Code::NotFound, "OTHER", "no"));
    assert_eq!((shown(&response), response.headers.get("content-type")), ("404 ".to_owned(), None));
    assert_eq!(shown(&tell(Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "later"))), "503 later");
    assert_eq!(shown(&tell(Error::new(Code::DataLoss, "LOST", ""))), "200 false");
    assert_eq!(shown(&tell(Error::new(Code::Internal, "INTERNAL", "no"))), r#"500 {"error_code":500,"message":"no"}"#);
}

#[test]
fn errors_inside_replies_are_rendered_like_other_errors() {
    let operation = "  /: {get: {operationId: all, responses: {'200': {description: ok, content: {application/json: {}}}}}}\n";
    let route = |errors: &str, own: &str| {
        let rest = format!(
            "{errors}routes:\n  all:\n    rpc: SetAssociationsBatch\n{own}    response:\n      body:\n        $each: reply.results\n        \
             $item: {{at: index, error: {{$error: item.error}}, done: has(item.response)}}\n"
        );
        api_of("prism.patterns.schema_registry.v1.SchemaRegistryService", operation, &rest)
    };
    let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "GONE", "domain": "d", "metadata": {"who": "me"}});
    let error = json!({"error": {"code": 5, "message": "not here", "details": [info]}});
    let replies = [json!({"results": [{"response": {}}, error]})];

    let table = "errors:\n  body: {code: error.code, why: error.message}\n  cases:\n    GONE: {code: 40401, message: \"error.metadata.who + ' left'\"}\n";
    assert_eq!(
        turns_into(&route(table, ""), "GET /", &replies),
        r#"200 [{"at":0,"done":true},{"at":1,"error":{"code":40401,"why":"me left"},"done":false}]"#
    );
    // What the route says counts before it; what no case knows has its status.
    let own = "    errors: {NOT_FOUND: {code: 7}, GONE: {status: 410}}\n";
    assert!(turns_into(&route(table, own), "GET /", &replies).contains(r#""error":{"code":410,"why":"not here"}"#));
    // Without a table it is a problem document, and what is no JSON is a text.
    assert!(turns_into(&route("", ""), "GET /", &replies).contains(r#""reason":"GONE""#));
    let plain = "errors: {content_type: text/plain, body: error.message}\n";
    assert!(turns_into(&route(plain, ""), "GET /", &replies).contains(r#""error":"not here""#));
}
