//! `blob_basic` and the other blob interfaces over two gateways.

use prism::proto::models::blob::v1::{ListRequest, blob_condition::Test};

use crate::{subject::Subject, suite::suite};

suite! { "blob_basic" shared:
    gateways_see_each_others_blobs;
    one_of_the_creates_over_gateways_wins needs "blob_conditional";
    gateways_list_the_same_blobs needs "blob_list";
}

async fn gateways_see_each_others_blobs(s: Subject) {
    let remote = s.on_other_gateway();
    for round in 0..10 {
        let content = round.to_string().into_bytes();
        let put = s.put("key", &content).await;
        assert_eq!(remote.content("key").await, Some(content));
        assert_eq!(remote.head("key").await.unwrap().etag, put.etag);
        remote.remove("key").await;
        assert_eq!(s.head("key").await, None);
    }
}

async fn one_of_the_creates_over_gateways_wins(s: Subject) {
    for round in 0..10 {
        let key = format!("key-{round}");
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let s = if number % 2 == 0 { s.clone() } else { s.on_other_gateway() };
                let key = key.clone();
                tokio::spawn(async move { s.put_if(&key, number.to_string().as_bytes(), Test::Absent(true)).await.stored })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            won += i32::from(task.await.unwrap());
        }
        assert_eq!(won, 1);
    }
}

async fn gateways_list_the_same_blobs(s: Subject) {
    let remote = s.on_other_gateway();
    for number in 0..5 {
        let writer = if number % 2 == 0 { &s } else { &remote };
        writer.put(&format!("key-{number}"), b"content").await;
    }
    let page = s.list(ListRequest::default()).await;
    assert_eq!(page.blobs.len(), 5);
    assert_eq!(remote.list(ListRequest::default()).await, page);
}
