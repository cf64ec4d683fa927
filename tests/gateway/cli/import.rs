//! `prism frontend import` writes a definition with TODOs.

use std::{fs, path::Path, process::Command};

use super::{Run, printed, prism};

const PETS: &str = r##"{
  "openapi": "3.0.3",
  "info": {"title": "Pets: it's a store", "version": "1"},
  "servers": [{"url": "https://pets.example.com/api/v3/"}],
  "paths": {
    "/pets": {
      "get": {
        "operationId": "listPets",
        "summary": "All pets\nof the store",
        "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}}, {"name": "X-Shard", "in": "header", "schema": {"type": "string"}}],
        "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}}}}}}
      }
    },
    "/pets/{pet-id}": {
      "parameters": [{"name": "pet-id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "get": {
        "operationId": "getPet",
        "responses": {
          "200": {"description": "ok", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}},
          "default": {"description": "no", "content": {"application/json": {"schema": {"type": "object", "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "trace": {"type": "string"}}}}}}
        }
      },
      "put": {
        "operationId": "storePet",
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}},
        "responses": {"204": {"description": "ok"}}
      },
      "delete": {"responses": {"204": {"description": "gone"}}}
    },
    "/pets/{pet-id}.png": {
      "parameters": [{"name": "pet-id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "get": {"operationId": "picture", "responses": {"200": {"description": "ok", "content": {"image/png": {}}}}}
    }
  },
  "components": {"schemas": {"Pet": {
    "type": "object", "required": ["name"],
    "properties": {"name": {"type": "string"}, "value": {"type": "string"}, "ttl": {"type": "array", "items": {"type": "string"}}, "revision": {"type": "string"}}
  }}}
}"##;

/// Runs the import on a document in a temporary folder, and returns the definition that it wrote.
fn imported(name: &str, document: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("openapi")).unwrap();
    fs::create_dir_all(folder.path().join("frontends")).unwrap();
    fs::write(folder.path().join("openapi").join(name), document).unwrap();
    let run = inside(folder.path(), &["frontend", "import", &format!("openapi/{name}"), "--output", "frontends/api.yaml"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    (folder, run.stdout)
}

/// Runs `prism` in a folder.
fn inside(folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_prism")).current_dir(folder).args(arguments).output().unwrap();
    Run { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr: String::from_utf8(output.stderr).unwrap() }
}

/// Checks that each problem of the definition is at a TODO.
fn problems_have_todos(folder: &Path) -> usize {
    let run = inside(folder, &["frontend", "lint", "frontends/api.yaml"]);
    let text = fs::read_to_string(folder.join("frontends/api.yaml")).unwrap();
    let problems = run.stdout.lines().filter(|line| !line.starts_with(['✅', '❌']) && !line.contains(": warning: "));
    let mut count = 0;
    for problem in problems {
        let mut parts = problem.split(':');
        assert_eq!(parts.next(), Some("frontends/api.yaml"), "{problem}");
        let line: usize = parts.next().unwrap().parse().unwrap();
        assert!(text.lines().nth(line - 1).unwrap().contains("TODO:"), "{problem}\n{text}");
        count += 1;
    }
    count
}

#[test]
fn import_of_the_notes_document_writes_a_skeleton() {
    let document = fs::read_to_string("examples/openapi/notes.yaml").unwrap();
    let (folder, output) = imported("notes.yaml", &document);
    let text = fs::read_to_string(folder.path().join("frontends/api.yaml")).unwrap();
    assert!(output.starts_with("frontends/api.yaml: 2 operations, "), "{output}");
    assert!(output.ends_with("\nDecide each TODO, then run: prism frontend lint frontends/api.yaml\n"), "{output}");
    for wanted in [
        "frontend: notes\ntitle: 'Notes'\nopenapi: ../openapi/notes.yaml\npattern: keyvalue\n",
        "  readNote:  # GET /notes/{id}\n    rpc: Retrieve  # TODO: a guess; or ",
        "      key: path.id  # TODO: a guess; no field has this name\n",
        "        revision: reply.revision\n",
        "  writeNote:  # PUT /notes/{id}\n    rpc: Store  # TODO: a guess; or ",
        "      value: body  # TODO: a guess, by its type\n",
        "      # TODO: query.days is not used yet\n",
    ] {
        assert!(text.contains(wanted), "{wanted}\n---\n{text}");
    }
    problems_have_todos(folder.path());
}

#[test]
fn import_maps_json_fields_by_name() {
    let (folder, _) = imported("pets.json", PETS);
    let text = fs::read_to_string(folder.path().join("frontends/api.yaml")).unwrap();
    for wanted in [
        "frontend: pets\ntitle: 'Pets: it''s a store'\nopenapi: ../openapi/pets.json\npattern: keyvalue\nbase_path: /api/v3\n",
        "    code: error.code\n    message: error.message\n    trace: null  # TODO: which value?\n",
        "  # All pets of the store\n  listPets:  # GET /pets\n    rpc: Scan  # TODO: ",
        "      limit: query.limit\n",
        "        $each: replies  # TODO: ",
        "      key: 'path[\"pet-id\"]'  # TODO: ",
        "      value: body.value\n",
        "  'DELETE /pets/{pet-id}':\n    rpc: Remove  # TODO: ",
    ] {
        assert!(text.contains(wanted), "{wanted}\n---\n{text}");
    }
    // A list that can't be a duration.
    assert!(problems_have_todos(folder.path()) >= 1, "{text}");
}

/// A document whose schemas have a member twice in `allOf`, and a member with `$`.
const PARTS: &str = r##"{
  "openapi": "3.1.0", "info": {"title": "Parts", "version": "1"},
  "paths": {"/parts/": {"get": {"operationId": "list", "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {
    "allOf": [
      {"type": "object", "properties": {"limit": {"type": "integer"}, "$type": {"type": "string"}}},
      {"type": "object", "required": ["limit"], "properties": {"limit": {"minimum": 1}, "$$odd": {"type": "string"}}}
    ]}}}}}}}}
}"##;

