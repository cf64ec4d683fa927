//! Consumes messages in one stream in both directions, with credits and acknowledgements.

use std::{collections::VecDeque, sync::Arc};

use futures::{StreamExt as _, future::BoxFuture, stream};

use super::{Consumer, FilterFields, MAX_MESSAGES, ReceiveOptions, Source, live::LiveEvent, payload};
use crate::messaging::{delays::MAX_WAIT, names, payloads::PayloadReader};
use prism_call::{
    Context, Error, Messages,
    proto::patterns::consumer::v1::{
        ConsumeRequest, ConsumeResponse, Message,
        consume_request::{Begin, Request},
        consume_response::Event,
    },
};

/// Most credits of a consumer.
const MAX_CREDITS: u32 = 10_000;

pub async fn consume(
    consumer: &Consumer,
    context: &Context,
    mut requests: Messages<ConsumeRequest>,
) -> Result<Messages<ConsumeResponse>, Error> {
    let first = requests.next().await.transpose()?.and_then(|request| request.request);
    let Some(Request::Begin(begin)) = first else { return Err(Error::invalid("begin", "must be set in the first request")) };
    let start = begin.start();
    let Begin { topic, group, credits, lease_duration, filter, discard_unmatched, .. } = begin;
    let lease = consumer.lease_time(lease_duration.as_ref())?;
    let filter = consumer.filter(&FilterFields { path: "begin.", filter: &filter, discard_unmatched })?;
    let live = if let Source::Live(topics) = &*consumer.source {
        if !group.is_empty() {
            return Err(Error::invalid("begin.group", "must be empty, since the topics of this namespace are live"));
        }
        names::topic(&topic)?;
        Some(topics.subscribe(context, topic.clone()).await?)
    } else {
        None
    };
    let group = consumer.check_group(&topic, group)?;
    let options = ReceiveOptions { topic, group, limit: 1, wait: MAX_WAIT, lease, start, auto_ack: false, filter };
    let mut session = Session {
        source: consumer.source.clone(),
        payloads: consumer.payloads.clone(),
        context: context.clone(),
        options,
        requests: Some(requests),
        live,
        credits: 0,
        ready: VecDeque::new(),
        receiving: None,
    };
    session.grant(credits, "begin.credits")?;
    Ok(Box::pin(stream::try_unfold(session, |mut session| async move {
        let event = session.next().await?;
        Ok(event.map(|event| (ConsumeResponse { event: Some(event) }, session)))
    })))
}

/// A consumer.
struct Session {
    source: Arc<Source>,
    payloads: Option<Arc<PayloadReader>>,
    context: Context,
    options: ReceiveOptions,
    /// Absent when the client has closed its direction.
    requests: Option<Messages<ConsumeRequest>>,
    /// The subscription of a live topic. Others receive from a group.
    live: Option<Messages<LiveEvent>>,
    credits: u32,
    /// Messages that have their credits.
    ready: VecDeque<Message>,
    /// A look for messages. It is kept while requests are served, since dropping it would lose leases.
    receiving: Option<BoxFuture<'static, Result<Vec<Message>, Error>>>,
}

/// What comes next.
enum Input {
    Request(Option<Result<ConsumeRequest, Error>>),
    Messages(Result<Vec<Message>, Error>),
    Live(Option<Result<LiveEvent, Error>>),
}

impl Session {
    /// Returns the next event, or `None` at the end.
    async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return self.deliver(message).await.map(Some);
            }
            if self.requests.is_none() && self.credits == 0 && self.receiving.is_none() {
                return Ok(None);
            }
            match self.wait().await {
                Input::Request(None) => self.requests = None,
                Input::Request(Some(request)) => {
                    if let Some(settled) = self.serve(request?).await? {
                        return Ok(Some(Event::Settled(settled)));
                    }
                }
                Input::Messages(messages) => {
                    self.receiving = None;
                    self.ready = messages?.into();
                    self.credits = self.credits.saturating_sub(u32::try_from(self.ready.len()).unwrap_or(u32::MAX));
                }
                Input::Live(None) => return Ok(None),
                Input::Live(Some(event)) => match event? {
                    LiveEvent::Gap(missed) => return Ok(Some(Event::Gap(missed))),
                    LiveEvent::Message(message) if !self.options.matches(&message).await => {}
                    LiveEvent::Message(message) => {
                        self.credits = self.credits.saturating_sub(1);
                        return self.deliver(*message).await.map(Some);
                    }
                },
            }
        }
    }

    /// Returns the event of a message, with its payload.
    async fn deliver(&mut self, message: Message) -> Result<Event, Error> {
        payload::fetch(self.payloads.as_deref(), &self.context, &self.options.topic, message).await.map(Event::Message)
    }

    /// Waits for a request of the client, or for messages if there are credits.
    async fn wait(&mut self) -> Input {
        if self.live.is_none() && self.receiving.is_none() && self.credits > 0 {
            let (source, context) = (self.source.clone(), self.context.clone());
            let options = ReceiveOptions { limit: self.credits.min(MAX_MESSAGES), ..self.options.clone() };
            self.receiving = Some(Box::pin(async move { source.receive(&context, &options).await }));
        }
        let requests = &mut self.requests;
        let request = async {
            match requests {
                Some(requests) => requests.next().await,
                None => std::future::pending().await,
            }
        };
        let (live, receiving, has_credits) = (&mut self.live, &mut self.receiving, self.credits > 0);
        let messages = async {
            match (live, receiving) {
                (Some(live), _) if has_credits => Input::Live(live.next().await),
                (None, Some(receiving)) => Input::Messages(receiving.await),
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            request = request => Input::Request(request),
            messages = messages => messages,
        }
    }

    /// Serves a request. Returns the number of leases that it has settled.
    async fn serve(&mut self, request: ConsumeRequest) -> Result<Option<u32>, Error> {
        let ReceiveOptions { topic, group, .. } = &self.options;
        match request.request {
            None => Err(Error::invalid("request", "must be set")),
            Some(Request::Begin(_)) => Err(Error::invalid("begin", "must be set in the first request only")),
            Some(Request::Credits(credits)) => {
                self.grant(credits, "credits")?;
                Ok(None)
            }
            Some(Request::Ack(leases)) => Ok(Some(self.source.ack(&self.context, topic, group, &leases.leases).await?)),
            Some(Request::Nack(nack)) => match self.source.nack(&self.context, (topic, group, &nack.lease), nack.delay.as_ref()).await {
                Ok(_) => Ok(Some(1)),
                Err(error) if error.reason() == "LEASE_LOST" => Ok(Some(0)),
                Err(error) => Err(error),
            },
        }
    }

    fn grant(&mut self, credits: u32, field: &str) -> Result<(), Error> {
        let all = self.credits.saturating_add(credits);
        if all > MAX_CREDITS {
            return Err(Error::invalid(field, format!("makes {all} credits; at most {MAX_CREDITS} are allowed")));
        }
        self.credits = all;
        Ok(())
    }
}
