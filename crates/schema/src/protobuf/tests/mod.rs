//! The steps of reading, each by itself; whole schemas are in `tests/schemas/protobuf`.

use super::{edition, scan};

fn rewritten(text: &str) -> (String, edition::Edits) {
    let words = scan::words(text);
    let (_, text, edits) = edition::rewritten(text, &words).expect("an edition that is known").expect("an edition");
    (text, edits)
}

#[test]
fn words_are_told_from_comments_and_literals() {
    let text = "a = 'it\\'s' /* { \" */ // }\n[\"/*\"] é1.5;";
    let words: Vec<&str> = scan::words(text).into_iter().map(|word| word.of(text)).collect();
    assert_eq!(words, ["a", "=", "'it\\'s'", "[", "\"/*\"", "]", "é1", ".", "5", ";"]);
    // What isn't closed ends, and so does the text.
    for text in ["\"a\nb", "/* a", "'\\", "//"] {
        assert!(scan::words(text).len() <= 2, "{text:?}");
    }
}

#[test]
fn places_count_letters_and_lines_from_one() {
    assert_eq!(scan::place("a\nbé c", 5), "line 2, column 3");
    assert_eq!(scan::place("", 0), "line 1, column 1");
    assert_eq!(scan::place("é", 1), "line 1, column 2");
}

#[test]
fn an_edition_becomes_proto2_and_places_stay() {
    let text = "edition = '2023';\nmessage A { reserved a, b; .A x = 1 [json_name = \"}\"]; repeated A y = 2; map<int32, A> z = 3; oneof o { A p = 4; } \
                message B { A q = 5; } enum E { reserved G; V = 0; } extensions 9; extend A { A r = 9; } option deprecated = true; }\n\
                service S { rpc F(A) returns (A) { option deprecated = true; } }\nmessage C { A s = 1; }";
    let (edited, edits) = rewritten(text);
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
        assert_eq!(text.get(edits.original(at)..).map(|rest| rest.starts_with(word)), Some(true), "{word}");
    }
}

#[test]
fn words_that_name_something_are_no_keywords_in_editions() {
    let (edited, _) = rewritten("edition = \"2024\"; message A { map m = 1; local.T l = 2; export.T e = 3; stream s = 4; } message map {}");
    assert!(edited.contains("optional map m") && edited.contains("optional local.T l") && edited.contains("optional stream s"), "{edited}");
    let broken = [
        "message {",
        "message A { ] ] x = 1; }",
        "} } }",
        "message A { option x = { a: { } }; B b = 1; }",
        "enum E { A = 0 [(x) = {}]; B = 1; }",
    ];
    for rest in broken {
        rewritten(&format!("edition = \"2023\"; {rest}"));
    }
}
