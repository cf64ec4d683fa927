//! `stream_replay`

use std::collections::BTreeSet;

use prism::{
    call::{Code, Error},
    proto::models::stream::v1::{
        PartitionOffset, Record, ReplayRangeRequest, SeekToOffsetRequest, SeekToTimestampRequest,
        replay_range_request::{End, Start},
    },
};

use super::{deliveries, delivery, numbers, payload, payloads};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, eventually, invalid, now, refused, silent, since_1970, sleep, stream_refusal, timestamp},
};

suite! { "stream_replay":
    seek_moves_a_group_back needs "stream_consumer_groups";
    seek_moves_a_group_forward needs "stream_consumer_groups";
    seek_resets_acknowledgements needs "stream_consumer_groups";
    seek_moves_connected_members needs "stream_consumer_groups";
    seeking_beyond_the_ends needs "stream_consumer_groups";
    seeking_to_a_time needs "stream_consumer_groups";
    seek_does_not_move_other_groups needs "stream_consumer_groups";
    ranges_of_offsets;
    ranges_of_time;
    a_range_continues_at_a_cursor;
    a_range_never_waits;
    unknown_groups_and_partitions needs "stream_consumer_groups";
    keyspaces_are_isolated;
    bad_requests_are_refused;
}

impl Subject {
    async fn seek(&self, stream: &str, group: &str, offset: u64) -> Vec<PartitionOffset> {
        self.try_seek(stream, group, offset, None).await.unwrap()
    }

    async fn try_seek(&self, stream: &str, group: &str, offset: u64, partition: Option<u32>) -> Result<Vec<PartitionOffset>, Error> {
        let request = SeekToOffsetRequest { stream: stream.to_owned(), group: group.to_owned(), offset, partition };
        Ok(self.stream_replay().seek_to_offset(&self.context, request).await?.positions)
    }

    async fn seek_to_time(&self, stream: &str, group: &str, millis: i64) -> Vec<PartitionOffset> {
        let request =
            SeekToTimestampRequest { stream: stream.to_owned(), group: group.to_owned(), time: Some(timestamp(millis)), partition: None };
        self.stream_replay().seek_to_timestamp(&self.context, request).await.unwrap().positions
    }

    async fn replay(&self, request: ReplayRangeRequest) -> Vec<Record> {
        let answers = all(self.stream_replay().replay_range(&self.context, request).await.unwrap()).await;
        answers.into_iter().map(|answer| answer.record.expect("each answer has a record")).collect()
    }

    /// Returns what a new member of the group gets until the end of the stream.
    async fn rest(&self, stream: &str, group: &str, expected: std::ops::Range<usize>) {
        let mut member = self.join(stream, group, "").await;
        for number in numbers(expected) {
            let (_, payload, attempt) = delivery(&mut member).await;
            assert_eq!((payload, attempt), (number, 1));
        }
        silent(&mut member).await;
    }
}

fn range(start: Option<Start>, end: Option<End>) -> ReplayRangeRequest {
    ReplayRangeRequest { stream: "orders".to_owned(), start, end, ..Default::default() }
}

async fn seek_moves_a_group_back(s: Subject) {
    let offsets = s.append_many("orders", 6).await;
    s.create_group("orders", "billing", None).await;
    let mut member = s.join("orders", "billing", "one").await;
    deliveries(&mut member, 6).await;
    s.ack("orders", "billing", &offsets[..4]).await;
    drop(member);
    for (offset, first) in [(offsets[2], 2), (offsets[2] + 1, 3), (0, 0)] {
        let positions = s.seek("orders", "billing", offset).await;
        assert_eq!(positions.iter().map(|position| position.partition).collect::<Vec<_>>(), [0]);
        let before = if first == 0 { 0 } else { offsets[first - 1] + 1 };
        assert!((before..=offsets[first]).contains(&positions[0].offset), "{positions:?} for {offset} of {offsets:?}");
        s.rest("orders", "billing", first..6).await;
    }
}

async fn seek_moves_a_group_forward(s: Subject) {
    let offsets = s.append_many("orders", 6).await;
    s.create_group("orders", "billing", None).await;
    s.seek("orders", "billing", offsets[4]).await;
    s.rest("orders", "billing", 4..6).await;
}

async fn seek_resets_acknowledgements(s: Subject) {
    let offsets = s.append_many("orders", 4).await;
    s.create_group("orders", "billing", None).await;
    let mut member = s.join_with("orders", "billing", "one", 0, 3600).await;
    deliveries(&mut member, 4).await;
    s.ack("orders", "billing", &[offsets[0]]).await;
    drop(member);
    s.seek("orders", "billing", 0).await;
    // The seek resets all pending acknowledgements: everything is delivered again, as attempt 1.
    assert_eq!(s.ack("orders", "billing", &offsets[1..]).await, 0);
    s.rest("orders", "billing", 0..4).await;
}

