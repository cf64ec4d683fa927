//! Which schemas can read which data, including cases that other checkers get wrong, and the messages about differences.

use prism_schema::{
    Dependency, Difference, MAX_DIFFERENCES,
    avro::{AvroSchema, differences},
};

fn compare(reader: &str, writer: &str) -> Vec<Difference> {
    let parse = |text: &str| AvroSchema::parse(text, &[]).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.message));
    differences(&parse(reader), &parse(writer))
}

#[track_caller]
fn reads(reader: &str, writer: &str) {
    assert_eq!(compare(reader, writer), Vec::new(), "{reader} | {writer}");
}

/// Checks kinds, paths and details of all differences. Returns their messages.
#[track_caller]
fn differs(reader: &str, writer: &str, wanted: &[(&str, &str, &str)]) -> Vec<String> {
    let found_differences = compare(reader, writer);
    let short: Vec<_> =
        found_differences.iter().map(|difference| (difference.kind, difference.path.as_str(), difference.detail.as_str())).collect();
    assert_eq!(short, wanted, "{reader} | {writer}\n{found_differences:#?}");
    found_differences.into_iter().map(|difference| difference.message).collect()
}

fn record(name: &str, fields: &str) -> String {
    format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#)
}

#[test]
fn aliases_of_the_reader_are_names_of_the_writer() {
    let written = record("old.Name", r#"{"name":"a","type":"int"}"#);
    reads(r#"{"type":"record","name":"new.Other","aliases":["old.Name"],"fields":[{"name":"a","type":"int"}]}"#, &written);
    // An alias is relative to the namespace of the type that it stands in.
    reads(r#"{"type":"record","name":"old.Other","aliases":["Name"],"fields":[{"name":"a","type":"int"}]}"#, &written);
    let wanted = [("NAME_MISMATCH", "/name", "expected: old.Name")];
    differs(r#"{"type":"record","name":"new.Other","aliases":["Name"],"fields":[{"name":"a","type":"int"}]}"#, &written, &wanted);
    // An alias without a namespace.
    reads(r#"{"type":"fixed","name":"n.F","aliases":[".G"],"size":2}"#, r#"{"type":"fixed","name":"G","size":2}"#);
    // Aliases of the writer have no effect.
    let message = differs(
        r#"{"type":"fixed","name":"F","size":2}"#,
        r#"{"type":"fixed","name":"G","aliases":["F"],"size":2}"#,
        &[("NAME_MISMATCH", "/name", "expected: G")],
    );
    assert!(message[0].contains(r#"add "aliases": ["G"]"#), "{message:?}");
    reads(r#"{"type":"enum","name":"E","aliases":["D"],"symbols":["A","B"]}"#, r#"{"type":"enum","name":"D","symbols":["B"]}"#);
    // The same within a union.
    reads(
        r#"["null",{"type":"enum","name":"E","aliases":["D"],"symbols":["A"]}]"#,
        r#"[{"type":"enum","name":"D","symbols":["A"]},"null"]"#,
    );
}

#[test]
fn aliases_of_fields_are_names_of_the_writers_fields() {
    let written = record("R", r#"{"name":"b","type":"int"},{"name":"a","type":"string"}"#);
    reads(&record("R", r#"{"name":"x","type":"string","aliases":["w","a"]},{"name":"y","type":"long","aliases":["b"]}"#), &written);
    let wanted = [("TYPE_MISMATCH", "/fields/0/type", "reader type: INT not compatible with writer type: STRING")];
    differs(&record("R", r#"{"name":"x","type":"int","aliases":["a"]}"#), &written, &wanted);
    // One field of the reader can't match two fields of the writer.
    let two = record("R", r#"{"name":"a","type":"string","aliases":["b"]}"#);
    let message = differs(&two, &written, &[("NAME_MISMATCH", "/fields/0", "a")]);
    assert!(message[0].contains("`a`, `b`") && message[0].contains("remove aliases"), "{message:?}");
    // An unchanged record can be read, whatever its aliases say.
    let same = record("R", r#"{"name":"a","type":"string","aliases":["b"]},{"name":"b","type":"int"}"#);
    reads(&same, &same);
    reads(&format!(r#"["null",{same}]"#), &same);
}

#[test]
fn logical_types_do_not_count() {
    let decimal =
        |precision: u32, scale: u32| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#);
    reads(&decimal(9, 2), &decimal(18, 4));
    reads(&decimal(4, 2), "\"bytes\"");
    reads("\"string\"", &decimal(4, 2));
    let fixed = |precision: u32| format!(r#"{{"type":"fixed","name":"D","size":8,"logicalType":"decimal","precision":{precision}}}"#);
    reads(&fixed(10), &fixed(4));
    differs(&fixed(10), &decimal(10, 0), &[("TYPE_MISMATCH", "/", "reader type: FIXED not compatible with writer type: BYTES")]);
    let uuid = r#"{"type":"string","logicalType":"uuid"}"#;
    reads(uuid, "\"string\"");
    reads("\"string\"", uuid);
    reads("\"bytes\"", uuid);
    let bytes = r#"{"type":"fixed","name":"Uuid","size":16,"logicalType":"uuid"}"#;
    reads(bytes, r#"{"type":"fixed","name":"Uuid","size":16}"#);
    differs(uuid, bytes, &[("TYPE_MISMATCH", "/", "reader type: STRING not compatible with writer type: FIXED")]);
    differs(bytes, uuid, &[("TYPE_MISMATCH", "/", "reader type: FIXED not compatible with writer type: STRING")]);
    reads(r#"{"type":"long","logicalType":"timestamp-micros"}"#, r#"{"type":"int","logicalType":"date"}"#);
    reads(r#"{"type":"int","logicalType":"no-such-type"}"#, r#"{"type":"int","logicalType":"date"}"#);
}

#[test]
fn fields_move_with_the_types_that_they_name() {
    // Each side defines the type in another field, and the fields are in another order.
    let address = record("Address", r#"{"name":"street","type":"string"}"#);
    let one =
        record("Person", &format!(r#"{{"name":"home","type":{address}}},{{"name":"work","type":["null","Address"],"default":null}}"#));
    let other =
        record("Person", &format!(r#"{{"name":"work","type":["null",{address}],"default":null}},{{"name":"home","type":"Address"}}"#));
    reads(&one, &other);
    reads(&other, &one);
    // A difference in a type is reported at each use of the type, but not for each value within it.
    let less = other.replace(r#""type":"string""#, r#""type":"int""#);
    let wanted = [
        ("TYPE_MISMATCH", "/fields/0/type/fields/0/type", "reader type: STRING not compatible with writer type: INT"),
        ("MISSING_UNION_BRANCH", "/fields/1/type/1", "reader union lacking writer type: RECORD"),
    ];
    differs(&one, &less, &wanted);
}

#[test]
fn all_differences_are_told_in_the_order_of_the_text() {
    let reader = record(
        "R",
        r#"{"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}},{"name":"user_name","type":"string"},{"name":"k","type":"long"},
           {"name":"i","type":{"type":"record","name":"I","fields":[{"name":"x","type":"int"}]}},
           {"name":"u","type":["null",{"type":"array","items":"I"}]},{"name":"n","type":{"type":"map","values":{"type":"fixed","name":"F","size":4}}}"#,
    );
    let writer = record(
        "S",
        r#"{"name":"userName","type":"string"},{"name":"e","type":{"type":"enum","name":"E","symbols":["C","A","B"]}},{"name":"k","type":["null","long"]},
           {"name":"i","type":{"type":"record","name":"J","fields":[{"name":"x","type":"string"}]}},
           {"name":"u","type":["null",{"type":"array","items":"J"},"int"]},{"name":"n","type":{"type":"map","values":{"type":"fixed","name":"F","size":5}}}"#,
    );
    let wanted = [
        ("NAME_MISMATCH", "/name", "expected: S"),
        ("MISSING_ENUM_SYMBOLS", "/fields/0/type/symbols", "[B, C]"),
        ("READER_FIELD_MISSING_DEFAULT_VALUE", "/fields/1", "user_name"),
        ("TYPE_MISMATCH", "/fields/2/type", "reader type: LONG not compatible with writer type: NULL"),
        ("NAME_MISMATCH", "/fields/3/type/name", "expected: J"),
        ("TYPE_MISMATCH", "/fields/3/type/fields/0/type", "reader type: INT not compatible with writer type: STRING"),
        ("MISSING_UNION_BRANCH", "/fields/4/type/1", "reader union lacking writer type: ARRAY"),
        ("MISSING_UNION_BRANCH", "/fields/4/type/2", "reader union lacking writer type: INT"),
        ("FIXED_SIZE_MISMATCH", "/fields/5/type/values/size", "expected: 5, found: 4"),
    ];
    let messages = differs(&reader, &writer, &wanted);
    let words = [
        r#"add "aliases": ["S"]"#,
        r#"add them to its symbols, or give it a default among them, for example "default": "A""#,
        r#"add one, for example "default": ""; if it was `userName` before, add "aliases": ["userName"]"#,
        r#"make the type ["null", "long"]"#,
        "the record is named `I`",
        "can't be read as `int`",
        "at /fields/4/type/1/items/name, the record is named `I`",
        r#"add "int" to the union"#,
        "a fixed size can't change",
    ];
    for (message, word) in messages.iter().zip(words) {
        assert!(message.contains(word), "{message}\nlacks {word}");
    }
}

#[test]
fn enums_take_their_default_for_what_they_do_not_know() {
    let symbols = |symbols: &str, more: &str| format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{more}}}"#);
    reads(&symbols(r#""A""#, r#","default":"A""#), &symbols(r#""A","B""#, ""));
    differs(&symbols(r#""A""#, ""), &symbols(r#""A","B""#, r#","default":"A""#), &[("MISSING_ENUM_SYMBOLS", "/symbols", "[B]")]);
    // The default of an enum type is not a default for a missing field.
    let reader = record("R", &format!(r#"{{"name":"e","type":{}}}"#, symbols(r#""A""#, r#","default":"A""#)));
    let message = differs(&reader, &record("R", ""), &[("READER_FIELD_MISSING_DEFAULT_VALUE", "/fields/0", "e")]);
    assert!(message[0].contains(r#"for example "default": "A""#) && message[0].contains("not for missing fields"), "{message:?}");
}

#[test]
fn null_counts_as_a_default() {
    reads(&record("R", r#"{"name":"a","type":["null","int"],"default":null}"#), &record("R", ""));
    reads(&record("R", r#"{"name":"a","type":"null","default":null}"#), &record("R", ""));
    let message = differs(
        &record("R", r#"{"name":"a","type":["null","int"]}"#),
        &record("R", ""),
        &[("READER_FIELD_MISSING_DEFAULT_VALUE", "/fields/0", "a")],
    );
    assert!(message[0].contains(r#"for example "default": null"#), "{message:?}");
}

#[test]
fn recursive_types_are_compared_to_their_end() {
    let list = |value: &str| record("List", &format!(r#"{{"name":"value","type":"{value}"}},{{"name":"next","type":["null","List"]}}"#));
    reads(&list("long"), &list("int"));
    differs(
        &list("int"),
        &list("long"),
        &[
            ("TYPE_MISMATCH", "/fields/0/type", "reader type: INT not compatible with writer type: LONG"),
            ("MISSING_UNION_BRANCH", "/fields/1/type/1", "reader union lacking writer type: RECORD"),
        ],
    );
    // A chain of two records that refer to each other is equivalent to a list.
    let chain = r#"{"type":"record","name":"a.List","fields":[{"name":"value","type":"int"},{"name":"next","type":["null",
        {"type":"record","name":"b.List","fields":[{"name":"value","type":"int"},{"name":"next","type":["null","a.List"]}]}]}]}"#;
    reads(&list("int"), chain);
    reads(chain, &list("int"));
    // A type that is first assumed to be readable, until a later field shows that it is not.
    let tree = |leaf: &str| {
        record(
            "T",
            &format!(
                r#"{{"name":"l","type":["null",{{"type":"record","name":"B","fields":[{{"name":"t","type":["null","T"]}},{{"name":"x","type":"{leaf}"}}]}}]}}"#
            ),
        )
    };
    differs(&tree("int"), &tree("string"), &[("MISSING_UNION_BRANCH", "/fields/0/type/1", "reader union lacking writer type: RECORD")]);
}

#[test]
fn references_are_read_with_what_they_name() {
    let money = |amount: &str| Dependency {
        name: "Money".into(),
        text: record("shop.Money", &format!(r#"{{"name":"amount","type":"{amount}"}}"#)).into(),
    };
    let order = record("shop.Order", r#"{"name":"total","type":"Money"},{"name":"tip","type":["null","shop.Money"]}"#);
    let order = |amount: &str| AvroSchema::parse(&order, &[money(amount)]).unwrap();
    assert_eq!(differences(&order("long"), &order("int")), Vec::new());
    let found_differences = differences(&order("int"), &order("long"));
    let paths: Vec<&str> = found_differences.iter().map(|difference| difference.path.as_str()).collect();
    assert_eq!(paths, ["/fields/0/type/fields/0/type", "/fields/1/type/1"]);
    assert_eq!(order("int").canonical(), order("long").canonical(), "the text alone is the same");
}

#[test]
fn differences_are_bounded() {
    let fields = |kind: &str| {
        let fields: Vec<String> = (0..1000).map(|index| format!(r#"{{"name":"f{index}","type":"{kind}"}}"#)).collect();
        record("R", &fields.join(","))
    };
    let found_differences = compare(&fields("int"), &fields("string"));
    assert_eq!(found_differences.len(), MAX_DIFFERENCES);
    assert_eq!(found_differences[MAX_DIFFERENCES - 1].path, format!("/fields/{}/type", MAX_DIFFERENCES - 1));
}

/// Returns a cycle of records that have the same name in different namespaces, so that each can be read as each other.
fn ring(prefix: &str, length: usize, last: &str) -> String {
    let record = |index: usize| {
        let next = (index + 1) % length;
        let value = if index + 1 == length { last } else { "int" };
        format!(
            r#"{{"type":"record","name":"{prefix}{index}.R","fields":[{{"name":"next","type":["null","{prefix}{next}.R"]}},{{"name":"v","type":"{value}"}}]}}"#
        )
    };
    let first = format!(r#"{{"type":"record","name":"{prefix}.Root","fields":[{{"name":"r","type":"{prefix}0.R"}}"#);
    let mut fields = String::new();
    for index in (0..length).rev() {
        fields = format!(r#"{fields},{{"name":"d{index}","type":{}}}"#, record(index));
    }
    format!("{first}{fields}]}}")
}

#[test]
fn recursion_cycles_of_different_lengths_are_compared_in_bounded_time() {
    // 23 and 29 have no common divisor, so the comparison meets all 667 pairs in one chain.
    let (reader, writer) = (ring("r", 23, "int"), ring("w", 29, "int"));
    assert_eq!(compare(&reader, &writer).len(), 0);
    assert!(!compare(&reader, &ring("w", 29, "string")).is_empty());
}

#[test]
fn unions_of_very_many_records_are_compared_or_given_up() {
    let union = |namespace: &str, count: usize| {
        let record = |index: usize| record(&format!("{namespace}{index}.R"), &format!(r#"{{"name":"f{index}","type":"int"}}"#));
        format!("[{}]", (0..count).map(record).collect::<Vec<_>>().join(","))
    };
    let found_differences = compare(&union("a", 40), &union("b", 40));
    assert_eq!(found_differences.len(), 0, "f0 has no default, but each is called R and has its field");
    let found_differences = compare(&union("a", 3000), &union("b", 3000));
    assert!(found_differences[0].message.contains("too complex to be compared"), "{found_differences:?}");
}

#[test]
fn union_branch_with_the_same_name_is_compared() {
    let event = |namespace: &str, fields: &str| record(&format!("{namespace}.Event"), fields);
    let (plain, strict) = (r#"{"name":"id","type":"long"}"#, r#"{"name":"id","type":"long"},{"name":"at","type":"long"}"#);
    // Data of `v1` must be read by the branch `v1`, which fails, although `v2` could read it.
    let reader = format!("[{},{}]", event("v1", strict), event("v2", plain));
    let message = differs(&reader, &event("v1", plain), &[("MISSING_UNION_BRANCH", "/", "reader union lacking writer type: RECORD")]);
    assert!(message[0].contains("at /0/fields/1, the field `at` of `v1.Event`"), "{message:?}");
    // Without a branch of the same name, any branch that can read the data is chosen.
    reads(&reader, &event("v3", plain));
    reads(&reader, &event("v2", strict));
}

#[test]
fn very_large_schemas_are_compared_in_bounded_time() {
    let fields = |prefix: &str, count: usize| {
        let fields: Vec<String> = (0..count).map(|index| format!(r#"{{"name":"{prefix}{index}","type":"int"}}"#)).collect();
        record("R", &fields.join(","))
    };
    // Searching a possible old name for each field would take hours.
    assert_eq!(compare(&fields("new", 20_000), &fields("old", 20_000)).len(), MAX_DIFFERENCES);
    let union = |prefix: &str| {
        let branches: Vec<String> = (0..1000).map(|index| record(&format!("{prefix}{index}"), "")).collect();
        format!("[{}]", branches.join(","))
    };
    assert_eq!(compare(&union("new"), &union("old")).len(), MAX_DIFFERENCES);
}
