//! Several gateways on the same sorted sets.

use prism::proto::models::sortedset::v1::AddOperation;

use crate::{subject::Subject, suite::suite};

suite! { "sortedset_basic" shared:
    gateways_see_each_others_members needs "sortedset_range";
    increments_of_all_gateways_are_counted needs "sortedset_range";
}

async fn gateways_see_each_others_members(s: Subject) {
    let remote = s.on_other_gateway();
    s.add_scores("set", &[("a", 2.0), ("b", 1.0)]).await;
    assert_eq!(remote.add_scores("set", &[("b", 3.0), ("c", 0.0)]).await, (1, 1));
    assert_eq!(s.whole("set").await, "c:0 a:2 b:3");
    assert_eq!(s.remove_scored("set", &["c"]).await, 1);
    assert_eq!(remote.whole("set").await, "a:2 b:3");
}

async fn increments_of_all_gateways_are_counted(s: Subject) {
    let remote = s.on_other_gateway();
    let workers: Vec<_> = [&s, &remote, &s, &remote]
        .into_iter()
        .cloned()
        .map(|s| {
            tokio::spawn(async move {
                for _ in 0..50 {
                    s.try_add("set", AddOperation::Increment, &[("a", 1.0)]).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(s.whole("set").await, "a:200");
}
