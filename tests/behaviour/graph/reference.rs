//! Walks through larger graphs, compared with a simple implementation.

use std::collections::{BTreeMap, HashSet, VecDeque};

use prism::proto::models::graph::v1::{Direction, Edge, ExistingPolicy, Node, Traversal};

use super::{edge, node, strings, subgraph, text, traversal::from};
use crate::{subject::Subject, suite::suite, support::all};

suite! { "graph_traversal":
    random_graphs;
    stars_of_stars;
    large_nodes_come_completely;
    walks_end_when_their_client_leaves;
    a_walk_goes_on_while_nodes_are_deleted;
}

/// A graph that the test knows.
#[derive(Default)]
struct Graph {
    nodes: BTreeMap<String, Node>,
    edges: BTreeMap<String, Edge>,
}

impl Graph {
    fn add_node(&mut self, node: Node) {
        self.nodes.insert(node.id.clone(), node);
    }

    fn add_edge(&mut self, edge: Edge) {
        self.edges.insert(edge.id.clone(), edge);
    }

    async fn store(&self, s: &Subject) {
        for node in self.nodes.values() {
            s.try_add_node(node.clone(), ExistingPolicy::Reject).await.unwrap();
        }
        for edge in self.edges.values() {
            s.try_add_edge(edge.clone(), ExistingPolicy::Reject).await.unwrap();
        }
    }

    fn has(&self, walk: &Traversal, id: &str) -> bool {
        let wanted = walk.subgraph.as_ref().map_or(&[][..], |subgraph| subgraph.node_labels.as_slice());
        self.nodes.get(id).is_some_and(|node| wanted.is_empty() || node.labels.iter().any(|label| wanted.contains(label)))
    }

    fn follow(&self, walk: &Traversal, id: &str) -> Vec<(String, String)> {
        let wanted = walk.subgraph.as_ref().map_or(&[][..], |subgraph| subgraph.edge_labels.as_slice());
        let (out, incoming) = match walk.direction() {
            Direction::Both => (true, true),
            Direction::In => (false, true),
            _ => (true, false),
        };
        let mut found = vec![];
        for edge in self.edges.values().filter(|edge| wanted.is_empty() || wanted.contains(&edge.label)) {
            let end = if out && edge.from_node_id == id {
                &edge.to_node_id
            } else if incoming && edge.to_node_id == id {
                &edge.from_node_id
            } else {
                continue;
            };
            if self.has(walk, end) {
                found.push((edge.id.clone(), end.clone()));
            }
        }
        found
    }

    /// The walk as the test writes walks.
    fn walk(&self, walk: &Traversal, depth_first: bool) -> String {
        let (mut seen, mut steps) = (HashSet::new(), vec![]);
        let starts: Vec<&String> = walk.start_node_ids.iter().filter(|id| self.has(walk, id)).collect();
        if depth_first {
            for start in starts {
                self.descend(walk, start, None, 0, &mut seen, &mut steps);
            }
        } else {
            let mut queue = VecDeque::new();
            for start in starts {
                if seen.insert(start.clone()) {
                    steps.push(format!("{start}/0"));
                    queue.push_back((start.clone(), 0));
                }
            }
            while let Some((id, depth)) = queue.pop_front() {
                if depth == walk.max_depth.unwrap() {
                    continue;
                }
                for (edge, end) in self.follow(walk, &id) {
                    if seen.insert(end.clone()) {
                        steps.push(format!("{edge}>{end}/{}", depth + 1));
                        queue.push_back((end, depth + 1));
                    }
                }
            }
        }
        let limit = if walk.limit == 0 { steps.len() } else { walk.limit as usize };
        steps.truncate(limit);
        steps.join(" ")
    }

    fn descend(&self, walk: &Traversal, id: &str, edge: Option<&str>, depth: u32, seen: &mut HashSet<String>, steps: &mut Vec<String>) {
        if !seen.insert(id.to_owned()) {
            return;
        }
        steps.push(format!("{}{id}/{depth}", edge.map_or_else(String::new, |edge| format!("{edge}>"))));
        if depth < walk.max_depth.unwrap() {
            for (edge, end) in self.follow(walk, id) {
                self.descend(walk, &end, Some(&edge), depth + 1, seen, steps);
            }
        }
    }
}

