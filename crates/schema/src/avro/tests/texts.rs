//! How texts are written.

use super::{dependency, parse, refused};
use crate::avro::AvroSchema;

/// Texts and what they come to, which is what Java's `Schema.toString` prints for them.
const CANONICAL: &[(&str, &str)] = &[
    // Words stay words, and objects that say no more become words.
    (r#" "string" "#, r#""string""#),
    (r#"{"type": "string"}"#, r#""string""#),
    (r#"{"type": "int", "doc": "dropped", "name": "too"}"#, r#""int""#),
    (r#"{"logicalType": "date", "type": "int"}"#, r#"{"type":"int","logicalType":"date"}"#),
    (r#"{"type": "string", "default": "a property here"}"#, r#"{"type":"string","default":"a property here"}"#),
    (r#"["null", {"type": "map", "values": {"type": "long"}}]"#, r#"["null",{"type":"map","values":"long"}]"#),
    ("[]", "[]"),
    // Attributes have one order, properties keep theirs behind them, and aliases come last but in fields.
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
    // An order that is the usual one isn't said.
    (
        r#"{"type":"record","name":"A","fields":[{"name":"a","type":"int","order":"ascending"},{"name":"b","type":"int","order":"ignore"}]}"#,
        r#"{"type":"record","name":"A","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","order":"ignore"}]}"#,
    ),
    // A dot in a name is a namespace, and wins over one; what is inside of it doesn't repeat it.
    (
        r#"{"type":"record","name":"a.b.C","namespace":"ignored","fields":[
            {"name":"x","type":{"type":"enum","name":"D","symbols":[]}},
            {"name":"y","type":{"type":"enum","name":"D","namespace":"other","symbols":[]}},
            {"name":"z","type":{"type":"enum","name":"D","namespace":"","symbols":[]}},
            {"name":"again","type":["a.b.D","other.D",".D"]},
            {"name":"self","type":{"type":"array","items":"C"}}]}"#,
        r#"{"type":"record","name":"C","namespace":"a.b","fields":[{"name":"x","type":{"type":"enum","name":"D","symbols":[]}},{"name":"y","type":{"type":"enum","name":"D","namespace":"other","symbols":[]}},{"name":"z","type":{"type":"enum","name":"D","namespace":"","symbols":[]}},{"name":"again","type":["D","other.D",".D"]},{"name":"self","type":{"type":"array","items":"C"}}]}"#,
    ),
    // A simple name that the namespace doesn't have may be one of no namespace.
    (
        r#"[{"type":"fixed","name":"F","size":1},{"type":"record","name":"n.R","fields":[{"name":"f","type":"F"}]}]"#,
        r#"[{"type":"fixed","name":"F","size":1},{"type":"record","name":"R","namespace":"n","fields":[{"name":"f","type":"F"}]}]"#,
    ),
    // A type that is called as a kind of type is called by its whole name.
    (
        r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":{"type":"fixed","name":"long","size":8}},{"name":"b","type":"n.long"},{"name":"c","type":"long"}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":{"type":"fixed","name":"long","size":8}},{"name":"b","type":"n.long"},{"name":"c","type":"long"}]}"#,
    ),
    // A name before its definition: the definition moves to where it is needed first.
    (
        r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":["null","S"]},{"name":"b","type":{"type":"fixed","name":"S","size":8}}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":["null",{"type":"fixed","name":"S","size":8}]},{"name":"b","type":"S"}]}"#,
    ),
    // An object around a name says nothing.
    (
        r#"[{"type":"fixed","name":"F","size":1},{"type":"array","items":{"type":"F","doc":"dropped"}}]"#,
        r#"[{"type":"fixed","name":"F","size":1},{"type":"array","items":"F"}]"#,
    ),
    // Aliases: each once, as short as the namespace allows, with a dot for no namespace.
    (
        r#"{"type":"fixed","name":"n.F","size":1,"aliases":["G","n.G","m.F",".F"]}"#,
        r#"{"type":"fixed","name":"F","namespace":"n","size":1,"aliases":["G","m.F",".F"]}"#,
    ),
    // Logical types that are none, or are wrong, are properties.
    (
        r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":9}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":9}"#,
    ),
    (r#"{"type":"string","logicalType":{"no":"word"}}"#, r#"{"type":"string","logicalType":{"no":"word"}}"#),
    // Comments are no part of it; what looks like one in a text is.
    (
        "// of F\n{\"type\": \"fixed\", /* \"name\": */ \"name\": \"F\", \"size\": 1, \"p\": \"// \\\" /* */\"} // end",
        r#"{"type":"fixed","name":"F","size":1,"p":"// \" /* */"}"#,
    ),
    // Letters of all scripts.
    (r#"{"type":"enum","name":"Größe","symbols":["größer","小"]}"#, r#"{"type":"enum","name":"Größe","symbols":["größer","小"]}"#),
];

#[test]
fn texts_are_written_as_java_does() {
    for (text, canonical) in CANONICAL {
        let schema = parse(text);
        assert_eq!(schema.canonical(), *canonical, "{text}");
        assert_eq!(parse(canonical).canonical(), *canonical, "its own canonical text");
    }
}

#[test]
fn defaults_are_kept_to_the_digit() {
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
fn normalized_texts_differ_in_nothing_that_has_no_order() {
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
fn types_of_references_are_names_unless_they_are_wanted_in_place() {
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

    // A text may be no more than the name of a reference.
    let name = AvroSchema::parse(r#""shop.Price""#, &dependencies).unwrap();
    assert_eq!(name.canonical(), r#""shop.Price""#);
    assert!(refused(text, &dependencies[..1]).contains("`shop.Price`"));
}

#[test]
fn a_type_that_two_texts_define_is_one_if_they_agree() {
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
