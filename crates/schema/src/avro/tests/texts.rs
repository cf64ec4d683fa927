//! Tests of canonical and normalized texts.

use super::{dependency, parse, refused};
use crate::avro::AvroSchema;

/// Texts and their canonical form, which is what Java's `Schema.toString` prints.
const CANONICAL: &[(&str, &str)] = &[
    // Strings stay strings, and objects without further attributes become strings.
    (r#" "string" "#, r#""string""#),
    (r#"{"type": "string"}"#, r#""string""#),
    (r#"{"type": "int", "doc": "dropped", "name": "too"}"#, r#""int""#),
    (r#"{"logicalType": "date", "type": "int"}"#, r#"{"type":"int","logicalType":"date"}"#),
    (r#"{"type": "string", "default": "a property here"}"#, r#"{"type":"string","default":"a property here"}"#),
    (r#"["null", {"type": "map", "values": {"type": "long"}}]"#, r#"["null",{"type":"map","values":"long"}]"#),
    ("[]", "[]"),
    // Attributes have a fixed order. Properties keep their order and follow them. Aliases come last except in fields.
    (
        r#"{"fields": [{"type": "int", "p": 1, "aliases": ["o"], "order": "Descending", "default": 3, "doc": "d", "name": "f"}],
            "z": {"b": 1, "a": 2}, "aliases": ["X"], "doc": "of A", "name": "A", "a": null, "type": "record"}"#,
        r#"{"type":"record","name":"A","doc":"of A","fields":[{"name":"f","type":"int","doc":"d","default":3,"order":"descending","aliases":["o"],"p":1}],"z":{"b":1,"a":2},"a":null,"aliases":["X"]}"#,
    ),
    (
        r#"{"symbols": ["A", "B"], "aliases": [], "default": "B", "name": "n.E", "type": "enum", "k": 1}"#,
        r#"{"type":"enum","name":"E","namespace":"n","symbols":["A","B"],"default":"B","k":1}"#,
    ),
    (
        r#"{"size": 16, "logicalType": "uuid", "name": "F", "namespace": "", "type": "fixed"}"#,
        r#"{"type":"fixed","name":"F","size":16,"logicalType":"uuid"}"#,
    ),
    (r#"{"type": "error", "name": "Oops", "fields": []}"#, r#"{"type":"error","name":"Oops","fields":[]}"#),
    // The default order is omitted.
    (
        r#"{"type":"record","name":"A","fields":[{"name":"a","type":"int","order":"ascending"},{"name":"b","type":"int","order":"ignore"}]}"#,
        r#"{"type":"record","name":"A","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","order":"ignore"}]}"#,
    ),
    // A name with a dot has its own namespace, which overrides the attribute. Inner types in it do not repeat it.
    (
        r#"{"type":"record","name":"a.b.C","namespace":"ignored","fields":[
            {"name":"x","type":{"type":"enum","name":"D","symbols":[]}},
            {"name":"y","type":{"type":"enum","name":"D","namespace":"other","symbols":[]}},
            {"name":"z","type":{"type":"enum","name":"D","namespace":"","symbols":[]}},
            {"name":"again","type":["a.b.D","other.D",".D"]},
            {"name":"self","type":{"type":"array","items":"C"}}]}"#,
        r#"{"type":"record","name":"C","namespace":"a.b","fields":[{"name":"x","type":{"type":"enum","name":"D","symbols":[]}},{"name":"y","type":{"type":"enum","name":"D","namespace":"other","symbols":[]}},{"name":"z","type":{"type":"enum","name":"D","namespace":"","symbols":[]}},{"name":"again","type":["D","other.D",".D"]},{"name":"self","type":{"type":"array","items":"C"}}]}"#,
    ),
    // A simple name that the namespace doesn't define can be a type without a namespace.
    (
        r#"[{"type":"fixed","name":"F","size":1},{"type":"record","name":"n.R","fields":[{"name":"f","type":"F"}]}]"#,
        r#"[{"type":"fixed","name":"F","size":1},{"type":"record","name":"R","namespace":"n","fields":[{"name":"f","type":"F"}]}]"#,
    ),
    // A type with the name of a kind of type is referenced by its full name.
    (
        r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":{"type":"fixed","name":"long","size":8}},{"name":"b","type":"n.long"},{"name":"c","type":"long"}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":{"type":"fixed","name":"long","size":8}},{"name":"b","type":"n.long"},{"name":"c","type":"long"}]}"#,
    ),
    // A type is used before its definition: the definition moves to the first use.
    (
        r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":["null","S"]},{"name":"b","type":{"type":"fixed","name":"S","size":8}}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":["null",{"type":"fixed","name":"S","size":8}]},{"name":"b","type":"S"}]}"#,
    ),
    // An object around a name is removed.
    (
        r#"[{"type":"fixed","name":"F","size":1},{"type":"array","items":{"type":"F","doc":"dropped"}}]"#,
        r#"[{"type":"fixed","name":"F","size":1},{"type":"array","items":"F"}]"#,
    ),
    // Aliases have no duplicates, are as short as the namespace allows, and have a leading dot if they have no namespace.
    (
        r#"{"type":"fixed","name":"n.F","size":1,"aliases":["G","n.G","m.F",".F"]}"#,
        r#"{"type":"fixed","name":"F","namespace":"n","size":1,"aliases":["G","m.F",".F"]}"#,
    ),
    // Unknown and invalid logical types are properties.
    (
        r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":9}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":9}"#,
    ),
    (r#"{"type":"string","logicalType":{"no":"word"}}"#, r#"{"type":"string","logicalType":{"no":"word"}}"#),
    // Comments are removed; a string that looks like one stays.
    (
        "// of F\n{\"type\": \"fixed\", /* \"name\": */ \"name\": \"F\", \"size\": 1, \"p\": \"// \\\" /* */\"} // end",
        r#"{"type":"fixed","name":"F","size":1,"p":"// \" /* */"}"#,
    ),
    // Letters of all scripts are allowed.
    (r#"{"type":"enum","name":"Größe","symbols":["größer","小"]}"#, r#"{"type":"enum","name":"Größe","symbols":["größer","小"]}"#),
];

#[test]
fn canonical_texts_are_those_of_java() {
    for (text, canonical) in CANONICAL {
        let schema = parse(text);
        assert_eq!(schema.canonical(), *canonical, "{text}");
        assert_eq!(parse(canonical).canonical(), *canonical, "its own canonical text");
    }
}

#[test]
fn defaults_keep_all_digits() {
    let defaults = [
        ("int", "-5", "-5"),
        ("long", "9223372036854775807", "9223372036854775807"),
        ("double", "0", "0"),
        ("double", "1.50", "1.5"),
        ("double", "1e10", "1.0E10"),
        ("double", "123456789.125", "1.23456789125E8"),
        ("double", "0.00025", "2.5E-4"),
        ("double", "0.1", "0.1"),
        ("double", "-0.0", "-0.0"),
        ("float", "\"2.5\"", "2.5"),
        ("float", "\"NaN\"", "\"NaN\""),
        ("bytes", "\"\\u00fF\\u0001\"", "\"ÿ\\u0001\""),
        ("string", "\"a\\\"b\\\\c\\/d\\n\\u001F\"", "\"a\\\"b\\\\c/d\\n\\u001F\""),
        ("null", "null", "null"),
    ];
    for (kind, default, canonical) in defaults {
        let text = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":"{kind}","default":{default}}}]}}"#);
        let wanted = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":"{kind}","default":{canonical}}}]}}"#);
        assert_eq!(parse(&text).canonical(), wanted);
        assert_eq!(parse(&wanted).canonical(), wanted);
    }
}

#[test]
fn normalized_texts_ignore_irrelevant_order() {
    let one = r#"{"type":"record","name":"R","doc":"kept","b":{"y":1,"x":[2,1]},"a":1,"aliases":["Q","P"],"fields":[
        {"name":"m","type":{"type":"map","values":"int","k":1,"j":2},"default":{"b":1,"a":2},"aliases":["o","n"]},{"name":"a","type":"int"}]}"#;
    let other = r#"{"a":1,"aliases":["P","Q"],"type":"record","b":{"x":[2,1],"y":1},"name":"R","fields":[
        {"name":"m","aliases":["n","o"],"default":{"a":2,"b":1},"type":{"type":"map","j":2,"values":"int","k":1}},{"type":"int","name":"a"}],"doc":"kept"}"#;
    assert_ne!(parse(one).canonical(), parse(other).canonical());
    assert_eq!(parse(one).normalized(), parse(other).normalized());
    let normalized = r#"{"type":"record","name":"R","doc":"kept","fields":[{"name":"m","type":{"type":"map","values":"int","j":2,"k":1},"default":{"a":2,"b":1},"aliases":["n","o"]},{"name":"a","type":"int"}],"a":1,"b":{"x":[2,1],"y":1},"aliases":["P","Q"]}"#;
    assert_eq!(parse(one).normalized(), normalized);
}

