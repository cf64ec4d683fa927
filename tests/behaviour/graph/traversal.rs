//! `graph_traversal`

use prism::{
    call::Error,
    proto::models::graph::v1::{
        Direction, ExistingPolicy, Subgraph, Traversal, TraverseBreadthFirstRequest, TraverseDepthFirstRequest, Visit,
    },
};

use super::{edge, node, strings, subgraph};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, stream_refusal},
};

suite! { "graph_traversal":
    walks_depth_first;
    walks_breadth_first;
    cycles_end;
    several_start_nodes;
    depths_and_limits;
    directions;
    stays_in_its_subgraph;
    a_long_chain;
    a_node_with_many_edges;
    start_nodes_that_do_not_exist;
    bad_requests_are_refused;
}

pub fn from(starts: &[&str]) -> Traversal {
    Traversal { start_node_ids: strings(starts), max_depth: Some(1000), ..Default::default() }
}

/// Nodes as `id/depth`, with the edge in front if there is one.
fn shown(visits: Vec<Visit>) -> String {
    let texts = visits.into_iter().map(|visit| {
        let edge = visit.edge.map_or_else(String::new, |edge| format!("{}>", edge.id));
        format!("{edge}{}/{}", visit.node.unwrap().id, visit.depth)
    });
    texts.collect::<Vec<_>>().join(" ")
}

impl Subject {
    pub async fn visits_depth_first(&self, traversal: Traversal) -> Vec<Visit> {
        let request = TraverseDepthFirstRequest { traversal: Some(traversal) };
        let messages = all(self.graph_traversal().traverse_depth_first(&self.context, request).await.unwrap()).await;
        messages.into_iter().map(|message| message.visit.unwrap()).collect()
    }

    pub async fn visits_breadth_first(&self, traversal: Traversal) -> Vec<Visit> {
        let request = TraverseBreadthFirstRequest { traversal: Some(traversal) };
        let messages = all(self.graph_traversal().traverse_breadth_first(&self.context, request).await.unwrap()).await;
        messages.into_iter().map(|message| message.visit.unwrap()).collect()
    }

    /// The walk as a text.
    pub async fn depth_first(&self, traversal: Traversal) -> String {
        shown(self.visits_depth_first(traversal).await)
    }

    /// The walk as a text.
    pub async fn breadth_first(&self, traversal: Traversal) -> String {
        shown(self.visits_breadth_first(traversal).await)
    }

    async fn tree(&self) {
        self.add_nodes(&["a", "b", "c", "d", "e", "f"]).await;
        self.add_edges(&["a-b", "a-c", "b-d", "b-e", "c-f", "c-d"]).await;
    }
}

async fn walks_depth_first(s: Subject) {
    s.tree().await;
    assert_eq!(s.depth_first(from(&["a"])).await, "a/0 a-b>b/1 b-d>d/2 b-e>e/2 a-c>c/1 c-f>f/2");
}

async fn walks_breadth_first(s: Subject) {
    s.tree().await;
    assert_eq!(s.breadth_first(from(&["a"])).await, "a/0 a-b>b/1 a-c>c/1 b-d>d/2 b-e>e/2 c-f>f/2");
}

async fn cycles_end(s: Subject) {
    s.add_nodes(&["a", "b", "c"]).await;
    s.add_edges(&["a-a", "a-b", "b-c", "c-a"]).await;
    assert_eq!(s.depth_first(from(&["b"])).await, "b/0 b-c>c/1 c-a>a/2");
    assert_eq!(s.breadth_first(from(&["b"])).await, "b/0 b-c>c/1 c-a>a/2");
}

async fn several_start_nodes(s: Subject) {
    s.tree().await;
    assert_eq!(s.depth_first(from(&["c", "b", "c"])).await, "c/0 c-d>d/1 c-f>f/1 b/0 b-e>e/1");
    assert_eq!(s.breadth_first(from(&["c", "b", "c"])).await, "c/0 b/0 c-d>d/1 c-f>f/1 b-e>e/1");
    // A start node that the walk comes to before is not a start any longer.
    assert_eq!(s.depth_first(from(&["a", "b"])).await, "a/0 a-b>b/1 b-d>d/2 b-e>e/2 a-c>c/1 c-f>f/2");
}

async fn depths_and_limits(s: Subject) {
    s.tree().await;
    let deep = |max_depth, limit| Traversal { max_depth, limit, ..from(&["a"]) };
    assert_eq!(s.breadth_first(deep(Some(0), 0)).await, "a/0");
    assert_eq!(s.breadth_first(deep(Some(1), 0)).await, "a/0 a-b>b/1 a-c>c/1");
    assert_eq!(s.depth_first(deep(Some(1), 0)).await, "a/0 a-b>b/1 a-c>c/1");
    assert_eq!(s.depth_first(deep(None, 3)).await, "a/0 a-b>b/1 b-d>d/2");
    assert_eq!(s.breadth_first(deep(None, 2)).await, "a/0 a-b>b/1");
}

