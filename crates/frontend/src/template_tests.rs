use proptest::prelude::*;

use super::*;

fn literal() -> impl Strategy<Value = String> {
    "[a-z0-9._~-]{1,6}|%C3%A9|a%20b"
}

fn field() -> impl Strategy<Value = String> {
    proptest::collection::vec("[a-z][a-z0-9_]{0,4}", 1..3).prop_map(|names| names.join("."))
}

fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        literal(),
        Just("*".to_owned()),
        field().prop_map(|field| format!("{{{field}}}")),
        (field(), proptest::collection::vec(prop_oneof![literal(), Just("*".to_owned())], 1..3))
            .prop_map(|(field, inner)| format!("{{{field}={}}}", inner.join("/"))),
    ];
    let last = prop_oneof![Just(String::new()), Just("/**".to_owned()), field().prop_map(|field| format!("/{{{field}=**}}"))];
    let verb = prop_oneof![Just(String::new()), Just(":undelete".to_owned())];
    (proptest::collection::vec(segment, 1..5), last, verb).prop_map(|(segments, last, verb)| format!("/{}{last}{verb}", segments.join("/")))
}

proptest! {
    #[test]
    fn templates_survive_a_round_trip(text in template()) {
        // Two variables may have come out with one name.
        if let Ok(parsed) = PathTemplate::parse(&text) {
            prop_assert_eq!(PathTemplate::parse(&parsed.to_string()), Ok(parsed));
        }
    }

    #[test]
    fn variables_capture_the_values_of_a_built_path(text in template(), values in proptest::collection::vec("[a-z%/ é]{1,5}", 16)) {
        let Ok(parsed) = PathTemplate::parse(&text) else { return Ok(()) };
        // A variable with a fixed shape takes only values of that shape.
        prop_assume!(parsed.variables().iter().all(|variable| variable.slash == Slash::Decoded || parsed.segments()[variable.start] == Segment::Rest));
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let path = parsed.path(&values).unwrap();
        let mut given = values.iter();
        for (place, segment) in parsed.segments().iter().enumerate() {
            let value = if matches!(segment, Segment::Literal(_)) { continue } else { given.next().unwrap() };
            if let Some(variable) = parsed.variables().iter().find(|variable| variable.start == place) {
                prop_assert_eq!(percent::decode(parsed.capture(variable, &path), variable.slash).unwrap(), *value);
            }
        }
    }

    #[test]
    fn arbitrary_text_is_parsed_or_refused(text in "[/{}=*.:a%2 é]{0,16}") {
        if let Err(error) = PathTemplate::parse(&text) {
            prop_assert!(error.position <= text.len());
        }
    }
}

#[test]
fn variables_have_their_segments_and_captures() {
    let template = PathTemplate::parse("/v1/{name=shelves/*/books/*}/x/{rest.of=**}:publish").unwrap();
    let [name, rest] = template.variables() else { panic!() };
    assert_eq!((name.start, name.end, name.slash), (1, 5, Slash::Kept));
    assert_eq!((rest.field.clone(), rest.start, rest.end), (vec!["rest".to_owned(), "of".to_owned()], 6, 7));
    let path = "/v1/shelves/a%2Fb/books/c/x/d//e:f:publish";
    assert_eq!(template.capture(name, path), "shelves/a%2Fb/books/c");
    assert_eq!(template.capture(rest, path), "d//e:f");
    assert_eq!(template.capture(rest, "/v1/shelves/a/books/c/x:publish"), "");
}

#[test]
fn errors_have_the_position() {
    for (text, position) in [
        ("", 0),
        ("v1", 0),
        ("/v1/", 4),
        ("/v1//a", 4),
        ("/v1/{", 5),
        ("/v1/{a", 6),
        ("/v1/{a=}", 7),
        ("/v1/{a.}", 7),
        ("/v1/{1a}", 5),
        ("/v1/{a={b}}", 7),
        ("/{a}/{a}", 5),
        ("/**/a", 4),
        ("/{a=**}/b", 8),
        ("/v1/a:", 6),
        ("/v1/a:b/c", 7),
        ("/v1/a b", 5),
        ("/v1/%zz", 4),
        ("/v1/***", 6),
        ("/v1/a*", 5),
    ] {
        assert_eq!(PathTemplate::parse(text).map_err(|error| error.position), Err(position), "{text}");
    }
}
