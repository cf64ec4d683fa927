//! `blob_conditional`

use prism::{
    call::Code,
    proto::models::blob::v1::{
        BlobCondition, CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndPutRequest, ConditionalBlob, blob_condition::Test,
        compare_and_put_request::Part,
    },
};

use super::{condition, new};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, refused},
};

suite! { "blob_conditional":
    creates_only_if_absent;
    replaces_only_at_the_expected_etag;
    replaces_only_if_it_exists;
    deletes_only_at_the_expected_etag;
    invalid_conditions_are_refused;
    one_of_many_concurrent_creates_wins;
    concurrent_updates_lose_nothing;
}

impl Subject {
    async fn delete_if(&self, key: &str, test: Test) -> CompareAndDeleteResponse {
        let request = CompareAndDeleteRequest { key: key.to_owned(), condition: Some(condition(test)) };
        self.blob_conditional().compare_and_delete(&self.context, request).await.unwrap()
    }
}

async fn creates_only_if_absent(s: Subject) {
    let created = s.put_if("key", b"first", Test::Absent(true)).await;
    assert!(created.stored && created.size == 5);
    let again = s.put_if("key", b"second", Test::Absent(true)).await;
    assert_eq!((again.stored, &again.etag), (false, &created.etag));
    assert_eq!(s.content("key").await.as_deref(), Some(&b"first"[..]));
    s.remove("key").await;
    assert!(s.put_if("key", b"third", Test::Absent(true)).await.stored);
}

async fn replaces_only_at_the_expected_etag(s: Subject) {
    let missing = s.put_if("key", b"x", Test::Etag("none".to_owned())).await;
    assert_eq!((missing.stored, missing.etag.as_str()), (false, ""));
    let first = s.put("key", b"first").await;
    let second = s.put_if("key", b"second", Test::Etag(first.etag.clone())).await;
    assert!(second.stored && second.etag != first.etag);
    let stale = s.put_if("key", b"third", Test::Etag(first.etag)).await;
    assert_eq!((stale.stored, &stale.etag), (false, &second.etag));
    assert_eq!(s.content("key").await.as_deref(), Some(&b"second"[..]));
    assert_eq!(s.head("key").await.unwrap().etag, second.etag);
}

async fn replaces_only_if_it_exists(s: Subject) {
    assert!(!s.put_if("key", b"x", Test::Exists(true)).await.stored);
    assert_eq!(s.head("key").await, None);
    s.put("key", b"first").await;
    assert!(s.put_if("key", b"second", Test::Exists(true)).await.stored);
    assert_eq!(s.content("key").await.as_deref(), Some(&b"second"[..]));
}

async fn deletes_only_at_the_expected_etag(s: Subject) {
    let absent = s.delete_if("key", Test::Exists(true)).await;
    assert_eq!((absent.deleted, absent.etag.as_str()), (false, ""));
    let first = s.put("key", b"first").await;
    let second = s.put("key", b"second").await;
    let stale = s.delete_if("key", Test::Etag(first.etag)).await;
    assert_eq!((stale.deleted, &stale.etag), (false, &second.etag));
    let gone = s.delete_if("key", Test::Etag(second.etag.clone())).await;
    assert_eq!((gone.deleted, &gone.etag), (true, &second.etag));
    assert_eq!(s.head("key").await, None);
    s.put("key", b"third").await;
    assert!(s.delete_if("key", Test::Exists(true)).await.deleted);
    assert_eq!(s.head("key").await, None);
}

async fn invalid_conditions_are_refused(s: Subject) {
    let blobs = s.blob_conditional();
    for wrong in [None, Some(BlobCondition::default()), Some(condition(Test::Absent(false))), Some(condition(Test::Exists(false)))] {
        let part = Part::Blob(ConditionalBlob { blob: Some(new("key")), condition: wrong.clone() });
        let request = Box::pin(futures::stream::iter([Ok(CompareAndPutRequest { part: Some(part) })]));
        invalid(blobs.compare_and_put(&s.context, request).await, "INVALID_CONDITION", "condition");
        let request = CompareAndDeleteRequest { key: "key".to_owned(), condition: wrong };
        invalid(blobs.compare_and_delete(&s.context, request).await, "INVALID_CONDITION", "condition");
    }
    let absent = CompareAndDeleteRequest { key: "key".to_owned(), condition: Some(condition(Test::Absent(true))) };
    refused(blobs.compare_and_delete(&s.context, absent).await, Code::InvalidArgument, "INVALID_CONDITION");
}

async fn one_of_many_concurrent_creates_wins(s: Subject) {
    for round in 0..5 {
        let key = format!("key-{round}");
        let tasks: Vec<_> = (0..16)
            .map(|number: i32| {
                let (s, key) = (s.clone(), key.clone());
                tokio::spawn(async move { (number, s.put_if(&key, number.to_string().as_bytes(), Test::Absent(true)).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            let (number, answer) = task.await.unwrap();
            if answer.stored {
                winners.push((number, answer.etag));
            }
        }
        let [(number, etag)] = &winners[..] else { panic!("{} creates won", winners.len()) };
        assert_eq!(s.content(&key).await.unwrap(), number.to_string().into_bytes());
        assert_eq!(&s.head(&key).await.unwrap().etag, etag);
    }
}

async fn concurrent_updates_lose_nothing(s: Subject) {
    s.put("number", b"0").await;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut won = 0;
                while won < 5 {
                    let read = s.try_get("number", None, "").await.unwrap().unwrap();
                    let number: u64 = String::from_utf8(read.content.clone()).unwrap().parse().unwrap();
                    let next = (number + 1).to_string();
                    won += i32::from(s.put_if("number", next.as_bytes(), Test::Etag(read.metadata().etag.clone())).await.stored);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(s.content("number").await.as_deref(), Some(&b"20"[..]));
}
