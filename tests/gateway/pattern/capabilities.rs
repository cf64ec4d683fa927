//! Compares the operations that GetCapabilities returns with `capabilities.txt`. The operations come from options in the protos; if a
//! change of these options changes what clients read, this test fails.

use std::fmt::Write as _;

use prism::proto::{
    Interfaces,
    patterns::slots::v1::{Capabilities, Operation},
};
use prost::Message;

use super::{Bench, memory};

/// The fields that all patterns' GetCapabilitiesResponse messages share.
#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    #[prost(message, tag = "1")]
    capabilities: Option<Capabilities>,
}

type Reduce = fn(&mut Interfaces);

const KEYVALUE: &[(&str, Reduce)] = &[
    ("without keyvalue_scan", |has| has.keyvalue_scan = None),
    ("without keyvalue_ttl", |has| has.keyvalue_ttl = None),
    ("without keyvalue_batch", |has| has.keyvalue_batch = None),
    ("without keyvalue_cas", |has| has.keyvalue_cas = None),
    ("without keyvalue_transactional", |has| has.keyvalue_transactional = None),
    ("without keyvalue_watch", |has| has.keyvalue_watch = None),
    ("without keyvalue_cas and keyvalue_transactional", |has| (has.keyvalue_cas, has.keyvalue_transactional) = (None, None)),
    ("with keyvalue_basic only", |has| *has = Interfaces { keyvalue_basic: has.keyvalue_basic.take(), ..Interfaces::default() }),
];

const SCHEMA_REGISTRY: &[(&str, Reduce)] =
    &[("without keyvalue_cas", |has| has.keyvalue_cas = None), ("without keyvalue_transactional", |has| has.keyvalue_transactional = None)];

async fn operations(pattern: &str, reduce: Reduce) -> Vec<Operation> {
    let mut slot = memory().await;
    reduce(&mut slot.interfaces);
    let response: Response = Bench::of_pattern(pattern, slot).await.call("GetCapabilities", ()).await.unwrap();
    response.capabilities.unwrap().operations
}

fn render(operation: &Operation) -> String {
    let Operation { rpc, interface, note, .. } = operation;
    let support = operation.support().as_str_name().trim_start_matches("SUPPORT_").to_lowercase();
    format!("{rpc} | {support} | {interface} | {note}").trim_end().to_owned()
}

#[tokio::test]
async fn operations_are_the_recorded_ones() {
    let mut text = String::new();
    for (pattern, reductions) in [("keyvalue", KEYVALUE), ("schema-registry", SCHEMA_REGISTRY)] {
        let full = operations(pattern, |_| ()).await;
        writeln!(text, "## {pattern} with all interfaces\n").unwrap();
        full.iter().for_each(|operation| writeln!(text, "{}", render(operation)).unwrap());
        for (title, reduce) in reductions {
            writeln!(text, "\n## {pattern} {title}: the operations that differ\n").unwrap();
            let reduced = operations(pattern, *reduce).await;
            assert_eq!(reduced.len(), full.len());
            let changed = reduced.iter().zip(&full).filter(|(reduced, full)| reduced != full);
            changed.for_each(|(operation, _)| writeln!(text, "{}", render(operation)).unwrap());
        }
        text.push('\n');
    }
    let recorded = include_str!("capabilities.txt");
    assert!(text.trim_end() == recorded.trim_end(), "tests record other operations; they are now:\n{text}");
}

#[test]
fn the_response_of_each_pattern_holds_the_same_message() {
    use prism::proto::patterns::{keyvalue, schema_registry};
    let capabilities = Some(Capabilities { namespace: "n".to_owned(), ..Capabilities::default() });
    let expected = Response { capabilities: capabilities.clone() }.encode_to_vec();
    assert_eq!(keyvalue::v1::GetCapabilitiesResponse { capabilities: capabilities.clone() }.encode_to_vec(), expected);
    assert_eq!(schema_registry::v1::GetCapabilitiesResponse { capabilities }.encode_to_vec(), expected);
}
