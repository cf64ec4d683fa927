//! Components of a graph.

use super::snapshot::Snapshot;

/// For each node the least number of a node of its component, if directions are ignored.
pub fn weak(snapshot: &Snapshot) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..snapshot.nodes.len()).collect();
    for (from, to) in &snapshot.edges {
        let (one, other) = (root(&mut parents, *from), root(&mut parents, *to));
        // The root is the least number, so it names the component.
        parents[one.max(other)] = one.min(other);
    }
    (0..parents.len()).map(|node| root(&mut parents, node)).collect()
}

/// The root of a node. Halves the way to it for later calls.
fn root(parents: &mut [usize], mut node: usize) -> usize {
    while parents[node] != node {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    node
}

/// For each node the least number of a node of its component, in which each node leads to every other one. This is the algorithm of
/// Tarjan, with a stack of its own, because graphs may be deep.
pub fn strong(snapshot: &Snapshot) -> Vec<usize> {
    const UNSEEN: usize = usize::MAX;
    let successors = snapshot.successors();
    let count = snapshot.nodes.len();
    let (mut order, mut lowest, mut component) = (vec![UNSEEN; count], vec![0; count], vec![UNSEEN; count]);
    let (mut stack, mut calls, mut next) = (Vec::new(), Vec::new(), 0);
    for start in 0..count {
        if order[start] != UNSEEN {
            continue;
        }
        calls.push((start, 0));
        while let Some((node, edge)) = calls.pop() {
            if edge == 0 {
                order[node] = next;
                lowest[node] = next;
                next += 1;
                stack.push(node);
            }
            if let Some(successor) = successors[node].get(edge) {
                calls.push((node, edge + 1));
                if order[*successor] == UNSEEN {
                    calls.push((*successor, 0));
                } else if component[*successor] == UNSEEN {
                    lowest[node] = lowest[node].min(order[*successor]);
                }
                continue;
            }
            if let Some((caller, _)) = calls.last() {
                lowest[*caller] = lowest[*caller].min(lowest[node]);
            }
            if lowest[node] == order[node] {
                let from = stack.iter().rposition(|member| *member == node).unwrap_or_default();
                let members = stack.split_off(from);
                let least = members.iter().copied().min().unwrap_or(node);
                for member in members {
                    component[member] = least;
                }
            }
        }
    }
    component
}
