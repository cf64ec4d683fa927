//! What a caller may do.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use test_support::{
    gateway::{Gateway, Setup},
    http,
    poll::until,
};

use super::caller::{Action, PROTOCOLS, call, create_key};

const POLICY: &str = "
policy:
  roles:
    reader: \"'readers' in principal.groups\"
    writer: \"'writers' in principal.groups\"
  rules:
    - {name: readers, roles: [reader], access: read}
    - {name: own, roles: [writer], methods: [Store, Retrieve], when: \"request.key.startsWith(principal.tenant + '-')\"}
    - {name: web, effect: deny, access: write, when: call.protocol == 'rest' && principal.subject == 'eve', reason: eve writes over gRPC only}
    - {name: eve, when: principal.subject == 'eve'}
";

fn config(file: &Path, policy: &str) -> String {
    format!(
        "
authenticators: {{keys: {{type: api-key, file: '{}'}}}}
listeners: {{main: {{authentication: [keys, anonymous]}}}}
backends: {{ram: {{type: memory}}}}
namespaces: [{{name: store, pattern: keyvalue, slots: {{storage: ram}}}}]
{policy}",
        file.display()
    )
}

/// Who, the key of the data, and the results of `Store` and of `Retrieve`.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, [&'a str; 2]);

#[tokio::test]
async fn each_protocol_asks_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let reader = create_key(&file, &["--subject", "ada", "--group", "readers"]);
    let writer = create_key(&file, &["--subject", "bob", "--group", "writers", "--tenant", "acme"]);
    let eve = create_key(&file, &["--subject", "eve"]);
    let other = create_key(&file, &["--subject", "mallory"]);
    let gateway = Gateway::start(&config(&file, POLICY)).await;
    let (ok, no) = ("OK", "PERMISSION_DENIED");
    let table: [Row<'_>; 6] = [
        ("a writer, with an own key", &[("x-api-key", &writer)], "acme-1", [ok, ok]),
        ("a writer, with a foreign key", &[("x-api-key", &writer)], "other-1", [no, no]),
        ("a reader", &[("x-api-key", &reader)], "acme-1", [no, ok]),
        ("a caller without a role", &[("x-api-key", &other)], "acme-1", [no, no]),
        ("nobody", &[], "acme-1", [no, no]),
        ("eve", &[("x-api-key", &eve)], "acme-1", [ok, ok]),
    ];
    for protocol in PROTOCOLS {
        for (who, headers, key, expected) in &table {
            for (action, expected) in [Action::Store(key), Action::Retrieve(key)].into_iter().zip(expected) {
                let expected = if (*who, protocol) == ("eve", "rest") && matches!(action, Action::Store(_)) { no } else { expected };
                let outcome = call(gateway.address, protocol, "store", action, headers).await;
                assert_eq!(outcome.code, expected, "{who} over {protocol}: {outcome:?}");
                if expected == no {
                    assert_eq!(outcome.reason, "POLICY_DENIED", "{who} over {protocol}");
                }
            }
        }
    }
    let refused = http::send(gateway.address, "PUT", "/store/v1/values/a", &[("x-api-key", &eve)], "x").await.unwrap();
    let detail = "eve may not call Store in the namespace store: eve writes over gRPC only";
    assert!(refused.text().contains(detail), "{}", refused.text());
    // The document shows what `GetCapabilities` returns, and who may not call it does not see it.
    for (key, status) in [(&reader, 200), (&writer, 403)] {
        let answer = http::send(gateway.address, "GET", "/store/openapi.json", &[("x-api-key", key)], "").await.unwrap();
        assert_eq!(answer.status, status);
    }
}

