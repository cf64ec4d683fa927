//! `list_basic`

use std::collections::BTreeSet;

use bytes::Bytes;
use prism::proto::models::list::v1::{PopLeftRequest, PopRightRequest, PushLeftRequest, PushRightRequest};

use super::{STRANGE, text, values};
use crate::{subject::Subject, suite::suite, support::invalid};

suite! { "list_basic":
    pushes_at_both_ends;
    pops_at_both_ends;
    an_absent_list_is_empty;
    the_last_pop_removes_the_list;
    only_if_exists_creates_nothing;
    keys_and_values_are_any_bytes;
    equal_values_are_kept;
    a_large_value;
    a_batch_of_the_greatest_size;
    a_large_pop_is_bounded_and_loses_nothing;
    lists_are_apart;
    survives_being_opened_again;
    concurrent_pushes_and_pops_lose_nothing;
    pushes_of_one_call_stay_together;
    bad_requests_are_refused;
}

async fn pushes_at_both_ends(s: Subject) {
    assert_eq!(s.push_right("list", &["x"]).await, 1);
    assert_eq!(s.push_left("list", &["a", "b"]).await, 3);
    assert_eq!(s.push_right("list", &["y", "z"]).await, 5);
    assert_eq!(s.take_list("list").await, "b a x y z");
}

async fn pops_at_both_ends(s: Subject) {
    s.push_right("list", &["1", "2", "3", "4", "5", "6"]).await;
    assert_eq!(text(&s.pop_left("list", 0).await), "1");
    assert_eq!(text(&s.pop_right("list", 0).await), "6");
    assert_eq!(text(&s.pop_right("list", 2).await), "5 4");
    assert_eq!(text(&s.pop_left("list", 2).await), "2 3");
    assert!(s.pop_left("list", 1).await.is_empty());
}

async fn an_absent_list_is_empty(s: Subject) {
    assert!(s.pop_left("none", 0).await.is_empty());
    assert!(s.pop_right("none", 1000).await.is_empty());
}

async fn the_last_pop_removes_the_list(s: Subject) {
    s.push_right("list", &["1", "2"]).await;
    assert_eq!(text(&s.pop_right("list", 1000).await), "2 1");
    let request = PushRightRequest { key: "list".into(), values: values(&["3"]), only_if_exists: true };
    assert_eq!(s.list_basic().push_right(&s.context, request).await.unwrap().length, 0);
    assert_eq!(s.push_left("list", &["4"]).await, 1);
}

async fn only_if_exists_creates_nothing(s: Subject) {
    let left = |values: Vec<Bytes>| PushLeftRequest { key: "list".into(), values, only_if_exists: true };
    let right = |values: Vec<Bytes>| PushRightRequest { key: "list".into(), values, only_if_exists: true };
    let lists = s.list_basic();
    assert_eq!(lists.push_left(&s.context, left(values(&["a"]))).await.unwrap().length, 0);
    assert_eq!(lists.push_right(&s.context, right(values(&["a"]))).await.unwrap().length, 0);
    assert!(s.pop_left("list", 1).await.is_empty());
    s.push_right("list", &["x"]).await;
    assert_eq!(lists.push_left(&s.context, left(values(&["a", "b"]))).await.unwrap().length, 3);
    assert_eq!(lists.push_right(&s.context, right(values(&["y"]))).await.unwrap().length, 4);
    assert_eq!(s.take_list("list").await, "b a x y");
}

async fn keys_and_values_are_any_bytes(s: Subject) {
    let lists = s.list_basic();
    let all: Vec<Bytes> = STRANGE.iter().map(|value| Bytes::from_static(value)).chain([Bytes::new()]).collect();
    for key in STRANGE {
        let request = PushRightRequest { key: Bytes::from_static(key), values: all.clone(), only_if_exists: false };
        assert_eq!(lists.push_right(&s.context, request).await.unwrap().length, all.len() as u64);
    }
    for key in STRANGE {
        let request = PopLeftRequest { key: Bytes::from_static(key), limit: 1000 };
        assert_eq!(lists.pop_left(&s.context, request).await.unwrap().values, all, "{key:?}");
    }
}

async fn equal_values_are_kept(s: Subject) {
    assert_eq!(s.push_right("list", &["a", "a", "b", "a"]).await, 4);
    assert_eq!(s.take_list("list").await, "a a b a");
}

