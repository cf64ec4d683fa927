//! A gRPC client that is independent of Prism's own framing: tonic's, with the generated messages.

use std::str::FromStr as _;

use http::uri::PathAndQuery;
use prost::Message;
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

pub const SERVICE: &str = "prism.patterns.keyvalue.v1.KeyValueService";

/// A client of the KeyValue service of one namespace. All clones share a connection.
#[derive(Clone)]
pub struct Client {
    pub channel: Channel,
    pub namespace: String,
}

impl Client {
    pub fn new(url: &str, namespace: &str) -> Self {
        let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
        Self { channel: endpoint.connect_lazy(), namespace: namespace.to_owned() }
    }

    /// Calls an RPC that returns one message.
    pub async fn call<A: Message + Default + 'static>(
        &self,
        rpc: &str,
        request: impl Message + Default + 'static,
    ) -> Result<Response<A>, Status> {
        let (mut grpc, path) = self.ready(rpc).await?;
        grpc.unary(self.request(request), path, ProstCodec::default()).await
    }

    /// Calls an RPC that returns a stream.
    pub async fn stream<A: Message + Default + 'static>(
        &self,
        rpc: &str,
        request: impl Message + Default + 'static,
    ) -> Result<Streaming<A>, Status> {
        let (mut grpc, path) = self.ready(rpc).await?;
        Ok(grpc.server_streaming(self.request(request), path, ProstCodec::default()).await?.into_inner())
    }

    async fn ready(&self, rpc: &str) -> Result<(Grpc<Channel>, PathAndQuery), Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok((grpc, PathAndQuery::from_str(&format!("/{SERVICE}/{rpc}")).unwrap()))
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-prism-namespace", self.namespace.parse().unwrap());
        request
    }
}
