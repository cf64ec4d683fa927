use std::collections::BTreeMap;

use super::*;

const NOTES: &str = include_str!("../../../examples/frontends/notes.yaml");
const DOCUMENT: &str = include_str!("../../../examples/openapi/notes.yaml");

fn service(pattern: &str) -> Option<&'static str> {
    (pattern == "keyvalue").then_some("prism.patterns.keyvalue.v1.KeyValueService")
}

fn load(text: &str, document: &str) -> Result<Definition, Vec<String>> {
    decided(text, document, &BTreeMap::new())
}

fn decided(text: &str, document: &str, settings: &BTreeMap<String, serde_json::Value>) -> Result<Definition, Vec<String>> {
    let texts = Texts {
        name: "notes.yaml".to_owned(),
        text: text.to_owned(),
        document_name: "api.yaml".to_owned(),
        document: Ok(document.to_owned()),
    };
    compile(&texts, &service, &["keyvalue"], settings).map_err(|problems| {
        problems.iter().flat_map(|problems| problems.to_string().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    })
}

#[test]
fn the_example_of_the_documentation_is_fine() {
    let definition = load(NOTES, DOCUMENT).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    assert_eq!(definition.header.name, "notes");
    assert_eq!(definition.api.routes.routes().count(), 2);
    assert_eq!(definition.document["paths"]["/notes/{id}"]["get"]["x-prism-rpc"], serde_json::json!(["Retrieve"]));
}

/// What is wrong if one text of the example is another.
fn problems(from: &str, to: &str) -> Vec<String> {
    let mut text = NOTES.to_owned();
    assert!(text.contains(from), "{from}");
    text = text.replace(from, to);
    load(&text, DOCUMENT).err().unwrap_or_default()
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (from, to, wanted) in [
        ("rpc: Retrieve", "rpc: Retreive", "notes.yaml:6:10: unknown RPC `Retreive`; did you mean `Retrieve`?"),
        ("{key: path.id}", "{kye: path.id}", "notes.yaml:7:15: unknown field of prism.patterns.keyvalue.v1.RetrieveRequest `kye`"),
        ("{key: path.id}", "{key: path.di}", "notes.yaml:7:20: `path.di`: "),
        ("pattern: keyvalue", "pattern: keyvalu", "notes.yaml:3:10: unknown pattern `keyvalu`; did you mean `keyvalue`?"),
        ("status: 201", "status: 204", "notes.yaml:17:24: the document lists no response 204 for writeNote; it has 201"),
        ("  writeNote:", "  wroteNote:", "unknown operation of the document `wroteNote`; did you mean `writeNote`?"),
        ("  writeNote:", "  wroteNote:", "the operation writeNote of api.yaml (line 12) has no route"),
        ("text: string(reply.value)", "text: path.id, txt: 1", ""),
        ("value: body", "value: \"[1, 2]\"", "notes.yaml:15:14: `[1, 2]`: "),
        ("response: {status: 201}", "response: {stats: 201}", "notes.yaml:17:16: unknown key of the response `stats`"),
        ("value: body", "value: hello", "for the text itself write \"'hello'\""),
        ("revision: reply.revision}", "revision: request.namespace}", "`revision`: there it is an int, here it is a string"),
    ] {
        let problems = problems(from, to);
        assert!(problems.iter().any(|problem| problem.contains(wanted)) || wanted.is_empty(), "{to}: {problems:#?}");
    }
}
