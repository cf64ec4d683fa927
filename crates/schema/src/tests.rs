//! Tests of tags in texts of all formats: added tags are found, and removing them restores the original text.

#![allow(clippy::unwrap_used, clippy::pedantic)]

use super::{
    CompatibilityPolicy, Dependency, Schema, SchemaFormat,
    tag::{ATTRIBUTE, FIELD, IMPORT, MAX_PATH, MESSAGE, PartKind, TagAction, TagChange, TagError, TaggedPart},
};

/// Replaces placeholders by the real names of attributes and options.
fn with_real_names(text: &str) -> String {
    text.replace("@tags", ATTRIBUTE).replace("@message", MESSAGE).replace("@field", FIELD).replace("@import", IMPORT)
}

fn parse(format: SchemaFormat, text: &str) -> Schema {
    Schema::parse(format, text, &[]).unwrap_or_else(|why| panic!("{text}: {}", why.message))
}

fn change(action: TagAction, part: PartKind, path: &str, tags: &[&str]) -> TagChange {
    TagChange { action, part: Some(part), path: path.to_owned(), tags: tags.iter().map(|tag| (*tag).to_owned()).collect() }
}

fn tagged(part: PartKind, path: &str, tags: &[&str]) -> TaggedPart {
    TaggedPart { part, path: path.to_owned(), tags: tags.iter().map(|tag| (*tag).to_owned()).collect() }
}

/// Checks that each part can have tags, alone and together with all others, and that removing them restores the text.
fn check_round_trip(format: SchemaFormat, text: &str, parts: &[(PartKind, &str)]) {
    let schema = parse(format, text);
    let plain = schema.canonical();
    assert_eq!(schema.tags(|_| true), [], "{text}");
    let put = |text: &str, changes: &[TagChange]| {
        parse(format, text).change_tags(changes, &[]).unwrap_or_else(|why| panic!("{changes:?} in {text}: {why:?}"))
    };
    for (part, path) in parts {
        let with = put(&plain, &[change(TagAction::Add, *part, path, &["A", "B", "A"])]);
        assert_ne!(with, plain);
        assert_eq!(parse(format, &with).canonical(), with, "a text that is kept");
        assert_eq!(parse(format, &with).tags(|_| true), [tagged(*part, path, &["A", "B"])], "{with}");
        assert_eq!(parse(format, &with).tags(|tag| tag == "B"), [tagged(*part, path, &["B"])], "{with}");
        assert_eq!(parse(format, &with).tags(|tag| tag == "C"), []);
        // Existing tags are not added again, and missing tags need not be removed.
        assert_eq!(put(&with, &[change(TagAction::Add, *part, path, &["B"]), change(TagAction::Remove, *part, path, &["C"])]), with);
        let less = put(&with, &[change(TagAction::Remove, *part, &format!(".{path}"), &["A"])]);
        assert_eq!(parse(format, &less).tags(|_| true), [tagged(*part, path, &["B"])], "{less}");
        assert_eq!(put(&less, &[change(TagAction::Remove, *part, path, &["B"])]), plain);
        assert!(Schema::differences(&parse(format, &with), &schema, Default::default()).is_empty());
    }
    let all: Vec<_> = parts.iter().map(|(part, path)| change(TagAction::Add, *part, path, &["A"])).collect();
    let with = put(&plain, &all);
    let found = parse(format, &with).tags(|_| true);
    assert_eq!(found, parts.iter().map(|(part, path)| tagged(*part, path, &["A"])).collect::<Vec<_>>(), "{with}");
    let back: Vec<_> = found.iter().map(|one| change(TagAction::Remove, one.part, &one.path, &["A"])).collect();
    assert_eq!(put(&with, &back), plain);
}

