//! Handlers in another process: the same service over gRPC.
//!
//! Messages are forwarded as bytes, without decoding. The reply of the remote (metadata, messages, status with details, trailers) is
//! returned unchanged. Failures of the connection have their own errors.

mod channel;
mod codec;
mod metadata;
mod reply;
mod request;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderValue, uri::PathAndQuery};
use tonic::{client::Grpc, metadata::MetadataMap, transport::ClientTlsConfig};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use channel::MarkedChannel;
use codec::Raw;
use prism_call::{Code, Context, Error, Handler, Input, Method, Output, Reply, Trailers};
use reply::Replies;
use request::Requests;

/// Maximum size of one reply message: 64 MiB, enough for a full batch of most backends. A larger one fails with
/// `RESOURCE_EXHAUSTED REPLY_TOO_LARGE`.
pub const MAX_REPLY_BYTES: usize = 64 << 20;
/// Timeout of a health check of the remote.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Through how many gateways a call may pass. More are a loop, in which each call would become many.
const MAX_HOPS: u32 = 8;
/// When a caller may retry after the remote could not be reached.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Checks the settings of a remote namespace as [`RemoteHandler::connect`] does, without connecting.
pub fn check(url: &str, namespace: &str) -> Result<(), Error> {
    channel::endpoint(url, None)?;
    namespace_header(namespace).map(drop)
}

fn namespace_header(namespace: &str) -> Result<HeaderValue, Error> {
    let problem = |_| Error::invalid("remote.namespace", format!("{namespace:?} can't be the name of a namespace"));
    HeaderValue::from_str(namespace).map_err(problem)
}

/// A namespace that another Prism serves.
pub struct RemoteHandler {
    url: Arc<str>,
    /// Its name on the remote.
    namespace: HeaderValue,
    channel: MarkedChannel,
    client: Grpc<MarkedChannel>,
    forward_credentials: bool,
}

impl RemoteHandler {
    /// Creates a handler for a namespace of the Prism at `url` (`http://HOST:PORT` or `https://HOST:PORT`).
    ///
    /// The first call connects, and a lost connection is restored. A remote that is down is no error here.
    /// `forward_credentials` sends the credentials of callers to the remote. `tls` is for `https`; the default is the trust roots of the system. Must be called in a Tokio runtime.
    pub fn connect(url: &str, namespace: &str, forward_credentials: bool, tls: Option<ClientTlsConfig>) -> Result<Arc<Self>, Error> {
        let channel = channel::mark_statuses(channel::endpoint(url, tls)?.connect_lazy());
        Ok(Arc::new(Self {
            url: url.into(),
            namespace: namespace_header(namespace)?,
            client: Grpc::new(channel.clone()).max_decoding_message_size(MAX_REPLY_BYTES),
            channel,
            forward_credentials,
        }))
    }

    /// Checks that the remote can be reached and reports that it is serving. Returns within two seconds.
    pub async fn health(&self) -> Result<(), Error> {
        let mut client = HealthClient::new(self.channel.clone());
        let answer = match tokio::time::timeout(HEALTH_TIMEOUT, client.check(HealthCheckRequest::default())).await {
            Ok(Ok(answer)) => answer.into_inner().status(),
            // It answers, and has no such service.
            Ok(Err(status)) if matches!(status.code(), tonic::Code::Unimplemented | tonic::Code::NotFound) => ServingStatus::Serving,
            Ok(Err(status)) => return Err(reply::convert_status(&self.url, None, status)),
            Err(_) => return Err(unavailable(&self.url, "no response to a health check within two seconds")),
        };
        if answer == ServingStatus::Serving { Ok(()) } else { Err(unavailable(&self.url, "it reports that it is not serving")) }
    }

    /// Sends the request and waits for the headers of the reply.
    async fn send(
        &self,
        context: &Context,
        method: &Method,
        requests: Requests,
    ) -> Result<tonic::Response<tonic::Streaming<Bytes>>, Error> {
        if metadata::hops(context) > MAX_HOPS {
            return Err(looping(&self.url));
        }
        let path = PathAndQuery::try_from(method.path.as_str())
            .map_err(|error| Error::internal("the path of an RPC is invalid").with_source(error))?;
        let mut request = tonic::Request::new(requests);
        *request.metadata_mut() = MetadataMap::from_headers(metadata::request_headers(context, &self.namespace, self.forward_credentials));
        let mut client = self.client.clone();
        client.ready().await.map_err(|error| unavailable(&self.url, "").with_source(error))?;
        client.streaming(request, path, Raw).await.map_err(|status| reply::convert_status(&self.url, context.deadline, status))
    }
}

#[async_trait]
impl Handler for RemoteHandler {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        let (requests, broken) = Requests::new(input);
        let (head, broken) = match select(std::pin::pin!(self.send(context, method, requests)), broken).await {
            Either::Left((head, broken)) => (head?, broken),
            Either::Right((error, _)) => return Err(error),
        };
        let (headers, messages, _) = head.into_parts();
        let headers = headers.into_headers();
        let is_trailers_only = channel::has_status(&headers);
        let headers = metadata::reply_metadata(headers);
        let trailers = Trailers::later();
        let mut replies = Replies::new(self.url.clone(), context.deadline, messages, broken, is_trailers_only, trailers.clone());
        let output = if method.server_streaming {
            Output::stream(replies)
        } else {
            match replies.single_message().await {
                Ok(message) => Output::One(message.into()),
                Err(error) => {
                    let trailers = error.headers_and_trailers().1.clone();
                    return Err(error.with_headers_and_trailers(headers, trailers));
                }
            }
        };
        Ok(Reply { headers, output, trailers })
    }
}

/// `FAILED_PRECONDITION REMOTE_LOOP`
fn looping(url: &str) -> Error {
    let message = format!(
        "the call has passed {MAX_HOPS} gateways without arriving: namespaces with `remote` refer to each other; the next one would be {url}; \
         `remote` must lead to a namespace with backends"
    );
    Error::new(Code::FailedPrecondition, "REMOTE_LOOP", message).with("remote", url)
}

/// `UNAVAILABLE REMOTE_UNAVAILABLE`
fn unavailable(url: &str, why: &str) -> Error {
    let separator = if why.is_empty() { "" } else { ": " };
    let message = format!("the Prism at {url} that serves this namespace can't be reached{separator}{why}");
    Error::new(Code::Unavailable, "REMOTE_UNAVAILABLE", message).with("remote", url).with_retry_after(RETRY_AFTER)
}
