//! Schema texts: valid ones, invalid ones, and their canonical form.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use crate::protobuf::{refused, schema, with};

const EVERYTHING: &str = include_str!("everything.proto");

#[test]
fn canonical_form_keeps_every_construct_of_the_source() {
    assert_eq!(with(&unformatted(EVERYTHING), &[("other.proto", OTHER)]).canonical(), EVERYTHING);
}

pub const OTHER: &str = "syntax = \"proto3\"; package other; message Thing { string id = 1; } enum Color { NONE = 0; RED = 1; }";

/// Returns the same text with another layout and with comments.
fn unformatted(text: &str) -> String {
    let mut out = String::from("// A file.\n");
    for line in text.lines() {
        out.push_str(line.trim());
        out.push_str(" /* } */  \n\n");
    }
    out
}

#[test]
fn canonical_form_of_a_canonical_form_is_unchanged() {
    for text in [EVERYTHING, EDITION, "message A{}", "syntax='proto3';enum E{A=0;}"] {
        let first = with(text, &[("other.proto", OTHER)]);
        let canonical = first.canonical();
        let second = with(&canonical, &[("other.proto", OTHER)]);
        assert_eq!(second.canonical(), canonical);
        assert_eq!(second.normalized(), first.normalized());
        let normalized = with(&first.normalized(), &[("other.proto", OTHER)]);
        assert_eq!(normalized.normalized(), first.normalized());
        let bare = first.render_as("ignore_extensions").expect("a shape of this format");
        assert_eq!(with(&bare, &[("other.proto", OTHER)]).render_as("ignore_extensions"), Some(bare));
    }
}

#[test]
fn serialized_descriptor_has_the_same_canonical_form_as_its_source() {
    for text in [EVERYTHING, EDITION, "message A{}", "syntax='proto3';package a.b;enum E{A=0;}"] {
        let source = with(text, &[("other.proto", OTHER)]);
        let serialized = source.render_as("serialized").expect("a shape of this format");
        let decoded = with(&serialized, &[("other.proto", OTHER)]);
        assert_eq!(decoded.canonical(), source.canonical());
        assert_eq!(decoded.render_as("serialized"), Some(serialized.clone()));
        let unpadded = serialized.trim_end_matches('=');
        assert_eq!(with(unpadded, &[("other.proto", OTHER)]).canonical(), source.canonical());
    }
}

pub const EDITION: &str = r#"edition = "2023";

package e;

option features.field_presence = IMPLICIT;
option features.enum_type = CLOSED;

message A {
  reserved 7, 19 to max;
  reserved old, older;

  int32 plain = 1;
  int32 explicit = 2 [default = 4, features.field_presence = EXPLICIT];
  int32 required = 3 [features.field_presence = LEGACY_REQUIRED];
  repeated int32 many = 4 [features.repeated_field_encoding = EXPANDED];
  map<string, B> named = 5;
  B framed = 6 [features.message_encoding = DELIMITED];
  oneof one {
    string x = 10;
    bytes y = 11;
  }
}

message B {
  string s = 1;
}

enum E {
  reserved 3;
  reserved GONE;

  FIRST = 1;
}
"#;

#[test]
fn editions_are_read_and_written() {
    assert_eq!(schema(EDITION).canonical(), EDITION);
    assert_eq!(schema(&unformatted(EDITION)).canonical(), EDITION);
    let encoded = schema(EDITION).render_as("serialized").expect("a shape of this format");
    let bytes = STANDARD.decode(encoded).expect("base64");
    assert_eq!(FileDescriptorProto::decode(bytes.as_slice()).expect("a descriptor").syntax(), "editions");
    assert!(schema("edition = \"2024\"; message A { string s = 1; }").canonical().starts_with("edition = \"2024\";"));
    let newer = "edition = \"2024\";\n\noption features.utf8_validation = NONE;\noption features.enforce_naming_style = STYLE_LEGACY;\n\nmessage A {}\n";
    assert_eq!(schema(newer).canonical(), newer);
    assert_eq!(schema(&schema(newer).render_as("serialized").expect("a shape")).canonical(), newer);
    assert!(refused("edition = \"2042\"; message A {}", &[]).contains("`2042` isn't known"));
    assert_eq!(refused("edition = \"2023\";\nmessage A { optional string s = 1; }", &[]).split(':').next(), Some("line 2, column 13"));
    // Positions refer to the original text, even if the parser got a modified one.
    let message = refused("edition = \"2023\";\nmessage A { string s = 1; Gone g = 2; }", &[]);
    assert!(message.starts_with("line 2, column 27: "), "{message}");
}

