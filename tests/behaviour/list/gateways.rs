//! Several gateways on the same lists.

use std::collections::BTreeSet;

use super::element_text;
use crate::{
    subject::Subject,
    suite::suite,
    support::{seconds, sleep},
};

suite! { "list_basic" shared:
    gateways_see_each_others_elements;
    gateways_share_the_elements;
    a_push_ends_the_wait_on_another_gateway needs "list_blocking";
}

async fn gateways_see_each_others_elements(s: Subject) {
    let remote = s.on_other_gateway();
    s.push_right("list", &["1"]).await;
    assert_eq!(remote.push_right("list", &["2"]).await, 2);
    assert_eq!(s.push_left("list", &["0"]).await, 3);
    assert_eq!(remote.take_list("list").await, "0 1 2");
    assert!(s.pop_left("list", 1).await.is_empty());
}

async fn gateways_share_the_elements(s: Subject) {
    let remote = s.on_other_gateway();
    for number in 0..100 {
        s.push_right("list", &[&number.to_string()]).await;
    }
    let workers: Vec<_> = [&s, &remote, &s, &remote]
        .into_iter()
        .cloned()
        .map(|s| {
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let values = s.pop_left("list", 3).await;
                    if values.is_empty() {
                        return taken;
                    }
                    taken.extend(values);
                }
            })
        })
        .collect();
    let (mut taken, mut count) = (BTreeSet::new(), 0);
    for worker in workers {
        let values = worker.await.unwrap();
        count += values.len();
        taken.extend(values);
    }
    assert_eq!((taken.len(), count), (100, 100));
}

async fn a_push_ends_the_wait_on_another_gateway(s: Subject) {
    let remote = s.on_other_gateway();
    let mut calls = Vec::new();
    for gateway in [&remote, &s, &remote] {
        let gateway = gateway.clone();
        calls.push(tokio::spawn(async move { element_text(gateway.wait_left(&["a", "b"], seconds(20)).await.unwrap().as_ref()) }));
        sleep(100).await;
    }
    for (number, call) in calls.into_iter().enumerate() {
        s.push_right("b", &[&number.to_string()]).await;
        assert_eq!(call.await.unwrap(), format!("b={number}"));
    }
}
