//! Budgets: files that are short and would need much time or memory. Each is refused with the limit that it exceeds, or is a schema.

use prism_schema::{Schema, SchemaFormat};

use crate::protobuf::{refused, schema};

#[test]
fn extensions_of_one_message_are_not_compared_with_each_other() {
    let fields = |from: usize| -> String { (0..10_000).map(|at| format!("optional bool e{}={};", from + at, 1_000 + at)).collect() };
    let text = |more: &str| format!("syntax=\"proto2\";message A{{extensions 1000 to max;}}extend A{{{}}}{more}", fields(0));
    schema(&text(""));
    let twice = refused(&text("message B{extend A{optional bool again=1000;}}"), &[]);
    assert!(twice.contains("`A` has another extension with the number 1000"), "{twice}");
}

#[test]
fn empty_extensions_are_found_in_one_pass() {
    refused(&format!("syntax=\"proto2\";{}", "extend;".repeat(100_000)), &[]);
    let message = refused("syntax=\"proto2\";message A{extensions 1 to 9;}extend A{;;}", &[]);
    assert!(message.contains("`extend` has no field"), "{message}");
}

#[test]
fn full_names_are_bounded() {
    let long = "A".repeat(400_000);
    let exported: String = (0..20_000).map(|at| format!("export message M{at}{{}}")).collect();
    let message = refused(&format!("edition=\"2024\";message {long}{{{exported}}}"), &[]);
    assert!(message.contains("more than 64 MiB"), "{message}");
    let (name, fields) = ("A".repeat(900), (1..10_000).map(|at| format!("optional bool f{at}={at};")).collect::<String>());
    let nested = format!("{}{fields}{}", format!("message {name}{{").repeat(25), "}".repeat(25));
    let message = refused(&format!("syntax=\"proto2\";{nested}"), &[]);
    assert!(message.contains("more than 64 MiB"), "{message}");
}

#[test]
fn methods_are_looked_up_by_name() {
    let methods = |name: &str| -> String { (0..10_000).map(|at| format!("rpc {name}{at}(A)returns(A);")).collect() };
    let text = |more: &str| format!("syntax=\"proto3\";message A{{}}service S{{{}{more}}}", methods("M"));
    schema(&text(""));
    assert!(refused(&text("rpc A(A)returns(A);"), &[]).contains("`A` is a method here"));
}

#[test]
fn the_stack_does_not_grow_with_the_length_of_a_text() {
    let is_schema = |text: &str| Schema::parse(SchemaFormat::Protobuf, text, &[]).is_ok();
    let long = |part: &str| part.repeat(900_000 / part.len());
    for part in ["a", "\u{e9}", "\\n", " ", "\u{1f600}"] {
        let text = long(part);
        assert!(is_schema(&format!("syntax=\"proto3\";option java_package=\"{text}\";message A{{}}")), "a string of {part:?}");
        assert!(is_schema(&format!("syntax=\"proto3\";// {text}\nmessage A{{}}")), "a comment of {part:?}");
        assert!(is_schema(&format!("syntax=\"proto3\";/* {text} */message A{{}}")), "a comment of {part:?}");
    }
    for part in [" ", "\n", "/**/", "//\u{e9}\n"] {
        assert!(is_schema(&format!("syntax=\"proto3\";{}message A{{}}", long(part))), "{part:?}");
    }
    for part in ["1", "a", "\u{e9}", "-", "(", "[", "{", "<", ".", "\"\" ", "a.", "a{", "message A{", "/*"] {
        for place in ["option java_package=", "message A{int32 a=", "import ", "", "message ", "option (a)={a:"] {
            assert!(!is_schema(&format!("syntax=\"proto3\";{place}{}", long(part))), "{place:?} and {part:?}");
        }
    }
}
