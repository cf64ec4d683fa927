//! `stream_basic`

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prism::{
    call::{Code, Error},
    proto::models::stream::v1::{AppendRequest, AppendResponse, GetLatestOffsetRequest, ReadRequest, read_request::Start},
};

use super::{numbers, payload, payloads, record};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, now, refused, silent, since_1970, stream_refusal},
};

suite! { "stream_basic":
    records_are_returned_unchanged;
    offsets_increase;
    payloads_keys_and_attributes_of_all_kinds;
    reading_from_an_offset;
    limits;
    following_waits_for_records;
    following_from_the_end;
    following_ends_at_the_limit;
    without_follow_reading_ends;
    many_followers_get_everything;
    cursors_continue;
    a_cursor_at_the_end;
    cursors_of_other_streams_are_refused;
    the_latest_offset;
    an_unknown_stream_is_empty;
    conditional_append;
    concurrent_conditional_appends;
    concurrent_appends;
    an_appended_record_is_readable;
    a_dropped_reader_holds_no_resources;
    a_slow_reader_gets_everything;
    streams_and_keyspaces_are_isolated;
    names_beyond_ascii;
    bad_requests_are_refused;
}

impl Subject {
    async fn append_if(&self, stream: &str, expected: u64, payload: &str) -> Result<AppendResponse, Error> {
        let request = AppendRequest {
            stream: stream.to_owned(),
            payload: payload.to_owned().into(),
            expected_next_offset: Some(expected),
            ..Default::default()
        };
        self.stream_basic().append(&self.context, request).await
    }

    /// Whether the backend supports conditional append. If it does not, it says so and appends nothing.
    async fn has_conditional_append(&self) -> bool {
        match self.append_if("probe", 0, "").await {
            Ok(_) => true,
            Err(error) => {
                refused::<()>(Err(error), Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
                assert_eq!(self.latest("probe").await.0, None);
                false
            }
        }
    }
}

async fn records_are_returned_unchanged(s: Subject) {
    let before = now();
    let request = AppendRequest {
        stream: "orders".to_owned(),
        payload: "p".into(),
        key: "k".into(),
        attributes: BTreeMap::from([("kind".to_owned(), "new".to_owned())]),
        expected_next_offset: None,
    };
    let appended = s.stream_basic().append(&s.context, request.clone()).await.unwrap();
    let read = s.read("orders", None).await;
    assert_eq!(read.len(), 1);
    let record = &read[0];
    assert_eq!((record.offset, record.partition), (appended.offset, appended.partition));
    assert_eq!((&record.payload, &record.key, &record.attributes), (&request.payload, &request.key, &request.attributes));
    assert_eq!(record.append_time, appended.append_time);
    let at = since_1970(record.append_time.as_ref());
    assert!((before - 1000..=now() + 1000).contains(&at), "appended at {at}");
    assert!(!record.cursor.is_empty());
}

async fn offsets_increase(s: Subject) {
    let offsets = s.append_many("orders", 60).await;
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    let read = s.read("orders", None).await;
    assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), offsets);
    assert_eq!(payloads(&read), numbers(0..60));
    assert!(read.is_sorted_by_key(|record| since_1970(record.append_time.as_ref())), "time goes backwards");
}

async fn payloads_keys_and_attributes_of_all_kinds(s: Subject) {
    let many: BTreeMap<String, String> = (0..64).map(|number| (format!("name{number:0124}"), "v".repeat(1024))).collect();
    let pair = BTreeMap::from([("gr\u{f6}\u{df}e".to_owned(), "\u{6771}\0".to_owned())]);
    let sent = [
        (Bytes::new(), Bytes::new(), BTreeMap::new()),
        (Bytes::from_static(b"\xc3\x28\0"), Bytes::from_static(b"\0\xff"), pair),
        (Bytes::from(vec![7; 1 << 20]), Bytes::from(vec![b'k'; 1024]), BTreeMap::new()),
        (Bytes::from_static(b"x"), Bytes::from_static(b"payload"), many),
    ];
    for (payload, key, attributes) in sent.clone() {
        let request = AppendRequest { stream: "orders".to_owned(), payload, key, attributes, expected_next_offset: None };
        s.stream_basic().append(&s.context, request).await.unwrap();
    }
    let read = s.read("orders", None).await;
    assert_eq!(read.len(), sent.len());
    for (index, (record, (payload, key, attributes))) in read.into_iter().zip(sent).enumerate() {
        assert!(record.payload == payload && record.key == key && record.attributes == attributes, "record {index} differs");
    }
}

