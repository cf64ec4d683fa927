//! How a member of a group asks for records, and what it gets.

use prost::Message;

use prism_driver::time::Millis;

/// The name of a group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct GroupName {
    #[prost(string, tag = "1")]
    pub stream: String,
    #[prost(string, tag = "2")]
    pub group: String,
}

/// An offset of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct At {
    #[prost(uint32, tag = "1")]
    pub partition: u32,
    #[prost(uint64, tag = "2")]
    pub offset: u64,
}

/// A member asks for records.
#[derive(Clone, PartialEq, Message)]
pub struct Take {
    #[prost(message, required, tag = "1")]
    pub name: GroupName,
    #[prost(fixed64, tag = "2")]
    pub group_id: u64,
    #[prost(uint32, tag = "3")]
    pub member: u32,
    #[prost(string, tag = "4")]
    pub member_name: String,
    #[prost(uint32, tag = "5")]
    pub max_in_flight: u32,
    #[prost(int64, tag = "6")]
    pub ack_timeout: Millis,
    /// Records that no member got yet.
    #[prost(message, repeated, tag = "7")]
    pub new: Vec<Range>,
    /// Records that may be delivered again.
    #[prost(message, repeated, tag = "8")]
    pub again: Vec<At>,
}

/// Records of one partition, next to each other.
#[derive(Clone, PartialEq, Message)]
pub struct Range {
    #[prost(uint32, tag = "1")]
    pub partition: u32,
    /// The group's next offset, when the member read the records.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// Behind the last record.
    #[prost(uint64, tag = "3")]
    pub to: u64,
    /// The offsets, except for records that the group leaves out.
    #[prost(uint64, repeated, tag = "4")]
    pub offsets: Vec<u64>,
}

/// A record that a member got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub partition: u32,
    pub offset: u64,
    pub attempt: u32,
}
