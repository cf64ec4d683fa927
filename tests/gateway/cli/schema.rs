//! `prism schema` against running registries.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use test_support::{gateway::Gateway, http};

use super::{Run, prism};

const CONFIG: &str = "
backends:
  ram: {type: memory}
namespaces:
  - name: schemas
    pattern: schema-registry
    slots: {storage: ram}
    frontends:
      - {frontend: confluent-schema-registry, base_path: /}
";

const V1: &str = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}"#;
const V2: &str =
    r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": "string", "default": ""}]}"#;
const V3: &str = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}, {"name": "sum", "type": "double"}]}"#;

/// A gateway that serves a registry, and a folder with files.
struct Registry {
    folder: PathBuf,
    gateway: Gateway,
}

impl Registry {
    fn start() -> Self {
        Self::start_with(CONFIG)
    }

    fn start_with(config: &str) -> Self {
        let gateway = Gateway::launch(config);
        let folder = gateway.folder();
        for (name, text) in [("v1.avsc", V1), ("v2.avsc", V2), ("v3.avsc", V3)] {
            fs::write(folder.join(name), text).unwrap();
        }
        Self { folder, gateway }
    }

    fn url(&self) -> String {
        self.gateway.url()
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.folder.join(name), text).unwrap();
        self.file(name)
    }

    /// Runs `prism schema` against this registry.
    fn run(&self, arguments: &str) -> Run {
        prism(&format!("schema {} --url {}", arguments.replace("@/", &format!("{}/", self.folder.display())), self.url()))
    }

    fn good(&self, arguments: &str) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments}: {}{}", run.stdout, run.stderr);
        run.stdout
    }

    fn bad(&self, arguments: &str) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(1), "{arguments}: {}", run.stdout);
        run.stderr + &run.stdout
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = http::send_blocking(self.gateway.address, method, path, text).unwrap();
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null)
    }

    fn put(&self, path: &str, body: &Value) {
        self.ask("PUT", path, body);
    }

    /// Reads everything that the registry's API returns, without timestamps.
    fn everything(&self) -> Vec<Value> {
        let Value::Array(mut schemas) = self.get("/schemas?subjectPrefix=:*:&deleted=true") else { panic!("a list of schemas") };
        schemas.iter_mut().for_each(|schema| *schema = without_time(schema.take()));
        let mut all = vec![Value::Array(schemas), self.get("/contexts")];
        for path in ["config", "mode"] {
            all.push(self.get(&format!("/{path}")));
        }
        for path in ["config/strict", "config/:.team:", "mode/closed", "config/alias", "mode/:.team:"] {
            all.push(self.get(&format!("/{path}")));
        }
        all.push(without_time(self.get("/schemas/ids/1?subject=:.team:")));
        all.push(without_time(self.get("/dek-registry/v1/keks/k")));
        all.push(without_time(self.get("/dek-registry/v1/keks/k/deks/strict?deleted=true")));
        all
    }
}

fn without_time(mut value: Value) -> Value {
    value.as_object_mut().unwrap().remove("ts").unwrap();
    value
}

fn settle(registry: &Registry) {
    registry.put("/config", &json!({"compatibility": "FULL"}));
    registry.put("/config/alias", &json!({"alias": "strict"}));
    registry.put("/config/:.team:", &json!({"compatibility": "FORWARD", "normalize": true}));
    registry.ask(
        "POST",
        "/dek-registry/v1/keks",
        &json!({"name": "k", "kmsType": "aws-kms", "kmsKeyId": "arn:k", "kmsProps": {"region": "north"}}),
    );
    registry.ask("POST", "/dek-registry/v1/keks/k/deks", &json!({"subject": "strict", "encryptedKeyMaterial": "c2VjcmV0"}));
    registry.ask("DELETE", "/dek-registry/v1/keks/k/deks/strict", &Value::Null);
    registry.put("/mode/:.team:", &json!({"mode": "READONLY"}));
    registry.put("/mode/closed", &json!({"mode": "READONLY"}));
}

