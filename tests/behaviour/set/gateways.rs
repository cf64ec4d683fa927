//! Several gateways on the same sets.

use super::sorted;
use crate::{subject::Subject, suite::suite};

suite! { "set_basic" shared:
    gateways_see_each_others_members;
    a_member_counts_as_new_on_one_gateway;
}

async fn gateways_see_each_others_members(s: Subject) {
    let remote = s.on_other_gateway();
    s.add_members("set", &["a", "b"]).await;
    assert_eq!(remote.add_members("set", &["b", "c"]).await, 1);
    assert_eq!(s.remove_members("set", &["c"]).await, 1);
    assert_eq!(sorted(remote.members("set").await), "a b");
}

async fn a_member_counts_as_new_on_one_gateway(s: Subject) {
    let remote = s.on_other_gateway();
    let workers: Vec<_> = [&s, &remote, &s, &remote]
        .into_iter()
        .cloned()
        .map(|s| {
            tokio::spawn(async move {
                let mut added = 0;
                for number in 0..100 {
                    added += s.add_members("set", &[&number.to_string()]).await;
                }
                added
            })
        })
        .collect();
    let mut added = 0;
    for worker in workers {
        added += worker.await.unwrap();
    }
    assert_eq!(added, 100);
}
