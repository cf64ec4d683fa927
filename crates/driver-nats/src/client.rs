//! Sends requests over the shared connection, within the time limit of the call.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Message, Request, client::RequestErrorKind};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::watch;

use crate::{
    connection::{Connection, Link},
    error,
    settings::NatsSettings,
};
use prism_call::{Context, Error};

/// Bytes of a message that attributes and other headers may take, and that a value therefore can't use.
const HEADER_BYTES: u64 = 128 << 10;

/// The last message of a response of several messages.
const END_OF_BATCH: u16 = 204;
const NOT_FOUND: u16 = 404;
const NO_RESPONDERS: u16 = 503;

/// When a call must have its result.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Instant,
    at: Instant,
    /// The deadline of the caller, if it has one.
    caller: Option<Instant>,
}

impl Deadline {
    /// After a time limit, or at the deadline of the caller if that is earlier.
    pub fn new(context: &Context, limit: Duration) -> Self {
        let began = Instant::now();
        let at = began + limit;
        Self { began, at: context.deadline.map_or(at, |caller| caller.min(at)), caller: context.deadline }
    }

    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// Sends requests.
pub struct Client {
    connection: Arc<Connection>,
    timeout: Duration,
    /// A subject without subscribers.
    nobody: String,
    /// `$JS.API.`, or the one of a domain.
    api_prefix: String,
    replicas: u32,
    max_value_bytes: u64,
}

impl Client {
    pub fn new(connection: Arc<Connection>, settings: &NatsSettings) -> Self {
        Self {
            connection,
            timeout: *settings.request_timeout,
            nobody: format!("{}nobody", settings.subject_prefix),
            api_prefix: settings.domain.as_ref().map_or_else(|| "$JS.API.".to_owned(), |domain| format!("$JS.{domain}.API.")),
            replicas: u32::try_from(settings.replicas.to_usize()).unwrap_or(1),
            max_value_bytes: *settings.max_value_bytes,
        }
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Copies of new streams.
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// The subject of an operation of the JetStream API.
    pub fn api_subject(&self, operation: &str) -> String {
        format!("{}{operation}", self.api_prefix)
    }

    /// The largest value: that of the setting, or what the server's `max_payload` leaves, if that is less.
    pub fn max_value_bytes(&self) -> u64 {
        let of_server = self.connection.max_payload().map_or(u64::MAX, |bytes| bytes.saturating_sub(HEADER_BYTES).max(1));
        self.max_value_bytes.min(of_server)
    }

    /// When a request of this call must have its response: after the setting `request_timeout`, or at the deadline of the caller.
    pub fn deadline(&self, context: &Context) -> Deadline {
        Deadline::new(context, self.timeout)
    }

    /// The error after a deadline.
    pub fn timed_out(&self, deadline: &Deadline) -> Error {
        if deadline.caller.is_some_and(|caller| caller <= Instant::now()) {
            return Error::deadline_exceeded();
        }
        match self.connection.violation_since(deadline.began) {
            Some(violation) => error::permission_missing(&violation),
            None => error::unavailable("NATS did not reply in time; a write may or may not have happened", self.connection.retry_after()),
        }
    }

    /// Waits for a result, until the deadline and at most as long as the connection is established.
    async fn within<T>(
        &self,
        deadline: &Deadline,
        mut link: watch::Receiver<Link>,
        epoch: u64,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let broken = async {
            // An error means that the connection was dropped.
            let _ = link.wait_for(|link| link.epoch != epoch || !link.connected).await;
        };
        tokio::select! {
            biased;
            result = work => result,
            () = broken => Err(error::unavailable(
                "the connection to NATS broke; a write may or may not have happened",
                self.connection.retry_after(),
            )),
            () = tokio::time::sleep_until(deadline.at.into()) => Err(self.timed_out(deadline)),
        }
    }

    /// The client of an established connection.
    async fn connected(&self, deadline: &Deadline) -> Result<(&async_nats::Client, watch::Receiver<Link>, u64), Error> {
        let established = self.connection.established(deadline.at).await;
        established.map_err(|error| if deadline.remaining().is_zero() { self.timed_out(deadline) } else { error })
    }

    /// Sends a request and returns its response; `None` if nobody serves the subject.
    pub async fn request(
        &self,
        deadline: &Deadline,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Option<Message>, Error> {
        let (nats, link, epoch) = self.connected(deadline).await?;
        let mut request = Request::new().payload(payload).timeout(None);
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        self.within(deadline, link, epoch, async {
            match nats.send_request(subject, request).await {
                Ok(response) => Ok(Some(response)),
                Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(None),
                Err(error) => Err(error::map_request_error(&error, self.max_value_bytes(), self.connection.retry_after())),
            }
        })
        .await
    }

    /// Sends a request and returns all messages of its response; `None` if nobody serves the subject.
    pub async fn request_many(&self, deadline: &Deadline, subject: String, payload: Bytes) -> Result<Option<Vec<Message>>, Error> {
        let (nats, link, epoch) = self.connected(deadline).await?;
        self.within(deadline, link, epoch, async {
            let retry_after = self.connection.retry_after();
            let inbox = nats.new_inbox();
            let subscribed = nats.subscribe(inbox.clone()).await;
            let mut responses = subscribed.map_err(|_| error::unavailable("the connection to NATS broke", retry_after))?;
            let sent = nats.publish_with_reply(subject, inbox, payload).await;
            sent.map_err(|error| error::map_publish_error(&error, self.max_value_bytes(), retry_after))?;
            let mut messages = Vec::new();
            while let Some(message) = responses.next().await {
                match message.status.map(|status| status.as_u16()) {
                    None => messages.push(message),
                    Some(END_OF_BATCH | NOT_FOUND) => return Ok(Some(messages)),
                    Some(NO_RESPONDERS) => return Ok(None),
                    Some(_) => return Err(error::unexpected_response()),
                }
            }
            Err(error::unavailable("the connection to NATS broke", retry_after))
        })
        .await
    }

    /// Sends a message. Returns when the server has taken it.
    pub async fn publish(&self, deadline: &Deadline, subject: String, headers: HeaderMap, payload: Bytes) -> Result<(), Error> {
        let (nats, link, epoch) = self.connected(deadline).await?;
        self.within(deadline, link, epoch, async {
            let sent = if headers.is_empty() {
                nats.publish(subject, payload).await
            } else {
                nats.publish_with_headers(subject, headers, payload).await
            };
            sent.map_err(|error| error::map_publish_error(&error, self.max_value_bytes(), self.connection.retry_after()))
        })
        .await?;
        self.barrier(deadline).await
    }

    /// Returns when the server has handled everything that was sent before. The server answers a request that nobody serves at once, and
    /// it handles what a connection sends in order.
    pub async fn barrier(&self, deadline: &Deadline) -> Result<(), Error> {
        self.request(deadline, self.nobody.clone(), HeaderMap::new(), Bytes::new()).await.map(drop)
    }

    /// Subscribes to a subject. The subscription continues after the connection was established again.
    pub async fn subscribe(&self, deadline: &Deadline, subject: String) -> Result<async_nats::Subscriber, Error> {
        let (nats, link, epoch) = self.connected(deadline).await?;
        self.within(deadline, link, epoch, async {
            nats.subscribe(subject).await.map_err(|_| error::unavailable("the connection to NATS broke", self.connection.retry_after()))
        })
        .await
    }
}
