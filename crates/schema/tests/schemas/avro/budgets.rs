//! Budgets: texts that would need much time or memory are refused with the limit that they exceed.

use prism_schema::avro::AvroSchema;

fn refused(text: &str) -> String {
    AvroSchema::parse(text, &[]).expect_err("a schema").message
}

#[test]
fn names_are_bounded() {
    let name = "a".repeat(250_000);
    let two = format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"f","type":"{name}b"}}]}}"#);
    assert!(refused(&two).contains("at most 1024"));
    let unknown = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":"{name}"}}]}}"#);
    let message = refused(&unknown);
    assert!(message.contains("at most 1024") && message.len() < 1_000, "{message}");
    // Many types in a long namespace.
    let fields: Vec<String> =
        (0..60_000).map(|at| format!(r#"{{"name":"f{at}","type":{{"type":"fixed","name":"n{at}","size":1}}}}"#)).collect();
    let text = format!(r#"{{"type":"record","name":"R","namespace":"{}","fields":[{}]}}"#, "n".repeat(1_000), fields.join(","));
    assert!(refused(&text).contains("more than 64 MiB"));
}

#[test]
fn similar_names_are_searched_in_bounded_time() {
    let fields: Vec<String> = (0..20_000).map(|at| format!(r#"{{"name":"name_of_a_field_{at}","type":"Name{at}"}}"#)).collect();
    let text = format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","));
    assert!(refused(&text).contains("is not a type"));
}

#[test]
fn values_are_bounded() {
    assert!(refused(&format!(r#"{{"type":"string","x":[{}0]}}"#, "0,".repeat(600_000))).contains("more than 64 MiB"));
    assert!(refused(&format!("[{}\"int\"]", "\"int\",".repeat(400_000))).len() < 5_000);
    // Long keys around many defaults.
    let key = "k".repeat(200_000);
    let values = "0,".repeat(100_000);
    let text = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{{"type":"map","values":{{"type":"array","items":"int"}}}},"default":{{"{key}":[{values}0]}}}}]}}"#
    );
    assert!(refused(&text).contains("takes too long"));
}
