use serde_json::json;

use super::*;

#[test]
fn expressions_evaluate_to_their_values() {
    let table = [
        ("1 + 2 * 3", json!(7)),
        ("has(query.limit) ? query.limit : 10", json!(5)),
        ("has(body.nothing.at.all) ? 1 : 2", json!(2)),
        ("has(reply.choice_inner.name) ? 1 : 2", json!(1)),
        ("has(query.prefix) ? query.prefix : \"all\"", json!("all")),
        ("\"limit\" in query ? query.limit + 1 : 0", json!(6)),
        ("path.key + \"/\" + path[\"id\"]", json!("a/b c/17")),
        ("int(path.id) + 1", json!(18)),
        ("header[\"if-match\"].startsWith(\"W/\")", json!(true)),
        ("reply.color == \"COLOR_RED\"", json!(true)),
        ("has(reply.choice_inner) && reply.choice_inner.size > 2", json!(true)),
        ("has(reply.choice_inner) ? reply.choice_inner.name : null", json!("one")),
        ("reply.inners.map(item, item.name)", json!(["a", "b"])),
        ("reply.inners.filter(item, item.size > 10).map(item, {\"key\": item.name, \"big\": true})", json!([{"key": "b", "big": true}])),
        ("reply.inners.map(item, item.size > 10, item.name)", json!(["b"])),
        ("reply.inners.exists(item, item.name == \"b\")", json!(true)),
        ("reply.inners.all(item, item.size < 10)", json!(false)),
        ("reply.inners.exists_one(item, item.size == 1)", json!(true)),
        ("reply.inners.sortBy(item, -item.size).map(item, item.name)", json!(["b", "a"])),
        ("size(reply.inners) + reply.inners.size()", json!(4)),
        ("reply.inners[1].name", json!("b")),
        ("query.tags.distinct().join(\",\")", json!("x,y")),
        ("[3, 1, 2].sort()", json!([1, 2, 3])),
        ("[1, 2, 3].slice(0, 2) + [9]", json!([1, 2, 9])),
        ("path.key.split(\"/\")", json!(["a", "b c"])),
        ("\"ab\".split(\"\")", json!(["a", "b"])),
        ("path.key.replace(\"/\", \"::\")", json!("a::b c")),
        ("\"%s has %d\".format([path.id, 3])", json!("17 has 3")),
        ("path.key.substring(0, 1) + path.key.charAt(2)", json!("ab")),
        ("\" Ab \".trim().lowerAscii() + \"x\".upperAscii()", json!("abX")),
        ("path.key.indexOf(\"b\")", json!(2)),
        ("path.id.matches(\"^[0-9]+$\") && matches(path.id, \"^\\\\d+$\")", json!(true)),
        ("base64.encode(b\"hi\")", json!("aGk=")),
        ("base64.decode(\"aGk=\") == b\"hi\"", json!(true)),
        ("string(base64.decode(\"aGk=\"))", json!("hi")),
        ("time.millis('1970-01-01T00:00:01.5Z')", json!(1500)),
        ("json.encode({\"b\": [1, null, 1.5], \"a\": b\"hi\"})", json!("{\"a\":\"aGk=\",\"b\":[1,null,1.5]}")),
        ("json.decode(\"{\\\"a\\\": [true]}\").a[0]", json!(true)),
        ("url.encode(path.key)", json!("a%2Fb%20c")),
        ("url.decode(\"a%2Fb%20c\") == path.key", json!(true)),
        ("math.greatest(3, 5) - math.least(3, 5)", json!(2)),
        ("count + 1u", json!(10)),
        ("count > 8 && count == 9.0", json!(true)),
        ("body.deep.list.map(n, n * n)", json!([1, 4, 9])),
        ("body.name in [\"m\", \"n\"]", json!(true)),
        ("{\"a\": 1}.a", json!(1)),
        ("type(query.verbose) == bool", json!(true)),
        ("reply.uint32_value == 7", json!(true)),
        ("dyn(1) == 1 ? \"yes\" : \"no\"", json!("yes")),
        ("[[1, 2], [3]].map(row, row.map(n, n + 1))", json!([[2, 3], [4]])),
        ("header.map(name, name)", json!(["if-match"])),
        ("1.0 / 0.0", json!("Infinity")),
        ("\"é\" + 'ü' + r\"\\d\"", json!("éü\\d")),
    ];
    for (text, expected) in table {
        assert_eq!(evaluate(text), Ok(expected), "{text}");
    }
}