/// The operations that the documents of a namespace show to a caller: those of OpenAPI, the tools of MCP, and the fields of the schema of GraphQL,
/// by introspection and as text.
async fn shown(gateway: &Gateway, key: &str) -> (Vec<String>, Vec<String>, Vec<String>, String) {
    let headers = [("x-api-key", key), ("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let texts = |list: &Value, path: &str| -> Vec<String> {
        let mut texts: Vec<_> = list.as_array().into_iter().flatten().map(|item| item[path].as_str().unwrap().to_owned()).collect();
        texts.sort();
        texts
    };
    let openapi = http::send(gateway.address, "GET", "/store/openapi.json", &headers, "").await.unwrap().json();
    let items =
        openapi["paths"].as_object().into_iter().flat_map(|paths| paths.values()).flat_map(|item| item.as_object().unwrap().values());
    let mut operations: Vec<String> = items.filter_map(|operation| Some(operation["operationId"].as_str()?.to_owned())).collect();
    operations.sort();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let tools = http::send(gateway.address, "POST", "/store/mcp", &headers, list).await.unwrap().json();
    let query = json!({"query": "{ __schema { queryType { fields { name } } mutationType { fields { name } } } }"}).to_string();
    let schema = http::send(gateway.address, "POST", "/store/graphql", &headers, query).await.unwrap().json();
    let types = &schema["data"]["__schema"];
    let fields = [texts(&types["queryType"]["fields"], "name"), texts(&types["mutationType"]["fields"], "name")].concat();
    let schema = http::send(gateway.address, "GET", "/store/graphql/schema.graphql", &headers, "").await.unwrap();
    (operations, texts(&tools["result"]["tools"], "name"), fields, schema.text().to_string())
}

#[tokio::test]
async fn what_a_caller_may_not_do_is_absent_from_its_documents() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let reader = create_key(&file, &["--subject", "ada", "--group", "readers"]);
    let writer = create_key(&file, &["--subject", "bob", "--group", "writers", "--tenant", "acme"]);
    let eve = create_key(&file, &["--subject", "eve"]);
    let policy = POLICY.replace("    - {name: eve,", "    - {name: capabilities, methods: [GetCapabilities]}\n    - {name: eve,");
    let gateway = Gateway::start(&config(&file, &policy)).await;
    // Each caller twice, in turns: nobody gets the document of another one.
    for _ in 0..2 {
        let (operations, tools, fields, text) = shown(&gateway, &reader).await;
        assert!(
            operations.iter().any(|name| name.contains("Retrieve")) && operations.iter().all(|name| !name.contains("Store")),
            "{operations:?}"
        );
        assert!(tools.iter().any(|name| name.contains("retrieve")) && tools.iter().all(|name| !name.contains("store")), "{tools:?}");
        assert!(fields.iter().any(|name| name == "retrieve") && fields.iter().all(|name| name != "store"), "{fields:?}");
        assert!(text.contains("retrieve(") && !text.contains("store("), "{text}");
        // What depends on the request is shown.
        let (operations, tools, fields, text) = shown(&gateway, &writer).await;
        assert!(
            operations.iter().any(|name| name.contains("Store")) && operations.iter().all(|name| !name.contains("Scan")),
            "{operations:?}"
        );
        assert!(tools.iter().any(|name| name.contains("store")) && tools.iter().all(|name| !name.contains("scan")), "{tools:?}");
        assert_eq!(fields, ["getCapabilities", "retrieve", "store"]);
        assert!(text.contains("retrieve(") && text.contains("store(") && !text.contains("scan"), "{text}");
        let (operations, tools, fields, _) = shown(&gateway, &eve).await;
        // She writes over other protocols than REST.
        assert!(
            operations.iter().any(|name| name.contains("Scan")) && operations.iter().all(|name| !name.contains("Store")),
            "{operations:?}"
        );
        assert!(tools.iter().any(|name| name.contains("store")) && fields.iter().any(|name| name == "store"), "{tools:?} {fields:?}");
    }
    // A call of what is absent is denied as over any other protocol.
    let body = json!({"query": "mutation { store(key: \"acme-1\", value: \"eA==\") { revision } }"}).to_string();
    let headers = [("x-api-key", reader.as_str()), ("content-type", "application/json")];
    let denied = http::send(gateway.address, "POST", "/store/graphql", &headers, body).await.unwrap().json();
    assert_eq!(denied["errors"][0]["extensions"]["reason"], "POLICY_DENIED", "{denied}");
}

#[tokio::test]
async fn a_changed_policy_is_served_and_ends_streams() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key = create_key(&file, &["--subject", "ada"]);
    let text = |rule: &str| {
        format!(
            "
authenticators: {{keys: {{type: api-key, file: '{}'}}}}
listeners: {{main: {{authentication: [keys]}}}}
backends: {{ram: {{type: memory}}}}
namespaces: [{{name: events, pattern: interfaces, slots: {{backend: ram}}}}]
policy: {{rules: [{{name: all{rule}}}]}}
",
            file.display()
        )
    };
    let gateway = Gateway::start(&text(", methods: [stream_basic.*]")).await;
    let (body, headers) = ("{\"stream\": \"s\", \"payload\": \"eA==\"}", [("x-api-key", &*key), ("content-type", "application/json")]);
    let append = || async { http::send(gateway.address, "POST", "/events/v1/stream_basic/Append", &headers, body).await.unwrap().status };
    assert_eq!(append().await, 200);
    assert_eq!(http::send(gateway.address, "POST", "/events/v1/queue_basic/Enqueue", &headers, "{}").await.unwrap().status, 403);
    let events = super::streams::follow_path(&gateway, &key, "/events/v1/stream_basic/Read?stream=s&follow=true").await;
    fs::write(gateway.folder().join("prism.yaml"), text(", methods: [stream_basic.Append]")).unwrap();
    let ended = super::streams::rest(events).await;
    assert!(ended.contains("ACCESS_ENDED") && ended.contains("no rule allows it"), "{ended}");
    assert_eq!(append().await, 200);
    fs::write(gateway.folder().join("prism.yaml"), text(", when: 'false'")).unwrap();
    until("denied", || async { if append().await == 403 { Ok(()) } else { Err(gateway.log()) } }).await;
}

