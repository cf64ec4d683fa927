//! `schema_registry_converter`, as producers and consumers in Rust use it.

use std::sync::atomic::{AtomicUsize, Ordering};

use apache_avro::types::Value as Avro;
use schema_registry_converter::{
    async_impl::{
        avro::{AvroDecoder, AvroEncoder},
        proto_decoder::ProtoDecoder,
        proto_encoder::ProtoEncoder,
        schema_registry::{
            SrSettings, get_all_subjects, get_all_versions, get_schema_by_guid, get_schema_by_id, get_schema_by_subject,
            is_compatible_schema, post_schema,
        },
    },
    prost_reflect::Value as Proto,
    schema_registry_common::{SchemaType, SubjectNameStrategy, SuppliedReference, SuppliedSchema},
};
use serde_json::json;

/// Returns a topic whose subjects are not in the registry yet.
fn topic() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("rust-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Settings have no cache; encoders and decoders have one.
fn settings(url: &str) -> SrSettings {
    SrSettings::new_builder(url.to_owned()).no_proxy().build().unwrap()
}

const ID: &str = r#"{"name": "id", "type": "long"}"#;
const NOTE: &str = r#"{"name": "note", "type": "string", "default": "none"}"#;
const MUST: &str = r#"{"name": "must", "type": "string"}"#;

/// Returns a record in a namespace, because the client can't follow references to names without a namespace.
fn record(name: &str, fields: &[&str]) -> SuppliedSchema {
    let text = format!(r#"{{"type": "record", "name": "{name}", "namespace": "shop", "fields": [{}]}}"#, fields.join(", "));
    SuppliedSchema::new(Some(name.to_owned()), SchemaType::Avro, text)
}

fn message(fields: &str) -> SuppliedSchema {
    let text = format!("syntax = \"proto3\";\npackage shop;\n\nmessage Order {{\n{fields}}}\n");
    SuppliedSchema::new(None, SchemaType::Protobuf, text)
}

/// The subject strategy of topics, with a schema to register.
fn with(topic: &str, schema: &SuppliedSchema) -> SubjectNameStrategy {
    SubjectNameStrategy::TopicNameStrategyWithSchema(topic.to_owned(), false, schema.clone())
}

/// Runs all cases against a registry.
pub async fn cases(url: &str) {
    // The client's HTTP library is built without a crypto provider here, because Cargo unifies the features of all crates in the
    // workspace.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    registers_and_reads_back(url).await;
    encodes_and_decodes_avro_with_two_versions(url).await;
    refuses_an_incompatible_version(url).await;
    references_are_registered_and_followed(url).await;
    encodes_and_decodes_protobuf_and_refuses_an_incompatible_version(url).await;
    contexts_have_their_own_ids_and_subjects(url).await;
}

async fn registers_and_reads_back(url: &str) {
    let subject = format!("{}-value", topic());
    let posted = post_schema(&settings(url), subject.clone(), record("Order", &[ID])).await.unwrap();
    assert_eq!(post_schema(&settings(url), subject.clone(), record("Order", &[ID])).await.unwrap().id, posted.id);
    let read = get_schema_by_id(posted.id, &settings(url)).await.unwrap();
    let text = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(text(&read.schema), text(&posted.schema));
    let by_guid = get_schema_by_guid(&posted.guid.unwrap(), &settings(url)).await.unwrap();
    assert_eq!(by_guid.schema, read.schema);
    assert_eq!(get_all_versions(&settings(url), subject.clone()).await.unwrap(), [1]);
    assert!(get_all_subjects(&settings(url)).await.unwrap().contains(&subject));
}

async fn encodes_and_decodes_avro_with_two_versions(url: &str) {
    let topic = topic();
    let encoder = AvroEncoder::new(settings(url));
    let old = encoder.encode(vec![("id", Avro::Long(1))], with(&topic, &record("Order", &[ID]))).await.unwrap();
    // The first encoder would use its cached schema of the subject.
    let encoder = AvroEncoder::new(settings(url));
    let values = vec![("id", Avro::Long(2)), ("note", Avro::String("ä".to_owned()))];
    let new = encoder.encode(values, with(&topic, &record("Order", &[ID, NOTE]))).await.unwrap();
    let latest = SubjectNameStrategy::TopicNameStrategy(topic, false);
    let known = get_schema_by_subject(&settings(url), &latest).await.unwrap();
    assert_eq!(new[..5], [&[0][..], &known.id.to_be_bytes()].concat());
    let decoder = AvroDecoder::new(settings(url));
    let fields = |id, note: Option<&str>| {
        let note = note.map(|note| ("note".to_owned(), Avro::String(note.to_owned())));
        Avro::Record([("id".to_owned(), Avro::Long(id))].into_iter().chain(note).collect())
    };
    assert_eq!(decoder.decode(Some(&old)).await.unwrap().value, fields(1, None));
    assert_eq!(decoder.decode(Some(&new)).await.unwrap().value, fields(2, Some("ä")));
}

async fn refuses_an_incompatible_version(url: &str) {
    let subject = format!("{}-value", topic());
    post_schema(&settings(url), subject.clone(), record("Order", &[ID])).await.unwrap();
    let compatible = |fields| is_compatible_schema_of(url, &subject, fields);
    assert!(compatible(&[ID, NOTE]).await);
    assert!(!compatible(&[ID, MUST]).await);
    let error = post_schema(&settings(url), subject.clone(), record("Order", &[ID, MUST])).await.unwrap_err();
    assert!(error.to_string().contains("409"), "{error}");
    assert!(!error.retriable, "{error}");
    let missing = get_all_versions(&settings(url), topic()).await.unwrap_err();
    assert!(missing.to_string().contains("404"), "{missing}");
}

async fn is_compatible_schema_of(url: &str, subject: &str, fields: &[&str]) -> bool {
    is_compatible_schema(&settings(url), subject.to_owned(), record("Order", fields)).await.unwrap()
}

async fn references_are_registered_and_followed(url: &str) {
    let topic = topic();
    let address = record("Address", &[r#"{"name": "street", "type": "string"}"#]).schema;
    let reference = SuppliedReference::new("shop.Address".to_owned(), format!("{topic}-address"), address);
    let person = record("Person", &[r#"{"name": "home", "type": "Address"}"#]).with_references(vec![reference]);
    let home = Avro::Record(vec![("street".to_owned(), Avro::String("Main".to_owned()))]);
    let bytes = AvroEncoder::new(settings(url)).encode(vec![("home", home.clone())], with(&topic, &person)).await.unwrap();
    let decoded = AvroDecoder::new(settings(url)).decode(Some(&bytes)).await.unwrap();
    assert_eq!(decoded.value, Avro::Record(vec![("home".to_owned(), home)]));
    assert_eq!(get_all_versions(&settings(url), format!("{topic}-address")).await.unwrap(), [1]);
}

async fn encodes_and_decodes_protobuf_and_refuses_an_incompatible_version(url: &str) {
    let topic = topic();
    let first = message("  int64 id = 1;\n  string note = 2;\n");
    let bytes =
        ProtoEncoder::new(settings(url)).encode_json(&json!({"id": "7", "note": "n"}), "shop.Order", &with(&topic, &first)).await.unwrap();
    let Proto::Message(back) = ProtoDecoder::new(settings(url)).decode(Some(&bytes)).await.unwrap() else { panic!("no message") };
    assert_eq!(back.get_field_by_name("id").unwrap().as_i64(), Some(7));
    assert_eq!(back.get_field_by_name("note").unwrap().as_str(), Some("n"));
    let subject = format!("{topic}-value");
    post_schema(&settings(url), subject.clone(), message("  int64 id = 1;\n  string note = 2;\n  string more = 3;\n")).await.unwrap();
    let error = post_schema(&settings(url), subject, message("  string id = 1;\n")).await.unwrap_err();
    assert!(error.to_string().contains("409"), "{error}");
}

async fn contexts_have_their_own_ids_and_subjects(url: &str) {
    let context = format!(".{}", topic());
    let inside = format!("{url}/contexts/{context}");
    let posted = post_schema(&settings(&inside), "orders-value".to_owned(), record("Order", &[ID])).await.unwrap();
    assert_eq!(posted.id, 1);
    assert_eq!(get_all_subjects(&settings(&inside)).await.unwrap(), [format!(":{context}:orders-value")]);
}
