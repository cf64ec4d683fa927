//! What nodes and edges may contain, and calls that are cancelled or late.

use std::time::Duration;

use prism::{
    call::Code,
    proto::models::graph::v1::{AddEdgeRequest, AddNodeRequest, Direction, ExistingPolicy, GetNodesRequest, Node},
};
use prost_types::{ListValue, Struct, Value, value::Kind};

use super::{edge, node, properties, text};
use crate::{subject::Subject, suite::suite, support::refused};

suite! { "graph_basic":
    ids_and_labels_may_be_any_text;
    edges_come_in_the_order_of_the_bytes_of_their_ids;
    properties_may_be_any_json;
    missing_properties_are_empty;
    large_properties;
    large_edges_come_completely;
    too_many_bytes_of_nodes_are_refused;
    cancelled_writes_do_nothing_or_everything;
    late_writes_do_nothing_or_everything;
}

async fn ids_and_labels_may_be_any_text(s: Subject) {
    let long = "ü".repeat(127) + "x";
    let ids = ["\0", "a\0b", "a\0c", "a", "A", " ", "'\"\\;--", "🙂", "\u{ffff}", "e\u{301}", "é", &long];
    let (first, label) = (ids[0], "\0'ö\u{1}");
    for id in ids {
        s.try_add_node(node(id, &[label, id], &[]), ExistingPolicy::Reject).await.unwrap();
    }
    for id in ids {
        s.try_add_edge(edge(id, id, first, id, &[]), ExistingPolicy::Reject).await.unwrap();
    }
    for id in ids {
        assert_eq!(s.stored_nodes(&[id]).await, [node(id, &[label, id], &[])], "{id:?}");
        assert_eq!(s.edge_ids(first, Direction::Out, &[id]).await, id, "{id:?}");
    }
    assert_eq!(s.stored_edges(first).await.len(), ids.len());
    for id in ids.into_iter().rev() {
        s.try_delete_node(id, true).await.unwrap();
        assert!(s.stored_nodes(&[id]).await.is_empty(), "{id:?}");
    }
}

async fn edges_come_in_the_order_of_the_bytes_of_their_ids(s: Subject) {
    s.add_nodes(&["a"]).await;
    let mut ids = ["b", "B", "a", "aa", "a\0", "a ", "\0", "_", "é", "z", "\u{ffff}", "\u{10000}", "10", "9"];
    for id in ids {
        s.try_add_edge(edge(id, "L", "a", "a", &[]), ExistingPolicy::Reject).await.unwrap();
    }
    ids.sort_unstable();
    assert_eq!(s.edge_ids("a", Direction::Both, &[]).await, ids.join(" "));
}

async fn properties_may_be_any_json(s: Subject) {
    let value = |kind| Value { kind: Some(kind) };
    let list = ListValue { values: vec![value(Kind::NullValue(0)), value(text("x")), value(Kind::ListValue(ListValue::default()))] };
    let object = Struct { fields: [("\0".to_owned(), value(Kind::StructValue(Struct::default())))].into() };
    let given = [
        ("", text("")),
        ("text", text("\0\u{1}\u{2}'\"\\ä🙂\u{ffff}\n")),
        ("\0name\u{3}", Kind::BoolValue(false)),
        ("large", Kind::NumberValue(f64::MAX)),
        ("small", Kind::NumberValue(-5e-324)),
        ("exact", Kind::NumberValue(0.1 + 0.2)),
        ("whole", Kind::NumberValue(9_007_199_254_740_992.0)),
        ("null", Kind::NullValue(0)),
        ("list", Kind::ListValue(list)),
        ("object", Kind::StructValue(object)),
    ];
    let (a, e) = (node("a", &[], &given), edge("1", "L", "a", "a", &given));
    assert_eq!(s.try_add_node(a.clone(), ExistingPolicy::Reject).await.unwrap().node, Some(a.clone()));
    assert_eq!(s.try_add_edge(e.clone(), ExistingPolicy::Reject).await.unwrap().edge, Some(e.clone()));
    assert_eq!((s.stored_nodes(&["a"]).await, s.stored_edges("a").await), (vec![a], vec![e]));
    // What a merge does not name stays as it is.
    let merged = s.try_add_node(node("a", &[], &[("more", Kind::BoolValue(true))]), ExistingPolicy::Merge).await.unwrap();
    let mut all = given.to_vec();
    all.push(("more", Kind::BoolValue(true)));
    assert_eq!(merged.node.unwrap().properties, properties(&all));
}