#[test]
fn mistakes_in_a_policy_are_reported_with_their_position() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    create_key(&file, &["--subject", "ada"]);
    let policy = "policy:\n  roles: {a: principal.subjct == 'x'}\n  rules: [{name: r, methods: [Store], when: request.kye == 'a'}]\n";
    let setup = Setup { config: &config(&file, policy), ..Setup::default() };
    let refused = setup.refused(tempfile::tempdir().unwrap().path());
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("prism.yaml:7:14: column 10: `principal` has no member `subjct` (did you mean `subject`?)"), "{text}");
    assert!(text.contains("prism.yaml:8:45: column 8: `request` has no field `kye` (did you mean `key`?)"), "{text}");
}

fn prism(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_prism")).args(arguments).current_dir(folder).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn a_policy_is_tested_and_explained_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.yaml");
    create_key(&keys, &["--subject", "ada"]);
    fs::write(folder.path().join("prism.yaml"), config(&keys, POLICY)).unwrap();
    let cases = "
- name: readers read
  principal: {subject: ada, groups: [readers]}
  call: {namespace: store, method: Count}
  expect: allow
  rule: readers
- name: writers write what is theirs
  principal: {subject: bob, groups: [writers], tenant: acme}
  call: {namespace: store, method: Store}
  request: {key: acme-1}
  expect: allow
- name: nobody reads
  call: {namespace: store, method: Retrieve}
  expect: deny
";
    fs::write(folder.path().join("cases.yaml"), cases).unwrap();
    let (code, text) = prism(folder.path(), &["policy", "test", "cases.yaml"]);
    assert_eq!((code, text.lines().last()), (Some(0), Some("passed: 3, failed: 0")), "{text}");
    fs::write(folder.path().join("cases.yaml"), cases.replace("key: acme-1", "key: other-1")).unwrap();
    let (code, text) = prism(folder.path(), &["policy", "test", "cases.yaml"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("✗ writers write what is theirs: denied, because no rule allows it; expected: allow"), "{text}");

    let explain =
        |more: &[&str]| prism(folder.path(), &[&["policy", "explain", "--namespace", "store", "--method", "Store"], more].concat());
    let (code, text) = explain(&["--subject", "eve", "--protocol", "rest", "--request", "{\"key\": \"a\"}"]);
    assert_eq!(code, Some(1), "{text}");
    let states = [("own ", "the caller has none of its roles"), ("web ", "matches"), ("eve ", "matches"), ("denied by `web`", "")];
    for (start, part) in states {
        assert!(text.lines().any(|line| line.starts_with(start) && line.contains(part)), "{start}{part}\n{text}");
    }
    let (code, text) = explain(&["--subject", "bob", "--groups", "writers", "--tenant", "acme"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("depends on the request; give one with --request"), "{text}");
    let (code, text) = prism(folder.path(), &["policy", "explain", "--namespace", "stor", "--method", "Store"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("unknown namespace `stor`; did you mean `store`?"), "{text}");
}

#[tokio::test]
async fn decisions_are_logged_without_values() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let writer = create_key(&file, &["--subject", "bob", "--group", "writers", "--tenant", "acme"]);
    let gateway = Gateway::start(&config(&file, &format!("{POLICY}  log: {{denied: 1, allowed: 2}}\n"))).await;
    for key in ["acme-1", "acme-2", "acme-3", "hidden-4"] {
        let _ = http::send(gateway.address, "PUT", &format!("/store/v1/values/{key}"), &[("x-api-key", &writer)], "secret").await.unwrap();
    }
    let log = gateway.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("prism::policy")).collect();
    let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!((count("allowed"), count("denied")), (2, 1), "{lines:?}");
    for expected in ["bob", "acme", "Store", "rest", "127.0.0.1"] {
        assert_eq!(count(expected), 3, "{expected}: {lines:?}");
    }
    assert_eq!((count("own"), count("hidden"), count("secret"), count(&writer)), (2, 0, 0, 0), "{lines:?}");
}
