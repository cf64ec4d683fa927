//! Tests of error messages for invalid texts.

use super::{dependency, refused};

/// Invalid texts, the start of their error message, and words that the message has to contain.
const INVALID: &[(&str, &str, &[&str])] = &[
    ("", "the text is empty", &["\"string\""]),
    ("string", "`string` is not JSON", &["quotes: \"string\""]),
    ("{\"type\":", "not JSON", &["line 1 column 8"]),
    ("/* a\n b */ {\"type\" /", "not JSON", &["line 2 column 15"]),
    ("\"string\" 1", "not JSON", &["trailing"]),
    ("7", "/: 7 is not a schema", &["name of a type"]),
    ("\"strng\"", "/: `strng` is not a type", &["did you mean `string`?", "`references`"]),
    ("\"bool\"", "/: `bool`", &["did you mean `boolean`?"]),
    ("\"date\"", "/: `date`", &[r#"{"type": "int", "logicalType": "date"}"#]),
    ("\"record\"", "/: `record`", &[r#"write {"type": "record""#]),
    ("[\"int\", \"com.acme.Other\"]", "/1: `com.acme.Other`", &["add that one to `references`"]),
    ("[\"int\", [\"null\"]]", "/1: a union directly in a union", &["list its types"]),
    ("[\"null\", \"string\", \"null\"]", "/2: the union holds `null` twice", &["remove one"]),
    (r#"["int", {"type": "int", "logicalType": "date"}]"#, "/1: the union holds `int` twice", &["wrap"]),
    ("{}", "/: the schema has no `type`", &["add one"]),
    (r#"{"type": {"type": "int"}}"#, "/type: `type` is an object", &["in place of"]),
    (r#"{"type": ["null", "int"]}"#, "/type: `type` is a list", &["union"]),
    (r#"{"type": 3}"#, "/type: 3 is not a type", &["quotes"]),
    (r#"{"type": "recrod", "name": "R", "fields": []}"#, "/type: `recrod`", &["`references`"]),
    (r#"{"type": "array"}"#, "/: `items` is missing", &[]),
    (r#"{"type": "map", "value": "int"}"#, "/: `values` is missing", &[]),
    (r#"{"type": "record", "fields": []}"#, "/: `name` is missing", &[]),
    (r#"{"type": "record", "name": 1, "fields": []}"#, "/name: `name` has to be a string", &[]),
    (r#"{"type": "record", "name": "R"}"#, "/: `fields` is missing", &["[] if none"]),
    (r#"{"type": "record", "name": "R", "fields": {}}"#, "/fields: `fields` has to be a list", &[]),
    (r#"{"type": "record", "name": "R", "fields": ["f"]}"#, "/fields/0: \"f\" is not a field", &["`name` and `type`"]),
    (r#"{"type": "record", "name": "my-name", "fields": []}"#, "/name: `my-name` can't be a name because of `-`", &["`my_name`"]),
    (r#"{"type": "record", "name": "n..R", "fields": []}"#, "/name: the namespace", &["empty"]),
    (r#"{"type": "record", "name": "R", "namespace": "a.1", "fields": []}"#, "/name: the namespace", &["`_1`"]),
    (r#"{"type": "fixed", "name": "int", "size": 1}"#, "/name: `int` is a type of Avro", &["rename"]),
    (r#"{"type": "fixed", "name": "F", "size": -1}"#, "/size: -1 is not a size", &["from 0"]),
    (r#"{"type": "fixed", "name": "F", "size": 2147483648}"#, "/size", &["2147483647"]),
    (r#"{"type": "fixed", "name": "F", "size": 1, "aliases": "G"}"#, "/aliases: `aliases` has to be a list", &[]),
    (r#"{"type": "fixed", "name": "F", "size": 1, "aliases": ["a b"]}"#, "/aliases: `a b` can't be a name", &[]),
    (r#"{"type": "enum", "name": "E", "symbols": ["A", "b-c"]}"#, "/symbols/1: `b-c` can't be a name", &["`b_c`"]),
    (r#"{"type": "enum", "name": "E", "symbols": ["A", "A"]}"#, "/symbols/1: the enum `E` has the symbol `A` twice", &[]),
    (r#"{"type": "enum", "name": "E", "symbols": ["GREEN"], "default": "GREN"}"#, "/default: the default `GREN`", &["`GREEN`"]),
    (
        r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}"#,
        "/fields/1/name: the record `R` has two fields `a`",
        &["rename"],
    ),
    (r#"{"type": "record", "name": "R", "fields": [{"name": "a"}]}"#, "/fields/0: `type` is missing", &[]),
    (r#"{"type": "record", "name": "R", "fields": [{"name": "a.b", "type": "int"}]}"#, "/fields/0/name: `a.b`", &["`a_b`"]),
    (r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "order": "up"}]}"#, "/fields/0/order", &["\"ignore\""]),
    (
        r#"[{"type": "fixed", "name": "F", "size": 1}, {"type": "fixed", "name": "F", "size": 1}]"#,
        "/1: `F` is defined a second time",
        &["write its name, \"F\""],
    ),
    // Defaults.
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string","default":null}]}"#,
        "/fields/0/default",
        &["[\"null\", \"string\"]"],
    ),
    (r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"1"}]}"#, "/fields/0/default", &["without quotes"]),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":2147483648}]}"#,
        "/fields/0/default",
        &["not of type `int`"],
    ),
    (r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long","default":1.0}]}"#, "/fields/0/default", &["not of type `long`"]),
    (r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"],"default":"x"}]}"#, "/fields/0/default", &["[null, int]"]),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"map","values":{"type":"array","items":"int"}},"default":{"k/1":[1,"2"]}}]}"#,
        "/fields/0/default/k~11/1",
        &["\"2\""],
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a","default":{"x":1},"type":{"type":"record","name":"I","fields":[{"name":"x","type":"int"},{"name":"y","type":"int"}]}}]}"#,
        "/fields/0/default: the default of the field `a` lacks `y`",
        &["`I`"],
    ),
];

#[test]
fn errors_have_a_path_and_a_correction() {
    for (text, start, words) in INVALID {
        let message = refused(text, &[]);
        assert!(message.starts_with(start), "{text}\nmessage: {message}\nwanted: {start}");
        for word in *words {
            assert!(message.contains(word), "{text}\nmessage: {message}\nlacks: {word}");
        }
    }
}

#[test]
fn errors_in_references_name_the_reference() {
    let message = refused("\"A\"", &[dependency("a.avsc", r#"{"type":"record","name":"A","fields":[{"name":"x","type":"B"}]}"#)]);
    assert!(message.starts_with("in the reference `a.avsc`: /fields/0/type: `B` is not a type"), "{message}");
}

#[test]
fn suggestions_include_names_of_references() {
    let known = dependency("c", r#"{"type":"fixed","name":"com.acme.Customer","size":1}"#);
    let message = refused("\"com.acme.Costumer\"", &[known]);
    assert!(message.contains("did you mean `com.acme.Customer`?"), "{message}");
}

#[test]
fn depth_is_bounded() {
    let nested = |levels: usize| format!("{}\"int\"{}", "{\"type\":\"array\",\"items\":".repeat(levels), "}".repeat(levels));
    super::parse(&nested(120));
    for levels in [121, 127, 128, 100_000] {
        let message = refused(&nested(levels), &[]);
        assert!(message.contains("nested deeper than 120 levels"), "{message}");
    }
    // Definitions that move to their first use can nest more deeply than the text.
    let chain = |length: usize| {
        let record =
            |index: usize| format!(r#"{{"type":"record","name":"R{index}","fields":[{{"name":"next","type":"R{}"}}]}}"#, index + 1);
        let records: Vec<String> = (0..length).map(record).collect();
        format!(r#"[{},{{"type":"fixed","name":"R{length}","size":1}}]"#, records.join(","))
    };
    let schema = super::parse(&chain(38));
    assert_eq!(super::parse(&schema.canonical()).canonical(), schema.canonical());
    assert!(refused(&chain(50), &[]).contains("nested deeper"));
    assert!(refused(&chain(20_000), &[]).contains("nested deeper"));
}

#[test]
fn defaults_of_nested_unions_are_read_in_bounded_time() {
    let branches: Vec<String> = (0..12)
        .map(|branch| format!(r#"{{"type":"record","name":"B{branch}","fields":[{{"name":"u","type":"U"}},{{"name":"x","type":"int"}}]}}"#))
        .collect();
    let depth = 50;
    let value = format!("{}1{}", r#"{"v":{"u":"#.repeat(depth), "}}".repeat(depth));
    let text = format!(
        r#"{{"type":"record","name":"U","fields":[{{"name":"v","type":["int",{}]}},{{"name":"d","type":"U","default":{value}}}]}}"#,
        branches.join(",")
    );
    assert!(refused(&text, &[]).contains("takes too long"));
}

#[test]
fn large_lists_are_read_in_bounded_time() {
    let many = |each: &dyn Fn(usize) -> String| (0..20_000).map(each).collect::<Vec<_>>().join(",");
    let named = |more: &str| format!(r#"{{"type":"enum","name":"n.E","symbols":["A"]{more}}}"#);
    super::parse(&named(&format!(r#","aliases":[{}]"#, many(&|index| format!("\"a{index}\"")))));
    super::parse(&format!(r#"{{"type":"enum","name":"E","symbols":[{}],"default":"A7"}}"#, many(&|index| format!("\"A{index}\""))));
    super::parse(&format!("[{}]", many(&|index| format!(r#"{{"type":"fixed","name":"F{index}","size":1}}"#))));
    super::parse(&format!(
        r#"{{"type":"record","name":"R","fields":[{}]}}"#,
        many(&|index| format!(r#"{{"name":"f{index}","type":["null","R"],"default":null}}"#))
    ));
    // References to types without a namespace from inside of a namespace. Another type could shadow each of them.
    let fields = many(&|index| format!(r#"{{"name":"f{index}","type":"F{index}"}}"#));
    let fixed = many(&|index| format!(r#"{{"type":"fixed","name":"F{index}","size":1}}"#));
    super::parse(&format!(r#"[{fixed},{{"type":"record","name":"n.R","fields":[{fields}]}}]"#)).canonical();
}
