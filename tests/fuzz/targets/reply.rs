//! A reply of any bytes: it is written as JSON or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prism::frontend::{json, message_types::MessageTypes};

fuzz_target!(|reply: &[u8]| {
    let schema = MessageTypes::all();
    for name in ["prism.patterns.keyvalue.v1.TransactResponse", "prism.patterns.keyvalue.v1.ScanResponse", "google.rpc.Status"] {
        let message = schema.find(name).expect("the message is there");
        let _ = json::encode(schema, message, reply, &mut Vec::new());
    }
});