#[test]
fn import_writes_each_member_once_and_quotes_keywords() {
    let (folder, _) = imported("parts.json", PARTS);
    let text = fs::read_to_string(folder.path().join("frontends/api.yaml")).unwrap();
    assert_eq!(text.matches("        limit: ").count(), 1, "{text}");
    assert!(text.contains("        '$$type': null  # TODO: ") && text.contains("        '$$$odd': null  # TODO: "), "{text}");
    assert!(problems_have_todos(folder.path()) <= 1, "{text}");
}

#[test]
fn every_document_of_the_repository_becomes_a_skeleton() {
    for entry in ["openapi", "examples/openapi"].iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten()) {
        let path = entry.unwrap().path();
        let (folder, _) = imported(path.file_name().unwrap().to_str().unwrap(), &fs::read_to_string(&path).unwrap());
        problems_have_todos(folder.path());
    }
}

#[test]
fn decisions_are_not_overwritten() {
    let (folder, _) = imported("pets.json", PETS);
    let run = inside(folder.path(), &["frontend", "import", "openapi/pets.json", "--output", "frontends/api.yaml"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(run.stderr, "error: frontends/api.yaml exists already; remove it, or choose another --output\n");
    let run = inside(folder.path(), &["frontend", "import", "openapi/pets.json", "--output", "no/such/api.yaml"]);
    assert_eq!(run.stderr, "error: no/such/api.yaml can't be written: its folder does not exist; create it first\n");
    let run = inside(folder.path(), &["frontend", "import", "openapi/pets.json", "--pattern", "keyvalu"]);
    assert!(run.stderr.starts_with("error: unknown pattern `keyvalu`; did you mean `keyvalue`?"), "{}", run.stderr);
    fs::write(folder.path().join("openapi/broken.yaml"), "openapi: 3.1.0\npaths: []\n").unwrap();
    let run = inside(folder.path(), &["frontend", "import", "openapi/broken.yaml"]);
    assert_eq!(
        run.stderr,
        "error: openapi/broken.yaml can't be imported\nopenapi/broken.yaml:2:8: `paths` must be a mapping, not a list\n"
    );
    assert!(printed("frontend import examples/openapi/notes.yaml").contains("\nopenapi: examples/openapi/notes.yaml\n"));
    assert!(prism("frontend import no/such.yaml").stderr.starts_with("error: no/such.yaml can't be read: "));
}
