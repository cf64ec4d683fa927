//! `list_blocking`

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use prism::proto::models::list::v1::{BlockingPopLeftRequest, BlockingPopRightRequest};

use super::{element_text, text, values};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis, seconds, sleep},
};

suite! { "list_blocking":
    takes_what_is_there;
    an_earlier_key_goes_first;
    without_a_wait_it_returns_at_once;
    the_time_ends_without_an_error;
    a_push_ends_the_wait;
    a_push_to_any_of_its_lists_ends_the_wait;
    the_oldest_call_is_served_first;
    one_push_serves_several_calls;
    each_element_goes_to_one_call;
    a_cancelled_call_takes_nothing;
    a_deadline_ends_the_wait_without_an_error;
    keyspaces_wait_apart;
    binary_keys_and_values;
    bad_requests_are_refused;
}

/// How long a case lets a call wait for what it then does.
const LONG: i64 = 20;

/// Starts a call that waits, and gives it the time to begin.
async fn waiting(s: &Subject, keys: &'static [&'static str], right: bool) -> tokio::task::JoinHandle<String> {
    let s = s.clone();
    let task = tokio::spawn(async move {
        let element = if right { s.wait_right(keys, seconds(LONG)).await } else { s.wait_left(keys, seconds(LONG)).await };
        element_text(element.unwrap().as_ref())
    });
    sleep(100).await;
    task
}

async fn takes_what_is_there(s: Subject) {
    s.push_right("list", &["1", "2", "3"]).await;
    assert_eq!(element_text(s.wait_left(&["list"], seconds(LONG)).await.unwrap().as_ref()), "list=1");
    assert_eq!(element_text(s.wait_right(&["list"], seconds(LONG)).await.unwrap().as_ref()), "list=3");
    assert_eq!(s.take_list("list").await, "2");
}

async fn an_earlier_key_goes_first(s: Subject) {
    s.push_right("b", &["1"]).await;
    s.push_right("c", &["2"]).await;
    let keys = ["a", "c", "b", "c"];
    assert_eq!(element_text(s.wait_left(&keys, seconds(0)).await.unwrap().as_ref()), "c=2");
    assert_eq!(element_text(s.wait_right(&keys, seconds(0)).await.unwrap().as_ref()), "b=1");
    assert_eq!(s.wait_left(&keys, seconds(0)).await.unwrap(), None);
}

async fn without_a_wait_it_returns_at_once(s: Subject) {
    let began = Instant::now();
    assert_eq!(s.wait_left(&["none"], seconds(0)).await.unwrap(), None);
    assert_eq!(s.wait_right(&["none", "neither"], seconds(0)).await.unwrap(), None);
    assert!(began.elapsed() < Duration::from_secs(10));
}

async fn the_time_ends_without_an_error(s: Subject) {
    let began = Instant::now();
    assert_eq!(s.wait_left(&["none"], millis(200)).await.unwrap(), None);
    assert!(began.elapsed() >= Duration::from_millis(195), "{:?}", began.elapsed());
    // Nothing waits any longer: the element stays.
    s.push_right("none", &["1"]).await;
    assert_eq!(s.take_list("none").await, "1");
}

async fn a_push_ends_the_wait(s: Subject) {
    for right in [false, true] {
        let call = waiting(&s, &["list"], right).await;
        assert_eq!(s.push_right("list", &["1", "2"]).await, 2);
        assert_eq!(call.await.unwrap(), if right { "list=2" } else { "list=1" });
        assert_eq!(s.take_list("list").await, if right { "1" } else { "2" });
    }
}

async fn a_push_to_any_of_its_lists_ends_the_wait(s: Subject) {
    let call = waiting(&s, &["a", "b", "c"], false).await;
    s.push_left("c", &["1"]).await;
    assert_eq!(call.await.unwrap(), "c=1");
    // It waits for none of the others any longer.
    s.push_left("a", &["2"]).await;
    assert_eq!(s.take_list("a").await, "2");
}

async fn the_oldest_call_is_served_first(s: Subject) {
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(waiting(&s, &["other", "list"], false).await);
    }
    for (number, call) in calls.into_iter().enumerate() {
        s.push_right("list", &[&number.to_string()]).await;
        assert_eq!(call.await.unwrap(), format!("list={number}"));
    }
}

async fn one_push_serves_several_calls(s: Subject) {
    let (first, second) = (waiting(&s, &["list"], false).await, waiting(&s, &["list"], true).await);
    assert_eq!(s.push_right("list", &["1", "2", "3", "4"]).await, 4);
    assert_eq!(first.await.unwrap(), "list=1");
    assert_eq!(second.await.unwrap(), "list=4");
    assert_eq!(s.take_list("list").await, "2 3");
}