async fn reading_from_an_offset(s: Subject) {
    let offsets = s.append_many("orders", 10).await;
    let next = s.latest("orders").await.1;
    for (index, offset) in offsets.iter().enumerate() {
        let read = s.read("orders", Some(Start::FromOffset(*offset))).await;
        assert_eq!(payloads(&read), numbers(index..10), "from {offset}");
        let behind = s.read("orders", Some(Start::FromOffset(offset + 1))).await;
        assert_eq!(payloads(&behind), numbers(index + 1..10), "from {offset} + 1");
    }
    for (start, count) in [
        (Start::FromOffset(0), 10),
        (Start::FromOffset(next), 0),
        (Start::FromOffset(u64::MAX), 0),
        (Start::Cursor(String::new()), 10),
        (Start::Latest(false), 10),
        (Start::Latest(true), 0),
    ] {
        assert_eq!(s.read("orders", Some(start.clone())).await.len(), count, "{start:?}");
    }
}

async fn limits(s: Subject) {
    let offsets = s.append_many("orders", 5).await;
    for (limit, expected) in [(0, 5), (1, 1), (4, 4), (5, 5), (u32::MAX, 5)] {
        let request = ReadRequest { stream: "orders".to_owned(), limit, ..Default::default() };
        assert_eq!(all(s.read_stream(request).await).await.len(), expected, "limit {limit}");
    }
    let request = ReadRequest { stream: "orders".to_owned(), limit: 2, start: Some(Start::FromOffset(offsets[2])), follow: false };
    assert_eq!(payloads(&super::records(all(s.read_stream(request).await).await)), ["2", "3"]);
}

async fn following_waits_for_records(s: Subject) {
    s.append_many("orders", 3).await;
    let mut stream = s.follow("orders", None).await;
    for number in 0..3 {
        assert_eq!(payload(&record(&mut stream).await), number.to_string());
    }
    silent(&mut stream).await;
    for number in 3..30 {
        s.append("orders", &number.to_string()).await;
        assert_eq!(payload(&record(&mut stream).await), number.to_string());
    }
    // A stream without records can be followed too.
    let mut fresh = s.follow("fresh", None).await;
    silent(&mut fresh).await;
    s.append("fresh", "first").await;
    assert_eq!(payload(&record(&mut fresh).await), "first");
}

async fn following_from_the_end(s: Subject) {
    s.append_many("orders", 3).await;
    let mut stream = s.follow("orders", Some(Start::Latest(true))).await;
    silent(&mut stream).await;
    s.append("orders", "new").await;
    assert_eq!(payload(&record(&mut stream).await), "new");
    let next = s.latest("orders").await.1;
    let mut stream = s.follow("orders", Some(Start::FromOffset(next))).await;
    silent(&mut stream).await;
    s.append("orders", "newer").await;
    assert_eq!(payload(&record(&mut stream).await), "newer");
}

async fn following_ends_at_the_limit(s: Subject) {
    s.append_many("orders", 2).await;
    let request = ReadRequest { stream: "orders".to_owned(), start: None, limit: 3, follow: true };
    let stream = s.read_stream(request).await;
    let reader = tokio::spawn(all(stream));
    s.append("orders", "2").await;
    s.append("orders", "3").await;
    assert_eq!(payloads(&super::records(reader.await.unwrap())), numbers(0..3));
}

async fn without_follow_reading_ends(s: Subject) {
    s.append_many("orders", 50).await;
    let appender = {
        let s = s.clone();
        tokio::spawn(async move {
            for number in 50..400 {
                s.append("orders", &number.to_string()).await;
            }
        })
    };
    for _ in 0..5 {
        let read = payloads(&s.read("orders", None).await);
        assert_eq!(read, numbers(0..read.len()));
        assert!(read.len() >= 50);
    }
    appender.await.unwrap();
    assert_eq!(s.read("orders", None).await.len(), 400);
}

async fn many_followers_get_everything(s: Subject) {
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut stream = s.follow("orders", None).await;
        readers.push(tokio::spawn(async move {
            for number in 0..40 {
                assert_eq!(payload(&record(&mut stream).await), number.to_string());
            }
        }));
    }
    s.append_many("orders", 40).await;
    for reader in readers {
        reader.await.unwrap();
    }
}

async fn cursors_continue(s: Subject) {
    s.append_many("orders", 12).await;
    for page in [1, 5] {
        let (mut read, mut cursor) = (Vec::new(), String::new());
        loop {
            let start = Some(Start::Cursor(cursor.clone()));
            let request = ReadRequest { stream: "orders".to_owned(), start, limit: page, follow: false };
            let records = super::records(all(s.read_stream(request).await).await);
            let Some(last) = records.last() else { break };
            cursor.clone_from(&last.cursor);
            assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~=".contains(&byte)), "{cursor}");
            read.extend(payloads(&records));
        }
        assert_eq!(read, numbers(0..12), "pages of {page}");
    }
}

