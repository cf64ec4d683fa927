//! `graph_analytics`

use prism::{
    call::Code,
    proto::models::graph::v1::{
        ConnectedComponentsRequest, Connectivity, Direction, ExistingPolicy, PageRankRequest, PageRankResponse, ShortestPathRequest,
    },
};
use prost_types::value::Kind;

use super::{edge, node, subgraph, text};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, refused, stream_refusal},
};

suite! { "graph_analytics":
    finds_the_way_with_the_fewest_edges;
    finds_the_way_with_the_least_weight;
    a_way_may_have_a_greatest_number_of_edges;
    ways_follow_directions_and_labels;
    no_way_is_no_error;
    weights_must_be_numbers;
    ranks_pages;
    ranks_of_special_graphs;
    weak_components;
    strong_components;
    an_empty_graph;
    bad_requests_are_refused;
}

fn way(from: &str, to: &str) -> ShortestPathRequest {
    ShortestPathRequest { from_node_id: from.to_owned(), to_node_id: to.to_owned(), ..Default::default() }
}

impl Subject {
    /// The way as nodes and weight; empty if there is none.
    async fn path(&self, request: ShortestPathRequest) -> String {
        let Some(path) = self.graph_analytics().shortest_path(&self.context, request).await.unwrap().path else { return String::new() };
        assert_eq!(path.edges.len() + 1, path.nodes.len());
        let nodes: Vec<String> = path.nodes.into_iter().map(|node| node.id).collect();
        format!("{}={}", nodes.join(""), path.weight)
    }

    /// Adds an edge with a weight.
    async fn weigh(&self, id: &str, weight: f64) {
        let (from, to) = id.split_once('-').unwrap();
        self.try_add_edge(edge(id, "L", from, to, &[("w", Kind::NumberValue(weight))]), ExistingPolicy::Merge).await.unwrap();
    }

    async fn ranks_of(&self, request: PageRankRequest) -> Vec<PageRankResponse> {
        all(self.graph_analytics().page_rank(&self.context, request).await.unwrap()).await
    }

    async fn components(&self, request: ConnectedComponentsRequest) -> String {
        let messages = all(self.graph_analytics().connected_components(&self.context, request).await.unwrap()).await;
        let texts = messages.iter().map(|message| format!("{}:{}/{}", message.node_id, message.component_id, message.component_size));
        texts.collect::<Vec<_>>().join(" ")
    }
}

async fn finds_the_way_with_the_fewest_edges(s: Subject) {
    s.add_nodes(&["a", "b", "c", "d", "e"]).await;
    s.add_edges(&["a-b", "b-c", "c-d", "a-e", "e-d", "d-a"]).await;
    assert_eq!(s.path(way("a", "d")).await, "aed=2");
    assert_eq!(s.path(way("a", "a")).await, "a=0");
    assert_eq!(s.path(way("c", "b")).await, "cdab=3");
}

async fn finds_the_way_with_the_least_weight(s: Subject) {
    s.add_nodes(&["a", "b", "c", "d"]).await;
    for (id, weight) in [("a-b", 1.0), ("b-c", 1.5), ("c-d", 0.0), ("a-d", 10.0), ("b-d", 4.0)] {
        s.weigh(id, weight).await;
    }
    let weighted = |from, to| ShortestPathRequest { weight_property: "w".to_owned(), ..way(from, to) };
    assert_eq!(s.path(weighted("a", "d")).await, "abcd=2.5");
    assert_eq!(s.path(way("a", "d")).await, "ad=1");
    // Of equally good ways the one with the fewest edges. An edge without the property weighs 1.
    s.weigh("a-c", 2.5).await;
    assert_eq!(s.path(weighted("a", "d")).await, "acd=2.5");
    assert_eq!(s.path(ShortestPathRequest { weight_property: "x".to_owned(), ..way("a", "d") }).await, "ad=1");
}

