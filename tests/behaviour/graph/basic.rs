//! `graph_basic`

use prism::{
    call::Code,
    proto::models::graph::v1::{
        AddEdgeRequest, AddNodeRequest, DeleteEdgeRequest, DeleteNodeRequest, Direction, Edge, ExistingPolicy, GetEdgesRequest,
        GetNodesRequest,
    },
};
use prost_types::value::Kind;

use super::{edge, node, properties, strings, text};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, refused, stream_refusal},
};

suite! { "graph_basic":
    stores_nodes;
    an_existing_node;
    stores_edges;
    an_existing_edge;
    edges_need_their_nodes;
    the_server_makes_ids;
    reads_edges_by_direction_and_label;
    an_edge_to_itself_comes_once;
    many_edges_are_paged;
    a_cursor_stays_valid_when_its_edge_is_deleted;
    deletes_nodes_and_edges;
    keyspaces_are_apart;
    survives_being_opened_again;
    concurrent_writers_leave_no_loose_edge;
    bad_requests_are_refused;
}

use ExistingPolicy::{Merge, Reject, Replace, Unspecified};

impl Subject {
    async fn removed_edge(&self, id: &str) -> bool {
        self.graph_basic().delete_edge(&self.context, DeleteEdgeRequest { edge_id: id.to_owned() }).await.unwrap().deleted
    }
}

async fn stores_nodes(s: Subject) {
    let given =
        node("größe 🙂", &["Person", "Staff"], &[("name", text("Ann")), ("age", Kind::NumberValue(41.5)), ("gone", Kind::NullValue(0))]);
    let answer = s.try_add_node(given.clone(), Unspecified).await.unwrap();
    assert_eq!((answer.node, answer.created), (Some(given.clone()), true));
    s.add_nodes(&["b"]).await;
    assert_eq!(s.stored_nodes(&["b", "none", "größe 🙂", "b"]).await, [node("b", &[], &[]), given]);
    assert!(s.stored_nodes(&["none"]).await.is_empty());
}

async fn an_existing_node(s: Subject) {
    let first = node("a", &["X"], &[("p", text("1")), ("q", text("1"))]);
    s.try_add_node(first.clone(), Unspecified).await.unwrap();
    for policy in [Unspecified, Reject] {
        refused(s.try_add_node(node("a", &[], &[]), policy).await, Code::AlreadyExists, "NODE_EXISTS");
    }
    assert_eq!(s.stored_nodes(&["a"]).await, [first]);
    let merged =
        s.try_add_node(node("a", &["Y", "X"], &[("p", text("2")), ("q", Kind::NullValue(0)), ("r", text("3"))]), Merge).await.unwrap();
    let expected = node("a", &["X", "Y"], &[("p", text("2")), ("r", text("3"))]);
    assert_eq!((merged.node, merged.created), (Some(expected.clone()), false));
    assert_eq!(s.stored_nodes(&["a"]).await, [expected]);
    let replaced = s.try_add_node(node("a", &["Z"], &[]), Replace).await.unwrap();
    assert_eq!((replaced.node, replaced.created), (Some(node("a", &["Z"], &[])), false));
    assert!(s.try_add_node(node("b", &[], &[]), Replace).await.unwrap().created);
}

async fn stores_edges(s: Subject) {
    s.add_nodes(&["a", "b"]).await;
    let given = edge("1", "KNOWS", "a", "b", &[("since", Kind::NumberValue(1999.0))]);
    let answer = s.try_add_edge(given.clone(), Unspecified).await.unwrap();
    assert_eq!((answer.edge, answer.created), (Some(given.clone()), true));
    s.try_add_edge(edge("2", "KNOWS", "a", "b", &[]), Unspecified).await.unwrap();
    let request = GetEdgesRequest { node_id: "a".to_owned(), limit: 1, ..Default::default() };
    let found = all(s.graph_basic().get_edges(&s.context, request).await.unwrap()).await;
    assert_eq!(found.into_iter().map(|message| message.edge.unwrap()).collect::<Vec<_>>(), [given]);
}

async fn an_existing_edge(s: Subject) {
    s.add_nodes(&["a", "b"]).await;
    s.try_add_edge(edge("1", "L", "a", "b", &[("p", text("1"))]), Unspecified).await.unwrap();
    refused(s.try_add_edge(edge("1", "L", "a", "b", &[]), Reject).await, Code::AlreadyExists, "EDGE_EXISTS");
    for other in [edge("1", "M", "a", "b", &[]), edge("1", "L", "b", "a", &[]), edge("1", "L", "a", "a", &[])] {
        for policy in [Merge, Replace] {
            refused(s.try_add_edge(other.clone(), policy).await, Code::FailedPrecondition, "EDGE_DIFFERS");
        }
    }
    let merged = s.try_add_edge(edge("1", "L", "a", "b", &[("q", text("2"))]), Merge).await.unwrap();
    assert_eq!((merged.edge.unwrap().properties, merged.created), (properties(&[("p", text("1")), ("q", text("2"))]), false));
    let replaced = s.try_add_edge(edge("1", "L", "a", "b", &[]), Replace).await.unwrap();
    assert_eq!(replaced.edge.unwrap().properties, properties(&[]));
}