/// A sequence of numbers that looks random, and is the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn random_graphs(s: Subject) {
    let mut numbers = Numbers(7);
    let mut graph = Graph::default();
    let labels = ["X", "Y", "Z"];
    for id in 0..90 {
        let label = labels[usize::try_from(numbers.below(3)).unwrap()];
        graph.add_node(node(&format!("n{id}"), &[label, "N"], &[]));
    }
    for id in 0..220 {
        let (from, to) = (format!("n{}", numbers.below(90)), format!("n{}", numbers.below(90)));
        let label = labels[usize::try_from(numbers.below(3)).unwrap()];
        graph.add_edge(edge(&format!("{:08x}{id}", numbers.below(1 << 32)), label, &from, &to, &[]));
    }
    graph.store(&s).await;
    let subgraphs =
        [None, subgraph(&["X", "Y"], &[]), subgraph(&[], &["X", "Y"]), subgraph(&["Z", "Y"], &["Z", "Y"]), subgraph(&["none"], &[])];
    for direction in [Direction::Out, Direction::In, Direction::Both] {
        for subgraph in &subgraphs {
            for (max_depth, limit) in [(1000, 0), (0, 0), (1, 0), (2, 0), (5, 0), (1000, 20)] {
                let starts = strings(&["n3", "n1", "none", "n3", "n77"]);
                let walk = Traversal {
                    start_node_ids: starts,
                    direction: direction.into(),
                    subgraph: subgraph.clone(),
                    max_depth: Some(max_depth),
                    limit,
                };
                assert_eq!(s.breadth_first(walk.clone()).await, graph.walk(&walk, false), "breadth first {walk:?}");
                assert_eq!(s.depth_first(walk.clone()).await, graph.walk(&walk, true), "depth first {walk:?}");
            }
        }
    }
}

/// More edges at one node, and more nodes at one distance, than a driver reads at once.
async fn stars_of_stars(s: Subject) {
    let mut graph = Graph::default();
    graph.add_node(node("hub", &["N"], &[]));
    for ray in 0..150 {
        let middle = format!("m{ray:03}");
        graph.add_node(node(&middle, &["N"], &[]));
        graph.add_edge(edge(&format!("{ray:03}"), "L", "hub", &middle, &[]));
        let end = format!("e{:03}", ray / 2);
        graph.add_node(node(&end, &["N"], &[]));
        graph.add_edge(edge(&format!("{ray:03}x"), "L", &middle, &end, &[]));
        graph.add_edge(edge(&format!("{ray:03}y"), "L", &end, "hub", &[]));
    }
    graph.store(&s).await;
    for direction in [Direction::Out, Direction::Both] {
        for max_depth in [1, 2, 1000] {
            let walk = Traversal { direction: direction.into(), max_depth: Some(max_depth), ..from(&["hub"]) };
            assert_eq!(s.breadth_first(walk.clone()).await, graph.walk(&walk, false), "breadth first {walk:?}");
            assert_eq!(s.depth_first(walk.clone()).await, graph.walk(&walk, true), "depth first {walk:?}");
        }
    }
}

async fn large_nodes_come_completely(s: Subject) {
    let large = [("p", text(&"x".repeat(300_000)))];
    let mut graph = Graph::default();
    for number in 0..10 {
        graph.add_node(node(&number.to_string(), &["N"], &large));
    }
    for number in 0..9 {
        graph.add_edge(edge(&format!("e{number}"), "L", &number.to_string(), &(number + 1).to_string(), &large));
    }
    graph.store(&s).await;
    for visits in [s.visits_depth_first(from(&["0"])).await, s.visits_breadth_first(from(&["0"])).await] {
        assert_eq!(visits.len(), 10);
        for visit in visits {
            let node = visit.node.unwrap();
            assert!(graph.nodes[&node.id] == node);
            assert!(visit.edge.is_none_or(|edge| graph.edges[&edge.id] == edge));
        }
    }
}

async fn walks_end_when_their_client_leaves(s: Subject) {
    let mut graph = Graph::default();
    for number in 0..200 {
        graph.add_node(node(&number.to_string(), &[], &[]));
    }
    for number in 0..199 {
        graph.add_edge(edge(&format!("{number:03}"), "L", &number.to_string(), &(number + 1).to_string(), &[]));
    }
    graph.store(&s).await;
    for taken in 0..40 {
        let request = prism::proto::models::graph::v1::TraverseDepthFirstRequest { traversal: Some(from(&["0"])) };
        let mut stream = s.graph_traversal().traverse_depth_first(&s.context, request).await.unwrap();
        for _ in 0..taken {
            crate::support::next(&mut stream).await;
        }
    }
    assert_eq!(s.depth_first(from(&["190"])).await.split(' ').count(), 10);
}

async fn a_walk_goes_on_while_nodes_are_deleted(s: Subject) {
    s.add_nodes(&["hub"]).await;
    for number in 0..300 {
        let id = format!("{number:03}");
        s.add_nodes(&[&id]).await;
        s.try_add_edge(edge(&id, "L", "hub", &id, &[]), ExistingPolicy::Reject).await.unwrap();
    }
    let request = prism::proto::models::graph::v1::TraverseBreadthFirstRequest { traversal: Some(from(&["hub"])) };
    let mut stream = s.graph_traversal().traverse_breadth_first(&s.context, request).await.unwrap();
    crate::support::next(&mut stream).await;
    for number in (0..300).step_by(2) {
        s.try_delete_node(&format!("{number:03}"), true).await.unwrap();
    }
    let rest = all(stream).await;
    let mut ids: Vec<String> = rest.into_iter().map(|message| message.visit.unwrap().node.unwrap().id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    // What was deleted meanwhile comes or not, the others come once.
    ids.retain(|id| id.parse::<u32>().unwrap() % 2 == 1);
    assert_eq!(ids, (0..300).filter(|number| number % 2 == 1).map(|number| format!("{number:03}")).collect::<Vec<_>>());
}