async fn a_way_may_have_a_greatest_number_of_edges(s: Subject) {
    s.add_nodes(&["a", "b", "c", "d", "e"]).await;
    for (id, weight) in [("a-b", 1.0), ("b-c", 1.0), ("c-d", 1.0), ("a-c", 5.0), ("d-e", 1.0), ("a-e", 100.0)] {
        s.weigh(id, weight).await;
    }
    let limited = |to, max_depth| ShortestPathRequest { weight_property: "w".to_owned(), max_depth, ..way("a", to) };
    assert_eq!(s.path(limited("e", 0)).await, "abcde=4");
    assert_eq!(s.path(limited("e", 4)).await, "abcde=4");
    assert_eq!(s.path(limited("e", 3)).await, "acde=7");
    assert_eq!(s.path(limited("e", 2)).await, "ae=100");
    assert_eq!(s.path(limited("d", 1)).await, "");
}

async fn ways_follow_directions_and_labels(s: Subject) {
    for (id, label) in [("a", "X"), ("b", "Y"), ("c", "X")] {
        s.try_add_node(node(id, &[label], &[]), ExistingPolicy::Reject).await.unwrap();
    }
    for (id, label, from, to) in [("1", "L", "a", "b"), ("2", "L", "b", "c"), ("3", "M", "c", "a")] {
        s.try_add_edge(edge(id, label, from, to, &[]), ExistingPolicy::Reject).await.unwrap();
    }
    let towards = |direction: Direction| ShortestPathRequest { direction: direction.into(), ..way("a", "c") };
    assert_eq!(s.path(towards(Direction::Out)).await, "abc=2");
    assert_eq!(s.path(towards(Direction::In)).await, "ac=1");
    assert_eq!(s.path(towards(Direction::Both)).await, "ac=1");
    let labelled = |edges: &[&str], nodes: &[&str]| ShortestPathRequest { subgraph: subgraph(edges, nodes), ..towards(Direction::Both) };
    assert_eq!(s.path(labelled(&["L"], &[])).await, "abc=2");
    assert_eq!(s.path(labelled(&["L"], &["X"])).await, "");
    assert_eq!(s.path(labelled(&[], &["Y"])).await, "");
}

async fn no_way_is_no_error(s: Subject) {
    assert_eq!(s.path(way("a", "b")).await, "");
    s.add_nodes(&["a", "b"]).await;
    assert_eq!(s.path(way("a", "b")).await, "");
    assert_eq!(s.path(way("a", "none")).await, "");
    assert_eq!(s.path(way("none", "none")).await, "");
}

async fn weights_must_be_numbers(s: Subject) {
    s.add_nodes(&["a", "b", "c"]).await;
    s.add_edges(&["b-c"]).await;
    for bad in [Kind::NumberValue(-1.0), text("1"), Kind::BoolValue(true)] {
        s.try_add_edge(edge("a-b", "L", "a", "b", &[("w", bad)]), ExistingPolicy::Replace).await.unwrap();
        let request = ShortestPathRequest { weight_property: "w".to_owned(), ..way("a", "c") };
        let error = refused(s.graph_analytics().shortest_path(&s.context, request).await, Code::FailedPrecondition, "INVALID_WEIGHT");
        assert_eq!(error.get("edge_id"), Some("a-b"));
    }
}

async fn ranks_pages(s: Subject) {
    s.add_nodes(&["a", "b", "c", "d"]).await;
    s.add_edges(&["a-b", "a-c", "b-c", "c-a", "d-c"]).await;
    let ranks = s.ranks_of(PageRankRequest { max_iterations: 1000, tolerance: Some(1e-12), ..Default::default() }).await;
    let expected = [("c", 0.394_149), ("a", 0.372_527), ("b", 0.195_824), ("d", 0.0375)];
    for (found, (node, rank)) in ranks.iter().zip(expected) {
        assert!(found.node_id == node && (found.rank - rank).abs() < 1e-5, "{ranks:?}");
    }
    let sum: f64 = ranks.iter().map(|rank| rank.rank).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    let best = s.ranks_of(PageRankRequest { limit: 2, ..Default::default() }).await;
    assert_eq!(best.iter().map(|rank| rank.node_id.as_str()).collect::<Vec<_>>(), ["c", "a"]);
}