async fn edges_need_their_nodes(s: Subject) {
    s.add_nodes(&["a"]).await;
    for (from, to, missing) in [("a", "b", "b"), ("b", "a", "b"), ("c", "c", "c")] {
        let error = refused(s.try_add_edge(edge("1", "L", from, to, &[]), Replace).await, Code::FailedPrecondition, "NODE_NOT_FOUND");
        assert_eq!(error.get("node_id"), Some(missing));
    }
    assert_eq!(s.edge_ids("a", Direction::Both, &[]).await, "");
}

async fn the_server_makes_ids(s: Subject) {
    let one = s.try_add_node(node("", &["X"], &[]), Unspecified).await.unwrap().node.unwrap().id;
    let other = s.try_add_node(node("", &["X"], &[]), Unspecified).await.unwrap().node.unwrap().id;
    assert!(!one.is_empty() && one != other);
    let edge = s.try_add_edge(edge("", "L", &one, &other, &[]), Unspecified).await.unwrap().edge.unwrap();
    assert!(!edge.id.is_empty());
    assert_eq!(s.edge_ids(&one, Direction::Out, &[]).await, edge.id);
}

async fn reads_edges_by_direction_and_label(s: Subject) {
    s.add_nodes(&["a", "b", "c"]).await;
    for (id, label, from, to) in [("3", "L", "a", "b"), ("1", "M", "a", "c"), ("2", "L", "b", "a"), ("4", "L", "b", "c")] {
        s.try_add_edge(edge(id, label, from, to, &[]), Unspecified).await.unwrap();
    }
    assert_eq!(s.edge_ids("a", Direction::Unspecified, &[]).await, "1 3");
    assert_eq!(s.edge_ids("a", Direction::In, &[]).await, "2");
    assert_eq!(s.edge_ids("a", Direction::Both, &[]).await, "1 2 3");
    assert_eq!(s.edge_ids("a", Direction::Both, &["L"]).await, "2 3");
    assert_eq!(s.edge_ids("a", Direction::Both, &["N", "M"]).await, "1");
    assert_eq!(s.edge_ids("none", Direction::Both, &[]).await, "");
}

async fn an_edge_to_itself_comes_once(s: Subject) {
    s.add_nodes(&["a", "b"]).await;
    s.add_edges(&["a-a", "a-b"]).await;
    for direction in [Direction::Out, Direction::Both] {
        assert_eq!(s.edge_ids("a", direction, &[]).await, "a-a a-b");
    }
    assert_eq!(s.edge_ids("a", Direction::In, &[]).await, "a-a");
    assert_eq!(s.try_delete_node("a", true).await.unwrap(), (true, 2));
}

async fn many_edges_are_paged(s: Subject) {
    s.add_nodes(&["a", "b"]).await;
    for number in 0..300 {
        let (label, from, to) = if number % 3 == 0 { ("M", "b", "a") } else { ("L", "a", "b") };
        s.try_add_edge(edge(&format!("{number:03}"), label, from, to, &[]), Unspecified).await.unwrap();
    }
    for (labels, expected) in [(&[][..], 300), (&["M"], 100)] {
        let (mut cursor, mut found) = (String::new(), Vec::new());
        loop {
            let (direction, edge_labels) = (Direction::Both.into(), strings(labels));
            let request = GetEdgesRequest { node_id: "a".to_owned(), direction, edge_labels, limit: 37, cursor: cursor.clone() };
            let page = all(s.graph_basic().get_edges(&s.context, request).await.unwrap()).await;
            let Some(last) = page.last() else { break };
            cursor.clone_from(&last.cursor);
            found.extend(page.into_iter().map(|message| message.edge.unwrap().id));
        }
        assert!(found.len() == expected && found.is_sorted(), "{found:?}");
    }
}

async fn a_cursor_stays_valid_when_its_edge_is_deleted(s: Subject) {
    s.add_nodes(&["a", "b", "c", "d"]).await;
    s.add_edges(&["a-b", "a-c", "a-d"]).await;
    let request = GetEdgesRequest { node_id: "a".to_owned(), limit: 2, ..Default::default() };
    let cursor = all(s.graph_basic().get_edges(&s.context, request).await.unwrap()).await.remove(1).cursor;
    assert!(s.removed_edge("a-c").await);
    let request = GetEdgesRequest { node_id: "a".to_owned(), cursor, ..Default::default() };
    let rest = all(s.graph_basic().get_edges(&s.context, request).await.unwrap()).await;
    assert_eq!(rest.into_iter().map(|message| message.edge.unwrap().id).collect::<Vec<_>>(), ["a-d"]);
}

