//! The records of a journal.

use prost::{Message, Oneof};

use super::{
    group::Group,
    take::{At, GroupName, Take, Taken},
};
use prism_driver::time::Millis;

/// A record of the journal.
#[derive(Clone, PartialEq, Message)]
pub struct Command {
    /// Random, so that the gateway that wrote it recognizes it.
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    #[prost(oneof = "Operation", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12")]
    pub operation: Option<Operation>,
}

/// What a command does.
#[derive(Clone, PartialEq, Oneof)]
pub enum Operation {
    #[prost(message, tag = "2")]
    CreateGroup(CreateGroup),
    #[prost(message, tag = "3")]
    DeleteGroup(GroupName),
    #[prost(message, tag = "4")]
    Take(Take),
    #[prost(message, tag = "5")]
    Leave(Leave),
    #[prost(message, tag = "6")]
    Ack(Ack),
    #[prost(message, tag = "7")]
    Seek(Seek),
    #[prost(message, tag = "8")]
    OpenDurable(OpenDurable),
    #[prost(message, tag = "9")]
    MoveDurable(MoveDurable),
    #[prost(message, tag = "10")]
    DeleteDurable(DurableName),
    #[prost(message, tag = "11")]
    Publish(PublishOrdered),
    #[prost(message, tag = "12")]
    Snapshot(SnapshotPart),
}

/// What a command came to. It follows from the commands before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Whether the command made or removed something.
    Changed(bool),
    /// There is no such group or subscription.
    NotFound,
    /// The records that a member got.
    Taken(Vec<Taken>),
    /// How many records it acknowledged.
    Acknowledged(u32),
    /// The subscription.
    Durable(Durable),
    /// The number of a message in its line.
    Sequence(u64),
}

#[derive(Clone, PartialEq, Message)]
pub struct CreateGroup {
    #[prost(message, required, tag = "1")]
    pub name: GroupName,
    #[prost(fixed64, tag = "2")]
    pub group_id: u64,
    #[prost(message, repeated, tag = "3")]
    pub positions: Vec<At>,
    #[prost(int64, tag = "4")]
    pub not_before: Millis,
}

#[derive(Clone, PartialEq, Message)]
pub struct Leave {
    #[prost(message, required, tag = "1")]
    pub name: GroupName,
    #[prost(fixed64, tag = "2")]
    pub group_id: u64,
    #[prost(uint32, tag = "3")]
    pub member: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Ack {
    #[prost(message, required, tag = "1")]
    pub name: GroupName,
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    #[prost(uint64, repeated, tag = "3")]
    pub offsets: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Seek {
    #[prost(message, required, tag = "1")]
    pub name: GroupName,
    #[prost(message, repeated, tag = "2")]
    pub positions: Vec<At>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct DurableName {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(string, tag = "2")]
    pub subscription: String,
}

/// A durable subscription.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Durable {
    /// Random, so that a subscription that was deleted and made again is another one.
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    /// The offset of the first message that is not done.
    #[prost(uint64, tag = "2")]
    pub next: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct OpenDurable {
    #[prost(message, required, tag = "1")]
    pub name: DurableName,
    /// The subscription, if it is new.
    #[prost(message, required, tag = "2")]
    pub new: Durable,
}

#[derive(Clone, PartialEq, Message)]
pub struct MoveDurable {
    #[prost(message, required, tag = "1")]
    pub name: DurableName,
    #[prost(uint64, tag = "2")]
    pub next: u64,
}

/// The next message of a line.
#[derive(Clone, PartialEq, Message)]
pub struct PublishOrdered {
    #[prost(message, required, tag = "1")]
    pub line: LineName,
    #[prost(bytes = "bytes", tag = "2")]
    pub payload: bytes::Bytes,
    #[prost(btree_map = "string, string", tag = "3")]
    pub attributes: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct LineName {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(string, tag = "2")]
    pub key: String,
}

/// A line of ordered messages.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Line {
    /// The number of the last message.
    #[prost(uint64, tag = "1")]
    pub last: u64,
    /// When it was published.
    #[prost(int64, tag = "2")]
    pub at: Millis,
}

/// A part of a snapshot.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotPart {
    /// Random, the same in all parts.
    #[prost(fixed64, tag = "1")]
    pub snapshot: u64,
    /// The snapshot has the effects of all commands before this offset.
    #[prost(uint64, tag = "2")]
    pub before: u64,
    /// The number of parts before this one.
    #[prost(uint32, tag = "3")]
    pub index: u32,
    /// Whether this is the last part.
    #[prost(bool, tag = "4")]
    pub last: bool,
    #[prost(message, repeated, tag = "5")]
    pub groups: Vec<GroupEntry>,
    #[prost(message, repeated, tag = "6")]
    pub durables: Vec<DurableEntry>,
    #[prost(message, repeated, tag = "7")]
    pub lines: Vec<LineEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub struct GroupEntry {
    #[prost(message, required, tag = "1")]
    pub name: GroupName,
    #[prost(message, required, tag = "2")]
    pub group: Group,
}

#[derive(Clone, PartialEq, Message)]
pub struct DurableEntry {
    #[prost(message, required, tag = "1")]
    pub name: DurableName,
    #[prost(message, required, tag = "2")]
    pub durable: Durable,
}

#[derive(Clone, PartialEq, Message)]
pub struct LineEntry {
    #[prost(message, required, tag = "1")]
    pub name: LineName,
    #[prost(message, required, tag = "2")]
    pub line: Line,
}
