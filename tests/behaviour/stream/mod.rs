//! The stream interfaces.

mod basic;
mod consumer_groups;
mod gateways;
mod group_state;
mod partitioning;
mod replay;
mod retention;

use std::collections::BTreeMap;

use prism::{
    call::Messages,
    proto::models::stream::v1::{
        AckRequest, AppendRequest, CreateConsumerGroupRequest, GetLatestOffsetRequest, JoinConsumerGroupRequest, JoinConsumerGroupResponse,
        ReadRequest, ReadResponse, Record, create_consumer_group_request, read_request::Start,
    },
};

use crate::{
    subject::Subject,
    suite::Suite,
    support::{all, next, seconds},
};

/// All suites of the model.
pub const SUITES: &[&Suite] = &[
    &basic::SUITE,
    &consumer_groups::SUITE,
    &gateways::SUITE,
    &group_state::SUITE,
    &partitioning::SUITE,
    &replay::SUITE,
    &retention::SUITE,
];

/// Short forms of the calls that most cases make.
impl Subject {
    async fn append(&self, stream: &str, payload: &str) -> u64 {
        self.append_with_key(stream, "", payload).await
    }

    async fn append_with_key(&self, stream: &str, key: &str, payload: &str) -> u64 {
        let request = AppendRequest {
            stream: stream.to_owned(),
            payload: payload.to_owned().into(),
            key: key.to_owned().into(),
            attributes: BTreeMap::new(),
            expected_next_offset: None,
        };
        self.stream_basic().append(&self.context, request).await.unwrap().offset
    }

    /// Appends records with the payloads `0`, `1`, …, and returns their offsets.
    async fn append_many(&self, stream: &str, count: usize) -> Vec<u64> {
        let mut offsets = Vec::new();
        for number in 0..count {
            offsets.push(self.append(stream, &number.to_string()).await);
        }
        offsets
    }

    async fn read_stream(&self, request: ReadRequest) -> Messages<ReadResponse> {
        self.stream_basic().read(&self.context, request).await.unwrap()
    }

    /// Returns all records from this position to the end.
    async fn read(&self, stream: &str, start: Option<Start>) -> Vec<Record> {
        let request = ReadRequest { stream: stream.to_owned(), start, ..Default::default() };
        records(all(self.read_stream(request).await).await)
    }

    async fn follow(&self, stream: &str, start: Option<Start>) -> Messages<ReadResponse> {
        self.read_stream(ReadRequest { stream: stream.to_owned(), start, follow: true, ..Default::default() }).await
    }

    /// Returns the last offset and the next one.
    async fn latest(&self, stream: &str) -> (Option<u64>, u64) {
        let request = GetLatestOffsetRequest { stream: stream.to_owned() };
        let answer = self.stream_basic().get_latest_offset(&self.context, request).await.unwrap();
        (answer.offset, answer.next_offset)
    }

    async fn create_group(&self, stream: &str, group: &str, start: Option<create_consumer_group_request::Start>) -> bool {
        let request = CreateConsumerGroupRequest { stream: stream.to_owned(), group: group.to_owned(), start };
        self.stream_consumer_groups().create_consumer_group(&self.context, request).await.unwrap().created
    }

    async fn join(&self, stream: &str, group: &str, consumer: &str) -> Messages<JoinConsumerGroupResponse> {
        self.join_with(stream, group, consumer, 0, 30).await
    }

    async fn join_with(
        &self,
        stream: &str,
        group: &str,
        consumer: &str,
        max_in_flight: u32,
        ack_timeout: i64,
    ) -> Messages<JoinConsumerGroupResponse> {
        let request = JoinConsumerGroupRequest {
            stream: stream.to_owned(),
            group: group.to_owned(),
            consumer: consumer.to_owned(),
            max_in_flight,
            ack_timeout: Some(seconds(ack_timeout)),
        };
        self.stream_consumer_groups().join_consumer_group(&self.context, request).await.unwrap()
    }

    async fn ack(&self, stream: &str, group: &str, offsets: &[u64]) -> u32 {
        let request = AckRequest { stream: stream.to_owned(), group: group.to_owned(), partition: 0, offsets: offsets.to_vec() };
        self.stream_consumer_groups().ack(&self.context, request).await.unwrap().acknowledged
    }
}

fn records(answers: Vec<ReadResponse>) -> Vec<Record> {
    answers.into_iter().map(|answer| answer.record.expect("each answer has a record")).collect()
}

fn payload(record: &Record) -> String {
    String::from_utf8(record.payload.to_vec()).unwrap()
}

fn payloads(records: &[Record]) -> Vec<String> {
    records.iter().map(payload).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

async fn record(stream: &mut Messages<ReadResponse>) -> Record {
    next(stream).await.record.expect("each answer has a record")
}

/// Returns the next delivery: offset, payload and attempt.
async fn delivery(member: &mut Messages<JoinConsumerGroupResponse>) -> (u64, String, u32) {
    let answer = next(member).await;
    let record = answer.record.expect("each answer has a record");
    (record.offset, payload(&record), answer.delivery_attempt)
}

/// Returns the payloads of the next `count` deliveries.
async fn deliveries(member: &mut Messages<JoinConsumerGroupResponse>, count: usize) -> Vec<String> {
    let mut got = Vec::new();
    for _ in 0..count {
        got.push(delivery(member).await.1);
    }
    got
}
