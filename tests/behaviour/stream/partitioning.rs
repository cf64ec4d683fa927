//! `stream_partitioning`

use std::collections::{BTreeMap, BTreeSet};

use prism::{
    call::{Code, Error, Messages},
    proto::models::stream::v1::{
        AckRequest, AppendRequest, AppendToPartitionRequest, AppendToPartitionResponse, GetPartitionsRequest, PartitionInfo,
        ReadPartitionRequest, ReadPartitionResponse, Record, SetPartitionsRequest, read_partition_request, read_request::Start,
    },
};

use super::{payload, payloads, record};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, next, refused, silent, stream_refusal},
};

suite! { "stream_partitioning":
    a_new_stream_has_one_partition;
    partitions_are_created_and_added;
    a_key_stays_in_its_partition;
    records_of_all_partitions_are_read;
    appending_to_a_partition;
    reading_a_partition;
    following_a_partition;
    cursors_hold_a_position_in_each_partition;
    a_cursor_of_one_partition;
    conditional_append;
    offsets_are_per_partition;
    a_group_reads_all_partitions needs "stream_consumer_groups";
    unknown_partitions_are_refused;
    keyspaces_are_isolated;
    bad_requests_are_refused;
}

impl Subject {
    async fn set_partitions(&self, stream: &str, count: u32) -> bool {
        let request = SetPartitionsRequest { stream: stream.to_owned(), count };
        self.stream_partitioning().set_partitions(&self.context, request).await.unwrap().changed
    }

    async fn partitions(&self, stream: &str) -> Vec<PartitionInfo> {
        let request = GetPartitionsRequest { stream: stream.to_owned() };
        self.stream_partitioning().get_partitions(&self.context, request).await.unwrap().partitions
    }

    async fn try_append_to(
        &self,
        stream: &str,
        partition: u32,
        payload: &str,
        expected_next_offset: Option<u64>,
    ) -> Result<AppendToPartitionResponse, Error> {
        let request = AppendToPartitionRequest {
            stream: stream.to_owned(),
            partition,
            payload: payload.to_owned().into(),
            expected_next_offset,
            ..Default::default()
        };
        self.stream_partitioning().append_to_partition(&self.context, request).await
    }

    async fn append_to(&self, stream: &str, partition: u32, payload: &str) -> u64 {
        self.try_append_to(stream, partition, payload, None).await.unwrap().offset
    }

    async fn partition_stream(&self, request: ReadPartitionRequest) -> Messages<ReadPartitionResponse> {
        self.stream_partitioning().read_partition(&self.context, request).await.unwrap()
    }

    async fn read_partition(&self, stream: &str, partition: u32, start: Option<read_partition_request::Start>) -> Vec<Record> {
        let request = ReadPartitionRequest { stream: stream.to_owned(), partition, start, ..Default::default() };
        let answers = all(self.partition_stream(request).await).await;
        answers.into_iter().map(|answer| answer.record.expect("each answer has a record")).collect()
    }
}

async fn a_new_stream_has_one_partition(s: Subject) {
    let empty = [PartitionInfo { partition: 0, first_offset: None, next_offset: 0 }];
    assert_eq!(s.partitions("orders").await, empty);
    let offset = s.append("orders", "0").await;
    let partitions = s.partitions("orders").await;
    assert_eq!((partitions.len(), partitions[0].partition, partitions[0].first_offset), (1, 0, Some(offset)));
    assert_eq!(partitions[0].next_offset, s.latest("orders").await.1);
    assert_eq!(payloads(&s.read_partition("orders", 0, None).await), ["0"]);
}