async fn missing_properties_are_empty(s: Subject) {
    let given = Node { id: "a".to_owned(), ..Node::default() };
    assert_eq!(s.try_add_node(given, ExistingPolicy::Reject).await.unwrap().node, Some(node("a", &[], &[])));
    assert_eq!(s.stored_nodes(&["a"]).await, [node("a", &[], &[])]);
    let given = prism::proto::models::graph::v1::Edge { properties: None, ..edge("1", "L", "a", "a", &[]) };
    assert_eq!(s.try_add_edge(given, ExistingPolicy::Reject).await.unwrap().edge, Some(edge("1", "L", "a", "a", &[])));
    assert_eq!(s.stored_edges("a").await, [edge("1", "L", "a", "a", &[])]);
}

/// A text with which `{"p":"…"}` has one MiB.
fn mebibyte() -> Kind {
    text(&"x".repeat((1 << 20) - 8))
}

async fn large_properties(s: Subject) {
    let (a, e) = (node("a", &["L"], &[("p", mebibyte())]), edge("1", "L", "a", "a", &[("p", mebibyte())]));
    s.try_add_node(a.clone(), ExistingPolicy::Reject).await.unwrap();
    s.try_add_edge(e.clone(), ExistingPolicy::Reject).await.unwrap();
    assert!(s.stored_nodes(&["a"]).await == [a.clone()] && s.stored_edges("a").await == [e.clone()]);
    // A merge that makes them too large changes nothing.
    let more = [("q", text("x"))];
    refused(s.try_add_node(node("a", &[], &more), ExistingPolicy::Merge).await, Code::InvalidArgument, "VALUE_TOO_LARGE");
    refused(s.try_add_edge(edge("1", "L", "a", "a", &more), ExistingPolicy::Merge).await, Code::InvalidArgument, "VALUE_TOO_LARGE");
    assert!(s.stored_nodes(&["a"]).await == [a] && s.stored_edges("a").await == [e]);
}

async fn large_edges_come_completely(s: Subject) {
    s.add_nodes(&["a"]).await;
    let large = text(&"x".repeat(300_000));
    let edges: Vec<_> = (0..12).map(|number| edge(&format!("{number:02}"), "L", "a", "a", &[("p", large.clone())])).collect();
    for edge in &edges {
        s.try_add_edge(edge.clone(), ExistingPolicy::Reject).await.unwrap();
    }
    assert!(s.stored_edges("a").await == edges);
}

async fn too_many_bytes_of_nodes_are_refused(s: Subject) {
    let ids: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    for id in &ids {
        s.try_add_node(node(id, &[], &[("p", mebibyte())]), ExistingPolicy::Reject).await.unwrap();
    }
    let error = refused(
        s.graph_basic().get_nodes(&s.context, GetNodesRequest { node_ids: ids.clone() }).await,
        Code::ResourceExhausted,
        "RESULT_TOO_LARGE",
    );
    assert_eq!(error.get("limit"), Some("16777216"));
    let some: Vec<&str> = ids[..15].iter().map(String::as_str).collect();
    assert_eq!(s.stored_nodes(&some).await.len(), 15);
}

async fn cancelled_writes_do_nothing_or_everything(s: Subject) {
    s.add_nodes(&["a", "b"]).await;
    for number in 0..40 {
        let caller = s.clone();
        let call = tokio::spawn(async move {
            let id = format!("n{number}");
            caller.add_nodes(&[&id]).await;
            caller.try_add_edge(edge(&format!("e{number}"), "L", "a", &id, &[]), ExistingPolicy::Reject).await.unwrap();
            caller.try_delete_node(&id, true).await.unwrap();
        });
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        call.abort();
        let _ = call.await;
    }
    // Each edge that is there has its node.
    for found in s.stored_edges("a").await {
        assert_eq!(s.stored_nodes(&[&found.to_node_id]).await.len(), 1, "{found:?}");
    }
    s.add_edges(&["a-b"]).await;
    assert!(s.try_delete_node("a", true).await.unwrap().0);
}

async fn late_writes_do_nothing_or_everything(s: Subject) {
    s.add_nodes(&["a"]).await;
    for number in 1..40_u32 {
        let context = s.with_timeout(Duration::from_micros(u64::from(number) * 50));
        let numbers = [("one", Kind::NumberValue(f64::from(number))), ("two", Kind::NumberValue(f64::from(number)))];
        let request = AddNodeRequest { node: Some(node("a", &[], &numbers)), existing_policy: ExistingPolicy::Merge.into() };
        // Whether the calls were in time does not matter.
        let _ = s.graph_basic().add_node(&context, request).await;
        let stored = s.stored_nodes(&["a"]).await.remove(0).properties.unwrap();
        assert_eq!(stored.fields.get("one"), stored.fields.get("two"));
        let request = AddEdgeRequest { edge: Some(edge("e", "L", "a", "a", &numbers)), existing_policy: ExistingPolicy::Merge.into() };
        let _ = s.graph_basic().add_edge(&context, request).await;
    }
    assert!(s.try_delete_node("a", true).await.unwrap().0);
}
