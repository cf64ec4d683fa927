//! The requests of the JetStream API that this driver uses.

use std::{collections::HashMap, time::Duration};

use async_nats::{HeaderMap, HeaderName, HeaderValue, Message};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use prost_types::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    client::{Client, Deadline},
    error::{self, ApiError},
};
use prism_call::Error;
use prism_driver::time::{self, Millis};

/// The header with the subject of a stored message.
pub const SUBJECT: &str = "Nats-Subject";
/// How often a request is sent to a stream that does not respond, because it was created a moment ago.
const ATTEMPTS: u32 = 7;

/// The result of a request: the response, or the error of JetStream.
pub type ApiResult<T> = Result<T, ApiError>;

/// A stored message.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its sequence in the JetStream stream.
    pub sequence: u64,
    /// When it was stored, by the clock of the server.
    pub time: Millis,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

impl Stored {
    /// A header as text.
    pub fn header(&self, name: &'static str) -> Option<&str> {
        self.headers.get(name).map(HeaderValue::as_str)
    }

    /// A header as a number. A header in another form is an error.
    pub fn number(&self, name: &'static str) -> Result<Option<u64>, Error> {
        self.header(name).map(|text| text.parse().map_err(|_| error::foreign_message())).transpose()
    }

    /// Reads a message from the response of a direct request.
    fn from_direct(message: Message) -> Result<Self, Error> {
        let headers = message.headers.ok_or_else(error::unexpected_response)?;
        let text = |name: &'static str| headers.get(name).map(HeaderValue::as_str);
        let sequence = text("Nats-Sequence").and_then(|text| text.parse().ok()).ok_or_else(error::unexpected_response)?;
        let time = text("Nats-Time-Stamp").and_then(parse_time).ok_or_else(error::unexpected_response)?;
        Ok(Self { sequence, time, headers, payload: message.payload })
    }
}

/// State and configuration of a stream.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamInfo {
    pub config: Map<String, Value>,
    pub state: StreamState,
    /// When the stream was created.
    #[serde(default)]
    created: String,
    /// Number of subjects that match the filter.
    #[serde(default)]
    pub total: usize,
}

/// What a stream holds.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StreamState {
    pub messages: u64,
    pub bytes: u64,
    /// Sequence of the first message; one more than the last one if the stream is empty.
    pub first_seq: u64,
    /// Sequence of the last message that was ever stored.
    pub last_seq: u64,
    /// When that message was stored.
    #[serde(default)]
    last_ts: String,
    /// The subjects that match the filter, with the number of their messages.
    #[serde(default)]
    pub subjects: HashMap<String, u64>,
}

impl StreamInfo {
    /// A number that no stream of this name had before: when it was created, in nanoseconds.
    pub fn epoch(&self) -> Result<u64, Error> {
        let created: Timestamp = self.created.parse().map_err(|_| error::unexpected_response())?;
        let nanos = created.seconds.checked_mul(1_000_000_000).and_then(|nanos| nanos.checked_add(created.nanos.into()));
        nanos.and_then(|nanos| u64::try_from(nanos).ok()).ok_or_else(error::unexpected_response)
    }

    /// When the last message was stored, or the stream was created.
    pub fn last_time(&self) -> Result<Millis, Error> {
        let time = if self.state.last_seq == 0 { &self.created } else { &self.state.last_ts };
        parse_time(time).ok_or_else(error::unexpected_response)
    }

    /// A number in the configuration.
    pub fn limit(&self, name: &str) -> Option<u64> {
        self.config.get(name).and_then(Value::as_u64).filter(|limit| *limit > 0)
    }
}

/// What a response has besides its content.
#[derive(Deserialize)]
struct Head {
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct StoredResponse {
    seq: u64,
}

#[derive(Deserialize)]
struct GetResponse {
    message: RawMessage,
}

#[derive(Deserialize)]
struct RawMessage {
    seq: u64,
    subject: String,
    time: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

impl Client {
    /// Sends a request to the JetStream API.
    pub async fn api<T: DeserializeOwned>(
        &self,
        deadline: &Deadline,
        operation: &str,
        request: &impl Serialize,
    ) -> Result<ApiResult<T>, Error> {
        let payload = serde_json::to_vec(request).map_err(|error| Error::internal("a request can't be encoded").with_source(error))?;
        let response = self.request(deadline, self.api_subject(operation), HeaderMap::new(), payload.into()).await?;
        parse(&response.ok_or_else(error::jetstream_unavailable)?)
    }

