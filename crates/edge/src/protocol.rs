//! What a listener needs to know of a wire protocol. `edges.rs` has the table of all protocols.

use http::request::Parts;

use super::{
    Body,
    request::{ClientRequest, Response, Serving},
    routing::{Place, Rpcs},
};
use prism_call::{Error, RequestId};

/// A wire protocol. A value is a request of this protocol: what was recognized of it without its body.
pub trait WireProtocol: Copy {
    /// Names of its frontends in the configuration.
    const NAMES: &'static [&'static str];
    /// Media types of requests for RPCs, for the header `Accept` of refusals. Empty: the paths of RPCs are not its paths.
    const MEDIA_TYPES: &'static str;
    /// What a binding serves, beside its namespace.
    type Content;
    /// The bindings of a listener. It finds the namespace of a request.
    type Table: Default;

    /// Adds a binding.
    fn bind(table: &mut Self::Table, place: Place, content: Self::Content);

    /// Recognizes a request. Returns `None` if it is not of this protocol.
    fn recognize(table: &Self::Table, rpcs: &Rpcs, request: &Parts) -> Option<Self>;

    /// Serves the request.
    fn serve(self, table: &Self::Table, serving: Serving<'_>, request: ClientRequest) -> impl Future<Output = Response> + Send;

    /// Returns the response to a failed request.
    fn failed(self, request_id: &RequestId, error: &Error) -> http::Response<Body>;
}
