//! Streams messages of several topics. One cursor has the position of each.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{group::StreamGroups, shared::SubscriptionItem, tail::Tails};
use crate::messaging::names;
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::stream::v1::read_request,
        patterns::consumer::v1::{Start, SubscribeResponse},
    },
};

/// Maximum topics of a subscription. Each one is read from the backend by itself.
pub const MAX_TOPICS: usize = 16;
/// Longest cursor. That of a topic has a few dozen bytes.
const MAX_CURSOR_BYTES: usize = 16 << 10;

/// Where a topic is read on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// Behind the record with this cursor.
    #[serde(rename = "c")]
    Cursor(String),
    /// From an offset on: no record was read yet.
    #[serde(rename = "o")]
    Offset(u64),
}

/// The position of each topic. A topic without one begins where the request says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positions(BTreeMap<String, Position>);

impl Positions {
    /// Reads a cursor. The empty one has no positions.
    pub fn decode(cursor: &str) -> Result<Self, Error> {
        if cursor.is_empty() {
            return Ok(Self::default());
        }
        let bytes = Some(cursor).filter(|cursor| cursor.len() <= MAX_CURSOR_BYTES).and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok());
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| Error::invalid("cursor", "is not one of a subscription to several topics").with_reason("INVALID_CURSOR"))
    }

    /// Writes the cursor.
    pub fn encode(&self) -> Result<String, Error> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::internal(format!("a cursor can't be written: {error}")))?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Checks the topics of a subscription to several.
///
/// `topic` must be empty, so that a rule of a policy that allows some topics by this field allows no others.
pub fn check(topic: &str, topics: &[String]) -> Result<(), Error> {
    if !topic.is_empty() {
        return Err(Error::invalid("topic", "must be empty if `topics` is set; put it into the list"));
    }
    if topics.len() > MAX_TOPICS {
        let problem = format!("has {} topics; 1 to {MAX_TOPICS} are allowed", topics.len());
        return Err(Error::invalid("topics", problem).with_reason("BATCH_SIZE").with("limit", MAX_TOPICS.to_string()));
    }
    for (index, topic) in topics.iter().enumerate() {
        names::topic(topic)?;
        if topics[..index].contains(topic) {
            return Err(Error::invalid("topics", format!("has {topic} twice; remove one")));
        }
    }
    Ok(())
}

/// Reads topics behind their positions, and those without one from the start of the request.
pub async fn read(
    (groups, tails): (&StreamGroups, &Arc<Tails>),
    context: &Context,
    topics: Vec<String>,
    start: Start,
    mut positions: Positions,
) -> Result<Messages<SubscriptionItem>, Error> {
    positions.0.retain(|topic, _| topics.contains(topic));
    let mut streams = Vec::with_capacity(topics.len());
    for topic in topics {
        let position = match positions.0.get(&topic) {
            Some(position) => position.clone(),
            // An offset, and not `latest`: what is published before the first message has come must not be lost.
            None => Position::Offset(groups.start(context, &topic, start).await?),
        };
        positions.0.insert(topic.clone(), position.clone());
        let mut reader = TopicReader { tails: tails.clone(), context: context.clone(), topic, records: None, position };
        reader.open().await?;
        streams
            .push(Box::pin(stream::try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|event| (event, reader))) })));
    }
    Ok(Box::pin(stream::select_all(streams).map(move |event: Result<TopicEvent, Error>| {
        let TopicEvent { topic, position, item } = event?;
        positions.0.insert(topic.clone(), position);
        let cursor = positions.encode()?;
        Ok(match item {
            Some(item) => item.with_topic(topic, cursor),
            None => SubscribeResponse { gap: Some(0), cursor, topic: Some(topic), ..SubscribeResponse::default() }.into(),
        })
    })))
}

/// A record of a topic; `None`: records are missing. The topic is read on at the position.
struct TopicEvent {
    topic: String,
    position: Position,
    item: Option<SubscriptionItem>,
}

/// Reads one topic. Retention that removes its records is an event, so that the other topics go on.
struct TopicReader {
    tails: Arc<Tails>,
    context: Context,
    topic: String,
    /// `None`: the records behind the position are gone.
    records: Option<Messages<SubscriptionItem>>,
    position: Position,
}

impl TopicReader {
    async fn open(&mut self) -> Result<(), Error> {
        let start = match &self.position {
            Position::Cursor(cursor) => read_request::Start::Cursor(cursor.clone()),
            Position::Offset(offset) => read_request::Start::FromOffset(*offset),
        };
        self.records = match self.tails.subscribe(&self.context, &self.topic, start).await {
            Ok(records) => Some(records),
            Err(error) if is_expired(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<TopicEvent>, Error> {
        let record = match &mut self.records {
            Some(records) => records.next().await,
            None => return self.skip().await.map(Some),
        };
        match record {
            Some(Ok(item)) => {
                self.position = Position::Cursor(item.cursor().to_owned());
                Ok(Some(self.event(Some(item))))
            }
            Some(Err(error)) if is_expired(&error) => self.skip().await.map(Some),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        }
    }

    /// Continues with the oldest record that is there.
    async fn skip(&mut self) -> Result<TopicEvent, Error> {
        self.position = Position::Offset(0);
        self.open().await?;
        Ok(self.event(None))
    }

    fn event(&self, item: Option<SubscriptionItem>) -> TopicEvent {
        TopicEvent { topic: self.topic.clone(), position: self.position.clone(), item }
    }
}

fn is_expired(error: &Error) -> bool {
    error.reason() == "OFFSET_EXPIRED"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_have_the_position_of_each_topic() {
        let positions = Positions(BTreeMap::from([
            ("orders.eu".to_owned(), Position::Cursor("AAAAAAAAAAE".to_owned())),
            ("orders.us".to_owned(), Position::Offset(7)),
        ]));
        let cursor = positions.encode().unwrap();
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{cursor}");
        assert_eq!(Positions::decode(&cursor).unwrap(), positions);
        assert_eq!(Positions::decode("").unwrap(), Positions::default());
        for wrong in ["AAAAAAAAAAE", "?", "e30x", &"e".repeat(2 * MAX_CURSOR_BYTES)] {
            assert_eq!(Positions::decode(wrong).unwrap_err().reason(), "INVALID_CURSOR", "{wrong}");
        }
    }

    #[test]
    fn topics_are_checked() {
        let check = |topics: &[&str]| check("", &topics.iter().map(|topic| (*topic).to_owned()).collect::<Vec<_>>());
        assert!(check(&["b", "a"]).is_ok());
        assert_eq!(check(&["a", "a"]).unwrap_err().reason(), "INVALID_FIELD");
        assert_eq!(check(&["a", "b c"]).unwrap_err().reason(), "INVALID_NAME");
        assert_eq!(super::check("a", &["b".to_owned()]).unwrap_err().violations()[0].field, "topic");
        let many: Vec<_> = (0..=MAX_TOPICS).map(|number| number.to_string()).collect();
        assert_eq!(super::check("", &many).unwrap_err().reason(), "BATCH_SIZE");
    }
}