#[test]
fn types_of_references_are_names_unless_resolved() {
    let currency = dependency("currency", r#"{"type":"enum","name":"Currency","namespace":"shop","symbols":["EUR","USD"]}"#);
    let price = dependency(
        "price",
        r#"{"type":"record","name":"shop.Price","fields":[{"name":"amount","type":"long"},{"name":"in","type":"Currency"}]}"#,
    );
    let dependencies = [currency, price];
    let text = r#"{"type":"record","name":"shop.Order","fields":[{"name":"total","type":"shop.Price"},{"name":"paid","type":["null","Currency","Price"]}]}"#;
    let order = AvroSchema::parse(text, &dependencies).unwrap();
    let canonical = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"total","type":"Price"},{"name":"paid","type":["null","Currency","Price"]}]}"#;
    assert_eq!(order.canonical(), canonical);
    assert_eq!(AvroSchema::parse(canonical, &dependencies).unwrap().canonical(), canonical);
    let resolved = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"total","type":{"type":"record","name":"Price","fields":[{"name":"amount","type":"long"},{"name":"in","type":{"type":"enum","name":"Currency","symbols":["EUR","USD"]}}]}},{"name":"paid","type":["null","Currency","Price"]}]}"#;
    assert_eq!(order.render_as("resolved").as_deref(), Some(resolved));
    assert_eq!(parse(resolved).canonical(), resolved, "it stands on its own");
    assert_eq!(order.render_as("serialized"), None);

    // A text can consist of the name of a referenced type.
    let name = AvroSchema::parse(r#""shop.Price""#, &dependencies).unwrap();
    assert_eq!(name.canonical(), r#""shop.Price""#);
    assert!(refused(text, &dependencies[..1]).contains("`shop.Price`"));
}

#[test]
fn equal_definitions_in_two_texts_are_merged() {
    let side = |side: &str, size: u32| {
        let text = format!(
            r#"{{"type":"record","name":"{side}","fields":[{{"name":"id","type":{{"type":"fixed","name":"Id","size":{size}}}}},{{"name":"other","type":["null","Id"]}}]}}"#
        );
        dependency(side, &text)
    };
    let text =
        r#"{"type":"record","name":"Both","fields":[{"name":"l","type":"Left"},{"name":"r","type":"Right"},{"name":"i","type":"Id"}]}"#;
    let both = AvroSchema::parse(text, &[side("Left", 8), side("Right", 8)]).unwrap();
    assert_eq!(both.canonical(), text);
    let resolved = both.render_as("resolved").unwrap();
    assert_eq!(resolved.matches("fixed").count(), 1, "{resolved}");
    assert_eq!(parse(&resolved).canonical(), resolved);

    let message = refused(text, &[side("Left", 8), side("Right", 9)]);
    assert!(
        message.starts_with("in the reference `Right`: /fields/0/type: `Id` is defined by a reference, too, and differently"),
        "{message}"
    );
}