#[test]
fn parse_error_names_its_position() {
    for (text, position, word) in [
        ("syntax = \"proto3\";\nmessage A {\n  string = 1;\n}", "line 3, column 10", "expected"),
        ("syntax = \"proto3\";\nmessage A {\n  Gone g = 1;\n}", "line 3, column 3", "Gone"),
        ("syntax = \"proto3\";\nimport \"gone.proto\";\n", "line 2, column 1", "references"),
        ("syntax = \"proto3\";\nmessage A {\n  string a = 1;\n  string b = 1;\n}", "line 4, column 14", "number"),
        ("syntax = \"proto7\";", "line 1, column 10", "proto7"),
        ("message A { optional int32 a = 1 [gone = 3]; }", "line 1", "gone"),
    ] {
        let message = refused(text, &[]);
        assert!(message.starts_with(position) && message.contains(word), "{text}\n{message}");
    }
    let message = refused("import \"b.proto\";", &[("b.proto", "\n\nmessage {")]);
    assert!(message.starts_with("b.proto: line 3, column 9: "), "{message}");
}

#[test]
fn texts_that_are_no_schemas_are_refused() {
    for (text, word) in [
        ("", "empty"),
        ("  \n", "empty"),
        ("message", "identifier"),
        ("AAAA", "neither source nor the base64"),
        ("{\"type\": \"record\"}", "expected"),
        ("import \"a.proto\"; import \"a.proto\";", "twice"),
        ("import \"schema.proto\";", "imports itself"),
        ("message A { message BEntry { option map_entry = true; } }", "map<"),
        ("package google.protobuf; message FileOptions {}", "FileOptions"),
        ("package google; message protobuf { message FileOptions {} }", "google.protobuf"),
        ("message google { message protobuf { message FileOptions {} } }", "google"),
    ] {
        let message = refused(text, &[("a.proto", "message Z {}")]);
        assert!(message.contains(word), "{text}\n{message}");
    }
    let circle = [("a.proto", "import \"b.proto\";"), ("b.proto", "import \"a.proto\";")];
    assert!(refused("import \"a.proto\";", &circle).contains("cycle"));
}

#[test]
fn hostile_texts_are_refused_before_they_cost_anything() {
    let deep = |count: usize| format!("{}{}", "message A {".repeat(count), "}".repeat(count));
    assert!(refused(&deep(33), &[]).contains("nest"));
    assert!(refused(&deep(10_000), &[]).contains("nested deeper"));
    let aggregate = format!("option (x) = {}{};", "{ a ".repeat(100_000), "}".repeat(100_000));
    assert!(refused(&aggregate, &[]).contains("nested deeper"));
    assert!(refused(&" ".repeat(2 * 1024 * 1024), &[]).contains("longer than"));
    assert!(refused(&format!("package {}a;", "a.".repeat(100_000)), &[]).contains("shorten"));
    assert!(refused(&format!("message A {{ optional {} b = 1; }}", "a.".repeat(450) + "b"), &[]).chars().count() <= 501);
    let wide: Vec<String> = (1..2_000).map(|number| format!("message M{number}{{message A{{message A{{}}}}}}")).collect();
    let written = schema(&wide.concat()).canonical();
    assert!(written.len() > wide.concat().len() && schema(&written).canonical() == written);
    let ranges: Vec<String> = (1..3_000).map(|number| (number * 2).to_string()).collect();
    assert!(refused(&format!("message A {{ reserved {}; }}", ranges.join(",")), &[]).contains("ranges"));
    let chain: Vec<(String, String)> =
        (0..2_000).map(|file| (format!("{file}.proto"), format!("import public \"{}.proto\";", file + 1))).collect();
    let chain: Vec<(&str, &str)> = chain.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(refused("import \"0.proto\";", &chain).contains("more than"));
}