async fn seek_moves_connected_members(s: Subject) {
    let offsets = s.append_many("orders", 3).await;
    s.create_group("orders", "billing", None).await;
    let mut member = s.join("orders", "billing", "one").await;
    deliveries(&mut member, 3).await;
    s.ack("orders", "billing", &offsets).await;
    s.seek("orders", "billing", offsets[1]).await;
    for number in ["1", "2"] {
        let (_, payload, attempt) = delivery(&mut member).await;
        assert_eq!((payload.as_str(), attempt), (number, 1));
    }
    s.append("orders", "3").await;
    assert_eq!(deliveries(&mut member, 1).await, ["3"]);
}

async fn seeking_beyond_the_ends(s: Subject) {
    s.append_many("orders", 3).await;
    s.create_group("orders", "billing", None).await;
    s.seek("orders", "billing", u64::MAX).await;
    s.rest("orders", "billing", 3..3).await;
    s.append("orders", "3").await;
    s.rest("orders", "billing", 3..4).await;
    s.seek("orders", "billing", 0).await;
    s.rest("orders", "billing", 0..4).await;
}

async fn seeking_to_a_time(s: Subject) {
    s.append_many("orders", 2).await;
    sleep(30).await;
    let between = now();
    sleep(30).await;
    s.append("orders", "2").await;
    s.append("orders", "3").await;
    s.create_group("orders", "billing", None).await;
    for (time, first) in [(between, 2), (0, 0), (now() + 60_000, 4)] {
        assert_eq!(s.seek_to_time("orders", "billing", time).await.len(), 1);
        s.rest("orders", "billing", first..4).await;
    }
    let third = since_1970(s.read("orders", None).await[2].append_time.as_ref());
    s.seek_to_time("orders", "billing", third).await;
    s.rest("orders", "billing", 2..4).await;
}

async fn seek_does_not_move_other_groups(s: Subject) {
    let offsets = s.append_many("orders", 3).await;
    for group in ["billing", "mail"] {
        s.create_group("orders", group, None).await;
        let mut member = s.join("orders", group, "one").await;
        deliveries(&mut member, 3).await;
        s.ack("orders", group, &offsets).await;
    }
    s.seek("orders", "billing", 0).await;
    s.rest("orders", "mail", 3..3).await;
    s.rest("orders", "billing", 0..3).await;
}

async fn ranges_of_offsets(s: Subject) {
    let offsets = s.append_many("orders", 8).await;
    let from = |index: usize| Some(Start::FromOffset(offsets[index]));
    let to = |index: usize| Some(End::ToOffset(offsets[index]));
    for (start, end, expected) in [
        (None, None, 0..8),
        (from(3), None, 3..8),
        (None, to(3), 0..3),
        (from(2), to(5), 2..5),
        (from(5), to(5), 5..5),
        (from(6), to(2), 6..6),
        (Some(Start::FromOffset(offsets[7] + 1)), None, 8..8),
        (Some(Start::FromOffset(0)), Some(End::ToOffset(u64::MAX)), 0..8),
        (None, Some(End::ToOffset(0)), 0..0),
        (Some(Start::Cursor(String::new())), to(1), 0..1),
    ] {
        let request = range(start, end);
        assert_eq!(payloads(&s.replay(request.clone()).await), numbers(expected.clone()), "{request:?}");
        let limited = ReplayRangeRequest { limit: 2, partition: Some(0), ..request };
        assert_eq!(s.replay(limited).await.len(), expected.len().min(2));
    }
}

async fn ranges_of_time(s: Subject) {
    s.append_many("orders", 2).await;
    sleep(30).await;
    let first = now();
    sleep(30).await;
    s.append("orders", "2").await;
    s.append("orders", "3").await;
    sleep(30).await;
    let second = now();
    sleep(30).await;
    s.append("orders", "4").await;
    let from = |time: i64| Some(Start::FromTime(timestamp(time)));
    let to = |time: i64| Some(End::ToTime(timestamp(time)));
    for (start, end, expected) in [
        (from(first), to(second), 2..4),
        (from(0), to(first), 0..2),
        (from(second), None, 4..5),
        (None, to(second), 0..4),
        (from(second), to(first), 4..4),
        (from(now() + 60_000), None, 5..5),
        (None, to(now() + 60_000), 0..5),
    ] {
        let request = range(start, end);
        assert_eq!(payloads(&s.replay(request.clone()).await), numbers(expected), "{request:?}");
    }
}