async fn partitions_are_created_and_added(s: Subject) {
    assert!(s.set_partitions("orders", 2).await);
    assert!(!s.set_partitions("orders", 2).await);
    s.append_to("orders", 1, "stays").await;
    assert!(s.set_partitions("orders", 5).await);
    let partitions = s.partitions("orders").await;
    assert_eq!(partitions.iter().map(|info| info.partition).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(payloads(&s.read_partition("orders", 1, None).await), ["stays"]);
    let request = SetPartitionsRequest { stream: "orders".to_owned(), count: 4 };
    refused(s.stream_partitioning().set_partitions(&s.context, request).await, Code::FailedPrecondition, "PARTITIONS_SHRINK");
    assert_eq!(s.partitions("orders").await.len(), 5);
    // Records that were appended before the stream was partitioned stay in partition 0.
    s.append("old", "first").await;
    assert!(s.set_partitions("old", 3).await);
    assert_eq!(payloads(&s.read_partition("old", 0, None).await), ["first"]);
}

async fn a_key_stays_in_its_partition(s: Subject) {
    s.set_partitions("orders", 4).await;
    let mut partitions_by_key: BTreeMap<u8, BTreeSet<u32>> = BTreeMap::new();
    for _ in 0..3 {
        for key in 0..32_u8 {
            let request = AppendRequest { stream: "orders".to_owned(), key: vec![key, 0xff].into(), ..Default::default() };
            let partition = s.stream_basic().append(&s.context, request).await.unwrap().partition;
            partitions_by_key.entry(key).or_default().insert(partition);
        }
    }
    assert!(partitions_by_key.values().all(|partitions| partitions.len() == 1), "{partitions_by_key:?}");
    let used: BTreeSet<u32> = partitions_by_key.into_values().flatten().collect();
    assert_eq!(used, BTreeSet::from([0, 1, 2, 3]), "32 keys leave a partition empty");
}

async fn records_of_all_partitions_are_read(s: Subject) {
    s.set_partitions("orders", 3).await;
    let mut follower = s.follow("orders", None).await;
    for number in 0..30_u32 {
        s.append_to("orders", number % 3, &number.to_string()).await;
    }
    let read = s.read("orders", None).await;
    let mut live = Vec::new();
    for _ in 0..30 {
        live.push(record(&mut follower).await);
    }
    for records in [read, live] {
        let mut last = [None; 3];
        for record in &records {
            let (partition, number) = (record.partition as usize, payload(record).parse::<usize>().unwrap());
            assert_eq!(number % 3, partition);
            assert!(last[partition].is_none_or(|last| last < number), "out of order in partition {partition}");
            last[partition] = Some(number);
        }
        assert_eq!(records.len(), 30);
    }
}

async fn appending_to_a_partition(s: Subject) {
    s.set_partitions("orders", 2).await;
    let request = AppendToPartitionRequest {
        stream: "orders".to_owned(),
        partition: 1,
        payload: "p".into(),
        key: "k".into(),
        attributes: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        expected_next_offset: None,
    };
    let appended = s.stream_partitioning().append_to_partition(&s.context, request.clone()).await.unwrap();
    let read = s.read_partition("orders", 1, None).await.remove(0);
    assert_eq!((read.offset, read.partition, read.append_time), (appended.offset, 1, appended.append_time));
    assert_eq!((read.payload, read.key, read.attributes), (request.payload, request.key, request.attributes));
    assert!(s.read_partition("orders", 0, None).await.is_empty());
}

async fn reading_a_partition(s: Subject) {
    s.set_partitions("orders", 2).await;
    let mut offsets = Vec::new();
    for number in 0..6 {
        offsets.push(s.append_to("orders", 1, &number.to_string()).await);
        s.append_to("orders", 0, "other").await;
    }
    assert!(offsets.is_sorted_by(|a, b| a < b));
    let from = |index: usize| Some(read_partition_request::Start::FromOffset(offsets[index]));
    assert_eq!(payloads(&s.read_partition("orders", 1, None).await), super::numbers(0..6));
    assert_eq!(payloads(&s.read_partition("orders", 1, from(4)).await), ["4", "5"]);
    let latest = Some(read_partition_request::Start::Latest(true));
    assert!(s.read_partition("orders", 1, latest).await.is_empty());
    let request = ReadPartitionRequest { stream: "orders".to_owned(), partition: 1, start: from(1), limit: 2, follow: false };
    assert_eq!(all(s.partition_stream(request).await).await.len(), 2);
}

async fn following_a_partition(s: Subject) {
    s.set_partitions("orders", 2).await;
    let request = ReadPartitionRequest { stream: "orders".to_owned(), partition: 1, follow: true, ..Default::default() };
    let mut stream = s.partition_stream(request).await;
    s.append_to("orders", 0, "other").await;
    silent(&mut stream).await;
    s.append_to("orders", 1, "mine").await;
    assert_eq!(payload(&next(&mut stream).await.record.unwrap()), "mine");
}

async fn cursors_hold_a_position_in_each_partition(s: Subject) {
    s.set_partitions("orders", 3).await;
    for number in 0..20_u32 {
        s.append_to("orders", number % 3, &number.to_string()).await;
    }
    let (mut read, mut cursor) = (BTreeSet::new(), String::new());
    for page in 0.. {
        let records = {
            let start = Some(Start::Cursor(cursor.clone()));
            let request = prism::proto::models::stream::v1::ReadRequest { stream: "orders".to_owned(), start, limit: 3, follow: false };
            super::records(all(s.read_stream(request).await).await)
        };
        let Some(last) = records.last() else { break };
        cursor.clone_from(&last.cursor);
        for record in &records {
            assert!(read.insert(payload(record)), "{} came twice", payload(record));
        }
        if page == 2 {
            // Another record is appended between two pages.
            for number in 20..26_u32 {
                s.append_to("orders", number % 3, &number.to_string()).await;
            }
        }
    }
    assert_eq!(read.len(), 26);
}

async fn a_cursor_of_one_partition(s: Subject) {
    s.set_partitions("orders", 2).await;
    for number in 0..4 {
        s.append_to("orders", 1, &number.to_string()).await;
    }
    let cursor = s.read_partition("orders", 1, None).await[1].cursor.clone();
    let start = Some(read_partition_request::Start::Cursor(cursor.clone()));
    assert_eq!(payloads(&s.read_partition("orders", 1, start.clone()).await), ["2", "3"]);
    let request = ReadPartitionRequest { stream: "orders".to_owned(), partition: 0, start, ..Default::default() };
    let answer = s.stream_partitioning().read_partition(&s.context, request).await;
    refused(stream_refusal(answer).await, Code::InvalidArgument, "INVALID_CURSOR");
}

async fn conditional_append(s: Subject) {
    s.set_partitions("orders", 2).await;
    match s.try_append_to("orders", 1, "0", Some(0)).await {
        Ok(_) => {}
        Err(error) => {
            refused::<()>(Err(error), Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
            return;
        }
    }
    let next = s.partitions("orders").await[1].next_offset;
    let error = refused(s.try_append_to("orders", 1, "never", Some(0)).await, Code::Aborted, "OFFSET_MISMATCH");
    assert_eq!(error.get("next_offset"), Some(next.to_string().as_str()));
    s.try_append_to("orders", 1, "1", Some(next)).await.unwrap();
    s.try_append_to("orders", 0, "the other partition is empty", Some(0)).await.unwrap();
    assert_eq!(payloads(&s.read_partition("orders", 1, None).await), ["0", "1"]);
    let request = AppendRequest { stream: "orders".to_owned(), expected_next_offset: Some(0), ..Default::default() };
    refused(s.stream_basic().append(&s.context, request).await, Code::FailedPrecondition, "STREAM_PARTITIONED");
}

async fn offsets_are_per_partition(s: Subject) {
    s.set_partitions("orders", 2).await;
    s.append_to("orders", 0, "a").await;
    let before = s.partitions("orders").await;
    let last = s.append_to("orders", 0, "b").await;
    let after = s.partitions("orders").await;
    assert!(after[0].next_offset > before[0].next_offset);
    assert_eq!(after[1], PartitionInfo { partition: 1, first_offset: None, next_offset: 0 });
    assert_eq!(s.latest("orders").await, (Some(last), after[0].next_offset));
}

async fn a_group_reads_all_partitions(s: Subject) {
    s.set_partitions("orders", 3).await;
    s.create_group("orders", "billing", None).await;
    let mut member = s.join("orders", "billing", "one").await;
    for number in 0..12_u32 {
        s.append_to("orders", number % 3, &number.to_string()).await;
    }
    let mut got = BTreeSet::new();
    for _ in 0..12 {
        let record = next(&mut member).await.record.unwrap();
        got.insert(payload(&record));
        let request = AckRequest {
            stream: "orders".to_owned(),
            group: "billing".to_owned(),
            partition: record.partition,
            offsets: vec![record.offset],
        };
        assert_eq!(s.stream_consumer_groups().ack(&s.context, request).await.unwrap().acknowledged, 1);
    }
    assert_eq!(got.len(), 12);
    // The group also reads a partition that is added later.
    s.set_partitions("orders", 4).await;
    s.append_to("orders", 3, "new").await;
    assert_eq!(payload(&next(&mut member).await.record.unwrap()), "new");
}

async fn unknown_partitions_are_refused(s: Subject) {
    s.set_partitions("orders", 2).await;
    for (stream, partition) in [("orders", 2), ("orders", u32::MAX), ("nobody", 1)] {
        refused(s.try_append_to(stream, partition, "never", None).await, Code::NotFound, "PARTITION_NOT_FOUND");
        let request = ReadPartitionRequest { stream: stream.to_owned(), partition, ..Default::default() };
        let answer = s.stream_partitioning().read_partition(&s.context, request).await;
        refused(stream_refusal(answer).await, Code::NotFound, "PARTITION_NOT_FOUND");
    }
}

async fn keyspaces_are_isolated(s: Subject) {
    s.set_partitions("orders", 3).await;
    assert_eq!(s.other_keyspace().partitions("orders").await.len(), 1);
}

async fn bad_requests_are_refused(s: Subject) {
    let partitioning = s.stream_partitioning();
    for count in [0, 1025, u32::MAX] {
        let request = SetPartitionsRequest { stream: "orders".to_owned(), count };
        invalid(partitioning.set_partitions(&s.context, request).await, "INVALID_FIELD", "count");
    }
    let name = || "a b".to_owned();
    invalid(partitioning.set_partitions(&s.context, SetPartitionsRequest { stream: name(), count: 1 }).await, "INVALID_NAME", "stream");
    invalid(partitioning.get_partitions(&s.context, GetPartitionsRequest { stream: name() }).await, "INVALID_NAME", "stream");
    invalid(s.try_append_to("a b", 0, "x", None).await, "INVALID_NAME", "stream");
    let request = ReadPartitionRequest { stream: name(), ..Default::default() };
    invalid(stream_refusal(partitioning.read_partition(&s.context, request).await).await, "INVALID_NAME", "stream");
    let append = || AppendToPartitionRequest { stream: "orders".to_owned(), ..Default::default() };
    let bad = AppendToPartitionRequest { key: vec![0; 1025].into(), ..append() };
    invalid(partitioning.append_to_partition(&s.context, bad).await, "INVALID_KEY", "key");
    let bad = AppendToPartitionRequest { attributes: BTreeMap::from([(String::new(), String::new())]), ..append() };
    invalid(partitioning.append_to_partition(&s.context, bad).await, "INVALID_ATTRIBUTES", "attributes");
    let start = Some(read_partition_request::Start::Cursor("no cursor!".to_owned()));
    let request = ReadPartitionRequest { stream: "orders".to_owned(), start, ..Default::default() };
    invalid(stream_refusal(partitioning.read_partition(&s.context, request).await).await, "INVALID_CURSOR", "cursor");
}