    /// Stores a message in the stream with this configuration, and creates the stream if it does not exist. Returns the sequence.
    pub async fn store(
        &self,
        deadline: &Deadline,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
        config: &Value,
    ) -> Result<ApiResult<u64>, Error> {
        for attempt in 0..ATTEMPTS {
            if let Some(response) = self.request(deadline, subject.to_owned(), headers.clone(), payload.clone()).await? {
                let stored: ApiResult<StoredResponse> = parse(&response)?;
                return Ok(stored.map(|stored| stored.seq));
            }
            // Nobody serves the subject: there is no stream. A stream that was created a moment ago, perhaps by another gateway, serves it
            // soon.
            if attempt == 0 {
                self.create_stream(deadline, config).await?;
            } else {
                pause(attempt).await;
            }
        }
        Err(error::jetstream_unavailable())
    }

    /// Creates a stream, if it does not exist.
    pub async fn create_stream(&self, deadline: &Deadline, config: &Value) -> Result<(), Error> {
        let name = config["name"].as_str().unwrap_or_default();
        let created: ApiResult<StreamInfo> = self.api(deadline, &format!("STREAM.CREATE.{name}"), config).await?;
        match created {
            Ok(_) => Ok(()),
            // An operator may have changed copies or limits. The subjects must be those of Prism.
            Err(error) if error.err_code == error::STREAM_EXISTS => match self.stream_info(deadline, name, None).await? {
                Some(info) if info.config.get("subjects") == config.get("subjects") => Ok(()),
                _ => Err(error::map_api_error(&error)),
            },
            Err(error) => Err(error::map_api_error(&error)),
        }
    }

    /// Returns state and configuration of a stream; `None` if it does not exist. With a filter, the state has the first 100,000 subjects
    /// behind an offset, in byte order.
    pub async fn stream_info(&self, deadline: &Deadline, name: &str, subjects: Option<(&str, usize)>) -> Result<Option<StreamInfo>, Error> {
        let request = match subjects {
            Some((filter, offset)) => json!({"subjects_filter": filter, "offset": offset}),
            None => json!({}),
        };
        match self.api(deadline, &format!("STREAM.INFO.{name}"), &request).await? {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.err_code == error::NO_STREAM => Ok(None),
            Err(error) => Err(error::map_api_error(&error)),
        }
    }

    /// Reads one message, as its leader has it. Returns `None` if there is no such message or stream.
    ///
    /// `selector` is `{"seq": 5}` or `{"last_by_subj": "a.b"}`.
    pub async fn read(&self, deadline: &Deadline, stream: &str, selector: Value) -> Result<Option<Stored>, Error> {
        // With one copy, every direct read is from the leader, and the message comes as it is. Otherwise it may come from a copy that is
        // behind, so the leader is asked, which answers in JSON.
        if self.replicas() > 1 {
            return self.read_leader(deadline, stream, &selector).await;
        }
        let subject = match selector.get("last_by_subj").and_then(Value::as_str) {
            Some(last) => self.api_subject(&format!("DIRECT.GET.{stream}.{last}")),
            None => self.api_subject(&format!("DIRECT.GET.{stream}")),
        };
        let payload = if selector.get("last_by_subj").is_some() { Bytes::new() } else { selector.to_string().into() };
        for attempt in 0..ATTEMPTS {
            match self.request(deadline, subject.clone(), HeaderMap::new(), payload.clone()).await? {
                Some(response) => {
                    return match response.status.map(|status| status.as_u16()) {
                        None => Stored::from_direct(response).map(Some),
                        Some(404) => Ok(None),
                        Some(_) => Err(error::unexpected_response()),
                    };
                }
                None if self.is_absent(deadline, stream).await? => return Ok(None),
                None => pause(attempt).await,
            }
        }
        Err(error::jetstream_unavailable())
    }

    async fn read_leader(&self, deadline: &Deadline, stream: &str, selector: &Value) -> Result<Option<Stored>, Error> {
        let response: ApiResult<GetResponse> = self.api(deadline, &format!("STREAM.MSG.GET.{stream}"), selector).await?;
        let RawMessage { seq, subject, time, hdrs, data } = match response {
            Ok(response) => response.message,
            Err(error) if matches!(error.err_code, error::NO_MESSAGE | error::NO_STREAM) => return Ok(None),
            Err(error) => return Err(error::map_api_error(&error)),
        };
        let decode = |text: String| STANDARD.decode(text).map_err(|_| error::unexpected_response());
        let time = parse_time(&time).ok_or_else(error::unexpected_response)?;
        let mut headers = parse_headers(&decode(hdrs)?);
        // As in the response of a direct request.
        headers.insert(SUBJECT, subject);
        Ok(Some(Stored { sequence: seq, time, headers, payload: decode(data)?.into() }))
    }