async fn deletes_nodes_and_edges(s: Subject) {
    s.add_nodes(&["a", "b", "c"]).await;
    s.add_edges(&["a-b", "b-a", "b-c"]).await;
    refused(s.try_delete_node("a", false).await, Code::FailedPrecondition, "NODE_HAS_EDGES");
    assert_eq!(s.stored_nodes(&["a"]).await.len(), 1);
    assert!(s.removed_edge("b-c").await);
    assert!(!s.removed_edge("b-c").await);
    assert_eq!(s.try_delete_node("c", false).await.unwrap(), (true, 0));
    assert_eq!(s.try_delete_node("c", true).await.unwrap(), (false, 0));
    assert_eq!(s.try_delete_node("a", true).await.unwrap(), (true, 2));
    assert_eq!(s.edge_ids("b", Direction::Both, &[]).await, "");
    // The ids are free again.
    s.add_nodes(&["a"]).await;
    assert!(s.try_add_edge(edge("a-b", "M", "b", "a", &[]), Reject).await.unwrap().created);
}

async fn keyspaces_are_apart(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    for (label, subject) in [("mine", &s), ("theirs", &other), ("slot", &slot)] {
        subject.try_add_node(node("a", &[label], &[]), Unspecified).await.unwrap();
    }
    for (label, subject) in [("mine", &s), ("theirs", &other), ("slot", &slot)] {
        assert_eq!(subject.stored_nodes(&["a"]).await[0].labels, [label]);
    }
}

async fn survives_being_opened_again(s: Subject) {
    s.add_nodes(&["a", "b"]).await;
    s.reopened().add_edges(&["a-b"]).await;
    assert_eq!(s.edge_ids("a", Direction::Out, &[]).await, "a-b");
}

async fn concurrent_writers_leave_no_loose_edge(s: Subject) {
    s.add_nodes(&["hub"]).await;
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let s = s.clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    let id = format!("n{}", (worker + round) % 4);
                    s.try_add_node(node(&id, &[], &[]), Merge).await.unwrap();
                    // Another worker may have deleted the node meanwhile.
                    s.try_add_edge(edge(&format!("{worker}/{round}"), "L", "hub", &id, &[]), Merge).await.ok();
                    s.try_delete_node(&id, true).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(s.edge_ids("hub", Direction::Both, &[]).await, "");
    assert_eq!(s.try_delete_node("hub", false).await.unwrap(), (true, 0));
}

async fn bad_requests_are_refused(s: Subject) {
    let graph = s.graph_basic();
    let long = "x".repeat(256);
    let many: Vec<String> = (0..33).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let large = [("p", text(&"x".repeat(1 << 20)))];
    invalid(graph.add_node(&s.context, AddNodeRequest::default()).await, "INVALID_NODE", "node");
    invalid(s.try_add_node(node(&long, &[], &[]), Merge).await, "INVALID_NODE", "node.id");
    invalid(s.try_add_node(node("a", &["x", ""], &[]), Merge).await, "INVALID_NODE", "node.labels[1]");
    invalid(s.try_add_node(node("a", &many, &[]), Merge).await, "INVALID_NODE", "node.labels");
    invalid(s.try_add_node(node("a", &[], &large), Merge).await, "VALUE_TOO_LARGE", "node.properties");
    s.add_nodes(&["a"]).await;
    invalid(graph.add_edge(&s.context, AddEdgeRequest::default()).await, "INVALID_EDGE", "edge");
    invalid(s.try_add_edge(edge(&long, "L", "a", "a", &[]), Merge).await, "INVALID_EDGE", "edge.id");
    invalid(s.try_add_edge(edge("1", "", "a", "a", &[]), Merge).await, "INVALID_EDGE", "edge.label");
    invalid(
        s.try_add_edge(Edge { from_node_id: String::new(), ..edge("1", "L", "a", "a", &[]) }, Merge).await,
        "INVALID_EDGE",
        "edge.from_node_id",
    );
    invalid(s.try_add_edge(edge("1", "L", "a", "a", &large), Merge).await, "VALUE_TOO_LARGE", "edge.properties");
    for ids in [0, 1001] {
        invalid(graph.get_nodes(&s.context, GetNodesRequest { node_ids: vec!["a".to_owned(); ids] }).await, "BATCH_SIZE", "node_ids");
    }
    let edges = |node_id: &str, labels, cursor: &str| GetEdgesRequest {
        node_id: node_id.to_owned(),
        edge_labels: vec!["L".to_owned(); labels],
        cursor: cursor.to_owned(),
        ..Default::default()
    };
    for (request, reason, field) in [
        (edges("", 0, ""), "INVALID_NODE", "node_id"),
        (edges("a", 101, ""), "BATCH_SIZE", "edge_labels"),
        (edges("a", 0, "AAAA"), "INVALID_CURSOR", "cursor"),
    ] {
        invalid(stream_refusal(graph.get_edges(&s.context, request).await).await, reason, field);
    }
    let request = DeleteNodeRequest { node_id: long.clone(), delete_edges: true };
    invalid(graph.delete_node(&s.context, request).await, "INVALID_NODE", "node_id");
    invalid(graph.delete_edge(&s.context, DeleteEdgeRequest { edge_id: String::new() }).await, "INVALID_EDGE", "edge_id");
}
