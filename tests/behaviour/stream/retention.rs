//! `stream_retention`

use std::time::Duration;

use prism::{
    call::{Code, Error},
    proto::models::stream::v1::{
        CompactRequest, CompactResponse, GetRetentionRequest, GetRetentionResponse, ReadRequest, Record, RetentionPolicy,
        SetRetentionRequest, read_request::Start,
    },
};

use rand::Rng as _;

use super::{delivery, payload, payloads};
use crate::{
    subject::Subject,
    suite::suite,
    support::{PATIENCE, invalid, millis, now, refused, seconds, since_1970, sleep, stream_refusal},
};

suite! { "stream_retention":
    without_a_policy_records_stay;
    a_policy_is_remembered;
    by_count;
    by_age;
    by_size;
    the_policy_applies_to_later_records;
    offsets_are_never_used_again;
    cursors_of_removed_records_expire;
    an_old_offset_reads_from_the_oldest;
    a_group_continues_at_the_oldest_record needs "stream_consumer_groups";
    compaction_by_key;
    compaction_does_not_make_cursors_expire;
    keyspaces_are_isolated;
    bad_requests_are_refused;
}

impl Subject {
    async fn try_retain(&self, stream: &str, policy: RetentionPolicy) -> Result<RetentionPolicy, Error> {
        let request = SetRetentionRequest { stream: stream.to_owned(), policy: Some(policy) };
        Ok(self.stream_retention().set_retention(&self.context, request).await?.policy.expect("the answer has a policy"))
    }