async fn a_cursor_at_the_end(s: Subject) {
    s.append_many("orders", 3).await;
    let cursor = s.read("orders", None).await.pop().unwrap().cursor;
    assert!(s.read("orders", Some(Start::Cursor(cursor.clone()))).await.is_empty());
    let mut stream = s.follow("orders", Some(Start::Cursor(cursor.clone()))).await;
    s.append("orders", "3").await;
    s.append("orders", "4").await;
    assert_eq!(payload(&record(&mut stream).await), "3");
    assert_eq!(payloads(&s.read("orders", Some(Start::Cursor(cursor))).await), ["3", "4"]);
}

async fn cursors_of_other_streams_are_refused(s: Subject) {
    s.append("orders", "1").await;
    s.append("others", "1").await;
    let cursor = s.read("others", None).await.pop().unwrap().cursor;
    let request = ReadRequest { stream: "orders".to_owned(), start: Some(Start::Cursor(cursor)), ..Default::default() };
    let error = stream_refusal(s.stream_basic().read(&s.context, request).await).await;
    refused(error, Code::InvalidArgument, "INVALID_CURSOR");
}

async fn the_latest_offset(s: Subject) {
    assert_eq!(s.latest("orders").await, (None, 0));
    let mut previous = 0;
    for _ in 0..5 {
        let offset = s.append("orders", "x").await;
        let (last, next) = s.latest("orders").await;
        assert_eq!(last, Some(offset));
        assert!(next > offset && next > previous, "{next} behind {offset}, after {previous}");
        assert_eq!(s.latest("orders").await.1, next);
        previous = next;
    }
    s.append("others", "x").await;
    assert_eq!(s.latest("orders").await.1, previous, "only an append changes it");
}

async fn an_unknown_stream_is_empty(s: Subject) {
    assert!(s.read("nobody", None).await.is_empty());
    assert!(s.read("nobody", Some(Start::FromOffset(5))).await.is_empty());
    assert_eq!(s.latest("nobody").await, (None, 0));
}

async fn conditional_append(s: Subject) {
    if !s.has_conditional_append().await {
        return;
    }
    s.append_if("orders", 0, "1").await.unwrap();
    let next = s.latest("orders").await.1;
    for wrong in [0, next - 1, next + 1, u64::MAX] {
        let error = refused(s.append_if("orders", wrong, "never").await, Code::Aborted, "OFFSET_MISMATCH");
        assert_eq!(error.get("next_offset"), Some(next.to_string().as_str()));
        assert_eq!(s.latest("orders").await.1, next, "a refused append stored a record");
    }
    let second = s.append_if("orders", next, "2").await.unwrap();
    assert!(second.offset >= next);
    s.append("orders", "3").await;
    refused(s.append_if("orders", second.offset + 1, "never").await, Code::Aborted, "OFFSET_MISMATCH");
    assert_eq!(payloads(&s.read("orders", None).await), ["1", "2", "3"]);
}

async fn concurrent_conditional_appends(s: Subject) {
    if !s.has_conditional_append().await {
        return;
    }
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut won = 0;
                while won < 8 {
                    let next = s.latest("orders").await.1;
                    match s.append_if("orders", next, "x").await {
                        Ok(_) => won += 1,
                        Err(error) => assert_eq!(error.reason(), "OFFSET_MISMATCH", "{error:?}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(s.read("orders", None).await.len(), 40);
}

async fn concurrent_appends(s: Subject) {
    let mut follower = s.follow("orders", None).await;
    let tasks: Vec<_> = (0..6)
        .map(|task| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut appended = Vec::new();
                for number in 0..25 {
                    let payload = format!("{task}/{number}");
                    appended.push((s.append("orders", &payload).await, payload));
                }
                assert!(appended.is_sorted());
                appended
            })
        })
        .collect();
    let mut appended = BTreeMap::new();
    for task in tasks {
        appended.extend(task.await.unwrap());
    }
    assert_eq!(appended.len(), 150, "two records got the same offset");
    let read: Vec<_> = s.read("orders", None).await.iter().map(|record| (record.offset, payload(record))).collect();
    assert_eq!(read, appended.into_iter().collect::<Vec<_>>());
    // A reader that followed from the start has missed none of the concurrent appends.
    for expected in read {
        let record = record(&mut follower).await;
        assert_eq!((record.offset, payload(&record)), expected);
    }
}