async fn each_element_goes_to_one_call(s: Subject) {
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for _ in 0..10 {
                    let element = s.wait_left(&["list"], seconds(LONG)).await.unwrap();
                    taken.push(element.expect("an element for each call").value);
                }
                taken
            })
        })
        .collect();
    for number in 0..100 {
        s.push_right("list", &[&number.to_string()]).await;
    }
    let mut taken = BTreeSet::new();
    for call in calls {
        taken.extend(call.await.unwrap());
    }
    assert_eq!(taken.len(), 100);
    assert!(s.pop_left("list", 1).await.is_empty());
}

async fn a_cancelled_call_takes_nothing(s: Subject) {
    let calls = [waiting(&s, &["list"], false).await, waiting(&s, &["list", "other"], true).await];
    for call in calls {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    sleep(100).await;
    s.push_right("list", &["1", "2"]).await;
    s.push_right("other", &["3"]).await;
    sleep(50).await;
    assert_eq!(text(&s.pop_left("list", 10).await), "1 2");
    assert_eq!(text(&s.pop_left("other", 10).await), "3");
}

async fn a_deadline_ends_the_wait_without_an_error(s: Subject) {
    let context = s.with_timeout(Duration::from_secs(1));
    let request = BlockingPopLeftRequest { keys: values(&["none"]), wait: None };
    assert_eq!(s.list_blocking().blocking_pop_left(&context, request).await.unwrap().element, None);
    let context = s.with_timeout(Duration::from_secs(1));
    let request = BlockingPopRightRequest { keys: values(&["none"]), wait: Some(seconds(3600)) };
    assert_eq!(s.list_blocking().blocking_pop_right(&context, request).await.unwrap().element, None);
}

async fn keyspaces_wait_apart(s: Subject) {
    let other = s.other_keyspace();
    let (mine, theirs) = (waiting(&s, &["list"], false).await, waiting(&other, &["list"], false).await);
    other.push_right("list", &["theirs"]).await;
    assert_eq!(theirs.await.unwrap(), "list=theirs");
    assert!(!mine.is_finished());
    s.push_right("list", &["mine"]).await;
    assert_eq!(mine.await.unwrap(), "list=mine");
}

async fn binary_keys_and_values(s: Subject) {
    let key = Bytes::from_static(b"\0{\xff}\r\n");
    let call = {
        let (s, key) = (s.clone(), key.clone());
        tokio::spawn(async move {
            let request = BlockingPopLeftRequest { keys: vec!["x".into(), key], wait: Some(seconds(LONG)) };
            s.list_blocking().blocking_pop_left(&s.context, request).await.unwrap().element.unwrap()
        })
    };
    sleep(100).await;
    let request = prism::proto::models::list::v1::PushLeftRequest { key: key.clone(), values: vec![key.clone()], only_if_exists: false };
    s.list_basic().push_left(&s.context, request).await.unwrap();
    let element = call.await.unwrap();
    assert_eq!((&element.key, &element.value), (&key, &key));
}

async fn bad_requests_are_refused(s: Subject) {
    let lists = s.list_blocking();
    let left = |keys: Vec<Bytes>, wait| BlockingPopLeftRequest { keys, wait: Some(wait) };
    let right = |keys: Vec<Bytes>, wait| BlockingPopRightRequest { keys, wait: Some(wait) };
    for keys in [vec![], vec![Bytes::from("a"); 101]] {
        invalid(lists.blocking_pop_left(&s.context, left(keys.clone(), seconds(0))).await, "BATCH_SIZE", "keys");
        invalid(lists.blocking_pop_right(&s.context, right(keys, seconds(0))).await, "BATCH_SIZE", "keys");
    }
    let keys = vec![Bytes::from("a"), Bytes::new()];
    invalid(lists.blocking_pop_left(&s.context, left(keys.clone(), seconds(0))).await, "INVALID_KEY", "keys[1]");
    invalid(lists.blocking_pop_right(&s.context, right(keys, seconds(0))).await, "INVALID_KEY", "keys[1]");
    for wait in [seconds(-1), seconds(3601)] {
        invalid(lists.blocking_pop_left(&s.context, left(values(&["a"]), wait)).await, "INVALID_FIELD", "wait");
        invalid(lists.blocking_pop_right(&s.context, right(values(&["a"]), wait)).await, "INVALID_FIELD", "wait");
    }
}
