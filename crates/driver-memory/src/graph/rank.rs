//! Ranks of nodes by the edges that come to them.

use super::snapshot::Snapshot;
use prism_call::{Error, proto::models::graph::v1::PageRankRequest};

const DEFAULT_DAMPING: f64 = 0.85;
const DEFAULT_TOLERANCE: f64 = 1e-6;
const DEFAULT_ITERATIONS: u32 = 20;
const MAX_ITERATIONS: u32 = 1000;

/// The parameters of a computation of ranks.
#[derive(Clone, Copy, Debug)]
pub struct Ranking {
    damping: f64,
    tolerance: f64,
    iterations: u32,
}

impl Ranking {
    /// Checks a request.
    pub fn new(request: &PageRankRequest) -> Result<Self, Error> {
        let damping = request.damping.unwrap_or(DEFAULT_DAMPING);
        let tolerance = request.tolerance.unwrap_or(DEFAULT_TOLERANCE);
        let iterations = if request.max_iterations == 0 { DEFAULT_ITERATIONS } else { request.max_iterations };
        if !(0.0..=1.0).contains(&damping) {
            return Err(Error::invalid("damping", "must be from 0 to 1"));
        }
        if tolerance.is_nan() || tolerance < 0.0 {
            return Err(Error::invalid("tolerance", "must be zero or more"));
        }
        if iterations > MAX_ITERATIONS {
            return Err(Error::invalid("max_iterations", format!("is {iterations}; at most {MAX_ITERATIONS} is allowed")));
        }
        Ok(Self { damping, tolerance, iterations })
    }

    /// Computes the ranks of all nodes, until nobody waits for them.
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer nodes than 2^53")]
    pub fn compute(&self, snapshot: &Snapshot, is_wanted: impl Fn() -> bool) -> Vec<f64> {
        let Self { damping, tolerance, iterations } = *self;
        let count = snapshot.nodes.len() as f64;
        let mut outgoing = vec![0_u32; snapshot.nodes.len()];
        snapshot.edges.iter().for_each(|(from, _)| outgoing[*from] += 1);
        let mut ranks = vec![1.0 / count; snapshot.nodes.len()];
        for _ in 0..iterations {
            if !is_wanted() {
                break;
            }
            let without_edges: f64 = ranks.iter().zip(&outgoing).filter(|(_, edges)| **edges == 0).map(|(rank, _)| rank).sum();
            let mut next = vec![(1.0 - damping) / count + damping * without_edges / count; ranks.len()];
            for (from, to) in &snapshot.edges {
                next[*to] += damping * ranks[*from] / f64::from(outgoing[*from]);
            }
            let change: f64 = ranks.iter().zip(&next).map(|(before, after)| (before - after).abs()).sum();
            ranks = next;
            if change <= tolerance {
                break;
            }
        }
        ranks
    }
}