    /// Reads the messages of a page in order: at most `batch`, and about `max_bytes` bytes. Returns an empty page behind the last message.
    ///
    /// `selector` is `{"seq": 5}` for this message and those behind it, or `{"start_time": "…"}`; with `next_by_subj`, only those of a subject.
    pub async fn read_page(
        &self,
        deadline: &Deadline,
        stream: &str,
        mut selector: Value,
        batch: usize,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, Error> {
        selector["batch"] = batch.into();
        selector["max_bytes"] = max_bytes.into();
        let subject = self.api_subject(&format!("DIRECT.GET.{stream}"));
        let payload = Bytes::from(selector.to_string());
        for attempt in 0..ATTEMPTS {
            match self.request_many(deadline, subject.clone(), payload.clone()).await? {
                Some(messages) => return messages.into_iter().map(Stored::from_direct).collect(),
                None if self.is_absent(deadline, stream).await? => return Ok(Vec::new()),
                None => pause(attempt).await,
            }
        }
        Err(error::jetstream_unavailable())
    }

    /// Whether nobody serves a stream because it does not exist. Otherwise it was created a moment ago, or it has no leader.
    async fn is_absent(&self, deadline: &Deadline, stream: &str) -> Result<bool, Error> {
        Ok(self.stream_info(deadline, stream, None).await?.is_none())
    }

    /// Deletes one message. Returns whether it existed: of several calls, one returns true.
    pub async fn delete_message(&self, deadline: &Deadline, stream: &str, sequence: u64) -> Result<bool, Error> {
        let request = json!({"seq": sequence, "no_erase": true});
        let deleted: ApiResult<Value> = self.api(deadline, &format!("STREAM.MSG.DELETE.{stream}"), &request).await?;
        match deleted {
            Ok(_) => Ok(true),
            Err(error) if error::MESSAGE_NOT_DELETED.contains(&error.err_code) => Ok(false),
            Err(error) if matches!(error.err_code, error::NO_MESSAGE | error::NO_STREAM) => Ok(false),
            Err(error) => Err(error::map_api_error(&error)),
        }
    }
}

/// The pause after a request that nobody served: one millisecond at first, then twice as long each time.
async fn pause(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(1 << attempt)).await;
}

fn parse<T: DeserializeOwned>(response: &Message) -> Result<ApiResult<T>, Error> {
    let invalid = |cause: serde_json::Error| error::unexpected_response().with_source(cause);
    let head: Head = serde_json::from_slice(&response.payload).map_err(invalid)?;
    match head.error {
        Some(error) => Ok(Err(error)),
        None => serde_json::from_slice(&response.payload).map(Ok).map_err(invalid),
    }
}

/// Headers in the form of the protocol: a line with the version, then one line for each. Headers that Prism can't have written are left out.
fn parse_headers(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in String::from_utf8_lossy(text).split("\r\n").skip(1) {
        let parse = |(name, value): (&str, &str)| Some((name.parse::<HeaderName>().ok()?, value.trim().parse::<HeaderValue>().ok()?));
        if let Some((name, value)) = line.split_once(':').and_then(parse) {
            headers.insert(name, value);
        }
    }
    headers
}

/// A time of JetStream in milliseconds, rounded down.
fn parse_time(text: &str) -> Option<Millis> {
    text.parse().ok().map(|timestamp: Timestamp| time::millis(&timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_times() {
        let headers = parse_headers("NATS/1.0\r\nPrism-Flags: 5\r\ngröße: x\r\nY: a\nb\r\nX:y\r\n\r\n".as_bytes());
        assert_eq!(headers.get("Prism-Flags").map(HeaderValue::as_str), Some("5"));
        assert_eq!(headers.get("X").map(HeaderValue::as_str), Some("y"));
        assert_eq!(parse_time("1970-01-01T00:00:01.002999999Z"), Some(1002));
        assert_eq!(parse_time("soon"), None);
    }
}
