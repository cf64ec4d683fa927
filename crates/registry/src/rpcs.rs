//! The RPCs of a service, read from the compiled protos.

use prost_reflect::{FileDescriptor, MethodDescriptor, ServiceDescriptor, prost_types::source_code_info::Location};
use serde::Serialize;

use prism_call::proto;

/// One RPC of a service.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Rpc {
    /// As `Scan`.
    pub name: String,
    /// Name of the request message, without its package.
    pub request: String,
    /// Name of the response message, without its package.
    pub response: String,
    /// Whether the request is a stream.
    pub client_streaming: bool,
    /// Whether the response is a stream.
    pub server_streaming: bool,
    /// The first paragraph of its documentation, as one line.
    pub description: String,
}

impl Rpc {
    /// Renders the signature, as `Scan(ScanRequest) returns (stream ScanResponse)`.
    pub fn signature(&self) -> String {
        let stream = |is: bool| if is { "stream " } else { "" };
        format!(
            "{}({}{}) returns ({}{})",
            self.name,
            stream(self.client_streaming),
            self.request,
            stream(self.server_streaming),
            self.response
        )
    }
}

/// Returns the RPCs of a service by its full name. Empty if there is no such service.
pub fn rpcs(service: &str) -> Vec<Rpc> {
    let Some(service) = proto::documented().get_service_by_name(service) else { return Vec::new() };
    service
        .methods()
        .map(|method| Rpc {
            name: method.name().to_owned(),
            request: method.input().name().to_owned(),
            response: method.output().name().to_owned(),
            client_streaming: method.is_client_streaming(),
            server_streaming: method.is_server_streaming(),
            description: first_paragraph(&service, &method),
        })
        .collect()
}

fn first_paragraph(service: &ServiceDescriptor, method: &MethodDescriptor) -> String {
    let location = location(&service.parent_file(), method.path());
    let comment = location.and_then(|location| location.leading_comments).unwrap_or_default();
    comment.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns the line of its proto that something is defined on, from 1; 0 if the descriptors have no source information.
pub(super) fn proto_line(file: &FileDescriptor, path: &[i32]) -> u64 {
    // The first number of a span is its line, counted from 0.
    let line = location(file, path).and_then(|location| location.span.first().copied());
    line.and_then(|line| u64::try_from(line).ok()).map_or(0, |line| line + 1)
}

fn location(file: &FileDescriptor, path: &[i32]) -> Option<Location> {
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    info.location.iter().find(|location| location.path == path).cloned()
}
