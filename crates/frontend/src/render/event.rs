//! What a message is as an event of a stream: its id and its name.

use crate::{
    message_types::{Field, FieldKind, FieldShape, MessageId, MessageType, MessageTypes},
    wire::{self, WireValue},
};

/// The name of events that need none (HTML standard, "Server-sent events").
const DEFAULT_NAME: &str = "message";

/// Finds the ids and the names of events in messages of one type.
#[derive(Debug)]
pub struct EventFields {
    cursor: CursorPath,
    /// Numbers and names of the fields of the oneof `event`.
    names: Vec<(u32, String)>,
}

/// Where the cursor of a message is.
#[derive(Debug)]
enum CursorPath {
    /// In the field with this number.
    Own(u32),
    /// In a field of one of these messages. Each has its number, and the number of the field in it.
    Nested(Vec<(u32, u32)>),
}

impl EventFields {
    /// Finds the fields of a message type: `cursor`, its own or that of a message in it, and the oneof `event`.
    pub fn of(types: &MessageTypes, message: MessageId) -> Self {
        let message = types.message(message);
        let nested = |field: &Field| match (field.shape, field.kind) {
            (FieldShape::Singular { .. }, FieldKind::Message(inner)) => Some((field.number, cursor_of(types.message(inner))?)),
            _ => None,
        };
        let cursor =
            cursor_of(message).map_or_else(|| CursorPath::Nested(message.fields.iter().filter_map(nested).collect()), CursorPath::Own);
        let is_event = |field: &&Field| field.oneof.and_then(|place| message.oneofs.get(place)).is_some_and(|name| name == "event");
        Self { cursor, names: message.fields.iter().filter(is_event).map(|field| (field.number, field.name.clone())).collect() }
    }

    /// Tells whether messages of this type may have a cursor.
    pub fn has_cursor(&self) -> bool {
        match &self.cursor {
            CursorPath::Own(_) => true,
            CursorPath::Nested(paths) => !paths.is_empty(),
        }
    }

    /// Returns the cursor of a message, if it is not empty.
    pub fn cursor<'b>(&self, message: &'b [u8]) -> Option<&'b str> {
        match &self.cursor {
            CursorPath::Own(number) => text(message, *number),
            CursorPath::Nested(paths) => paths.iter().find_map(|(outer, inner)| text(bytes(message, *outer)?, *inner)),
        }
    }

    /// Returns the name of the event: that of the field of the oneof `event` that is set. `None`: it needs no name.
    pub fn name(&self, message: &[u8]) -> Option<&str> {
        let found = self.names.iter().find(|(number, _)| bytes(message, *number).is_some());
        found.map(|(_, name)| name.as_str()).filter(|name| *name != DEFAULT_NAME)
    }
}

fn cursor_of(message: &MessageType) -> Option<u32> {
    let field = message.fields.get(message.by_name("cursor")?)?;
    (field.is_plain() && field.kind == FieldKind::String).then_some(field.number)
}

fn bytes(message: &[u8], number: u32) -> Option<&[u8]> {
    match wire::last(message, number) {
        Ok(Some(WireValue::Bytes(bytes))) => Some(bytes),
        _ => None,
    }
}

fn text(message: &[u8], number: u32) -> Option<&str> {
    std::str::from_utf8(bytes(message, number)?).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use prism_call::proto::models::{
        pubsub::v1::{Gap, Message, SubscribeResponse, Subscribed, subscribe_response::Event},
        stream::v1::{ReadResponse, Record},
    };

    fn fields(name: &str) -> EventFields {
        let types = MessageTypes::with_interfaces();
        EventFields::of(types, types.find(name).unwrap())
    }

    #[test]
    fn cursor_may_be_in_a_message_of_the_reply() {
        let read = fields("prism.interfaces.stream.v1.ReadResponse");
        let record =
            |cursor: &str| ReadResponse { record: Some(Record { cursor: cursor.to_owned(), ..Record::default() }) }.encode_to_vec();
        assert_eq!((read.cursor(&record("c1")), read.name(&record("c1"))), (Some("c1"), None));
        assert_eq!((read.cursor(&record("")), read.cursor(b""), read.cursor(b"\x0a\xff")), (None, None, None));
        let scan = fields("prism.interfaces.keyvalue.v1.GetRequest");
        assert_eq!(scan.cursor(b"\x0a\x01a"), None);
    }

    #[test]
    fn events_are_named_after_what_they_are() {
        let subscribe = fields("prism.interfaces.pubsub.v1.SubscribeResponse");
        let encoded = |event: Event| SubscribeResponse { event: Some(event) }.encode_to_vec();
        let message = encoded(Event::Message(Message { cursor: "c2".to_owned(), ..Message::default() }));
        assert_eq!((subscribe.cursor(&message), subscribe.name(&message)), (Some("c2"), None));
        assert_eq!(subscribe.name(&encoded(Event::Subscribed(Subscribed::default()))), Some("subscribed"));
        assert_eq!(subscribe.name(&encoded(Event::Gap(Gap { missed: 3 }))), Some("gap"));
        assert_eq!(subscribe.name(b""), None);
    }
}