/// Starts a registry that has references, gaps, soft deletions, contexts, settings and keys.
fn full() -> Registry {
    let registry = Registry::start();
    registry.put("/config", &json!({"compatibility": "NONE"}));
    registry.good("register money @/v1.avsc");
    for file in ["v1", "v2", "v3"] {
        registry.good(&format!("register gaps @/{file}.avsc"));
    }
    registry.write("outer.avsc", r#"{"type": "record", "name": "Outer", "fields": [{"name": "order", "type": "Order"}]}"#);
    registry.good("register strict @/outer.avsc --reference Order=money:1");
    let rules = json!({"domainRules": [{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "true"}]});
    let body = json!({"schema": V2, "metadata": {"properties": {"owner": "me"}}, "ruleSet": rules});
    registry.ask("POST", "/subjects/strict/versions", &body);
    // The whole subject is softly deleted, and so is the subject that it refers to.
    registry.good("register gone-inner @/v2.avsc");
    registry.good("register gone-outer @/outer.avsc --reference Order=gone-inner:1");
    registry.ask("DELETE", "/subjects/gone-outer", &Value::Null);
    registry.ask("DELETE", "/subjects/gone-inner", &Value::Null);
    registry.ask("DELETE", "/subjects/gaps/versions/2", &Value::Null);
    registry.ask("DELETE", "/subjects/gaps/versions/2?permanent=true", &Value::Null);
    registry.ask("DELETE", "/subjects/gaps/versions/1", &Value::Null);
    registry.write("doc.json", r#"{"type": "object", "properties": {"a": {"type": "integer"}}}"#);
    registry.good("register docs @/doc.json --context team");
    registry.good("register outer @/outer.avsc --context .team --reference Order=:.:money:1");
    registry.good("register closed @/v1.avsc");
    registry.put("/config/strict", &json!({"compatibility": "FULL_TRANSITIVE", "compatibilityGroup": "major"}));
    settle(&registry);
    registry
}

#[test]
fn a_registry_moves_to_another() {
    let (old, new) = (full(), Registry::start());
    let before = old.everything();

    let dry = new.good(&format!("import --from {} --dry-run", old.url()));
    assert!(dry.contains("TO REGISTER") && dry.contains("Nothing was done."), "{dry}");
    assert_eq!(new.get("/subjects?deleted=true"), json!([]));

    let output = new.good(&format!("import --from {}", old.url()));
    let rows: Vec<_> = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[0], "CONTEXT SUBJECTS VERSIONS REGISTERED PRESENT DELETED SOFTLY");
    assert_eq!(&rows[1..3], [". 6 8 8 0 3", ".team 2 2 2 0 0"]);
    assert!(rows[3].contains("10 versions of 8 subjects (3 softly deleted)") && rows[3].ends_with(", compared one by one"), "{output}");
    assert_eq!(new.everything(), before);
    assert_eq!(old.everything(), before);

    // A second import has nothing to do, even if the mode differs; it also restores the modes.
    let output = new.good(&format!("import --from {}", old.url()));
    assert!(output.contains("\n.          6           8           0             8"), "{output}");
    assert_eq!(new.everything(), before);

    // A later import copies what was registered since, also into subjects that are read-only.
    old.put("/mode/closed", &json!({"mode": "READWRITE"}));
    old.good("register closed @/v2.avsc");
    old.put("/mode/closed", &json!({"mode": "READONLY"}));
    new.good(&format!("import --from {} --force", old.url()));
    assert_eq!(new.everything(), old.everything());

    // New ids continue after the imported ones.
    new.put("/mode", &json!({"mode": "READWRITE"}));
    let fresh = new.write("fresh.avsc", r#"{"type": "enum", "name": "E", "symbols": ["A"]}"#);
    assert_eq!(new.good(&format!("register fresh {fresh}")), "✅ fresh: version 1, id 7\n");
}

#[test]
fn export_file_and_registry_are_interchangeable() {
    let (old, new) = (full(), Registry::start());
    let file = old.file("registry.ndjson");
    old.good(&format!("export --output {file}"));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("{\"kind\":\"registry\",\"form\":1,\"source\":\"http://"), "{text}");
    assert_eq!(old.good("export"), text);
    assert!(!Path::new(&format!("{file}.part")).exists());
    new.good(&format!("import {file}"));
    assert_eq!(new.everything(), old.everything());

    let complaint = |text: &str| new.bad(&format!("import {}", new.write("other.ndjson", text)));
    let cut = text.lines().take(3).collect::<Vec<_>>().join("\n");
    assert!(complaint(&cut).contains("is truncated"), "{}", complaint(&cut));
    assert!(complaint("{\"a\": 1}\n").contains("other.ndjson:1 is not a line of `prism schema export`"));
    assert!(complaint("{\"kind\":\"registry\",\"form\":2,\"source\":\"\"}\n").contains("use a newer prism"));
    assert!(new.bad("import /no/such.ndjson").contains("/no/such.ndjson can't be read"));

    // An import of some subjects includes the schemas that they refer to.
    let part = old.good("export --prefix strict");
    let subjects: Vec<_> =
        part.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["subject"].as_str().map(str::to_owned)).collect();
    assert_eq!(subjects, ["money", "strict", "strict"]);
    assert_eq!(old.good("export --context .team").matches("\"subject\":\"money\",\"version\":1,\"id\"").count(), 1);
}

