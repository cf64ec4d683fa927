//! A body of any bytes: what is read is written, and reads to the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prism::frontend::{json, message_types::MessageTypes};

const MESSAGES: [&str; 4] = [
    "prism.patterns.keyvalue.v1.TransactRequest",
    "prism.patterns.keyvalue.v1.StoreBatchRequest",
    "prism.patterns.keyvalue.v1.GetExpirationResponse",
    "google.rpc.Status",
];

fuzz_target!(|body: &[u8]| {
    let schema = MessageTypes::all();
    for message in MESSAGES.iter().filter_map(|name| schema.find(name)) {
        let mut bytes = Vec::new();
        if json::decode(schema, message, body, &mut bytes).is_err() {
            continue;
        }
        let mut text = Vec::new();
        // Values that JSON can carry but a reply can't, such as a time out of range inside of an Any, may still be refused.
        if json::encode(schema, message, &bytes, &mut text).is_err() {
            continue;
        }
        let mut again = Vec::new();
        json::decode(schema, message, &text, &mut again).expect("what is written can be read");
        let mut twice = Vec::new();
        json::encode(schema, message, &again, &mut twice).expect("what is read can be written");
        assert_eq!(text, twice);
    }
});
