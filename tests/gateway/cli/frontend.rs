//! `prism frontend`: its output for valid and invalid definitions.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

use super::{Run, printed, prism};

const NOTES: &str = "examples/frontends/notes.yaml";

/// Runs `prism frontend try` on the notes example. Arguments may contain spaces.
fn try_notes(arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_prism")).args(["frontend", "try", NOTES]).args(arguments).output().unwrap();
    Run { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr: String::from_utf8(output.stderr).unwrap() }
}

fn tried(arguments: &[&str]) -> String {
    let run = try_notes(arguments);
    assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.stderr);
    run.stdout
}

/// Copies the notes example into a temporary folder, and replaces a text in one of its two files.
fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["frontends/notes.yaml", "openapi/notes.yaml"] {
        let mut text = fs::read_to_string(Path::new("examples").join(name)).unwrap();
        if name.starts_with(file) {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Returns the output of lint without the folder in the names of files.
fn lint(folder: &tempfile::TempDir) -> (Option<i32>, String) {
    let folder = folder.path().display().to_string();
    let run = prism(&format!("frontend lint {folder}/frontends/notes.yaml"));
    assert_eq!(run.stderr, "");
    (run.code, run.stdout.replace(&format!("{folder}/"), ""))
}

#[test]
fn list_shows_frontends_and_their_bindings() {
    let folder = changed("frontends", "notes", "notes");
    let config = folder.path().join("prism.yaml");
    fs::write(
        &config,
        "backends: {store: {type: memory}}
frontends: {notes: {definition: frontends/notes.yaml, base_path: '/notes/{namespace}'}}
namespaces:
  - name: pad
    pattern: keyvalue
    slots: {storage: store}
    frontends: [notes, {frontend: notes, host: notes.example.com, base_path: /}, {frontend: grpc, enabled: false}]
",
    )
    .unwrap();
    let text = printed(&format!("frontend list --config {}", config.display()));
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let file = folder.path().join("frontends/notes.yaml").display().to_string();
    assert_eq!(lines[0], ["FRONTEND", "DEFINITION", "PATTERN", "OPERATIONS", "NAMESPACE", "AT"]);
    assert!(lines.contains(&vec!["grpc", "built", "in", "any", "-", "-", "-"]), "{text}");
    let index = lines.iter().position(|line| line[0] == "notes").unwrap();
    assert_eq!(lines[index], ["notes", &file, "keyvalue", "2", "pad", "http://127.0.0.1:8980/notes/pad"]);
    assert_eq!(lines[index + 1], ["pad", "http://notes.example.com:8980/"]);

    let described = printed(&format!("frontend describe notes --config {}", config.display()));
    assert!(described.starts_with(&format!("Frontend: notes\n  Pattern:    keyvalue\n  Definition: {file}\n")), "{described}");
}

#[test]
fn a_definition_is_described_with_its_operations() {
    assert_eq!(
        printed(&format!("frontend describe {NOTES}")),
        "Frontend: notes
  Pattern:    keyvalue
  Definition: examples/frontends/notes.yaml
  OpenAPI:    examples/openapi/notes.yaml
  Base path:  /{namespace}, unless a binding says otherwise
  Errors:     problem documents (RFC 9457)

OPERATION    REQUEST            RPC         WHEN
readNote     GET /notes/{id}    Retrieve
writeNote    PUT /notes/{id}    Store

The whole mapping of one operation: prism frontend describe examples/frontends/notes.yaml readNote
"
    );
    assert_eq!(
        printed(&format!("frontend describe {NOTES} writeNote")),
        "writeNote: PUT /notes/{id}
  path.id     a string, required
  query.days  an int
  body        text/plain, required

Store
  Request StoreRequest
    key   ← path.id
    value ← body
    ttl   ← has(query.days) ? string(query.days * 86400) + 's' : null
  Response 201
    no body
"
    );
    let json: Value = serde_json::from_str(&printed(&format!("frontend describe {NOTES} -o json"))).unwrap();
    assert_eq!(json["operations"][0]["cases"][0]["does"], "Retrieve");
}

#[test]
fn lint_lists_problems_with_line_and_column() {
    assert_eq!(printed(&format!("frontend lint {NOTES}")), "✅ examples/frontends/notes.yaml: 2 operations\n");
    let (code, text) = lint(&changed("frontends", "rpc: Retrieve", "rpc: Retreive"));
    assert_eq!(code, Some(1));
    assert!(text.starts_with("frontends/notes.yaml:6:10: unknown RPC `Retreive`; did you mean `Retrieve`? There are: "), "{text}");
    assert!(text.ends_with("\n❌ 1 problem\n"), "{text}");
    let (code, text) = lint(&changed("openapi", "type: integer, minimum: 1", "type: integer, pattern: '('"));
    assert_eq!(code, Some(1));
    assert_eq!(text, "openapi/notes.yaml:21:68: `(` is not a regular expression of ECMA-262 that Prism can run\n❌ 1 problem\n",);
    let (code, text) = lint(&changed("openapi", "Notes", "Notes"));
    assert_eq!((code, text.as_str()), (Some(0), "✅ frontends/notes.yaml: 2 operations\n"));
    let run = prism("frontend lint no/such.yaml");
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.starts_with("no/such.yaml: the file can't be read: "), "{}", run.stdout);
}

#[test]
fn unused_definitions_are_warnings() {
    let folder = changed("frontends", "\"has(query.days) ? string(query.days * 86400) + 's' : null\"", "\"'5s'\"");
    let path = folder.path().join("openapi/notes.yaml");
    let document = fs::read_to_string(&path).unwrap().replace("    Note:\n", "    Lonely: {type: string}\n    Note:\n");
    fs::write(path, document).unwrap();
    assert_eq!(
        lint(&folder),
        (
            Some(0),
            "openapi/notes.yaml:17:5: warning: writeNote: no mapping reads query.days
openapi/notes.yaml:30:5: warning: nothing refers to #/components/schemas/Lonely
✅ frontends/notes.yaml: 2 operations, 2 warnings
"
            .to_owned()
        )
    );
}

#[test]
fn a_request_is_tried_without_a_backend() {
    assert_eq!(
        tried(&["PUT", "/notes/a?days=2", "-H", "content-type: text/plain", "--body", "hello"]),
        "Operation  writeNote
RPC        Store(StoreRequest) returns StoreResponse

{
  \"key\": \"a\",
  \"value\": \"aGVsbG8=\",
  \"ttl\": \"172800s\"
}

To see the response to a reply, add --reply '{\"revision\": 1}'
"
    );
    assert_eq!(
        tried(&["GET", "/notes/a", "--reply", "{\"value\": \"aGVsbG8=\", \"revision\": 3}"]),
        "Operation  readNote
RPC        Retrieve(RetrieveRequest) returns RetrieveResponse

{
  \"key\": \"a\"
}

HTTP/1.1 200 OK
etag: \"3\"
content-type: application/json

{\"id\":\"a\",\"text\":\"hello\",\"revision\":3}
"
    );
    let output = tried(&["GET", "/notes/a", "--error", "NOT_FOUND:KEY_NOT_FOUND:it is not there"]);
    assert!(output.contains("\nHTTP/1.1 404 Not Found\ncontent-type: application/problem+json\n"), "{output}");
    assert!(output.contains("\"detail\":\"it is not there\""), "{output}");
}

#[test]
fn requests_that_cannot_be_rehearsed_say_what_to_do() {
    let output = tried(&["GET", "/default/notes/a"]);
    assert!(output.ends_with("\nWrite the path below the base path: leave out /default and try /notes/a.\n"), "{output}");
    let output = tried(&["GET", "/other"]);
    assert!(output.ends_with("\nThe routes are:\n  GET /notes/{id}\n  PUT /notes/{id}\n"), "{output}");
    let output = tried(&["PUT", "/notes/a?days=0", "--body", "x"]);
    assert!(output.starts_with("Operation  writeNote\n\nHTTP/1.1 400 Bad Request\n"), "{output}");
    let run = try_notes(&["GET", "notes"]);
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (Some(1), "error: the path `notes` must begin with `/`; write the path below the base path, such as /notes/a\n")
    );
    let run = try_notes(&["GET", "/notes/a", "--reply", "{\"valu\": 1}"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("the reply is not a ") && run.stderr.contains("valu"), "{}", run.stderr);
    let run = try_notes(&["GET", "/notes/a", "--set", "x=1"]);
    assert!(run.stderr.contains("this frontend has no settings"), "{}", run.stderr);
    let run = prism("frontend try rest GET /");
    assert!(run.stderr.starts_with("error: the frontend rest has no definition, "), "{}", run.stderr);
    let run = prism("frontend describe nots");
    assert!(run.stderr.contains("A definition can also be named by its file, such as frontends/nots.yaml."), "{}", run.stderr);
}

/// A definition with an unknown key in every section. For each of them, lint lists the keys that the parser knows.
const UNKNOWN_EVERYWHERE: &str = "
frontend: notes
openapi: ../openapi/notes.yaml
pattern: keyvalue
zzz: 1
json: {zzz: 1}
settings: {one: {default: 1, zzz: 1}}
errors: {zzz: 1, cases: {ABORTED: {zzz: 1}}}
routes:
  readNote:
    - {when: 'true', error: {code: ABORTED, reason: R, zzz: 1}}
    - rpc: Retrieve
      zzz: 1
      request: {key: path.id}
      response: {zzz: 1, body: {id: {$from: path.id, $default: 1, zzz: 1}}}
  writeNote:
    switch: path.id
    zzz: 1
    cases:
      a: {rpc: Store, first: {one: {rpc: Retrieve, zzz: 1}}}
      b: {forward: {to: readNote, body: 1, zzz: 1}}
    else: {rpc: Store}
";

#[test]
fn the_schema_and_the_reader_know_the_same_keys() {
    let folder = changed("frontends", "Retrieve", "Retrieve");
    fs::write(folder.path().join("frontends/notes.yaml"), UNKNOWN_EVERYWHERE).unwrap();
    let (_, text) = lint(&folder);
    let names = |list: &str| list.split(", ").map(str::to_owned).collect::<BTreeSet<_>>();
    let read: BTreeSet<_> = text.lines().filter_map(|line| line.split_once(" `zzz`; there are: ")).map(|(_, list)| names(list)).collect();
    let schema: Value = serde_json::from_str(&printed("frontend schema")).unwrap();
    let properties = |schema: &Value| schema["properties"].as_object().map(|all| all.keys().cloned().collect::<BTreeSet<_>>());
    let mut written = BTreeSet::new();
    for name in ["HttpApi", "Json", "Setting", "Errors", "ErrorCase", "Refusal", "Case", "Step", "Forward", "Answer"] {
        written.extend(properties(&schema["definitions"][name]));
    }
    written.extend(properties(&schema["definitions"]["Route"]["anyOf"][1]));
    // The parser looks at the first key of a form before it knows the form.
    let forms = schema["definitions"]["Form"]["anyOf"].as_array().unwrap().iter().filter_map(properties);
    let from = forms.filter(|keys| keys.contains("$from")).map(|keys| keys.into_iter().chain(["$each".to_owned(), "$when".to_owned()]));
    written.extend(from.map(Iterator::collect::<BTreeSet<_>>));
    assert_eq!(read, written, "{text}");
}

#[test]
fn the_graphql_schema_of_a_namespace_has_what_its_backends_can_do() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prism.yaml");
    let text = "listeners: {main: {graphql: graphql}}\nbackends: {ram: {type: memory}, folder: {type: files, path: blobs}}\nnamespaces:\n  - {name: values, pattern: keyvalue, slots: {storage: ram}}\n  - {name: blobs, pattern: interfaces, slots: {backend: folder}}\n";
    fs::write(&config, text).unwrap();
    let of = |namespace: &str| printed(&format!("frontend sdl {namespace} --config {}", config.display()));
    let (values, blobs) = (of("values"), of("blobs"));
    assert!(values.contains("type Mutation {") && values.contains("\n  transact("), "{values}");
    assert!(blobs.contains("\n  blobBasicDelete(") && !blobs.contains("\n  keyvalueBasic"), "{blobs}");
    let both = of("--listener main");
    assert!(both.contains("\n  values: KeyValueQuery!") && both.contains("\n  blobs: InterfacesMutation!"), "{both}");
    assert!(both.contains("\n  blobBasicDelete(") && !both.contains("\n  keyvalueBasic"), "{both}");
    let listed = printed(&format!("frontend list --config {}", config.display()));
    assert!(listed.contains("http://127.0.0.1:8980/graphql"), "{listed}");
}

#[test]
fn the_published_schema_is_up_to_date() {
    let published = fs::read_to_string("registry/frontend.schema.json").unwrap_or_default();
    assert!(published == printed("frontend schema"), "run `prism frontend schema > registry/frontend.schema.json`");
}

#[test]
fn every_definition_is_valid_under_the_published_schema() {
    let schema: Value = serde_json::from_str(&printed("frontend schema")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut count = 0;
    for folder in ["frontends", "examples/frontends"] {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let definition: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let problems: Vec<String> =
                validator.iter_errors(&definition).map(|error| format!("{} {error}", error.instance_path())).collect();
            assert!(problems.is_empty(), "{}: {problems:#?}", path.display());
            count += 1;
        }
    }
    assert!(count > 0);
    let wrong: Value = serde_saphyr::from_str("{frontend: a, openapi: b, pattern: c, routes: {x: {rcp: Store}}}").unwrap();
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn definitions_are_compiled_where_a_configuration_is_checked() {
    let folder = changed("frontends", "rpc: Retrieve", "rpc: Retreive");
    let config = folder.path().join("prism.yaml");
    fs::write(
        &config,
        "backends: {store: {type: memory}}
frontends: {notes: {definition: frontends/notes.yaml}}
namespaces: [{name: pad, pattern: keyvalue, slots: {storage: store}, frontends: [notes]}]
",
    )
    .unwrap();
    let expected = format!("{}/frontends/notes.yaml:6:10: unknown RPC `Retreive`; did you mean `Retrieve`?", folder.path().display());
    let run = prism(&format!("validate {}", config.display()));
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert!(run.stdout.contains(&expected) && run.stdout.ends_with("\n❌ Configuration invalid: 1 problem\n"), "{}", run.stdout);
    let run = prism(&format!("serve --config {} --listen 127.0.0.1:0 --admin 127.0.0.1:0", config.display()));
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert!(run.stderr.starts_with("error: ") && run.stderr.contains(&expected), "{}", run.stderr);
}