async fn ranks_of_special_graphs(s: Subject) {
    // Without edges all nodes are equal, and come by id.
    s.add_nodes(&["b", "a", "c", "d"]).await;
    let ranks = s.ranks_of(PageRankRequest::default()).await;
    assert!(ranks.iter().all(|rank| (rank.rank - 0.25).abs() < 1e-9));
    assert_eq!(ranks.iter().map(|rank| rank.node_id.as_str()).collect::<String>(), "abcd");
    // Parallel edges count each.
    for (id, to) in [("1", "b"), ("2", "b"), ("3", "c")] {
        s.try_add_edge(edge(id, "L", "a", to, &[]), ExistingPolicy::Reject).await.unwrap();
    }
    let ranks = s.ranks_of(PageRankRequest::default()).await;
    assert_eq!(ranks.iter().map(|rank| rank.node_id.as_str()).collect::<String>(), "bcad");
    // Nobody follows edges.
    let ranks = s.ranks_of(PageRankRequest { damping: Some(0.0), ..Default::default() }).await;
    assert!(ranks.iter().all(|rank| (rank.rank - 0.25).abs() < 1e-9));
}

async fn some_components(s: &Subject) {
    s.add_nodes(&["a", "b", "c", "d", "e", "f", "g"]).await;
    s.add_edges(&["b-a", "b-c", "c-b", "d-e", "e-d", "f-f"]).await;
}

async fn weak_components(s: Subject) {
    some_components(&s).await;
    let found = s.components(ConnectedComponentsRequest::default()).await;
    assert_eq!(found, "a:a/3 b:a/3 c:a/3 d:d/2 e:d/2 f:f/1 g:g/1");
    assert_eq!(s.components(ConnectedComponentsRequest { limit: 2, ..Default::default() }).await, "a:a/3 b:a/3");
    let none = ConnectedComponentsRequest { subgraph: subgraph(&["none"], &[]), ..Default::default() };
    assert_eq!(s.components(none).await, "a:a/1 b:b/1 c:c/1 d:d/1 e:e/1 f:f/1 g:g/1");
}

async fn strong_components(s: Subject) {
    some_components(&s).await;
    let strong = ConnectedComponentsRequest { connectivity: Connectivity::Strong.into(), ..Default::default() };
    assert_eq!(s.components(strong.clone()).await, "b:b/2 c:b/2 d:d/2 e:d/2 a:a/1 f:f/1 g:g/1");
    s.add_edges(&["a-c", "c-d", "e-a"]).await;
    assert_eq!(s.components(strong).await, "a:a/5 b:a/5 c:a/5 d:a/5 e:a/5 f:f/1 g:g/1");
}

async fn an_empty_graph(s: Subject) {
    assert!(s.ranks_of(PageRankRequest::default()).await.is_empty());
    assert_eq!(s.components(ConnectedComponentsRequest::default()).await, "");
}

async fn bad_requests_are_refused(s: Subject) {
    let graph = s.graph_analytics();
    invalid(graph.shortest_path(&s.context, way("", "a")).await, "INVALID_NODE", "from_node_id");
    invalid(graph.shortest_path(&s.context, way("a", &"x".repeat(256))).await, "INVALID_NODE", "to_node_id");
    let many = vec!["L"; 101];
    let request = ShortestPathRequest { subgraph: subgraph(&many, &[]), ..way("a", "b") };
    invalid(graph.shortest_path(&s.context, request).await, "BATCH_SIZE", "subgraph.edge_labels");
    for (request, reason, field) in [
        (PageRankRequest { damping: Some(1.1), ..Default::default() }, "INVALID_FIELD", "damping"),
        (PageRankRequest { damping: Some(f64::NAN), ..Default::default() }, "INVALID_FIELD", "damping"),
        (PageRankRequest { tolerance: Some(-1.0), ..Default::default() }, "INVALID_FIELD", "tolerance"),
        (PageRankRequest { max_iterations: 1001, ..Default::default() }, "INVALID_FIELD", "max_iterations"),
        (PageRankRequest { subgraph: subgraph(&[], &many), ..Default::default() }, "BATCH_SIZE", "subgraph.node_labels"),
    ] {
        invalid(stream_refusal(graph.page_rank(&s.context, request).await).await, reason, field);
    }
    let request = ConnectedComponentsRequest { subgraph: subgraph(&many, &[]), ..Default::default() };
    invalid(stream_refusal(graph.connected_components(&s.context, request).await).await, "BATCH_SIZE", "subgraph.edge_labels");
}
