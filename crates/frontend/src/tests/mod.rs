//! The types and routes of `tests/protos/transcoding.proto`.

use std::sync::{Arc, LazyLock};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

use super::{
    bind::BindOptions,
    json,
    message_types::{MessageId, MessageTypes},
    route::{Route, Routes},
    rule::HttpRule,
};
use prism_call::{Error, Method};

pub const PACKAGE: &str = "prism.testing.transcoding.v1";

pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut compiler = protox::Compiler::new([format!("{root}/tests/protos"), format!("{root}/proto")]).unwrap();
    compiler.include_imports(true).open_file("transcoding.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
});

pub static SCHEMA: LazyLock<MessageTypes> = LazyLock::new(|| MessageTypes::of(&POOL));

/// A type of the test package.
pub fn id(name: &str) -> MessageId {
    SCHEMA.find(&format!("{PACKAGE}.{name}")).unwrap()
}

pub fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(&format!("{PACKAGE}.{name}")).unwrap()
}

/// All routes of the test service.
pub fn routes(settings: BindOptions) -> Routes {
    let mut routes = Routes::default();
    for method in Method::of_service(&POOL, &format!("{PACKAGE}.TranscodingService")).unwrap() {
        for rule in HttpRule::of(&method).unwrap() {
            let route = Route::compile(&SCHEMA, &method, &rule, settings).unwrap();
            routes.insert(rule.method.clone(), rule.template.clone(), Arc::new(route)).unwrap();
        }
    }
    routes
}

/// JSON to a message by our decoder, shown as another implementation understands it.
pub fn decode(name: &str, json: &str) -> Result<Value, Error> {
    let mut out = Vec::new();
    json::decode(&SCHEMA, id(name), json.as_bytes(), &mut out)?;
    Ok(shown(&descriptor(name), &out))
}

/// A message as JSON, by another implementation and without zero values: what two messages are compared by.
pub fn shown(descriptor: &MessageDescriptor, bytes: &[u8]) -> Value {
    serde_json::to_value(DynamicMessage::decode(descriptor.clone(), bytes).unwrap()).unwrap()
}

/// The message that another implementation makes of JSON, shown in the same way.
pub fn reference(name: &str, json: &str) -> Value {
    shown(&descriptor(name), &bytes(name, json))
}

/// The bytes that another implementation makes of JSON.
pub fn bytes(name: &str, json: &str) -> Vec<u8> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(descriptor(name), &mut deserializer).unwrap();
    deserializer.end().unwrap();
    message.encode_to_vec()
}
