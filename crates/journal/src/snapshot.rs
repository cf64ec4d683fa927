//! Snapshots: a state as the operations that create it.

use bytes::Bytes;
use prost::Message as _;

use super::state::JournalState;
use prism_call::proto::journal::v1::Part;

/// Encodes the state in parts of at most `part_bytes` bytes, unless a single operation is larger.
pub(super) fn encode_parts<S: JournalState>(state: &S, part_bytes: usize) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let (mut part, mut size) = (Part::default(), 0);
    for operation in state.snapshot() {
        let operation = operation.encode_to_vec();
        if size > 0 && size + operation.len() > part_bytes {
            parts.push(std::mem::take(&mut part).encode_to_vec().into());
            size = 0;
        }
        size += operation.len();
        part.operations.push(operation.into());
    }
    parts.push(part.encode_to_vec().into());
    parts
}
