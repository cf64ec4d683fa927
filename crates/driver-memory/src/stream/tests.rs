//! Tests of what the behaviour suites can't see: accounting of bytes, and removal of unused streams.

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::*;
use crate::{MemorySettings, backend::LIMITS};
use prism_call::{
    Context,
    proto::models::stream::v1::{
        AckRequest, AppendRequest, CompactRequest, CreateConsumerGroupRequest, DeleteConsumerGroupRequest, GetConsumerGroupInfoRequest,
        JoinConsumerGroupRequest, ReadRequest, RetentionPolicy, SetPartitionsRequest, SetRetentionRequest, StreamBasic,
        StreamConsumerGroups, StreamPartitioning, StreamRetention, read_request,
    },
};

fn streams() -> (Streams, Arc<SharedState>, Context) {
    let shared = Arc::new(SharedState::new(MemorySettings::default()));
    (Streams::new(shared.clone(), LIMITS), shared, Context::internal("test"))
}

async fn append(streams: &Streams, context: &Context, key: &str) {
    let request = AppendRequest { stream: "s".into(), payload: "p".into(), key: key.to_owned().into(), ..Default::default() };
    StreamBasic::append(streams, context, request).await.unwrap();
}

fn read() -> ReadRequest {
    ReadRequest { stream: "s".into(), ..Default::default() }
}

#[tokio::test]
async fn releases_every_byte() {
    let (streams, shared, context) = streams();
    let mut follower = StreamBasic::read(&streams, &context, ReadRequest { follow: true, ..read() }).await.unwrap();
    assert!(follower.next().now_or_never().is_none());
    streams.sweep();
    let name = shared.used_bytes();
    assert_eq!(name, 1 + OVERHEAD);
    for key in ["a", "b", "a", ""] {
        append(&streams, &context, key).await;
    }
    assert_eq!(follower.try_next().await.unwrap().unwrap().record.unwrap().offset, 0);
    assert_eq!(shared.used_bytes(), name + 7 + 4 * OVERHEAD);
    let compacted = streams.compact(&context, CompactRequest { stream: "s".into(), by_key: true }).await.unwrap();
    assert_eq!((compacted.removed, compacted.first_offset), (Some(1), Some(1)));
    assert_eq!(shared.used_bytes(), name + 5 + 3 * OVERHEAD);
    streams.set_partitions(&context, SetPartitionsRequest { stream: "s".into(), count: 3 }).await.unwrap();
    let group = CreateConsumerGroupRequest { stream: "s".into(), group: "g".into(), start: None };
    streams.create_consumer_group(&context, group).await.unwrap();
    let policy = Some(RetentionPolicy { max_records: Some(1), ..Default::default() });
    streams.set_retention(&context, SetRetentionRequest { stream: "s".into(), policy }).await.unwrap();
    assert_eq!(shared.used_bytes(), name + 1 + OVERHEAD + 2 * OVERHEAD + 1 + OVERHEAD);
    drop((streams, follower));
    assert_eq!(shared.used_bytes(), 0);
}

#[tokio::test]
async fn a_stream_without_records_is_removed() {
    let (streams, shared, context) = streams();
    let follower = StreamBasic::read(&streams, &context, ReadRequest { follow: true, ..read() }).await.unwrap();
    drop(follower);
    streams.sweep();
    assert_eq!(shared.used_bytes(), 0);
}

#[tokio::test]
async fn a_reader_that_is_slower_than_retention_gets_an_error() {
    let (streams, _, context) = streams();
    for _ in 0..3 {
        append(&streams, &context, "").await;
    }
    let first = StreamBasic::read(&streams, &context, ReadRequest { limit: 1, ..read() }).await.unwrap();
    let records: Vec<_> = first.try_collect().await.unwrap();
    let cursor = records[0].record.as_ref().unwrap().cursor.clone();
    let policy = Some(RetentionPolicy { max_records: Some(1), ..Default::default() });
    streams.set_retention(&context, SetRetentionRequest { stream: "s".into(), policy }).await.unwrap();
    let request = ReadRequest { start: Some(read_request::Start::Cursor(cursor)), ..read() };
    let error = StreamBasic::read(&streams, &context, request).await.err().unwrap();
    assert_eq!((error.reason(), error.get("first_offset")), ("OFFSET_EXPIRED", Some("2")));
    let request = ReadRequest { start: Some(read_request::Start::FromOffset(0)), ..read() };
    let records: Vec<_> = StreamBasic::read(&streams, &context, request).await.unwrap().try_collect().await.unwrap();
    assert_eq!(records.len(), 1);
}

#[tokio::test]
async fn records_of_a_member_that_leaves_are_delivered_again() {
    let (streams, _, context) = streams();
    let group = CreateConsumerGroupRequest { stream: "s".into(), group: "g".into(), start: None };
    streams.create_consumer_group(&context, group).await.unwrap();
    for _ in 0..3 {
        append(&streams, &context, "").await;
    }
    let join = || JoinConsumerGroupRequest { stream: "s".into(), group: "g".into(), max_in_flight: 2, ..Default::default() };
    let mut one = streams.join_consumer_group(&context, join()).await.unwrap();
    let mut two = streams.join_consumer_group(&context, join()).await.unwrap();
    for offset in [0, 1] {
        assert_eq!(one.try_next().await.unwrap().unwrap().record.unwrap().offset, offset);
    }
    assert!(one.next().now_or_never().is_none());
    let ack = AckRequest { stream: "s".into(), group: "g".into(), partition: 0, offsets: vec![0, 7] };
    assert_eq!(streams.ack(&context, ack).await.unwrap().acknowledged, 1);
    assert_eq!(two.try_next().await.unwrap().unwrap().record.unwrap().offset, 2);
    drop(one);
    let again = two.try_next().await.unwrap().unwrap();
    assert_eq!((again.record.unwrap().offset, again.delivery_attempt), (1, 2));
    let info = GetConsumerGroupInfoRequest { stream: "s".into(), group: "g".into() };
    let info = streams.get_consumer_group_info(&context, info).await.unwrap().info.unwrap();
    assert_eq!((info.committed[0].offset, info.pending, info.lag, info.consumers.len()), (1, 2, 0, 1));
    let delete = DeleteConsumerGroupRequest { stream: "s".into(), group: "g".into() };
    streams.delete_consumer_group(&context, delete).await.unwrap();
    assert_eq!(two.try_next().await.unwrap_err().reason(), "CONSUMER_GROUP_NOT_FOUND");
}