async fn a_range_continues_at_a_cursor(s: Subject) {
    let offsets = s.append_many("orders", 7).await;
    let end = Some(End::ToOffset(offsets[6]));
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = ReplayRangeRequest { limit: 2, ..range(Some(Start::Cursor(cursor.clone())), end) };
        let records = s.replay(request).await;
        let Some(last) = records.last() else { break };
        cursor.clone_from(&last.cursor);
        read.extend(payloads(&records));
    }
    assert_eq!(read, numbers(0..6));
    // Cursors from Read are valid here too.
    let cursor = s.read("orders", None).await[3].cursor.clone();
    assert_eq!(payloads(&s.replay(range(Some(Start::Cursor(cursor)), None)).await), numbers(4..7));
}

async fn a_range_never_waits(s: Subject) {
    assert!(s.replay(range(None, None)).await.is_empty());
    assert!(s.replay(range(None, Some(End::ToOffset(100)))).await.is_empty());
    let appender = {
        let s = s.clone();
        tokio::spawn(async move { s.append_many("orders", 200).await })
    };
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let read = s.replay(range(None, None)).await;
        assert_eq!(payloads(&read), numbers(0..read.len()));
        seen.extend(read.iter().map(payload));
    }
    appender.await.unwrap();
    eventually("the range has everything", || async { s.replay(range(None, None)).await.len() == 200 }).await;
}

async fn unknown_groups_and_partitions(s: Subject) {
    s.append("orders", "x").await;
    refused(s.try_seek("orders", "billing", 0, None).await, Code::NotFound, "CONSUMER_GROUP_NOT_FOUND");
    let request =
        SeekToTimestampRequest { stream: "orders".to_owned(), group: "billing".to_owned(), time: Some(timestamp(0)), partition: None };
    refused(s.stream_replay().seek_to_timestamp(&s.context, request.clone()).await, Code::NotFound, "CONSUMER_GROUP_NOT_FOUND");
    s.create_group("orders", "billing", None).await;
    assert_eq!(s.try_seek("orders", "billing", 0, Some(0)).await.unwrap().len(), 1);
    refused(s.try_seek("orders", "billing", 0, Some(1)).await, Code::NotFound, "PARTITION_NOT_FOUND");
    let request = SeekToTimestampRequest { partition: Some(7), ..request };
    refused(s.stream_replay().seek_to_timestamp(&s.context, request).await, Code::NotFound, "PARTITION_NOT_FOUND");
    let request = ReplayRangeRequest { partition: Some(1), ..range(None, None) };
    let answer = stream_refusal(s.stream_replay().replay_range(&s.context, request).await).await;
    refused(answer, Code::NotFound, "PARTITION_NOT_FOUND");
}

async fn keyspaces_are_isolated(s: Subject) {
    s.append("orders", "mine").await;
    assert!(s.other_keyspace().replay(range(None, None)).await.is_empty());
}

async fn bad_requests_are_refused(s: Subject) {
    let replay = s.stream_replay();
    let request = ReplayRangeRequest { stream: "a b".to_owned(), ..Default::default() };
    invalid(stream_refusal(replay.replay_range(&s.context, request).await).await, "INVALID_NAME", "stream");
    let request = range(Some(Start::Cursor("no cursor!".to_owned())), None);
    invalid(stream_refusal(replay.replay_range(&s.context, request).await).await, "INVALID_CURSOR", "cursor");
    s.append("others", "x").await;
    let cursor = s.read("others", None).await.pop().unwrap().cursor;
    let answer = replay.replay_range(&s.context, range(Some(Start::Cursor(cursor)), None)).await;
    refused(stream_refusal(answer).await, Code::InvalidArgument, "INVALID_CURSOR");
    for (stream, group, field) in [("", "billing", "stream"), ("orders", "", "group")] {
        let error = s.try_seek(stream, group, 0, None).await;
        invalid(error, "INVALID_NAME", field);
        let request =
            SeekToTimestampRequest { stream: stream.to_owned(), group: group.to_owned(), time: Some(timestamp(0)), partition: None };
        invalid(replay.seek_to_timestamp(&s.context, request).await, "INVALID_NAME", field);
    }
    let request = SeekToTimestampRequest { stream: "orders".to_owned(), group: "billing".to_owned(), time: None, partition: None };
    invalid(replay.seek_to_timestamp(&s.context, request).await, "INVALID_FIELD", "time");
}
