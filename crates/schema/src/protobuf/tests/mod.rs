//! Unit tests of the steps of parsing. Whole schemas are tested in `tests/schemas/protobuf`.

use super::{edition, edits::Edits, scan};

fn rewrite(text: &str) -> (String, Edits) {
    let words = scan::tokenize(text);
    let mut edits = Edits::default();
    edition::rewrite_edition(text, &words, &mut edits).expect("an edition that is known").expect("an edition");
    let text = edits.apply(text);
    (text, edits)
}

#[test]
fn tokens_exclude_comments_and_keep_literals() {
    let text = "a = 'it\\'s' /* { \" */ // }\n[\"/*\"] é1.5;";
    let words: Vec<&str> = scan::tokenize(text).into_iter().map(|token| token.text_in(text)).collect();
    assert_eq!(words, ["a", "=", "'it\\'s'", "[", "\"/*\"", "]", "é1", ".", "5", ";"]);
    // Unclosed comments and literals end with the line or the text.
    for text in ["\"a\nb", "/* a", "'\\", "//"] {
        assert!(scan::tokenize(text).len() <= 2, "{text:?}");
    }
}

#[test]
fn positions_count_characters_and_lines_from_one() {
    assert_eq!(scan::describe_position("a\nbé c", 5), "line 2, column 3");
    assert_eq!(scan::describe_position("", 0), "line 1, column 1");
    assert_eq!(scan::describe_position("é", 1), "line 1, column 2");
}

#[test]
fn an_edition_becomes_proto2_and_keeps_positions() {
    let text = "edition = '2023';\nmessage A { reserved a, b; .A x = 1 [json_name = \"}\"]; repeated A y = 2; map<int32, A> z = 3; oneof o { A p = 4; } \
                message B { A q = 5; } enum E { reserved G; V = 0; } extensions 9; extend A { A r = 9; } option deprecated = true; }\n\
                service S { rpc F(A) returns (A) { option deprecated = true; } }\nmessage C { A s = 1; }";
    let (edited, edits) = rewrite(text);
    let expected = text
        .replace("edition = '2023';", "syntax = \"proto2\";")
        .replace("reserved a, b;", "reserved \"a\", \"b\";")
        .replace("reserved G;", "reserved \"G\";")
        .replace(".A x", "optional .A x")
        .replace("A q", "optional A q")
        .replace("A r", "optional A r")
        .replace("A s", "optional A s");
    assert_eq!(edited, expected);
    for word in ["y = 2", "p = 4", "deprecated", "rpc", "C {", "s = 1"] {
        let at = edited.find(word).expect("a word of the text");
        assert_eq!(text.get(edits.original_offset(at)..).map(|rest| rest.starts_with(word)), Some(true), "{word}");
    }
}

#[test]
fn keywords_can_be_names_in_editions() {
    let (edited, _) = rewrite("edition = \"2024\"; message A { map m = 1; local.T l = 2; export.T e = 3; stream s = 4; } message map {}");
    assert!(edited.contains("optional map m") && edited.contains("optional local.T l") && edited.contains("optional stream s"), "{edited}");
    let broken = [
        "message {",
        "message A { ] ] x = 1; }",
        "} } }",
        "message A { option x = { a: { } }; B b = 1; }",
        "enum E { A = 0 [(x) = {}]; B = 1; }",
    ];
    for rest in broken {
        rewrite(&format!("edition = \"2023\"; {rest}"));
    }
}
