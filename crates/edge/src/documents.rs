//! The OpenAPI documents of an API of a namespace.
//!
//! The document depends on the capabilities of the namespace, which every request for it asks for, as its caller, and on which RPCs the caller may
//! call. It is written only if no other request had the same.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use prost::Message as _;
use serde_json::Value;

use crate::variants::Variants;
use prism_call::{
    Admitted, Error, Method, Namespace, Output, Reply,
    proto::patterns::slots::v1::{Capabilities, Operation, Support},
};
use prism_frontend::{openapi, wire};

/// Builds the part of an API's document that is the same for all namespaces.
pub type Source = Box<dyn Fn() -> Result<Value, Error> + Send + Sync>;

/// The documentation of one API of one namespace at one base path.
pub struct Documentation {
    source: Source,
    /// By the encoded capabilities that they show.
    written: Variants<Bytes, Documents>,
}

/// The document in both forms.
pub struct Documents {
    /// As JSON.
    pub json: Document,
    /// As YAML.
    pub yaml: Document,
}

/// A document that is ready to be sent.
pub struct Document {
    /// Its media type.
    pub content_type: HeaderValue,
    /// Its text.
    pub body: Bytes,
    /// Its entity tag.
    pub tag: HeaderValue,
}

impl Documentation {
    /// Creates the documentation of an API from the source of its document.
    pub fn new(source: impl Fn() -> Result<Value, Error> + Send + Sync + 'static) -> Self {
        Self { source: Box::new(source), written: Variants::default() }
    }

    /// Returns the documents for a namespace with these encoded capabilities.
    pub fn documents(&self, capabilities: Bytes, served_at: openapi::ServedAt<'_>) -> Result<Arc<Documents>, Error> {
        self.written.get(capabilities, |capabilities| {
            let decoded = decode_capabilities(capabilities)?;
            let document = openapi::tailor((self.source)()?, &decoded, served_at);
            let unwritable = |error: &dyn std::fmt::Display| Error::internal(format!("the document can't be written: {error}"));
            let json = serde_json::to_vec_pretty(&document).map_err(|error| unwritable(&error))?;
            let yaml = serde_saphyr::to_string(&document).map_err(|error| unwritable(&error))?;
            Ok(Arc::new(Documents { json: Document::new("application/json", json), yaml: Document::new("application/yaml", yaml) }))
        })
    }
}

/// Returns the names of the RPCs of a namespace that the caller may not call, whatever the request is.
pub fn hidden_rpcs(admitted: &Admitted<'_>) -> Vec<String> {
    let hidden = admitted.namespace().methods.iter().filter(|method| !admitted.may_call(method));
    hidden.map(|method| method.label.clone()).collect()
}

/// Returns the encoded capabilities that a caller has to whom these RPCs are hidden: they are not available.
pub fn hide_rpcs(capabilities: &Bytes, hidden: &[String]) -> Result<Bytes, Error> {
    if hidden.is_empty() {
        return Ok(capabilities.clone());
    }
    let mut decoded = decode_capabilities(capabilities)?;
    for rpc in hidden {
        if let Some(operation) = decoded.operations.iter_mut().find(|operation| operation.rpc == *rpc) {
            operation.set_support(Support::Unavailable);
        } else {
            let operation = Operation { rpc: rpc.clone(), support: Support::Unavailable.into(), ..Operation::default() };
            decoded.operations.push(operation);
        }
    }
    Ok(decoded.encode_to_vec().into())
}

/// Asks the namespace for its capabilities on behalf of the caller, encoded. This also works if another process serves the namespace.
pub async fn capabilities(admitted: &mut Admitted<'_>) -> Result<Bytes, Error> {
    let namespace = admitted.namespace().clone();
    match capabilities_rpc(&namespace) {
        Some((method, field)) => read_capabilities(admitted.ask(method, Bytes::new()).await?, field),
        None => Ok(Bytes::new()),
    }
}

/// Asks the namespace for its capabilities on behalf of the gateway, for what all callers share.
pub async fn shared_capabilities(admitted: &Admitted<'_>) -> Result<Bytes, Error> {
    match capabilities_rpc(admitted.namespace()) {
        Some((method, field)) => read_capabilities(admitted.ask_for_gateway(method, Bytes::new()).await?, field),
        None => Ok(Bytes::new()),
    }
}

/// Asks another namespace for its capabilities on behalf of the gateway.
pub async fn capabilities_of(admitted: &Admitted<'_>, namespace: &Namespace) -> Result<Bytes, Error> {
    match capabilities_rpc(namespace) {
        Some((method, field)) => read_capabilities(admitted.ask_namespace_for_gateway(namespace, method, Bytes::new()).await?, field),
        None => Ok(Bytes::new()),
    }
}

/// Decodes the capabilities of a namespace.
pub fn decode_capabilities(capabilities: &Bytes) -> Result<Capabilities, Error> {
    let broken = |error| Error::internal("the namespace answered GetCapabilities with something else").with_source(error);
    Capabilities::decode(capabilities.clone()).map_err(broken)
}

/// Returns `GetCapabilities` of the pattern, and the number of the field of its reply.
fn capabilities_rpc(namespace: &Namespace) -> Option<(&Arc<Method>, u32)> {
    const NAME: &str = "prism.patterns.slots.v1.Capabilities";
    let method = namespace.methods.iter().find(|method| method.name == "GetCapabilities")?;
    let holds = |field: &prost_reflect::FieldDescriptor| field.kind().as_message().is_some_and(|message| message.full_name() == NAME);
    let number = method.descriptor.output().fields().find(holds)?.number();
    Some((method, number))
}

fn read_capabilities(reply: Reply, field: u32) -> Result<Bytes, Error> {
    let broken = || Error::internal("the namespace answered GetCapabilities with something else");
    let Output::One(message) = reply.output else { return Err(broken()) };
    let message = message.to_bytes();
    match wire::last(&message, field) {
        Ok(Some(wire::WireValue::Bytes(bytes))) => Ok(message.slice_ref(bytes)),
        _ => Err(broken()),
    }
}

impl Document {
    fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { content_type: HeaderValue::from_static(content_type), tag: entity_tag(&body), body }
    }
}

/// Returns an `ETag` from the FNV-1a hash. Equal bytes have equal tags in every gateway of the same build.
pub fn entity_tag(body: &[u8]) -> HeaderValue {
    let sum = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    HeaderValue::try_from(format!("\"{sum:016x}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}