async fn a_large_value(s: Subject) {
    let large: Bytes = (0..1 << 20).map(|number: u32| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    let request = PushLeftRequest { key: "list".into(), values: vec![large.clone(), Bytes::new()], only_if_exists: false };
    s.list_basic().push_left(&s.context, request).await.unwrap();
    assert_eq!(s.pop_left("list", 10).await, [Bytes::new(), large]);
}

async fn a_batch_of_the_greatest_size(s: Subject) {
    let texts: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(s.push_right("list", &texts).await, 1000);
    assert_eq!(s.push_right("list", &texts).await, 2000);
    assert_eq!(s.pop_left("list", 1000).await, values(&texts));
    let reversed: Vec<&str> = texts.iter().rev().copied().collect();
    assert_eq!(s.pop_right("list", 1000).await, values(&reversed));
}

/// A pop returns at least one element, and stops before its reply becomes too large.
async fn a_large_pop_is_bounded_and_loses_nothing(s: Subject) {
    let megabyte = |number: u8| Bytes::from(vec![number; 1 << 20]);
    for number in 0..20 {
        let request = PushRightRequest { key: "list".into(), values: vec![megabyte(number)], only_if_exists: false };
        s.list_basic().push_right(&s.context, request).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 20 {
        let taken = s.pop_left("list", 1000).await;
        assert!((1..=17).contains(&taken.len()), "{} elements", taken.len());
        seen.extend(taken);
    }
    assert!(seen.into_iter().eq((0..20).map(megabyte)), "elements are lost or in another order");
    assert!(s.pop_left("list", 1).await.is_empty());
}

async fn lists_are_apart(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    s.push_right("list", &["mine"]).await;
    s.push_right("list2", &["second"]).await;
    other.push_right("list", &["theirs"]).await;
    slot.push_right("list", &["slot"]).await;
    assert_eq!(s.take_list("list").await, "mine");
    assert_eq!(s.take_list("list2").await, "second");
    assert_eq!(other.take_list("list").await, "theirs");
    assert_eq!(slot.take_list("list").await, "slot");
}

async fn survives_being_opened_again(s: Subject) {
    s.push_right("list", &["1", "2"]).await;
    let again = s.reopened();
    assert_eq!(again.push_right("list", &["3"]).await, 3);
    assert_eq!(s.take_list("list").await, "1 2 3");
}

async fn concurrent_pushes_and_pops_lose_nothing(s: Subject) {
    let pushers = (0..8).map(|worker| {
        let s = s.clone();
        tokio::spawn(async move {
            for number in 0..50 {
                s.push_right("list", &[&format!("{worker}/{number}")]).await;
            }
        })
    });
    let poppers = (0..4).map(|worker| {
        let s = s.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..60 {
                taken.extend(if worker % 2 == 0 { s.pop_left("list", 2).await } else { s.pop_right("list", 2).await });
            }
            taken
        })
    });
    let (pushers, poppers): (Vec<_>, Vec<_>) = (pushers.collect(), poppers.collect());
    for pusher in pushers {
        pusher.await.unwrap();
    }
    let mut taken = Vec::new();
    for popper in poppers {
        taken.extend(popper.await.unwrap());
    }
    taken.extend(s.pop_left("list", 1000).await);
    assert_eq!(taken.len(), 400);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), 400);
}

async fn pushes_of_one_call_stay_together(s: Subject) {
    let pushers: Vec<_> = (0..10)
        .map(|worker| {
            let s = s.clone();
            tokio::spawn(async move {
                let texts = [0, 1, 2].map(|number| format!("{worker}{number}"));
                s.push_right("list", &texts.each_ref().map(String::as_str)).await;
            })
        })
        .collect();
    for pusher in pushers {
        pusher.await.unwrap();
    }
    let all = s.pop_left("list", 1000).await;
    assert_eq!(all.len(), 30);
    for chunk in all.chunks(3) {
        let worker = chunk[0][0];
        assert_eq!(chunk, [[worker, b'0'], [worker, b'1'], [worker, b'2']].map(|value| Bytes::copy_from_slice(&value)));
    }
}

async fn bad_requests_are_refused(s: Subject) {
    let lists = s.list_basic();
    let limits = s.limits();
    let long = Bytes::from(vec![b'k'; usize::try_from(limits.max_key_bytes).unwrap() + 1]);
    for key in [Bytes::new(), long] {
        let request = PushLeftRequest { key: key.clone(), values: values(&["v"]), only_if_exists: false };
        invalid(lists.push_left(&s.context, request).await, "INVALID_KEY", "key");
        let request = PushRightRequest { key: key.clone(), values: values(&["v"]), only_if_exists: true };
        invalid(lists.push_right(&s.context, request).await, "INVALID_KEY", "key");
        invalid(lists.pop_left(&s.context, PopLeftRequest { key: key.clone(), limit: 1 }).await, "INVALID_KEY", "key");
        invalid(lists.pop_right(&s.context, PopRightRequest { key, limit: 1 }).await, "INVALID_KEY", "key");
    }
    for many in [0, 1001] {
        let request = PushLeftRequest { key: "list".into(), values: vec![Bytes::new(); many], only_if_exists: false };
        invalid(lists.push_left(&s.context, request).await, "BATCH_SIZE", "values");
    }
    let large = Bytes::from(vec![0; usize::try_from(limits.max_value_bytes).unwrap() + 1]);
    let request = PushRightRequest { key: "list".into(), values: vec![Bytes::new(), large], only_if_exists: false };
    invalid(lists.push_right(&s.context, request).await, "VALUE_TOO_LARGE", "values[1]");
    invalid(lists.pop_left(&s.context, PopLeftRequest { key: "list".into(), limit: 1001 }).await, "INVALID_FIELD", "limit");
    invalid(lists.pop_right(&s.context, PopRightRequest { key: "list".into(), limit: 1001 }).await, "INVALID_FIELD", "limit");
    assert!(s.pop_left("list", 1000).await.is_empty());
}