async fn an_appended_record_is_readable(s: Subject) {
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let s = s.clone();
            tokio::spawn(async move {
                for number in 0..15 {
                    let offset = s.append("orders", &format!("{task}/{number}")).await;
                    let request =
                        ReadRequest { stream: "orders".to_owned(), start: Some(Start::FromOffset(offset)), limit: 1, follow: false };
                    let read = super::records(all(s.read_stream(request).await).await);
                    assert_eq!((read[0].offset, payload(&read[0])), (offset, format!("{task}/{number}")));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn a_dropped_reader_holds_no_resources(s: Subject) {
    s.append_many("orders", 200).await;
    for round in 0..60 {
        let mut stream = if round % 2 == 0 { s.follow("orders", None).await } else { s.follow("orders", Some(Start::Latest(true))).await };
        if round % 2 == 0 {
            record(&mut stream).await;
        }
    }
    // All readers are open at the same time, and none of them is read.
    let mut open = Vec::new();
    for _ in 0..60 {
        open.push(s.follow("orders", Some(Start::Latest(true))).await);
    }
    s.append("orders", "more").await;
    assert_eq!(s.read("orders", None).await.len(), 201);
    drop(open);
    s.append("orders", "and more").await;
}

async fn a_slow_reader_gets_everything(s: Subject) {
    let text = "x".repeat(64 << 10);
    let mut slow = s.follow("orders", None).await;
    for _ in 0..100 {
        s.append("orders", &text).await;
    }
    let mut offsets = BTreeSet::new();
    for _ in 0..100 {
        let record = record(&mut slow).await;
        assert_eq!(record.payload.len(), text.len());
        offsets.insert(record.offset);
    }
    assert_eq!(offsets.len(), 100);
}

async fn streams_and_keyspaces_are_isolated(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    let mut theirs = other.follow("orders", None).await;
    s.append("orders", "mine").await;
    s.append("others", "another stream's").await;
    slot.append("orders", "third").await;
    silent(&mut theirs).await;
    assert_eq!(other.latest("orders").await, (None, 0));
    assert_eq!(payloads(&s.reopened().read("orders", None).await), ["mine"]);
    assert_eq!(payloads(&slot.read("orders", None).await), ["third"]);
}

async fn names_beyond_ascii(s: Subject) {
    let longest = "s".repeat(200);
    let names = ["gr\u{f6}\u{df}e", "\u{6771}/a:b{c}", "*", "a..b", "%_", &longest];
    for name in names {
        s.append(name, name).await;
    }
    for name in names {
        assert_eq!(payloads(&s.read(name, None).await), [name]);
    }
}

async fn bad_requests_are_refused(s: Subject) {
    let stream = s.stream_basic();
    let too_long = "s".repeat(201);
    for name in ["", "a b", "a\n", "a\u{a0}", too_long.as_str()] {
        let name = name.to_owned();
        let append = AppendRequest { stream: name.clone(), ..Default::default() };
        invalid(stream.append(&s.context, append).await, "INVALID_NAME", "stream");
        let read = ReadRequest { stream: name.clone(), ..Default::default() };
        invalid(stream_refusal(stream.read(&s.context, read).await).await, "INVALID_NAME", "stream");
        let latest = GetLatestOffsetRequest { stream: name };
        invalid(stream.get_latest_offset(&s.context, latest).await, "INVALID_NAME", "stream");
    }
    for cursor in ["no cursor!", "*", "\u{e4}", "AAAA"] {
        let read = ReadRequest { stream: "orders".to_owned(), start: Some(Start::Cursor(cursor.to_owned())), ..Default::default() };
        invalid(stream_refusal(stream.read(&s.context, read).await).await, "INVALID_CURSOR", "cursor");
    }
    let append = || AppendRequest { stream: "orders".to_owned(), ..Default::default() };
    let bad = AppendRequest { key: vec![b'k'; 1025].into(), ..append() };
    invalid(stream.append(&s.context, bad).await, "INVALID_KEY", "key");
    let bad = AppendRequest { attributes: BTreeMap::from([(String::new(), String::new())]), ..append() };
    invalid(stream.append(&s.context, bad).await, "INVALID_ATTRIBUTES", "attributes");
    let limit = s.limits().max_value_bytes;
    if limit <= 64 << 20 {
        let bad = AppendRequest { payload: vec![0; usize::try_from(limit).unwrap() + 1].into(), ..append() };
        invalid(stream.append(&s.context, bad).await, "VALUE_TOO_LARGE", "payload");
    }
    assert_eq!(s.latest("orders").await, (None, 0));
}