#[test]
fn import_reports_conflicts_before_it_writes() {
    let (old, new) = (full(), Registry::start());
    let other = new.write("other.avsc", r#"{"type": "fixed", "name": "F", "size": 3}"#);
    new.good(&format!("register mine {other}"));
    let import = format!("import --from {}", old.url());
    let complaint = new.bad(&import);
    assert!(complaint.contains("nothing was done:\n  id 1 belongs to "), "{complaint}");
    assert!(complaint.contains("mine version 1, which are different schemas"), "{complaint}");
    assert!(complaint.contains("--context-map .=.old"), "{complaint}");
    assert_eq!(new.get("/mode"), json!({"mode": "READWRITE"}));

    new.good(&format!("{import} --context-map .=.old --no-modes"));
    assert_eq!(new.get("/subjects?subjectPrefix=:.old:"), json!([":.old:closed", ":.old:gaps", ":.old:money", ":.old:strict"]));
    let outer = new.get("/subjects/:.team:outer/versions/1");
    assert_eq!(outer["references"], json!([{"name": "Order", "subject": ":.old:money", "version": 1}]));
    assert_eq!(new.get("/config/:.old:")["compatibilityLevel"], "FULL");
    assert_eq!(new.get("/mode/:.team:?defaultToGlobal=true"), json!({"mode": "READWRITE"}));
    assert!(new.good("get --id 1 --context old").contains("Order"));
    assert!(new.good("get --id 1").contains("fixed"));

    // An import next to existing schemas needs a flag.
    let beside = Registry::start();
    beside.put("/mode", &json!({"mode": "IMPORT"}));
    beside.good(&format!("register mine {other} --id 1000 --version 7"));
    let complaint = beside.bad(&import);
    assert!(complaint.contains("is not empty: context . has 1 other versions\nTo import next to them, use --force."), "{complaint}");
    beside.good(&format!("{import} --force"));
    assert_eq!(beside.get("/subjects/mine/versions"), json!([7]));
    assert_eq!(beside.get("/mode"), json!({"mode": "READWRITE"}));
    assert!(new.bad(&format!("import --from {}", new.url())).contains("are the same registry"));
}

#[test]
fn failed_import_says_how_to_continue() {
    let (old, new) = (full(), Registry::start());
    let text = old.good("export");
    // The target takes no text as long as that of the last version.
    let small = Registry::start_with(
        &CONFIG.replace("pattern: schema-registry", "pattern: schema-registry\n    settings: {max_schema_bytes: 110}"),
    );
    let file = new.write("whole.ndjson", &text);
    let complaint = small.bad(&format!("import {file}"));
    assert!(complaint.contains("(id ") && complaint.contains("can't be registered: "), "{complaint}");
    assert!(complaint.contains("To continue, run the same command again"), "{complaint}");
    assert!(complaint.contains(&format!("curl -X PUT {}/mode ", small.url())), "{complaint}");
    assert_eq!(small.get("/mode"), json!({"mode": "IMPORT"}));
    let output = small.good(&format!("import {file} --skip-invalid"));
    assert!(output.contains("\nSkipped: ") && output.contains("Schema too large"), "{output}");
    assert!(output.contains("that were skipped, compared one by one"), "{output}");
    assert_eq!(small.get("/mode"), json!({"mode": "READWRITE"}));
    new.good(&format!("import {file}"));
    assert_eq!(new.everything(), old.everything());
}

/// What the target rejects is listed completely before anything is done, and can be skipped.
#[test]
fn import_lists_all_rejected_schemas() {
    let new = Registry::start();
    let schema = |subject: &str, id: u32, kind: &str, text: &str, more: Value| {
        let mut line = json!({"kind": "schema", "subject": subject, "version": 1, "id": id, "schemaType": kind, "schema": text});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let refers = |subject: &str| json!({"references": [{"name": "E", "subject": subject, "version": 1}]});
    let enumeration = |name: &str| json!({"type": "enum", "name": name, "symbols": ["A"], "default": "B"}).to_string();
    let rules = json!({"ruleSet": {"domainRules": [{"name": "r", "kind": "NONSENSE", "type": "CEL"}]}});
    let huge = json!({"type": "string", "doc": "x".repeat(1 << 20)}).to_string();
    let lines = [
        json!({"kind": "registry", "form": 1, "source": "http://old"}),
        // What today's rules refuse, but history holds.
        schema("default", 1, "AVRO", r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#, json!({})),
        schema("proto", 2, "PROTOBUF", "syntax = \"proto3\"; message A { Unknown b = 1; }", json!({})),
        schema(
            "uses-default",
            3,
            "AVRO",
            r#"{"type":"array","items":"R"}"#,
            json!({"references": [{"name": "R", "subject": "default", "version": 1}]}),
        ),
        // What no registry takes.
        schema("symbol", 4, "AVRO", &enumeration("E"), json!({})),
        schema("refers", 5, "AVRO", r#"{"type":"array","items":"E"}"#, refers("symbol")),
        schema("refers-further", 6, "AVRO", r#"{"type":"map","values":"E"}"#, refers("refers")),
        schema("gone", 7, "AVRO", r#"{"type":"map","values":"E"}"#, refers("none")),
        schema("json", 8, "JSON", "{", json!({"deleted": true})),
        schema("rules", 9, "AVRO", "\"string\"", rules),
        schema("huge", 10, "AVRO", &huge, json!({})),
        schema("__GLOBAL", 11, "AVRO", "\"int\"", json!({})),
        json!({"kind": "end", "lines": 12}),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let file = new.write("registry.ndjson", &text);
    let rejected = [
        "subject symbol version 1 (id 4): ",
        "subject refers version 1 (id 5): it refers to subject symbol version 1, which is rejected\n",
        "subject refers-further version 1 (id 6): it refers to subject refers version 1, which is rejected\n",
        "subject gone version 1 (id 7): it refers to subject none version 1, which is neither imported nor in the target\n",
        "subject json version 1 (id 8): ",
        "subject rules version 1 (id 9): \"NONSENSE\" is neither TRANSFORM nor CONDITION\n",
        "subject huge version 1 (id 10): Schema too large",
        "subject __GLOBAL version 1 (id 11): ",
    ];
    for options in ["--dry-run", ""] {
        let complaint = new.bad(&format!("import {file} {options}"));
        assert!(complaint.contains(" would reject 8 of the schemas, and nothing was done:\n"), "{complaint}");
        assert!(rejected.iter().all(|line| complaint.contains(line)), "{complaint}");
        assert!(complaint.contains("\nTo import the others, use --skip-invalid."), "{complaint}");
        assert_eq!(new.get("/mode"), json!({"mode": "READWRITE"}));
    }
    let output = new.good(&format!("import {file} --dry-run --skip-invalid"));
    assert!(output.contains("\nWould be skipped: 8 schemas\n") && output.contains("Nothing was done."), "{output}");
    assert!(rejected.iter().all(|line| output.contains(line)), "{output}");
    assert_eq!(new.get("/subjects"), json!([]));
    let output = new.good(&format!("import {file} --skip-invalid"));
    assert!(output.contains("\nSkipped: 8 schemas\n") && rejected.iter().all(|line| output.contains(line)), "{output}");
    assert!(output.contains("except for 8 that were skipped, compared one by one"), "{output}");
    assert_eq!(new.get("/subjects?deleted=true"), json!(["default", "proto", "uses-default"]));
    assert_eq!(new.get("/mode"), json!({"mode": "READWRITE"}));
}

#[test]
fn schemas_are_registered_read_and_listed() {
    let registry = Registry::start();
    assert_eq!(registry.good("register orders-value @/v1.avsc"), "✅ orders-value: version 1, id 1\n");
    assert_eq!(registry.good("register orders-value @/v2.avsc --normalize"), "✅ orders-value: version 2, id 2\n");
    assert_eq!(registry.good("register orders-value @/v1.avsc"), "✅ orders-value: version 1, id 1\n");
    assert_eq!(registry.good("register orders-value @/v1.avsc --context team"), "✅ :.team:orders-value: version 1, id 1\n");
    let answer: Value = serde_json::from_str(&registry.good("register orders-value @/v2.avsc --json")).unwrap();
    assert_eq!(answer["id"], 2);

    let text: Value = serde_json::from_str(&registry.good("get orders-value@1")).unwrap();
    assert_eq!(text["fields"].as_array().unwrap().len(), 1);
    assert_eq!(registry.good("get orders-value"), registry.good("get --id 2"));
    let all: Value = serde_json::from_str(&registry.good("get orders-value@latest --json")).unwrap();
    assert_eq!((&all["version"], &all["subject"]), (&json!(2), &json!("orders-value")));
    let guid = all["guid"].as_str().unwrap();
    assert_eq!(registry.good(&format!("get --guid {guid}")), registry.good("get --id 2"));

    assert_eq!(
        registry.good("list"),
        "SUBJECT                VERSION    TYPE    ID\n:.team:orders-value    1          AVRO    1\norders-value           2          AVRO    2\n"
    );
    assert_eq!(registry.good("list --context . --versions --prefix ord").lines().count(), 3);
    assert_eq!(registry.good("list --prefix none"), "SUBJECT    VERSION    TYPE    ID\n");
    registry.ask("DELETE", "/subjects/orders-value/versions/2", &Value::Null);
    let rows = registry.good("list --versions --deleted --context .");
    assert!(rows.ends_with("orders-value    2          AVRO    2     deleted\n"), "{rows}");
    assert!(registry.bad("get orders-value@2").contains("`prism schema list --versions`"));
    assert!(registry.good("get orders-value@2 --deleted").contains("note"));
    let list: Value = serde_json::from_str(&registry.good("list --json --versions --deleted")).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 3);
}

#[test]
fn check_reports_compatibility() {
    let registry = Registry::start();
    assert_eq!(registry.good("check orders @/v1.avsc"), "✅ orders: compatible\n");
    registry.good("register orders @/v1.avsc");
    registry.good("register orders @/v2.avsc");
    assert_eq!(registry.good("check orders @/v2.avsc --all"), "✅ orders: compatible\n");
    for options in ["", "--version 1", "--version latest", "--all"] {
        let output = registry.bad(&format!("check orders @/v3.avsc {options}"));
        assert!(output.contains("READER_FIELD_MISSING_DEFAULT_VALUE"), "{output}");
        let held = if options == "--all" {
            String::new()
        } else {
            format!(" with version {} (BACKWARD)", if options == "--version 1" { 1 } else { 2 })
        };
        assert!(output.ends_with(&format!("❌ orders: not compatible{held}\n")), "{output}");
        assert_eq!(output.lines().count(), if options == "--all" { 3 } else { 2 }, "{output}");
        assert_eq!(output.contains("\nversion 2: "), options == "--all", "{output}");
    }
    let complaint = registry.bad("register orders @/v3.avsc");
    assert!(complaint.contains("prism schema check orders FILE"), "{complaint}");
    assert!(registry.bad("register other @/v3.avsc --id 9").contains("the mode IMPORT"));
    assert!(registry.bad("check nothing @/v1.avsc --version 1").contains("Version 1 not found. (40402)\n`prism schema list"));
    assert_eq!(registry.good("check nothing @/v1.avsc --version latest"), "✅ nothing: compatible\n");
}

#[test]
fn diff_shows_the_changes() {
    let registry = Registry::start();
    registry.good("register orders @/v1.avsc");
    let output = registry.good("diff orders@1 @/v3.avsc");
    assert!(
        output
            .starts_with("❌ BACKWARD: readers with the new schema, data of the old one\n  /fields/1 READER_FIELD_MISSING_DEFAULT_VALUE: "),
        "{output}"
    );
    assert!(output.contains("\n✅ FORWARD: readers with the old schema, data of the new one\n"), "{output}");
    assert!(output.contains("\n--- orders@1\n+++ ") && output.contains("\n+      \"name\": \"sum\",\n"), "{output}");
    assert!(registry.good("diff orders@1 orders@latest").ends_with("\nThe normalized texts are the same.\n"));
    // A file gets the references of the version that it is compared with.
    let outer = registry.write("outer.avsc", r#"{"type": "record", "name": "Outer", "fields": [{"name": "order", "type": "Order"}]}"#);
    registry.good(&format!("register outer {outer} --reference Order=orders:1"));
    assert!(registry.good(&format!("diff {outer} outer@1")).contains("are the same"));
    let complaint = registry.bad("diff orders @/v1.avsc");
    assert_eq!(complaint, "error: there is no file orders; a version in the registry is SUBJECT@VERSION, such as orders@latest\n");
}

#[test]
fn files_are_checked_without_a_registry() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (v1, v2, v3) = (file("v1.avsc", V1), file("v2.avsc", V2), file("v3.avsc", V3));
    let check = |arguments: &str| prism(&format!("schema check --offline {arguments} --url http://127.0.0.1:1"));
    let run = check(&format!("--against {v1} {v2}"));
    assert_eq!((run.code, run.stdout), (Some(0), format!("✅ {v2}: compatible\n")));
    let run = check(&format!("--against {v1} {v3}"));
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.starts_with(&format!("{v1}: BACKWARD /fields/1 READER_FIELD_MISSING_DEFAULT_VALUE: ")), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 2);
    for (level, code) in [("none", 0), ("FORWARD", 0), ("full", 1), ("FULL_TRANSITIVE", 1)] {
        assert_eq!(check(&format!("--against {v1} {v3} --level {level}")).code, Some(code), "{level}");
    }
    // Without --all, only the latest version counts.
    assert_eq!(check(&format!("--against {v1} --against {v3} {v3}")).code, Some(0));
    assert_eq!(check(&format!("--against {v1} --against {v3} {v3} --level BACKWARD_TRANSITIVE")).code, Some(1));
    let (old, new) = (
        file("old.json", r#"{"type": "object", "properties": {"a": {"type": "integer"}}}"#),
        file("new.json", r#"{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}"#),
    );
    assert_eq!(check(&format!("--against {old} {new}")).code, Some(1));
    assert_eq!(check(&format!("--against {old} {new} --policy lenient")).code, Some(0));
    let outer = file("outer.avsc", r#"{"type": "record", "name": "Outer", "fields": [{"name": "order", "type": "Order"}]}"#);
    assert_eq!(check(&format!("--against {outer} {outer} --reference Order={v1}")).code, Some(0));
    let run = check(&format!("--against {outer} {outer}"));
    assert!(run.stderr.contains("outer.avsc is not a valid schema of type AVRO: "), "{}", run.stderr);
    assert_eq!(check(&v1).code, Some(2), "--offline needs --against");
    assert_eq!(prism(&format!("schema diff {v1} {v2} --url http://127.0.0.1:1")).code, Some(0));
}

#[test]
fn mistakes_in_arguments_are_explained() {
    let registry = Registry::start();
    assert!(registry.bad("register a /no/such.avsc").starts_with("error: /no/such.avsc can't be read: "));
    let plain = registry.write("plain.txt", V1);
    assert!(registry.bad(&format!("register a {plain}")).contains("the type of the schema is not known from the name"));
    assert_eq!(registry.good(&format!("register a {plain} --type avro")), "✅ a: version 1, id 1\n");
    assert_eq!(registry.run(&format!("register a {plain} --type xml")).code, Some(2));
    let empty = registry.write("empty.avsc", " \n");
    assert!(registry.bad(&format!("register a {empty}")).contains("is empty"));
    assert!(registry.bad("register a @/v1.avsc --reference x").contains("it must be NAME=SUBJECT:VERSION"));
    let broken = registry.write("broken.avsc", "{\"type\": \"recrod\"}");
    assert!(registry.bad(&format!("register a {broken}")).contains("(42201)"));
    assert!(registry.bad("get nothing").contains("Subject 'nothing' not found. (40401)"));
    assert_eq!(registry.run("get").code, Some(2));

    let away = |url: &str| prism(&format!("schema list --url {url}")).stderr;
    let output = away("http://127.0.0.1:1");
    assert!(output.starts_with("error: http://127.0.0.1:1 can't be reached: Connection refused"), "{output}");
    assert!(output.contains("PRISM_REGISTRY_URL"), "{output}");
    assert!(away("127.0.0.1:8081").contains("can't be a registry's URL: "));
    let output = away(&format!("http://{}/not/here", registry.gateway.address));
    assert!(output.contains("(404)") || output.contains("a schema registry would not"), "{output}");
    let output = prism(&format!("schema list --url https://{}", registry.gateway.address)).stderr;
    assert!(output.starts_with("error: the TLS handshake with https://"), "{output}");
    assert_eq!(prism("schema list --user a:b --token c").code, Some(2));
    assert!(prism("schema list --user a").stderr.contains("--user takes NAME:PASSWORD"));
    let help = prism("schema import --help").stdout;
    assert!(help.contains("Examples:\n  prism schema import --from"), "{help}");
}
