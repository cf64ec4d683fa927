//! The connection to a remote, and marks that distinguish its statuses from those that tonic creates.

use std::time::Duration;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use prost::Message as _;
use tonic::{
    body::Body,
    transport::{Channel, ClientTlsConfig, Endpoint},
};
use tower::{ServiceExt as _, util::MapResponse};

use prism_call::{Error, proto::google::rpc};
use prism_settings::is_server_url;

/// A channel that marks incoming statuses.
pub type MarkedChannel = MapResponse<Channel, fn(Response<Body>) -> Response<Body>>;

/// Maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of keep-alive pings.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Maximum time for the response to a keep-alive ping. After it, the connection is closed.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Flow control windows of one stream and of the connection, in bytes. They bound the buffers for clients that read slowly.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// Carries the details of a status through tonic. It is present, possibly empty, whenever the remote sent a status.
const MARK: HeaderName = HeaderName::from_static("prism-remote-details");

/// Padding is optional ("gRPC over HTTP2", Binary-Header).
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Returns the endpoint of a URL, with all connection settings.
pub fn endpoint(url: &str, tls: Option<ClientTlsConfig>) -> Result<Endpoint, Error> {
    let invalid = |problem: String| Error::invalid("remote.url", problem);
    // The URL is not shown, because it may have a password.
    let expected =
        || invalid("`url` must be http://HOST:PORT or https://HOST:PORT, without user name, password, path and query".to_owned());
    if !is_server_url(url) {
        return Err(expected());
    }
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| expected().with_source(error))?;
    let secure = endpoint.uri().scheme_str() == Some("https");
    let endpoint = endpoint
        .user_agent(concat!("prism/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| Error::internal("the user agent is no header").with_source(error))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    match (secure, tls) {
        (false, None) => Ok(endpoint),
        (false, Some(_)) => Err(invalid(format!("{url:?} is not https, but there are settings for TLS"))),
        (true, tls) => endpoint
            .tls_config(tls.unwrap_or_else(|| ClientTlsConfig::new().with_native_roots()))
            .map_err(|error| invalid(format!("{url:?}: TLS can't be set up: {error}")).with_source(error)),
    }
}

/// Wraps a channel so that it marks incoming statuses.
pub fn mark_statuses(channel: Channel) -> MarkedChannel {
    channel.map_response(mark_response as fn(Response<Body>) -> Response<Body>)
}

fn mark_response(mut response: Response<Body>) -> Response<Body> {
    mark(response.headers_mut());
    response.map(|body| {
        Body::new(body.map_frame(|frame| match frame.into_trailers() {
            Ok(mut trailers) => {
                mark(&mut trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }))
    })
}

/// Moves the details to the mark, because tonic panics on details that are not base64.
fn mark(headers: &mut HeaderMap) {
    let details = headers.remove(DETAILS);
    if headers.contains_key(STATUS) {
        headers.insert(MARK, details.unwrap_or_else(|| HeaderValue::from_static("")));
    } else {
        headers.remove(MARK);
    }
}

/// Tells whether these headers or trailers contain the status of the remote.
pub fn has_status(headers: &HeaderMap) -> bool {
    headers.contains_key(MARK)
}

/// Returns the details of the remote's status, or `None` if the remote sent no status. Malformed details are left out.
pub fn details(headers: &HeaderMap) -> Option<Vec<prost_types::Any>> {
    let details = BASE64.decode(headers.get(MARK)?).unwrap_or_default();
    Some(rpc::Status::decode(details.as_slice()).map(|status| status.details).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_origins_are_accepted() {
        for good in ["http://localhost:8980", "http://[::1]:1/", "https://prism.example"] {
            assert!(endpoint(good, None).is_ok(), "{good}");
        }
        for bad in ["", "localhost:8980", "ftp://a", "http://a/b", "http://a/?b", "http://", "a b"] {
            let error = endpoint(bad, None).err().map(|error| error.violations()[0].field.clone());
            assert_eq!(error.as_deref(), Some("remote.url"), "{bad}");
        }
        assert!(endpoint("http://localhost:1", Some(ClientTlsConfig::new())).is_err());
    }

    #[test]
    fn malformed_details_are_left_out() {
        let mut headers = HeaderMap::new();
        headers.insert(DETAILS, HeaderValue::from_static("!"));
        mark(&mut headers);
        assert_eq!(details(&headers), None);
        headers.insert(STATUS, HeaderValue::from_static("5"));
        headers.insert(DETAILS, HeaderValue::from_static("!"));
        mark(&mut headers);
        assert_eq!((details(&headers), headers.contains_key(DETAILS)), (Some(vec![]), false));
    }
}