#[test]
fn evaluation_errors_give_the_reason() {
    let table = [
        ("body.missing", "`missing` isn't there; guard it with `has(…)`"),
        ("header.missing", "`missing` isn't there; guard it with `has(…)`"),
        ("int(path.key)", "int: string parse error: invalid digit found in string"),
        ("body.deep.list[7]", "the index 7 is beyond the list"),
        ("9223372036854775807 + query.tags.size()", "a whole number goes beyond 64 bits"),
        ("10 / (query.tags.size() - 3)", "a division by zero"),
        ("body.deep + 1", "`+` can't take map and int"),
        ("json.decode(path.key)", "json.decode: not JSON: expected value at line 1 column 1"),
        ("url.decode(path.key + \"%\")", "url.decode: the text has a % without two hexadecimal digits after it"),
        ("ratio > 1.0", "`ratio` has no value here"),
    ];
    for (text, expected) in table {
        assert_eq!(evaluate(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn compiled_expressions_know_their_type_path_constant_and_reads() {
    let compiled = compile("has(query.limit) ? query.limit : size(path.key)").unwrap();
    assert_eq!(compiled.type_of(), &Type::Int);
    assert!(compiled.reads("query") && compiled.reads("path") && !compiled.reads("body"));
    assert_eq!((compiled.as_path(), compiled.as_constant()), (None, None));

    let compiled = compile("reply[\"choice_inner\"].name").unwrap();
    assert_eq!(compiled.as_path(), Some(["reply", "choice_inner", "name"].map(str::to_owned).as_slice()));
    assert_eq!(compiled.type_of(), &Type::String);

    let compiled = compile("[\"a\", \"b\"].join(\"-\")").unwrap();
    assert_eq!(compiled.as_constant(), Some(&Value::from("a-b")));
    assert_eq!(compiled.evaluate(&()), Ok(Value::from("a-b")));

    // The variable of a loop hides a top-level variable with its name.
    let compiled = compile("query.tags.map(path, path + \"!\")").unwrap();
    assert!(!compiled.reads("path"));
    assert_eq!(compiled.type_of(), &Type::list(Type::String));

    for (text, expected) in [
        ("reply.inners.map(item, item.size)", Type::list(Type::Int)),
        (
            "reply.color",
            Type::Enum(
                crate::tests::SCHEMA
                    .message(id("Everything"))
                    .fields
                    .iter()
                    .find_map(|field| match field.kind {
                        crate::message_types::FieldKind::Enum(id) if field.name == "color" => Some(id),
                        _ => None,
                    })
                    .unwrap(),
            ),
        ),
        ("query.verbose ? 1 : \"a\"", Type::Dyn),
        ("query.verbose ? [] : [\"a\"]", Type::list(Type::String)),
        ("has(query.prefix) ? query.prefix : null", Type::String),
        ("body.anything.else", Type::Dyn),
        ("reply.at", Type::String),
    ] {
        assert_eq!(compile(text).map(|compiled| compiled.type_of().clone()), Ok(expected), "{text}");
    }
}

#[test]
fn evaluations_have_a_budget() {
    let many: Vec<serde_json::Value> = (0..100_001).map(serde_json::Value::from).collect();
    let variables = [(
        "body",
        value::from_json(
            &json!({"list": many, "short": many[..1000], "text": "a".repeat(1 << 20), "glob": format!("*{}b", "a".repeat(1000))}),
        ),
    )];
    for text in [
        "body.list.map(n, n)",
        "body.list.slice(0, 400).map(a, body.list.slice(0, 400).map(b, 1))",
        "body.list.slice(0, 100).map(a, body.text)",
        "body.text.split(\"\")",
        "body.text.replace(\"a\", body.text)",
        "body.text.matchesGlob(body.glob)",
        "body.list.slice(0, 1000).exists(n, -1 - n in body.list)",
        "body.list.slice(0, 1000).all(n, body.list == body.list)",
        "body.list.slice(0, 1000).exists(n, body.text.contains(\"b\"))",
        "body.list.slice(0, 1000).exists(n, body.text + \"b\" == \"\")",
        "body.list.slice(0, 1000).exists(n, body.text.lowerAscii() == \"\")",
        "body.list.slice(0, 10000).distinct()",
    ] {
        let error = compile(text).unwrap().evaluate(&variables).unwrap_err();
        assert!(error.contains("works on too much"), "{text}: {error}");
    }
    let compiled = compile("size(body.list.slice(0, 90000).filter(n, n > 5))").unwrap();
    assert_eq!(compiled.evaluate(&variables), Ok(Value::Int(89_994)));
    for text in [
        "body.short.all(n, n in body.short)",
        "body.list.slice(0, 90000).all(n, string(n) != \"a\" && n + 1 > n && size(body.list) > 0)",
        "size(body.list.slice(0, 1000).distinct()) == 1000",
        "body.list.slice(0, 3).map(n, math.greatest(n, 1) + n).size() == 3",
        "body.list.slice(0, 3).all(n, base64.encode(bytes(string(n))) != \"\")",
    ] {
        assert_eq!(compile(text).unwrap().evaluate(&variables), Ok(Value::Bool(true)), "{text}");
    }
    // Each evaluation has its own budget.
    assert_eq!(compiled.evaluate(&variables), Ok(Value::Int(89_994)));
}
