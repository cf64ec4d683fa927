use prost::Message as _;
use prost_types::{ListValue, Struct, Value, value::Kind};

use super::{filter::Filter, identity};
use prism_call::proto::multicast::v1::RegistrationRecord;

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(text: &str) -> Value {
    value(Kind::StringValue(text.to_owned()))
}

fn metadata<const N: usize>(members: [(&str, Value); N]) -> Struct {
    Struct { fields: members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn matches(filter: &str) -> bool {
    let metadata = metadata([
        ("region", text("eu")),
        ("version", value(Kind::NumberValue(3.0))),
        ("load", value(Kind::NumberValue(0.5))),
        ("active", value(Kind::BoolValue(true))),
        ("owner", value(Kind::NullValue(0))),
        ("site", value(Kind::StructValue(metadata([("city", text("Bern"))])))),
        ("ports", value(Kind::ListValue(ListValue { values: vec![value(Kind::NumberValue(80.0))] }))),
    ]);
    let record = RegistrationRecord { metadata: Some(metadata), tags: vec!["canary".to_owned()], ..RegistrationRecord::default() };
    Filter::compile(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).matches("device-7", &record.encode_to_vec())
}

#[test]
fn filters_test_metadata_tags_and_the_identity() {
    for filter in [
        "",
        "  ",
        r#"metadata.region == "eu""#,
        r#"metadata["region"] != "us""#,
        "metadata.version == 3",
        "metadata.version >= 3 && metadata.version < 4",
        "metadata.load > 0.4",
        "metadata.active",
        "metadata.owner == null",
        r#"metadata.site.city.startsWith("Be")"#,
        r#"metadata.site.city.contains("er")"#,
        "has(metadata.region) && !has(metadata.zone)",
        r#""canary" in tags && !("retired" in tags)"#,
        "80 in metadata.ports",
        r#"identity.startsWith("device-")"#,
        r#"metadata.region == "us" || metadata.region == "eu""#,
        r#"metadata.region in ["eu", "us"]"#,
        r#"metadata.region.matches("^e.$")"#,
    ] {
        assert!(matches(filter), "{filter}");
    }
}

#[test]
fn identities_that_lack_what_a_filter_names_do_not_match() {
    for filter in [
        r#"metadata.region == "us""#,
        r#"metadata.zone == "a""#,
        r#"metadata.zone != "a""#,
        r#"!(metadata.zone == "a")"#,
        "metadata.region > 3",
        r#"metadata.site.street == "x""#,
        r#"metadata.region.city == "x""#,
        "metadata.region",
    ] {
        assert!(!matches(filter), "{filter}");
    }
}

#[test]
fn wrong_filters_are_refused() {
    let long = format!("identity == {:?}", "x".repeat(4096));
    for filter in ["metadata.region ==", "meta.region == \"eu\"", "identity", "1 + 1", "identity > 3", "tags.region", &long] {
        let error = Filter::compile(filter).err().unwrap_or_else(|| panic!("{filter}"));
        assert_eq!((error.reason(), &*error.violations()[0].field), ("INVALID_FILTER", "filter"), "{filter}");
    }
}

#[test]
fn metadata_must_have_a_json_form() {
    let nested = |depth: usize| (1..depth).fold(text("x"), |inner, _| value(Kind::StructValue(metadata([("a", inner)]))));
    assert!(identity::check_metadata(&metadata([("a", nested(16))])).is_ok());
    for wrong in [nested(17), value(Kind::NumberValue(f64::NAN)), value(Kind::NumberValue(f64::INFINITY)), Value { kind: None }] {
        let inside = value(Kind::ListValue(ListValue { values: vec![wrong.clone()] }));
        for wrong in [wrong, inside] {
            assert_eq!(identity::check_metadata(&metadata([("a", wrong)])).unwrap_err().violations()[0].field, "metadata");
        }
    }
}

#[test]
fn every_identity_has_an_address_that_backends_take() {
    for identity in ["device-7", "a.b", "*", ">", "tür/7", &"x".repeat(128)] {
        identity::check_identity(identity).unwrap();
        let address = identity::address(identity);
        prism_slot::check::topic("topic", &address).unwrap();
        assert!(address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)));
    }
    assert_ne!(identity::address("a"), identity::address("A"));
    for identity in ["", "a b", "a\n", &"x".repeat(129)] {
        assert_eq!(identity::check_identity(identity).unwrap_err().reason(), "INVALID_NAME");
    }
    assert_eq!(identity::identity_of(b"i/a/b", identity::REGISTRATIONS), Some("a/b"));
}
