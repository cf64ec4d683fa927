use std::collections::BTreeMap;

use super::*;
use prism_call::proto;

const NOTES: &str = include_str!("../../../../examples/frontends/notes.yaml");
const DOCUMENT: &str = include_str!("../../../../examples/openapi/notes.yaml");

fn methods(pattern: &str) -> Option<Vec<Arc<Method>>> {
    Method::of_service(proto::descriptors(), (pattern == "keyvalue").then_some("prism.patterns.keyvalue.v1.KeyValueService")?)
}

pub fn load(text: &str, document: &str) -> Result<Definition, Vec<String>> {
    decided(text, document, &BTreeMap::new())
}

fn decided(text: &str, document: &str, settings: &BTreeMap<String, serde_json::Value>) -> Result<Definition, Vec<String>> {
    let texts = Texts {
        name: "notes.yaml".to_owned(),
        text: text.to_owned(),
        document_name: "api.yaml".to_owned(),
        document: Ok(document.to_owned()),
        folders: DocumentFolders::default(),
    };
    compile(&texts, &methods, &["keyvalue"], settings).map_err(|problems| {
        problems.iter().flat_map(|problems| problems.to_string().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    })
}

fn served(definition: &Definition) -> serde_json::Value {
    serde_json::from_str(&definition.document).unwrap()
}

#[test]
fn the_documentation_contains_the_example_verbatim() {
    let page = include_str!("../../../../docs/frontends.md");
    assert!(page.contains(NOTES) && page.contains(DOCUMENT));
}

#[test]
fn the_example_of_the_documentation_compiles() {
    let definition = load(NOTES, DOCUMENT).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    assert_eq!(definition.header.name, "notes");
    assert_eq!(definition.api.operations().count(), 2);
    assert_eq!(served(&definition)["paths"]["/notes/{id}"]["get"]["x-prism-rpc"], serde_json::json!(["Retrieve"]));
}

/// What is wrong if one text of the example is another.
fn problems(from: &str, to: &str) -> Vec<String> {
    let mut text = NOTES.to_owned();
    assert!(text.contains(from), "{from}");
    text = text.replace(from, to);
    load(&text, DOCUMENT).err().unwrap_or_default()
}

#[test]
fn errors_have_the_position_of_the_mistake() {
    for (from, to, wanted) in [
        ("rpc: Retrieve", "rpc: Retreive", "notes.yaml:6:10: unknown RPC `Retreive`; did you mean `Retrieve`?"),
        ("{key: path.id}", "{kye: path.id}", "notes.yaml:7:15: unknown field of prism.patterns.keyvalue.v1.RetrieveRequest `kye`"),
        ("{key: path.id}", "{key: path.di}", "notes.yaml:7:20: `path.di`: "),
        ("pattern: keyvalue", "pattern: keyvalu", "notes.yaml:3:10: unknown pattern `keyvalu`; did you mean `keyvalue`?"),
        ("status: 201", "status: 204", "notes.yaml:17:24: the document lists no response 204 for writeNote; it has 201, 400"),
        ("  writeNote:", "  wroteNote:", "unknown operation of the document `wroteNote`; did you mean `writeNote`?"),
        ("  writeNote:", "  wroteNote:", "the operation writeNote of api.yaml (line 17) has no route"),
        ("text: string(reply.value)", "text: path.id, txt: 1", ""),
        ("value: body", "value: \"[1, 2]\"", "notes.yaml:15:14: `[1, 2]`: "),
        ("response: {status: 201}", "response: {stats: 201}", "notes.yaml:17:16: unknown key of the response `stats`"),
        (
            "text: string(reply.value)",
            "text: {$error: reply.value}",
            "`$error` needs a path to a google.rpc.Status in the reply, but `reply.value` is bytes",
        ),
        ("value: body", "value: hello", "to use the text itself, write \"'hello'\""),
        ("revision: reply.revision}", "revision: request.namespace}", "`revision`: it is a string, but the schema says an int"),
    ] {
        let problems = problems(from, to);
        assert!(problems.iter().any(|problem| problem.contains(wanted)) || wanted.is_empty(), "{to}: {problems:#?}");
    }
}

#[test]
fn bindings_can_override_settings_of_the_same_type() {
    let text = NOTES
        .replace("routes:", "settings:\n  kept: {default: 201, description: The status of a write.}\nroutes:")
        .replace("status: 201", "status: settings.kept");
    let status = |settings: serde_json::Value| {
        let settings = settings.as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        decided(&text, DOCUMENT, &settings).map(|definition| format!("{:?}", definition.api.settings))
    };
    assert!(status(serde_json::json!({})).is_ok());
    assert!(status(serde_json::json!({"kept": 200})).is_ok());
    assert_eq!(
        status(serde_json::json!({"kept": "x"})).unwrap_err()[0],
        "notes.yaml:5:3: the binding sets the setting `kept` to \"x\", which does not have the type of the default 201"
    );
    assert_eq!(
        status(serde_json::json!({"kpt": 1})).unwrap_err()[0],
        "notes.yaml:1:1: a binding sets `kpt`: unknown setting `kpt`; did you mean `kept`? There are: kept"
    );
}

#[test]
fn shadowed_routes_and_unreachable_cases_are_reported() {
    let document = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths:\n  /a/{x}: {get: {operationId: one, parameters: [{name: x, in: path, required: true, schema: {type: string}}], responses: {'200': {description: ok}}}}\n  /a/{y}: {get: {operationId: two, parameters: [{name: y, in: path, required: true, schema: {type: string}}], responses: {'200': {description: ok}}}}\n";
    let text = "frontend: t\nopenapi: t.yaml\npattern: keyvalue\nroutes:\n  one:\n    - {rpc: Retrieve, request: {key: path.x}}\n    - {rpc: Exists, request: {key: path.x}}\n  two: {rpc: Retrieve, request: {key: path.y}}\n";
    assert_eq!(
        load(text, document).unwrap_err(),
        [
            "notes.yaml:6:7: no case after this one is ever used, because it has no `when`".to_owned(),
            "notes.yaml:8:3: GET /a/{p0} matches the same requests as GET /a/{p0}; change one of them".to_owned()
        ]
    );
}

#[test]
fn yaml_anchors_and_aliases_can_be_used() {
    let text =
        NOTES.replace("routes:", "x-shared:\n  key: &key {key: path.id}\nroutes:").replace("request: {key: path.id}", "request: *key");
    assert!(load(&text, DOCUMENT).is_ok());
}

#[test]
fn openapi_3_0_documents_are_served_as_3_1() {
    let document =
        DOCUMENT.replace("openapi: 3.1.0", "openapi: 3.0.3").replace("text: {type: string}", "text: {type: string, nullable: true}");
    let definition = load(NOTES, &document).unwrap();
    assert_eq!(served(&definition)["openapi"], "3.1.0");
    assert_eq!(served(&definition)["components"]["schemas"]["Note"]["properties"]["text"], serde_json::json!({"type": ["string", "null"]}));
}

mod hostile {
    use proptest::prelude::*;

    use super::{DOCUMENT, NOTES, load};

    /// A text with a piece of it taken out, doubled or replaced.
    fn mutate(text: &str, at: usize, length: usize, piece: &str) -> String {
        let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        let (start, end) = (boundary(at), boundary(at.saturating_add(length)));
        format!("{}{piece}{}", &text[..start], &text[end.max(start)..])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn mutated_definitions_compile_or_are_refused(at in 0usize..700, length in 0usize..30, piece in "[a-z:{}\\[\\]'\"$ \\n.-]{0,12}") {
            let _ = load(&mutate(NOTES, at, length, &piece), DOCUMENT);
        }

        #[test]
        fn mutated_documents_are_read_or_refused(at in 0usize..1200, length in 0usize..30, piece in "[a-z:{}\\[\\]'\"$#/ \\n.-]{0,12}") {
            let _ = load(NOTES, &mutate(DOCUMENT, at, length, &piece));
        }
    }

    #[test]
    fn deeply_nested_definitions_and_documents_are_refused() {
        for deep in ["[".repeat(100_000), format!("{}x", "a: {".repeat(5_000)), format!("a: {}", "- ".repeat(50_000))] {
            assert!(load(&deep, DOCUMENT).is_err());
            assert!(load(NOTES, &deep).is_err());
        }
        let recursive = DOCUMENT
            .replace("text: {type: string}", "text: {$ref: \"#/components/schemas/Note\"}")
            .replace("properties:\n        id", "properties:\n        more: {$ref: \"#/components/schemas/Note\"}\n        id");
        assert!(load(NOTES, &recursive).is_ok() || load(NOTES, &recursive).is_err());
    }
}
