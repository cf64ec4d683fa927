//! `graph_analytics`. Ranks and components are computed on a snapshot by blocking threads.

use std::{
    cmp::Reverse,
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};

use super::{Graph, components, path::Search, rank::Ranking, snapshot::Snapshot};
use prism_call::{
    Context, Error, Messages,
    proto::models::graph::v1::{
        ConnectedComponentsRequest, ConnectedComponentsResponse, Connectivity, GraphAnalytics, PageRankRequest, PageRankResponse,
        ShortestPathRequest, ShortestPathResponse,
    },
};
use prism_driver::{check, graph::SubgraphFilter};

impl Graph {
    /// Computes something on a snapshot by a blocking thread. `compute` gets a reference that is gone when the caller has left.
    async fn compute<T, F>(&self, subgraph: SubgraphFilter, compute: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Snapshot, Weak<()>) -> T + Send + 'static,
    {
        let (graph, caller) = (self.clone(), Arc::new(()));
        let is_wanted = Arc::downgrade(&caller);
        let computed = tokio::task::spawn_blocking(move || Ok(compute(Snapshot::new(&graph, &subgraph)?, is_wanted)));
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