const NESTED: &str = r#"{"type": "record", "name": "com.example.Order", "doc": "d", "fields": [
    {"name": "id", "type": "long", "p": 1},
    {"name": "line", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
        {"name": "price", "type": ["null", "double"], "default": null},
        {"name": "order", "type": ["null", "Order"]}]}}},
    {"name": "notes", "type": {"type": "map", "values": ["null", "string", {"type": "error", "name": "other.Note", "fields": []}]}},
    {"name": "more", "type": {"type": "map", "values": "Line"}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A"]}}]}"#;

#[test]
fn avro_has_tags_on_records_and_fields() {
    use PartKind::{Field, Record};
    let parts = [
        (Record, "com.example.Order"),
        (Field, "com.example.Order.id"),
        (Field, "com.example.Order.line"),
        (Record, "com.example.Line"),
        (Field, "com.example.Line.price"),
        (Field, "com.example.Line.order"),
        (Field, "com.example.Order.notes"),
        (Record, "other.Note"),
        (Field, "com.example.Order.more"),
        (Field, "com.example.Order.kind"),
    ];
    check_round_trip(SchemaFormat::Avro, NESTED, &parts);
    // A text as people write it.
    let text = with_real_names(r#"{"type":"record","name":"R","@tags":["X"],"fields":[{"name":"f","type":"int","@tags":["PII","Y"]}]}"#);
    let schema = parse(SchemaFormat::Avro, &text);
    assert_eq!(schema.tags(|_| true), [tagged(Record, "R", &["X"]), tagged(Field, "R.f", &["PII", "Y"])]);
    let more =
        schema.change_tags(&[change(TagAction::Add, Field, "R.f", &["Z"]), change(TagAction::Remove, Record, "R", &["X"])], &[]).unwrap();
    let expected = r#"{"type":"record","name":"R","fields":[{"name":"f","type":"int","@tags":["PII","Y","Z"]}]}"#;
    assert_eq!(more, with_real_names(expected));
    // An attribute that isn't a list has no tags and is replaced.
    let odd = parse(SchemaFormat::Avro, &with_real_names(r#"{"type":"record","name":"R","@tags":"X","fields":[]}"#));
    assert_eq!(odd.tags(|_| true), []);
    let put = odd.change_tags(&[change(TagAction::Add, Record, "R", &["X"])], &[]).unwrap();
    assert_eq!(put, with_real_names(r#"{"type":"record","name":"R","fields":[],"@tags":["X"]}"#));
}

#[test]
fn json_schema_has_tags_on_schemas() {
    use PartKind::{Field, Record};
    let text = r##"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "title": "Order", "properties": {
        "id": {"type": "integer", "maximum": 1.50},
        "address": {"type": "object", "properties": {"street": {"type": "string"}, "object": {"type": "string"}}},
        "orders": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string"}}}},
        "pair": {"items": [{"type": "string"}, {"type": "number"}], "additionalItems": {"type": "null"}},
        "items": {"properties": {"$items": {}}, "items": {}},
        "a.b\\c": {"$ref": "#/$defs/Address"},
        "any": true},
        "patternProperties": {"^x-": {"type": "string"}},
        "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"deep": {"not": {"type": "null"}}}}]},
        "dependencies": {"id": ["any"], "any": {"required": ["id"]}},
        "$defs": {"Address": {"type": "object", "properties": {"street": {"type": "string"}}}},
        "definitions": {"A": {"allOf": [{}, {"if": {}, "then": {}, "else": {}}]}},
        "enum": [{"properties": {"no": {}}}], "default": {"properties": {"no": {}}}}"##;
    let parts = [
        (Record, "object"),
        (Field, "object.id"),
        (Field, "object.address"),
        (Field, "object.address.street"),
        (Field, "object.address.object"),
        (Field, "object.orders"),
        (Record, "object.orders.$items"),
        (Field, "object.orders.$items.id"),
        (Field, "object.pair"),
        (Record, "object.pair.$items.0"),
        (Record, "object.pair.$items.1"),
        (Record, "object.pair.$additionalItems"),
        (Field, "object.items"),
        (Field, r"object.items.\$items"),
        (Record, "object.items.$items"),
        (Field, r"object.a\.b\\c"),
        (Record, "object.$patternProperties.^x-"),
        (Record, "object.$additionalProperties"),
        (Record, "object.$additionalProperties.$oneOf.0"),
        (Record, "object.$additionalProperties.$oneOf.1"),
        (Field, "object.$additionalProperties.$oneOf.1.deep"),
        (Record, "object.$additionalProperties.$oneOf.1.deep.$not"),
        (Record, "object.$dependencies.any"),
        (Record, "object.$defs.Address"),
        (Field, "object.$defs.Address.street"),
        (Record, "object.$definitions.A"),
        (Record, "object.$definitions.A.$allOf.0"),
        (Record, "object.$definitions.A.$allOf.1"),
        (Record, "object.$definitions.A.$allOf.1.$if"),
        (Record, "object.$definitions.A.$allOf.1.$then"),
        (Record, "object.$definitions.A.$allOf.1.$else"),
    ];
    check_round_trip(SchemaFormat::Json, text, &parts);
    let text = with_real_names(r#"{"type":"object","properties":{"ssn":{"@tags":["PII"],"type":"string"}}}"#);
    let schema = parse(SchemaFormat::Json, &text);
    assert_eq!(schema.tags(|_| true), [tagged(Field, "object.ssn", &["PII"])]);
    // The kind of the part doesn't matter.
    let more = schema.change_tags(&[change(TagAction::Add, Record, "object.ssn", &["X"])], &[]).unwrap();
    assert_eq!(more, with_real_names(r#"{"type":"object","properties":{"ssn":{"@tags":["PII","X"],"type":"string"}}}"#));
    // A boolean schema can't have tags.
    let schema = parse(SchemaFormat::Json, r#"{"properties":{"any":true}}"#);
    assert_eq!(schema.change_tags(&[change(TagAction::Add, Field, "object.any", &["X"])], &[]), Err(TagError::Missing(0)));
    assert_eq!(parse(SchemaFormat::Json, "true").tags(|_| true), []);
}

#[test]
fn protobuf_has_tags_in_options_of_messages_and_fields() {
    use PartKind::{Field, Record};
    let text = r#"syntax = "proto3";
        package shop;
        import "google/protobuf/timestamp.proto";
        option java_package = "com.example";
        message Order {
          option deprecated = true;
          string id = 7 [json_name = "ID", deprecated = true];
          optional int32 count = 6;
          message Line { double price = 1; message Deep { bool it = 1; } map<string, Deep> all = 2; }
          repeated Line lines = 2;
          oneof way { string road = 3; Line sea = 4; }
          google.protobuf.Timestamp at = 5;
          enum Kind { NONE = 0; }
        }
        message Empty {}
        service Shop { rpc Buy(Order) returns (Empty); }"#;
    let parts = [
        (Record, "shop.Order"),
        (Field, "shop.Order.id"),
        (Field, "shop.Order.count"),
        (Field, "shop.Order.lines"),
        (Field, "shop.Order.road"),
        (Field, "shop.Order.sea"),
        (Field, "shop.Order.at"),
        (Record, "shop.Order.Line"),
        (Field, "shop.Order.Line.price"),
        (Field, "shop.Order.Line.all"),
        (Record, "shop.Order.Line.Deep"),
        (Field, "shop.Order.Line.Deep.it"),
        (Record, "shop.Empty"),
    ];
    check_round_trip(SchemaFormat::Protobuf, text, &parts);
    let proto2 = "message A { required int32 a = 1 [default = 5]; optional group G = 2 { optional string b = 1; } extensions 10 to 20; }";
    let parts = [(Record, "A"), (Field, "A.a"), (Field, "A.g"), (Record, "A.G"), (Field, "A.G.b")];
    check_round_trip(SchemaFormat::Protobuf, proto2, &parts);
    let edition = "edition = \"2023\"; message A { int32 a = 1 [features.field_presence = IMPLICIT]; reserved b; }";
    check_round_trip(SchemaFormat::Protobuf, edition, &[(Record, "A"), (Field, "A.a")]);
}

#[test]
fn protobuf_imports_the_options_while_there_are_tags() {
    use PartKind::{Field, Record};
    let plain = "syntax = \"proto3\";\n\nmessage A {\n  int32 a = 1;\n\n  oneof o {\n    int32 b = 2;\n  }\n}\n";
    let schema = parse(SchemaFormat::Protobuf, plain);
    let with =
        schema.change_tags(&[change(TagAction::Add, Field, "A.a", &["PII"]), change(TagAction::Add, Record, "A", &["X"])], &[]).unwrap();
    let expected = "syntax = \"proto3\";\n\nimport \"@import\";\n\nmessage A {\n  option (@message) = { tags: \"X\" };\n\n  \
                    int32 a = 1 [(@field) = { tags: \"PII\" }];\n  oneof o {\n    int32 b = 2;\n  }\n}\n";
    assert_eq!(with, with_real_names(expected));
    let schema = parse(SchemaFormat::Protobuf, &with);
    let less = schema.change_tags(&[change(TagAction::Remove, Record, "A", &["X"])], &[]).unwrap();
    assert!(less.contains(IMPORT) && less.contains(FIELD) && !less.contains(MESSAGE), "{less}");
    // The documentation in the same option stays.
    let text = "syntax = \"proto3\"; import \"@import\"; message A { string a = 1 [(@field).tags = \"PII\", (@field).tags = \"X\", (@field).doc = \"d\"]; }";
    let schema = parse(SchemaFormat::Protobuf, &with_real_names(text));
    assert_eq!(schema.tags(|_| true), [tagged(Field, "A.a", &["PII", "X"])]);
    let less = schema.change_tags(&[change(TagAction::Remove, Field, "A.a", &["X", "PII"])], &[]).unwrap();
    assert!(
        less.contains(&with_real_names("import \"@import\";")) && less.contains(&with_real_names("[(@field) = { doc: \"d\" }]")),
        "{less}"
    );
    // The path may contain the oneof; the result does not contain it.
    let schema = parse(SchemaFormat::Protobuf, plain);
    let with = schema.change_tags(&[change(TagAction::Add, Field, "A.o.b", &["X"])], &[]).unwrap();
    assert_eq!(parse(SchemaFormat::Protobuf, &with).tags(|_| true), [tagged(Field, "A.b", &["X"])]);
    // Another file with that name, which does not declare the options.
    let other = [Dependency { name: IMPORT.into(), text: "syntax = \"proto3\"; message Meta {}".into() }];
    let schema = Schema::parse(SchemaFormat::Protobuf, plain, &other).unwrap();
    let refused = schema.change_tags(&[change(TagAction::Add, Field, "A.a", &["X"])], &other);
    assert!(matches!(refused, Err(TagError::Invalid(_))), "{refused:?}");
    // Other options stay unchanged.
    let own = "syntax = \"proto3\"; import \"google/protobuf/descriptor.proto\"; extend google.protobuf.FieldOptions { string note = 5000; }\
               message A { string a = 1 [(note) = \"n\"]; }";
    check_round_trip(SchemaFormat::Protobuf, own, &[(Record, "A"), (Field, "A.a")]);
}

#[test]
fn referenced_schemas_have_no_parts() {
    let dependency = |name: &str, text: &str| [Dependency { name: name.into(), text: with_real_names(text).into() }];
    let other = dependency("B", r#"{"type":"record","name":"B","@tags":["X"],"fields":[{"name":"b","type":"int"}]}"#);
    let text = r#"{"type":"record","name":"A","fields":[{"name":"b","type":"B"}]}"#;
    let schema = Schema::parse(SchemaFormat::Avro, text, &other).unwrap();
    assert_eq!(schema.tags(|_| true), []);
    assert_eq!(schema.change_tags(&[change(TagAction::Add, PartKind::Record, "B", &["Y"])], &other), Err(TagError::Missing(0)));
    let put = schema.change_tags(&[change(TagAction::Add, PartKind::Field, "A.b", &["Y"])], &other).unwrap();
    assert_eq!(put, with_real_names(r#"{"type":"record","name":"A","fields":[{"name":"b","type":"B","@tags":["Y"]}]}"#));
    let other = dependency("b.proto", "syntax = \"proto3\"; import \"@import\"; message B { option (@message).tags = \"X\"; }");
    let text = "syntax = \"proto3\"; import \"b.proto\"; message A { B b = 1; }";
    let schema = Schema::parse(SchemaFormat::Protobuf, text, &other).unwrap();
    assert_eq!(schema.tags(|_| true), []);
    let plain = schema.canonical();
    let put = schema.change_tags(&[change(TagAction::Add, PartKind::Field, "A.b", &["Y"])], &other).unwrap();
    let schema = Schema::parse(SchemaFormat::Protobuf, &put, &other).unwrap();
    assert_eq!(schema.tags(|_| true), [tagged(PartKind::Field, "A.b", &["Y"])]);
    assert_eq!(schema.change_tags(&[change(TagAction::Remove, PartKind::Field, "A.b", &["Y"])], &other).unwrap(), plain);
}

#[test]
fn missing_parts_are_reported_by_index() {
    let schema = parse(SchemaFormat::Avro, NESTED);
    let here = change(TagAction::Add, PartKind::Field, "com.example.Order.id", &["A"]);
    for (wrong, expected) in [
        (change(TagAction::Add, PartKind::Field, "com.example.Order.what", &["A"]), Err(TagError::Missing(1))),
        (change(TagAction::Remove, PartKind::Field, "com.example.Order", &["A"]), Err(TagError::Missing(1))),
        (change(TagAction::Add, PartKind::Record, "com.example.Order.id", &["A"]), Err(TagError::Missing(1))),
        (change(TagAction::Add, PartKind::Record, "com.example.Kind", &["A"]), Err(TagError::Missing(1))),
        (change(TagAction::Inherit, PartKind::Field, "com.example.Order.what", &["A"]), Ok(())),
    ] {
        let path = wrong.path.clone();
        assert_eq!(schema.change_tags(&[here.clone(), wrong], &[]).map(drop), expected, "{path}");
    }
    let any = TagChange { part: None, ..change(TagAction::Add, PartKind::Field, "com.example.Order", &["A"]) };
    let with = schema.change_tags(&[any], &[]).unwrap();
    assert_eq!(parse(SchemaFormat::Avro, &with).tags(|_| true), [tagged(PartKind::Record, "com.example.Order", &["A"])]);
}

#[test]
fn removals_come_last_and_long_paths_have_no_tags() {
    let schema = parse(SchemaFormat::Json, r#"{"properties":{"a":{}}}"#);
    let changes = [
        change(TagAction::Inherit, PartKind::Field, "object.a", &["old", "gone"]),
        change(TagAction::Remove, PartKind::Field, "object.a", &["gone", "new"]),
        change(TagAction::Add, PartKind::Field, "object.a", &["new", "kept"]),
    ];
    assert_eq!(schema.change_tags(&changes, &[]).unwrap(), with_real_names(r#"{"properties":{"a":{"@tags":["old","kept"]}}}"#));
    let name = "a".repeat(MAX_PATH);
    for (format, text) in [
        (
            SchemaFormat::Avro,
            with_real_names(&format!(r#"{{"type":"record","name":"R","fields":[{{"name":"{name}","type":"int","@tags":["X"]}}]}}"#)),
        ),
        (
            SchemaFormat::Json,
            with_real_names(&format!(r#"{{"properties":{{"{name}":{{"@tags":["X"],"properties":{{"b":{{"@tags":["X"]}}}}}}}}}}"#)),
        ),
        (
            SchemaFormat::Protobuf,
            with_real_names(&format!(
                "syntax = \"proto3\"; import \"@import\"; message A {{ int32 {} = 1 [(@field).tags = \"X\"]; }}",
                &name[..1000]
            ))
            .replace("message A", &format!("package {}; message A", &name[..100])),
        ),
    ] {
        assert_eq!(parse(format, &text).tags(|_| true), [], "{format}");
    }
}

/// A schema that a registry has accepted once is accepted again, even if today's rules refuse it.
#[test]
fn registered_schemas_are_accepted_although_they_are_invalid() {
    let record = |rest: &str| format!("{{\"type\":\"record\",\"name\":\"R\",{rest}}}");
    let field = |name: &str, kind: &str, default: &str| format!("{{\"name\":\"{name}\",\"type\":\"{kind}\"{default}}}");
    let proto = |rest: &str| format!("syntax = \"proto3\";\n{rest}\n");
    for (format, text) in [
        (SchemaFormat::Avro, record(&format!("\"fields\":[{}]", field("a", "int", ",\"default\":\"x\"")))),
        (SchemaFormat::Avro, record("\"namespace\":\"my-company.events\",\"fields\":[]")),
        (SchemaFormat::Avro, record("\"namespace\":\"1st.a\",\"fields\":[]")),
        (SchemaFormat::Json, r#"{"type":"object","required":true}"#.to_owned()),
        (SchemaFormat::Json, r#"{"type":"date"}"#.to_owned()),
        (SchemaFormat::Json, r##"{"$ref":"#/definitions/none"}"##.to_owned()),
        (SchemaFormat::Protobuf, proto("option (unknown) = \"x\";\nmessage A {}")),
        (SchemaFormat::Protobuf, proto("message A { B b = 1; }")),
    ] {
        assert!(Schema::parse(format, &text, &[]).is_err(), "{text}");
        let schema = Schema::parse_registered(format, &text, &[]).unwrap_or_else(|invalid| panic!("{text}: {}", invalid.message));
        assert_eq!(schema.format(), format);
        assert_eq!(schema.canonical().trim(), text.trim());
        let again = Schema::parse_registered(format, &text, &[]).unwrap_or_else(|invalid| panic!("{text}: {}", invalid.message));
        assert!(Schema::differences(&schema, &again, CompatibilityPolicy::Strict).is_empty(), "{text}");
        assert!(schema.change_tags(&[], &[]).is_ok() == (format == SchemaFormat::Avro), "{text}");
    }
    for (format, text) in [
        (SchemaFormat::Avro, record(&format!("\"fields\":[{},{}]", field("a", "int", ""), field("a", "int", "")))),
        (SchemaFormat::Avro, r#"{"type":"record","name":"a-b","fields":[]}"#.to_owned()),
        (SchemaFormat::Avro, r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#.to_owned()),
        (SchemaFormat::Avro, "what".to_owned()),
        (SchemaFormat::Json, "{".to_owned()),
        (SchemaFormat::Json, "[]".to_owned()),
        (SchemaFormat::Json, r#"{"$ref":"http://example.com/a.json"}"#.to_owned()),
        (SchemaFormat::Protobuf, "message {".to_owned()),
    ] {
        assert!(Schema::parse_registered(format, &text, &[]).is_err(), "{text}");
    }
    // A new schema may refer to an old one that is invalid, but is checked itself.
    let old = Dependency { name: "R".into(), text: record("\"namespace\":\"my-company\",\"fields\":[]").into() };
    let refers = |default: &str| format!("{{\"type\":\"record\",\"name\":\"S\",\"fields\":[{}]}}", field("r", "my-company.R", default));
    assert!(Schema::parse(SchemaFormat::Avro, &refers(""), std::slice::from_ref(&old)).is_ok());
    assert!(Schema::parse(SchemaFormat::Avro, &refers(",\"default\":5"), &[old]).is_err());
}

#[test]
fn names_of_fields() {
    for (format, text) in [
        (SchemaFormat::Avro, r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}"#),
        (SchemaFormat::Json, r#"{"properties":{"a":{},"b":{"properties":{"c":{}}}}}"#),
        (SchemaFormat::Protobuf, "syntax = \"proto3\"; message A { int32 a = 1; int32 b = 2; } message B { int32 c = 1; }"),
    ] {
        let schema = Schema::parse(format, text, &[]).unwrap_or_else(|invalid| panic!("{text}: {}", invalid.message));
        assert_eq!(schema.field_names(), ["a", "b"]);
        assert!(!schema.is_descriptor());
    }
}

#[test]
fn paths_may_leave_out_the_package() {
    let schema = parse(SchemaFormat::Protobuf, "syntax = \"proto3\"; package p.q; message M { int32 a = 1; message p { int32 b = 1; } }");
    for (path, part) in [("M.a", "p.q.M.a"), (".M.a", "p.q.M.a"), ("p.q.M.a", "p.q.M.a"), ("M.p.b", "p.q.M.p.b")] {
        let text = schema.change_tags(&[change(TagAction::Add, PartKind::Field, path, &["X"])], &[]).unwrap();
        assert_eq!(parse(SchemaFormat::Protobuf, &text).tags(|_| true), [tagged(PartKind::Field, part, &["X"])], "{path}");
    }
    for path in ["q.M.a", "p.M.a", "a"] {
        assert_eq!(schema.change_tags(&[change(TagAction::Add, PartKind::Field, path, &["X"])], &[]), Err(TagError::Missing(0)), "{path}");
    }
}
