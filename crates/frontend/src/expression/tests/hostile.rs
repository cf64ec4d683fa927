use proptest::prelude::*;

use super::*;

/// Valid and invalid pieces to build expressions from.
const PIECES: &[&str] = &[
    "path",
    "query",
    "reply",
    "body",
    "header",
    ".",
    ".key",
    ".limit",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "\"a\"",
    "'",
    "\"",
    "\\",
    "r\"",
    "b\"é\"",
    "1",
    "2u",
    "0x1F",
    "1e5",
    "9223372036854775808",
    "-",
    "!",
    "+",
    "*",
    "/",
    "%",
    "==",
    "<",
    "&&",
    "||",
    "?",
    ":",
    ",",
    " in ",
    "has(",
    ".map(x, ",
    ".filter(x, ",
    ".all(",
    ".exists_one(x, x",
    ".sortBy(x, x)",
    ".split(\"\")",
    ".matches(\"(\")",
    "json.encode(",
    "size(",
    "null",
    "true",
    "é",
    "\u{0}",
    "\n",
    "//",
    "`",
    "@",
    "#",
    "\"\"\"",
    "'''",
    "inners",
    "[0]",
    "int(",
    "double(",
    "type(",
    "{\"a\":",
    "as",
    "Msg{a: 1}",
];

fn all_ways(text: &str) {
    if let Ok(compiled) = compile(text) {
        let _ = compiled.evaluate(&variables());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_text_compiles_or_is_refused(text in ".{0,60}") {
        all_ways(&text);
    }

    #[test]
    fn arbitrary_pieces_compile_or_are_refused(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..14)) {
        all_ways(&pieces.concat());
    }

    #[test]
    fn mutated_expressions_compile_or_are_refused(
        expression in proptest::sample::select(VALID), at in 0..80_usize, cut in 0..4_usize, piece in proptest::sample::select(PIECES)
    ) {
        let mut letters: Vec<char> = expression.chars().collect();
        let at = at.min(letters.len());
        letters.splice(at..(at + cut).min(letters.len()), piece.chars());
        all_ways(&letters.into_iter().collect::<String>());
    }
}

const VALID: &[&str] = &[
    "has(query.limit) ? query.limit : 10",
    "reply.inners.filter(item, item.size > 10).map(item, {\"key\": item.name, \"big\": true})",
    "reply.inners.sortBy(item, -item.size).map(item, item.name)",
    "path.key.split(\"/\").join(\"é\") + string(base64.decode(\"aGk=\"))",
    "body.deep.list.exists_one(n, n * n == 4 || !(n in [1u, 2.0]))",
    "\"%s has %d\".format([path.id, 3]) + r'\\d' + '''a'b'''",
    "json.decode(\"{\\\"a\\\": [true]}\").a[0] && path.id.matches(\"^[0-9]+$\")",
];

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    for piece in ["(", "[", "{\"a\":", "!", "-", "size(", "!(", "-(", "a[", "true ? ", "has(", "[1].map(x, ", "a.b(", "{"] {
        for count in [31, 64, 700, 4000] {
            assert!(compile(&piece.repeat(count)).is_err(), "{piece}");
        }
    }
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{\"a\":", "1", "}"),
        ("-", "1", ""),
        ("!", "true", ""),
        ("true ? 1 : ", "1", ""),
        ("dyn(", "1", ")"),
        ("\")\" + (", "\"\"", ")"),
    ] {
        for count in [8, 30, 64, 300, 2000] {
            all_ways(&format!("{}{inner}{}", open.repeat(count), close.repeat(count)));
        }
    }
    for chain in ["+1", ".a", "[0]", " + \"a\"", "||true", " in [1]", ".trim()", "*2", " == 1"] {
        for start in ["1", "body", "true", "\"a\""] {
            for count in [10, 60, 500, 2000] {
                all_ways(&format!("{start}{}", chain.repeat(count)));
            }
        }
    }
}

#[test]
fn the_deepest_allowed_expression_runs_on_a_small_stack() {
    let run = || {
        let sums = format!("1{}", "+1".repeat(60));
        assert_eq!(evaluate(&sums), Ok(json!(61)));
        let brackets = format!("{}1{}", "[".repeat(30), "]".repeat(30));
        assert!(evaluate(&brackets).is_ok());
        let maps = format!("{}1{}", "{\"a\":".repeat(30), "}".repeat(30));
        assert!(evaluate(&maps).is_ok());
    };
    // The threads that serve calls have stacks of two megabytes.
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}