    /// Sets a policy, and returns the stored one. Returns `None` if the backend does not support this kind of limit; the error then names
    /// the field.
    async fn retain(&self, stream: &str, policy: RetentionPolicy) -> Option<RetentionPolicy> {
        match self.try_retain(stream, policy).await {
            Ok(policy) => Some(policy),
            Err(error) => {
                let error = refused::<()>(Err(error), Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
                assert!(!error.violations().is_empty(), "the error names no field: {error:?}");
                None
            }
        }
    }

    async fn retention(&self, stream: &str) -> GetRetentionResponse {
        self.stream_retention().get_retention(&self.context, GetRetentionRequest { stream: stream.to_owned() }).await.unwrap()
    }

    async fn compact(&self, stream: &str, by_key: bool) -> Result<CompactResponse, Error> {
        self.stream_retention().compact(&self.context, CompactRequest { stream: stream.to_owned(), by_key }).await
    }

    /// Applies the policy until at most `most` records are left, and returns them.
    async fn kept(&self, stream: &str, most: usize) -> Vec<Record> {
        let began = std::time::Instant::now();
        loop {
            self.compact(stream, false).await.unwrap();
            let records = self.read(stream, None).await;
            if records.len() <= most {
                return records;
            }
            assert!(began.elapsed() < PATIENCE, "{} records are left; the policy allows {most}", records.len());
            sleep(50).await;
        }
    }
}

fn count(max_records: u64) -> RetentionPolicy {
    RetentionPolicy { max_records: Some(max_records), ..Default::default() }
}

async fn without_a_policy_records_stay(s: Subject) {
    let offsets = s.append_many("orders", 30).await;
    s.compact("orders", false).await.unwrap();
    assert_eq!(s.read("orders", None).await.len(), 30);
    let retention = s.retention("orders").await;
    assert_eq!(retention.policy, Some(RetentionPolicy::default()));
    assert_eq!(retention.first_offset, Some(offsets[0]));
    assert!(matches!(retention.records, None | Some(30)), "{retention:?}");
    assert!(retention.bytes.is_none_or(|bytes| bytes > 0));
    let empty = s.retention("nobody").await;
    assert_eq!((empty.policy, empty.first_offset), (Some(RetentionPolicy::default()), None));
    assert!(matches!(empty.records, None | Some(0)));
}

async fn a_policy_is_remembered(s: Subject) {
    for policy in [
        count(10),
        RetentionPolicy { max_age: Some(seconds(3600)), ..Default::default() },
        RetentionPolicy { max_bytes: Some(1 << 20), ..Default::default() },
        RetentionPolicy { max_age: Some(seconds(60)), max_records: Some(5), max_bytes: Some(4096) },
    ] {
        let Some(answered) = s.retain("orders", policy).await else { continue };
        // A limit may be rounded up, never down.
        assert!(answered.max_records >= policy.max_records && answered.max_bytes >= policy.max_bytes, "{answered:?} for {policy:?}");
        assert!(answered.max_age.map(|age| age.seconds) >= policy.max_age.map(|age| age.seconds));
        assert_eq!(s.retention("orders").await.policy, Some(answered));
    }
    let request = SetRetentionRequest { stream: "orders".to_owned(), policy: None };
    let answer = s.stream_retention().set_retention(&s.context, request).await.unwrap();
    assert_eq!(answer.policy, Some(RetentionPolicy::default()));
    assert_eq!(s.retention("orders").await.policy, Some(RetentionPolicy::default()));
}

async fn by_count(s: Subject) {
    s.append_many("orders", 300).await;
    let Some(policy) = s.retain("orders", count(100)).await else { return };
    let most = usize::try_from(policy.max_records.unwrap()).unwrap();
    let kept = s.kept("orders", most).await;
    assert_eq!(payload(kept.last().unwrap()), "299");
    // Retention must not remove more than necessary. A limit that was rounded up keeps more.
    assert!(kept.len() >= 100, "only {} records are left", kept.len());
    let retention = s.retention("orders").await;
    assert_eq!(retention.first_offset, Some(kept[0].offset));
    assert!(retention.records.is_none_or(|records| records == kept.len() as u64), "{retention:?}");
}

async fn by_age(s: Subject) {
    s.append_many("orders", 5).await;
    let policy = RetentionPolicy { max_age: Some(millis(300)), ..Default::default() };
    let Some(policy) = s.retain("orders", policy).await else { return };
    let age = Duration::try_from(policy.max_age.unwrap()).unwrap();
    assert!(age < Duration::from_secs(10), "300 ms became {age:?}");
    tokio::time::sleep(age + Duration::from_millis(60)).await;
    s.append("orders", "new").await;
    let kept = s.kept("orders", 1).await;
    if let [kept] = &kept[..] {
        assert_eq!(payload(kept), "new");
    } else {
        // On a very slow machine the new record is already too old.
        assert!(kept.is_empty());
    }
}

async fn by_size(s: Subject) {
    // Random text, because a backend may compress it.
    let text: String = rand::rng().sample_iter(rand::distr::Alphanumeric).take(4096).map(char::from).collect();
    for _ in 0..100 {
        s.append("orders", &text).await;
    }
    let policy = RetentionPolicy { max_bytes: Some(100_000), ..Default::default() };
    let Some(policy) = s.retain("orders", policy).await else { return };
    let most = usize::try_from(policy.max_bytes.unwrap()).unwrap() / 4096;
    // A limit that was rounded up needs more records.
    for _ in 100..2 * most {
        s.append("orders", &text).await;
    }
    let kept = s.kept("orders", most).await;
    assert!(!kept.is_empty() && kept.len() < 100.max(2 * most));
    let bytes = s.retention("orders").await.bytes;
    assert!(bytes.is_none_or(|bytes| bytes <= policy.max_bytes.unwrap()), "{bytes:?}");
}

async fn the_policy_applies_to_later_records(s: Subject) {
    // A policy also applies to a stream that does not exist yet.
    let Some(policy) = s.retain("orders", count(50)).await else { return };
    s.append_many("orders", 250).await;
    let kept = s.kept("orders", usize::try_from(policy.max_records.unwrap()).unwrap()).await;
    assert_eq!(payload(kept.last().unwrap()), "249");
    s.append_many("orders", 250).await;
    s.kept("orders", usize::try_from(policy.max_records.unwrap()).unwrap()).await;
}

async fn offsets_are_never_used_again(s: Subject) {
    let offsets = s.append_many("orders", 5).await;
    let next = s.latest("orders").await.1;
    let policy = RetentionPolicy { max_age: Some(millis(100)), ..Default::default() };
    let Some(policy) = s.retain("orders", policy).await else { return };
    tokio::time::sleep(Duration::try_from(policy.max_age.unwrap()).unwrap() + Duration::from_millis(30)).await;
    assert!(s.kept("orders", 0).await.is_empty());
    assert_eq!(s.latest("orders").await, (None, next), "no record is left, and none was appended");
    assert_eq!(s.retention("orders").await.first_offset, None);
    s.try_retain("orders", RetentionPolicy::default()).await.unwrap();
    let offset = s.append("orders", "new").await;
    assert!(offset >= next && offset > offsets[4], "offset {offset} after {offsets:?}");
    assert_eq!(payloads(&s.read("orders", None).await), ["new"]);
}

/// Appends 300 records and lets retention remove some. Returns all records, and how many of them were removed.
async fn append_and_trim(s: &Subject) -> Option<(Vec<Record>, usize)> {
    s.append_many("orders", 300).await;
    let before = s.read("orders", None).await;
    let policy = s.retain("orders", count(100)).await?;
    let kept = s.kept("orders", usize::try_from(policy.max_records.unwrap()).unwrap()).await;
    let removed = before.len() - kept.len();
    assert!(removed > 1, "nothing was removed");
    assert_eq!(before[removed].offset, kept[0].offset);
    Some((before, removed))
}

async fn cursors_of_removed_records_expire(s: Subject) {
    let Some((before, removed)) = append_and_trim(&s).await else { return };
    let read = async |cursor: &str, follow| {
        let start = Some(Start::Cursor(cursor.to_owned()));
        s.stream_basic().read(&s.context, ReadRequest { stream: "orders".to_owned(), start, limit: 0, follow }).await
    };
    for follow in [false, true] {
        let answer = stream_refusal(read(&before[0].cursor, follow).await).await;
        let error = refused(answer, Code::OutOfRange, "OFFSET_EXPIRED");
        assert_eq!(error.get("first_offset"), Some(before[removed].offset.to_string().as_str()));
    }
    // No record is missing after the last removed one, so its cursor is still valid.
    for index in [removed - 1, removed, before.len() - 1] {
        let records = super::records(crate::support::all(read(&before[index].cursor, false).await.unwrap()).await);
        assert_eq!(records.len(), before.len() - 1 - index);
    }
}

async fn an_old_offset_reads_from_the_oldest(s: Subject) {
    let Some((before, removed)) = append_and_trim(&s).await else { return };
    for start in [None, Some(Start::FromOffset(0)), Some(Start::FromOffset(before[0].offset)), Some(Start::Cursor(String::new()))] {
        let records = s.read("orders", start.clone()).await;
        assert_eq!(records.first().map(|record| record.offset), Some(before[removed].offset), "{start:?}");
    }
}

async fn a_group_continues_at_the_oldest_record(s: Subject) {
    s.create_group("orders", "billing", None).await;
    let Some((before, removed)) = append_and_trim(&s).await else { return };
    let mut member = s.join("orders", "billing", "one").await;
    let (offset, _, attempt) = delivery(&mut member).await;
    assert_eq!((offset, attempt), (before[removed].offset, 1));
}

/// Appends records with keys. Returns those that compaction by key must keep, or `None` if the backend does not support it.
async fn compacted(s: &Subject) -> Option<(Vec<Record>, Vec<Record>)> {
    for (index, key) in ["a", "b", "a", "", "c", "b", "a", ""].into_iter().enumerate() {
        s.append_with_key("orders", key, &index.to_string()).await;
    }
    let before = s.read("orders", None).await;
    match s.compact("orders", true).await {
        Ok(answer) => {
            assert!(matches!(answer.removed, None | Some(3)), "{answer:?}");
            let began = std::time::Instant::now();
            loop {
                let after = s.read("orders", None).await;
                if after.len() <= 5 {
                    assert_eq!(answer.first_offset, Some(after[0].offset));
                    return Some((before, after));
                }
                assert!(began.elapsed() < PATIENCE, "{} records are left", after.len());
                sleep(50).await;
            }
        }
        Err(error) => {
            refused::<()>(Err(error), Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
            assert_eq!(s.read("orders", None).await, before);
            None
        }
    }
}

async fn compaction_by_key(s: Subject) {
    let Some((before, after)) = compacted(&s).await else { return };
    assert_eq!(payloads(&after), ["3", "4", "5", "6", "7"]);
    assert_eq!(after, before[3..], "what is left keeps its offset, order and time");
    assert!(s.append("orders", "8").await > before[7].offset);
    assert!(matches!(s.compact("orders", true).await.unwrap().removed, None | Some(0)));
}

async fn compaction_does_not_make_cursors_expire(s: Subject) {
    let Some((before, _)) = compacted(&s).await else { return };
    for (index, record) in before.iter().enumerate() {
        let rest = s.read("orders", Some(Start::Cursor(record.cursor.clone()))).await;
        assert_eq!(rest.len(), (7 - index).min(5), "behind record {index}");
    }
}

async fn keyspaces_are_isolated(s: Subject) {
    let other = s.other_keyspace();
    s.append_many("orders", 10).await;
    let Some(_) = other.retain("orders", count(1)).await else { return };
    other.compact("orders", false).await.unwrap();
    assert_eq!(s.read("orders", None).await.len(), 10);
    assert_eq!(s.retention("orders").await.policy, Some(RetentionPolicy::default()));
    let age = now() - since_1970(s.read("orders", None).await[0].append_time.as_ref());
    assert!(age < 60_000);
}

async fn bad_requests_are_refused(s: Subject) {
    let retention = s.stream_retention();
    s.append_many("orders", 3).await;
    let bad = |max_age, max_records, max_bytes| RetentionPolicy { max_age, max_records, max_bytes };
    for (policy, field) in [
        (bad(None, Some(0), None), "policy.max_records"),
        (bad(None, None, Some(0)), "policy.max_bytes"),
        (bad(Some(millis(0)), None, None), "policy.max_age"),
        (bad(Some(seconds(-1)), None, None), "policy.max_age"),
    ] {
        match s.try_retain("orders", policy).await {
            // The backend need not validate a limit that it does not support.
            Err(error) if error.code() == Code::Unimplemented => {}
            answer => invalid(answer, "INVALID_FIELD", field),
        }
    }
    let name = || "a b".to_owned();
    invalid(retention.set_retention(&s.context, SetRetentionRequest { stream: name(), policy: None }).await, "INVALID_NAME", "stream");
    invalid(retention.get_retention(&s.context, GetRetentionRequest { stream: name() }).await, "INVALID_NAME", "stream");
    invalid(retention.compact(&s.context, CompactRequest { stream: name(), by_key: false }).await, "INVALID_NAME", "stream");
    s.compact("orders", false).await.unwrap();
    assert_eq!(s.read("orders", None).await.len(), 3);
}
