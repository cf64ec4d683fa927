//! References: a schema with references equals the schema that has the referenced types in place.

use prism_schema::{
    Dependency,
    avro::{AvroSchema, differences},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::avro::generate::{Choices, schema};

/// Returns the full name of a type.
fn name(schema: &Value) -> Option<String> {
    let name = schema["name"].as_str()?;
    Some(schema["namespace"].as_str().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}.{name}")))
}

fn outer(inner: [&Value; 2]) -> String {
    json!({"type": "record", "name": "Outer", "fields": [{"name": "a", "type": inner[0]}, {"name": "b", "type": ["null", inner[1]]}]})
        .to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn referenced_types_equal_inline_types(numbers in prop::collection::vec(any::<u32>(), 1..60)) {
        let inner = schema(&mut Choices::new(&numbers));
        prop_assume!(name(&inner).is_some() && AvroSchema::parse(&inner.to_string(), &[]).is_ok());
        let reference = json!(name(&inner).unwrap());
        let dependency = Dependency { name: "inner".into(), text: inner.to_string().into() };
        let apart = AvroSchema::parse(&outer([&reference, &reference]), std::slice::from_ref(&dependency)).unwrap();
        let whole = AvroSchema::parse(&outer([&inner, &reference]), &[]).unwrap();
        prop_assert_eq!(apart.canonical(), outer([&reference, &reference]));
        prop_assert_eq!(apart.render_as("resolved"), Some(whole.canonical()));
        prop_assert_eq!(differences(&apart, &whole), Vec::new());
        prop_assert_eq!(differences(&whole, &apart), Vec::new());
        // A text that contains copies of the referenced types is the same schema.
        let both = AvroSchema::parse(&outer([&inner, &reference]), &[dependency]).unwrap();
        prop_assert_eq!(both.canonical(), apart.canonical());
    }
}
