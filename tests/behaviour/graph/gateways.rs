//! Several gateways on the same graph.

use prism::proto::models::graph::v1::{Direction, ExistingPolicy};

use super::{edge, node, text};
use crate::{subject::Subject, suite::suite};

suite! { "graph_basic" shared:
    gateways_see_each_others_graph;
    merges_of_two_gateways_add_up;
    two_gateways_leave_no_loose_edge;
}

async fn gateways_see_each_others_graph(s: Subject) {
    let remote = s.on_other_gateway();
    s.add_nodes(&["a"]).await;
    remote.add_nodes(&["b"]).await;
    s.add_edges(&["a-b"]).await;
    assert_eq!(remote.edge_ids("b", Direction::In, &[]).await, "a-b");
    assert_eq!(remote.try_delete_node("b", true).await.unwrap(), (true, 1));
    assert_eq!(s.edge_ids("a", Direction::Out, &[]).await, "");
    assert!(s.stored_nodes(&["b"]).await.is_empty());
}

async fn merges_of_two_gateways_add_up(s: Subject) {
    s.add_nodes(&["b"]).await;
    let workers: Vec<_> = [s.clone(), s.on_other_gateway(), s.clone(), s.on_other_gateway()]
        .into_iter()
        .enumerate()
        .map(|(worker, s)| {
            tokio::spawn(async move {
                for round in 0..10 {
                    let name = format!("{worker}/{round}");
                    s.try_add_node(node("a", &[&worker.to_string()], &[(&name, text("x"))]), ExistingPolicy::Merge).await.unwrap();
                    s.try_add_edge(edge("1", "L", "a", "b", &[(&name, text("x"))]), ExistingPolicy::Merge).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let stored = s.stored_nodes(&["a"]).await.remove(0);
    assert_eq!((stored.labels.len(), stored.properties.unwrap().fields.len()), (4, 40));
    assert_eq!(s.stored_edges("a").await.remove(0).properties.unwrap().fields.len(), 40);
}

async fn two_gateways_leave_no_loose_edge(s: Subject) {
    s.add_nodes(&["hub"]).await;
    let workers: Vec<_> = [s.clone(), s.on_other_gateway(), s.clone(), s.on_other_gateway()]
        .into_iter()
        .enumerate()
        .map(|(worker, s)| {
            tokio::spawn(async move {
                for round in 0..15 {
                    let (one, other) = (format!("n{}", (worker + round) % 3), format!("n{}", (worker + round + 1) % 3));
                    s.try_add_node(node(&one, &[], &[]), ExistingPolicy::Merge).await.unwrap();
                    for (from, to) in [("hub", &*one), (&*one, &*other), (&*other, &*one)] {
                        let given = edge(&format!("{worker}/{round}/{from}{to}"), "L", from, to, &[]);
                        if let Err(error) = s.try_add_edge(given, ExistingPolicy::Merge).await {
                            // Another worker has deleted the node meanwhile.
                            assert_eq!(error.reason(), "NODE_NOT_FOUND", "{error:?}");
                        }
                    }
                    s.try_delete_node(&one, true).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    for id in ["n0", "n1", "n2"] {
        assert!(s.stored_nodes(&[id]).await.is_empty() || s.try_delete_node(id, true).await.unwrap().0, "{id}");
    }
    assert_eq!(s.edge_ids("hub", Direction::Both, &[]).await, "");
    assert_eq!(s.try_delete_node("hub", false).await.unwrap(), (true, 0));
}
