//! Runs the table of pairs, and cases that need more than one line.

use crate::protobuf::{
    cases::{self, Case},
    differences, schema, with,
};

fn text(body: &str) -> String {
    let own = body.starts_with("syntax") || body.starts_with("edition");
    if own { body.to_owned() } else { format!("syntax = \"proto3\"; {body}") }
}

fn compare(writer: &str, reader: &str) -> Vec<String> {
    let differences_found = differences(schema(&text(reader)), schema(&text(writer)));
    for difference in &differences_found {
        let spoken = difference.message.len() > 20 && (difference.message.contains("; ") || difference.message.contains(": "));
        assert!(spoken && !difference.path.is_empty(), "{difference:?}");
    }
    differences_found.iter().map(|difference| format!("{} {}", difference.kind, difference.path)).collect()
}

fn check(cases: &[Case]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(name, writer, reader, expected)| {
            let actual = compare(writer, reader);
            (actual != *expected).then(|| format!("{name}: {actual:?} and not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (_, writer, reader, _) in cases {
        assert_eq!(compare(writer, writer), Vec::<String>::new());
        assert_eq!(compare(reader, reader), Vec::<String>::new());
    }
}

#[test]
fn files() {
    check(cases::FILES);
}

#[test]
fn fields() {
    check(cases::FIELDS);
}

#[test]
fn types() {
    check(cases::TYPES);
}

#[test]
fn labels() {
    check(cases::LABELS);
}

#[test]
fn enums() {
    check(cases::ENUMS);
}

#[test]
fn oneofs() {
    check(cases::ONEOFS);
}

/// All pairs of scalar types. Types in the same row are compatible.
#[test]
fn scalars() {
    let rows: [&[&str]; 7] = [
        &["int32", "uint32", "int64", "uint64", "bool"],
        &["sint32", "sint64"],
        &["string", "bytes"],
        &["fixed32", "sfixed32"],
        &["fixed64", "sfixed64"],
        &["float"],
        &["double"],
    ];
    for (row, writers) in rows.iter().enumerate() {
        for writer in *writers {
            for (column, readers) in rows.iter().enumerate() {
                for reader in *readers {
                    let [old, new] = [writer, reader].map(|kind| format!("message A {{ {kind} x = 7; }}"));
                    let expected: &[&str] = if row == column { &[] } else { &["FIELD_SCALAR_KIND_CHANGED #/A/7"] };
                    assert_eq!(compare(&old, &new), expected, "{writer} to {reader}");
                }
            }
        }
    }
}

#[test]
fn types_of_imports_are_compared() {
    let text = "syntax = \"proto3\"; package a; import \"b.proto\"; message A { b.B b = 1; }";
    let old = [("b.proto", "syntax = \"proto3\"; package b; message B { int32 x = 1; C c = 2; } message C { int32 y = 1; }")];
    let new = [("b.proto", "syntax = \"proto3\"; package b; message B { string x = 1; C c = 2; } message C { bool y = 1; }")];
    let differences_found = differences(with(text, &new), with(text, &old));
    let differences_found: Vec<_> = differences_found.iter().map(|difference| (difference.kind, difference.path.as_str())).collect();
    assert_eq!(differences_found, [("FIELD_SCALAR_KIND_CHANGED", "#/b.B/1")]);
    assert!(differences(with(text, &old), with(text, &old)).is_empty());
}

#[test]
fn a_type_may_move_between_file_and_import() {
    let inline = "syntax = \"proto3\"; package a; message A { B b = 1; } message B { int32 x = 1; }";
    let importing = "syntax = \"proto3\"; package a; import \"b.proto\"; message A { B b = 1; }";
    let import = |kind: &str| format!("syntax = \"proto3\"; package a; message B {{ {kind} x = 1; }}");
    let same = import("int32");
    assert!(differences(with(importing, &[("b.proto", &same)]), schema(inline)).is_empty());
    assert!(differences(schema(inline), with(importing, &[("b.proto", &same)])).is_empty());
    let other = import("string");
    let differences_found = differences(with(importing, &[("b.proto", &other)]), schema(inline));
    assert_eq!(differences_found.iter().map(|difference| difference.path.as_str()).collect::<Vec<_>>(), ["#/B/1"]);
}

#[test]
fn differences_are_bounded() {
    let fields = |kind: &str| (1..1_000).map(|number| format!("{kind} f{number} = {number};")).collect::<Vec<_>>().concat();
    let differences_found = compare(&format!("message A {{ {} }}", fields("int32")), &format!("message A {{ {} }}", fields("string")));
    assert_eq!(differences_found.len(), prism_schema::MAX_DIFFERENCES);
}

#[test]
fn messages_say_what_to_change() {
    let [old, new] = ["int32", "string"].map(|kind| schema(&format!("syntax = \"proto3\"; message A {{ {kind} x = 3; }}")));
    let differences_found = differences(new, old);
    assert_eq!(
        differences_found.first().map(|difference| difference.message.as_str()),
        Some(
            "field `x` with number 3 changes from int32 to string, which has another encoding; use int32, uint32, int64, uint64 or bool, or a new number"
        )
    );
}
