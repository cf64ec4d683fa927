//! `graph_analytics`. Ranks and components are computed on a snapshot by blocking threads.

use std::{
    cmp::Reverse,
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};

use super::{Graph, components, path::Search, rank::Ranking, snapshot::Snapshot};
use crate::error;
use prism_call::{
    Context, Error, Messages,
    proto::models::graph::v1::{
        ConnectedComponentsRequest, ConnectedComponentsResponse, Connectivity, GraphAnalytics, PageRankRequest, PageRankResponse,
        ShortestPathRequest, ShortestPathResponse,
    },
};
use prism_driver::{check, graph::SubgraphFilter};

impl Graph {
    /// Computes something on a snapshot by a blocking thread. `compute` gets a reference that is gone when the caller has left. Waits until fewer than
    /// two computations run; the guard of the slot ends the wait at the deadline of the call.
    async fn compute<T, F>(&self, subgraph: SubgraphFilter, compute: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Snapshot, Weak<()>) -> T + Send + 'static,
    {
        let permit = self.shared.computations.clone().acquire_owned().await.map_err(|_| error::backend_closed())?;
        let (graph, caller) = (self.clone(), Arc::new(()));
        let is_wanted = Arc::downgrade(&caller);
        let computed = tokio::task::spawn_blocking(move || {
            // It goes on for a while when the caller has left, and counts until then.
            let _permit = permit;
            Ok(compute(Snapshot::new(&graph, &subgraph)?, is_wanted))
        });
        let result = computed.await.map_err(|error| Error::internal("the computation was interrupted").with_source(error))?;
        drop(caller);
        result
    }
}

#[async_trait]
impl GraphAnalytics for Graph {
    async fn shortest_path(&self, _: &Context, request: ShortestPathRequest) -> Result<ShortestPathResponse, Error> {
        Ok(ShortestPathResponse { path: Search::new(self, request)?.run().await? })
    }

    async fn page_rank(&self, _: &Context, request: PageRankRequest) -> Result<Messages<PageRankResponse>, Error> {
        let ranking = Ranking::new(&request)?;
        let subgraph = SubgraphFilter::new("subgraph", request.subgraph)?;
        let compute = move |snapshot: Snapshot, caller: Weak<()>| {
            let ranks = ranking.compute(&snapshot, || caller.strong_count() > 0);
            let mut order: Vec<usize> = (0..ranks.len()).collect();
            // Nodes are in the order of their ids, and the sort is stable.
            order.sort_by(|one, other| ranks[*other].total_cmp(&ranks[*one]));
            (snapshot, ranks, order)
        };
        let (snapshot, ranks, order) = self.compute(subgraph, compute).await?;
        let message = move |node: usize| Ok(PageRankResponse { node_id: snapshot.nodes[node].id.clone(), rank: ranks[node] });
        Ok(stream::iter(order).take(check::limit_or_all(request.limit)).map(message).boxed())
    }

    async fn connected_components(
        &self,
        _: &Context,
        request: ConnectedComponentsRequest,
    ) -> Result<Messages<ConnectedComponentsResponse>, Error> {
        let connectivity = request.connectivity();
        let subgraph = SubgraphFilter::new("subgraph", request.subgraph)?;
        let compute = move |snapshot: Snapshot, _: Weak<()>| {
            let component = match connectivity {
                Connectivity::Strong => components::strong(&snapshot),
                Connectivity::Weak | Connectivity::Unspecified => components::weak(&snapshot),
            };
            let mut sizes = vec![0_u64; component.len()];
            for name in &component {
                sizes[*name] += 1;
            }
            let mut order: Vec<usize> = (0..component.len()).collect();
            order.sort_by_key(|node| (Reverse(sizes[component[*node]]), component[*node], *node));
            (snapshot, component, sizes, order)
        };
        let (snapshot, component, sizes, order) = self.compute(subgraph, compute).await?;
        let message = move |node: usize| {
            let name = component[node];
            Ok(ConnectedComponentsResponse {
                node_id: snapshot.nodes[node].id.clone(),
                component_id: snapshot.nodes[name].id.clone(),
                component_size: sizes[name],
            })
        };
        Ok(stream::iter(order).take(check::limit_or_all(request.limit)).map(message).boxed())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::mpsc as async_mpsc;

    use super::*;
    use crate::{
        settings::MemorySettings,
        state::{MAX_COMPUTATIONS, SharedState},
    };

    /// Begins a computation that says when it runs, and ends when the test says so.
    fn compute(graph: &Graph, running: &async_mpsc::UnboundedSender<()>) -> (tokio::task::JoinHandle<Result<(), Error>>, mpsc::Sender<()>) {
        let (graph, running, (end, ended)) = (graph.clone(), running.clone(), mpsc::channel());
        let computing = tokio::spawn(async move {
            let compute = move |_: Snapshot, _: Weak<()>| {
                running.send(()).unwrap();
                ended.recv().unwrap();
            };
            graph.compute(SubgraphFilter::default(), compute).await
        });
        (computing, end)
    }

    #[tokio::test]
    async fn two_computations_run_at_a_time() {
        let graph = Graph::new(Arc::new(SharedState::new(MemorySettings::default())));
        let (running, mut started) = async_mpsc::unbounded_channel();
        let mut computations: Vec<_> = (0..=MAX_COMPUTATIONS).map(|_| compute(&graph, &running)).collect();
        for _ in 0..MAX_COMPUTATIONS {
            started.recv().await.unwrap();
        }
        assert!(graph.shared.computations.try_acquire().is_err());
        // A caller that leaves does not end its thread, so the next one still waits.
        let (first, end) = computations.remove(0);
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(graph.shared.computations.try_acquire().is_err() && started.try_recv().is_err());
        end.send(()).unwrap();
        started.recv().await.unwrap();
        for (computing, end) in computations {
            end.send(()).unwrap();
            computing.await.unwrap().unwrap();
        }
    }
}