async fn directions(s: Subject) {
    s.tree().await;
    let towards = |direction: Direction| Traversal { direction: direction.into(), max_depth: Some(1), ..from(&["c"]) };
    assert_eq!(s.breadth_first(towards(Direction::In)).await, "c/0 a-c>a/1");
    assert_eq!(s.breadth_first(towards(Direction::Both)).await, "c/0 a-c>a/1 c-d>d/1 c-f>f/1");
    let all_ways = Traversal { direction: Direction::Both.into(), ..from(&["d"]) };
    assert_eq!(s.depth_first(all_ways).await, "d/0 b-d>b/1 a-b>a/2 a-c>c/3 c-f>f/4 b-e>e/2");
}

async fn stays_in_its_subgraph(s: Subject) {
    for (id, label) in [("a", "X"), ("b", "X"), ("c", "Y"), ("d", "X")] {
        s.try_add_node(node(id, &[label], &[]), ExistingPolicy::Reject).await.unwrap();
    }
    for (id, label, from, to) in [("1", "L", "a", "b"), ("2", "M", "a", "d"), ("3", "L", "b", "c"), ("4", "L", "c", "d")] {
        s.try_add_edge(edge(id, label, from, to, &[]), ExistingPolicy::Reject).await.unwrap();
    }
    let within = |subgraph: Option<Subgraph>| Traversal { subgraph, ..from(&["a"]) };
    assert_eq!(s.breadth_first(within(subgraph(&["L"], &[]))).await, "a/0 1>b/1 3>c/2 4>d/3");
    assert_eq!(s.breadth_first(within(subgraph(&["L"], &["X"]))).await, "a/0 1>b/1");
    assert_eq!(s.depth_first(within(subgraph(&[], &["X", "Z"]))).await, "a/0 1>b/1 2>d/1");
    // A start node outside of the subgraph is passed over.
    assert_eq!(s.depth_first(within(subgraph(&[], &["Y"]))).await, "");
}

async fn a_long_chain(s: Subject) {
    s.add_nodes(&["n000"]).await;
    for number in 1..400 {
        let (before, after) = (format!("n{:03}", number - 1), format!("n{number:03}"));
        s.add_nodes(&[&after]).await;
        s.add_edges(&[&format!("{before}-{after}")]).await;
    }
    for text in [s.depth_first(from(&["n000"])).await, s.breadth_first(from(&["n000"])).await] {
        assert_eq!(text.split(' ').count(), 400);
        assert!(text.ends_with("n399/399"), "{}", &text[text.len() - 40..]);
    }
    // Ten edges by default.
    assert_eq!(s.depth_first(Traversal { max_depth: None, ..from(&["n000"]) }).await.split(' ').count(), 11);
}

async fn a_node_with_many_edges(s: Subject) {
    s.add_nodes(&["hub", "end"]).await;
    for number in 0..1500 {
        s.try_add_edge(edge(&format!("{number:04}"), "L", "hub", "end", &[]), ExistingPolicy::Reject).await.unwrap();
    }
    s.add_nodes(&["last"]).await;
    s.add_edges(&["hub-last"]).await;
    assert_eq!(s.depth_first(from(&["hub"])).await, "hub/0 0000>end/1 hub-last>last/1");
    assert_eq!(s.breadth_first(from(&["hub"])).await, "hub/0 0000>end/1 hub-last>last/1");
}

async fn start_nodes_that_do_not_exist(s: Subject) {
    assert_eq!(s.breadth_first(from(&["none"])).await, "");
    s.add_nodes(&["a"]).await;
    assert_eq!(s.breadth_first(from(&["none", "a"])).await, "a/0");
    assert_eq!(s.depth_first(from(&["none", "a"])).await, "a/0");
}

async fn bad_requests_are_refused(s: Subject) {
    let many = vec!["a".to_owned(); 101];
    let graph = s.graph_traversal();
    for (traversal, reason, field) in [
        (None, "INVALID_FIELD", "traversal"),
        (Some(Traversal::default()), "BATCH_SIZE", "traversal.start_node_ids"),
        (Some(Traversal { start_node_ids: many.clone(), ..from(&[]) }), "BATCH_SIZE", "traversal.start_node_ids"),
        (Some(Traversal { max_depth: Some(1001), ..from(&["a"]) }), "INVALID_FIELD", "traversal.max_depth"),
        (
            Some(Traversal { subgraph: Some(Subgraph { edge_labels: many.clone(), node_labels: vec![] }), ..from(&["a"]) }),
            "BATCH_SIZE",
            "traversal.subgraph.edge_labels",
        ),
    ] {
        let refusal = |answer: Result<(), Error>| invalid(answer, reason, field);
        let request = TraverseDepthFirstRequest { traversal: traversal.clone() };
        refusal(stream_refusal(graph.traverse_depth_first(&s.context, request).await).await);
        let request = TraverseBreadthFirstRequest { traversal };
        refusal(stream_refusal(graph.traverse_breadth_first(&s.context, request).await).await);
    }
}