#[test]
fn descriptors_that_no_compiler_makes_are_refused() {
    let file = |message: DescriptorProto| {
        let file = FileDescriptorProto { name: Some("x".into()), message_type: vec![message], ..FileDescriptorProto::default() };
        STANDARD.encode(file.encode_to_vec())
    };
    let field = FieldDescriptorProto {
        name: Some("f".into()),
        number: Some(1),
        label: Some(1),
        r#type: Some(9),
        ..FieldDescriptorProto::default()
    };
    let message = |name: &str, field: FieldDescriptorProto| DescriptorProto {
        name: Some(name.into()),
        field: vec![field],
        ..DescriptorProto::default()
    };
    assert!(schema(&file(message("A", field.clone()))).canonical().contains("optional string f = 1;"));
    let empty = FileDescriptorProto { syntax: Some(String::new()), ..FileDescriptorProto::default() };
    assert_eq!(schema(&STANDARD.encode(empty.encode_to_vec())).canonical(), "syntax = \"proto2\";\n");
    let unknown = FileDescriptorProto { syntax: Some("proto4".into()), ..FileDescriptorProto::default() };
    assert!(refused(&STANDARD.encode(unknown.encode_to_vec()), &[]).contains("proto4"));
    for broken in [
        message("A { } message B", field.clone()),
        message("", field.clone()),
        message("A", FieldDescriptorProto { name: Some("f = 1; int32 g".into()), ..field.clone() }),
        message("A", FieldDescriptorProto { r#type: Some(11), ..field.clone() }),
        message("A", FieldDescriptorProto { r#type: Some(99), ..field.clone() }),
        message("A", FieldDescriptorProto { label: Some(9), ..field.clone() }),
        message("A", FieldDescriptorProto { oneof_index: Some(3), ..field.clone() }),
        message("A", FieldDescriptorProto { oneof_index: Some(-1), ..field.clone() }),
        message("A", FieldDescriptorProto { number: Some(0), ..field.clone() }),
        message("A", FieldDescriptorProto { number: Some(19_500), ..field.clone() }),
        message("A", FieldDescriptorProto { default_value: Some("\"; }".into()), r#type: Some(5), ..field.clone() }),
        DescriptorProto {
            options: Some(prost_types::MessageOptions { map_entry: Some(true), ..prost_types::MessageOptions::default() }),
            ..message("A", field.clone())
        },
        DescriptorProto {
            enum_type: vec![prost_types::EnumDescriptorProto { name: Some("E".into()), ..Default::default() }],
            ..message("A", field)
        },
    ] {
        refused(&file(broken), &[]);
    }
}

#[test]
fn unordered_elements_are_sorted_in_the_normalized_form() {
    let left = r#"syntax = "proto3"; package a.b; import "y.proto"; import "x.proto"; option java_package = "j"; option go_package = "g";
        message M { X x = 2; string s = 1; reserved 9, 5; reserved "q", "p"; map<string, .a.b.M> m = 3; }"#;
    let right = r#"syntax = "proto3"; package a.b; option go_package = "g"; option java_package = "j"; import "x.proto"; import "y.proto";
        message M { reserved "p", "q"; string s = 1; .a.b.X x = 2; map<string, M> m = 3; reserved 5, 9; }"#;
    let files = [("x.proto", "syntax = \"proto3\"; package a.b; message X {}"), ("y.proto", "syntax = \"proto3\"; package y;")];
    assert_eq!(with(left, &files).normalized(), with(right, &files).normalized());
    assert_ne!(with(left, &files).canonical(), with(right, &files).canonical());
    // Encoded messages refer to their type by its index in the file, so messages keep their order, and so do fields that generate message
    // types.
    let [one, other] = ["message A {} message B {}", "message B {} message A {}"].map(|text| schema(text).normalized());
    assert_ne!(one, other);
    let made = "syntax = \"proto3\"; message A { map<int32, N> b = 2; message N {} map<int32, int32> a = 1; }";
    for text in [schema(made).canonical(), schema(made).normalized()] {
        let (first, nested, last) = (text.find("> b = 2"), text.find("message N"), text.find("> a = 1"));
        assert!(first < nested && nested < last, "{text}");
    }
}

#[test]
fn normalized_form_has_the_shortest_type_names() {
    let text = r#"syntax = "proto3";

package a.b;

message A {
  B b = 1;
  A.B c = 2;
  a.b.C.D d = 3;
  E e = 4;

  message B {}

  message C {}

  enum E {
    Z = 0;
  }
}

message B {
  A.B inner = 1;
  C.D d = 2;
}

message C {
  D d = 1;

  message D {}
}
"#;
    assert_eq!(schema(text).canonical(), text.replace("  A.B c = 2;", "  B c = 2;"));
}

#[test]
fn known_files_need_no_reference() {
    let text = r#"syntax = "proto3";
        import "google/protobuf/timestamp.proto"; import "google/type/money.proto"; import "google/type/postal_address.proto";
        import "confluent/meta.proto"; import "confluent/type/decimal.proto";
        message A {
            option (confluent.message_meta) = { doc: "a", params: { key: "k", value: "v" }, tags: ["x", "y"] };
            google.protobuf.Timestamp at = 1 [(confluent.field_meta).doc = "when"];
            google.type.Money price = 2;
            confluent.type.Decimal d = 3;
        }"#;
    let canonical = schema(text).canonical();
    assert!(
        canonical.contains(r#"option (confluent.message_meta) = { doc: "a" params { key: "k" value: "v" } tags: "x" tags: "y" };"#),
        "{canonical}"
    );
    assert!(canonical.contains(r#"google.protobuf.Timestamp at = 1 [(confluent.field_meta) = { doc: "when" }];"#), "{canonical}");
    let bare = schema(text).render_as("ignore_extensions").expect("a shape of this format");
    assert!(!bare.contains("_meta)"), "{bare}");
    assert_eq!(schema(&schema(text).render_as("serialized").expect("a shape")).canonical(), canonical);
    assert_eq!(schema(text).render_as("resolved"), None);
    // All known files can be imported.
    for path in ["calendar_period", "color", "date", "datetime", "dayofweek", "decimal", "expr", "fraction", "interval", "latlng"] {
        schema(&format!("import \"google/type/{path}.proto\";"));
    }
    for path in ["localized_text", "money", "month", "phone_number", "postal_address", "quaternion", "timeofday"] {
        schema(&format!("import \"google/type/{path}.proto\";"));
    }
}

#[test]
fn public_imports_are_transitive() {
    let files = [
        ("d.proto", "message D {}"),
        ("c.proto", "import public \"d.proto\";"),
        ("b.proto", "import public \"c.proto\";"),
        ("hidden.proto", "import \"d.proto\";"),
    ];
    let text = "syntax = \"proto2\";\n\nimport public \"b.proto\";\n\nmessage A {\n  optional D d = 1;\n}\n";
    assert_eq!(with(text, &files).canonical(), text);
    let message = refused(&text.replace("b.proto", "hidden.proto"), &files);
    assert!(message.starts_with("line 6, column ") && message.contains('D'), "{message}");
    // Some serializers send imported schemas in base64.
    let encoded = schema("message D {}").render_as("serialized").expect("a shape of this format");
    let files = [("d.proto", encoded.as_str()), ("c.proto", "import public \"d.proto\";"), ("b.proto", "import public \"c.proto\";")];
    assert_eq!(with(text, &files).canonical(), text);
}
