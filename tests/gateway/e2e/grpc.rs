//! What gRPC clients and tools expect of a server beside the calls: reflection, health, compression, status details.

use http::uri::PathAndQuery;
use prism::{
    call::{Code, Error},
    proto::{google::rpc, patterns::keyvalue::v1::*},
};
use prost::Message as _;
use test_support::{client::SERVICE, gateway::Gateway, http as plain};
use tonic::{Request, client::Grpc, codec::CompressionEncoding};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

use super::wire;

#[tokio::test]
async fn reflection_lists_what_is_served_and_describes_it() {
    let gateway = Gateway::start("").await;
    let mut client = ServerReflectionClient::new(gateway.client("default").channel);
    let ask = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let requests = [ask(MessageRequest::ListServices(String::new())), ask(MessageRequest::FileContainingSymbol(SERVICE.to_owned()))];
    let mut answers = client.server_reflection_info(futures::stream::iter(requests)).await.unwrap().into_inner();

    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response else { panic!() };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    let (interfaces, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.starts_with("prism.interfaces."));
    assert!(interfaces.iter().any(|name| name == "prism.interfaces.stream.v1.StreamBasicService"), "{interfaces:?}");
    let [interfaces, registry] =
        ["prism.patterns.interfaces.v1.InterfacesService", "prism.patterns.schema_registry.v1.SchemaRegistryService"];
    assert_eq!(others, ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", interfaces, SERVICE, registry]);

    let Some(MessageResponse::FileDescriptorResponse(files)) = answers.message().await.unwrap().unwrap().message_response else { panic!() };
    let file = prost_types::FileDescriptorProto::decode(&files.file_descriptor_proto[0][..]).unwrap();
    assert!(file.service.iter().any(|service| service.name() == "KeyValueService"));
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn health_service_covers_the_gateway_and_each_service() {
    let gateway = Gateway::start("").await;
    let mut client = HealthClient::new(gateway.client("default").channel);
    for service in ["", SERVICE] {
        let service = service.to_owned();
        let answer = client.check(HealthCheckRequest { service: service.clone() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
        let mut watched = client.watch(HealthCheckRequest { service }).await.unwrap().into_inner();
        assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    }
    let unknown = client.check(HealthCheckRequest { service: "no.Such".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn messages_are_compressed_as_the_client_asks() {
    let gateway = Gateway::start("").await;
    let path = |rpc: &str| PathAndQuery::try_from(wire::path(rpc)).unwrap();
    let value = "compress me ".repeat(10_000);
    for (encoding, name) in [(CompressionEncoding::Gzip, "gzip"), (CompressionEncoding::Zstd, "zstd")] {
        let mut grpc = Grpc::new(gateway.client("default").channel).send_compressed(encoding).accept_compressed(encoding);
        grpc.ready().await.unwrap();
        let store = StoreRequest { key: name.to_owned(), value: value.clone().into(), ttl: None, flags: 0 };
        let stored = grpc.unary(Request::new(store), path("Store"), ProstCodec::<_, StoreResponse>::default()).await.unwrap();
        assert_eq!(stored.metadata().get("grpc-encoding").unwrap(), name);
        grpc.ready().await.unwrap();
        let retrieve = RetrieveRequest { key: name.to_owned() };
        let response = grpc.unary(Request::new(retrieve), path("Retrieve"), ProstCodec::<_, RetrieveResponse>::default()).await.unwrap();
        assert_eq!(response.into_inner().value, value);
        grpc.ready().await.unwrap();
        let scan = Request::new(ScanRequest { prefix: name.to_owned(), ..ScanRequest::default() });
        let mut scan = grpc.server_streaming(scan, path("Scan"), ProstCodec::<_, ScanResponse>::default()).await.unwrap().into_inner();
        assert_eq!(scan.message().await.unwrap().unwrap().value, value);

        // The compressed response is small.
        let retrieve = wire::frame(&RetrieveRequest { key: name.to_owned() });
        let reply = wire::grpc(gateway.address, &wire::path("Retrieve"), &[("grpc-accept-encoding", name)], retrieve).await;
        assert_eq!((reply.code(), reply.body[0], &reply.headers["grpc-encoding"]), (Code::Ok, 1, &name.parse().unwrap()));
        assert!(reply.body.len() < value.len() / 10, "{}", reply.body.len());
    }
    let reply = wire::grpc(gateway.address, &wire::path("Store"), &[("grpc-encoding", "br")], wire::framed(1, b"?")).await;
    assert_eq!((reply.code(), &reply.headers["grpc-accept-encoding"]), (Code::Unimplemented, &"identity,gzip,zstd".parse().unwrap()));
}

#[tokio::test]
async fn the_status_is_in_the_trailers_with_its_details() {
    let gateway = Gateway::start("").await;
    let reply =
        wire::grpc(gateway.address, &wire::path("Store"), &[], wire::frame(&StoreRequest { key: "a".into(), ..Default::default() })).await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (200, &"application/grpc".parse().unwrap()));
    assert!(!reply.headers.contains_key("grpc-status"));
    assert_eq!(reply.trailers["grpc-status"], "0");

    let status = gateway.client("default").call::<StoreResponse>("Store", StoreRequest::default()).await.unwrap_err();
    let error = Error::from_status(rpc::Status::decode(status.details()).unwrap());
    assert_eq!((status.code(), error.reason(), error.violations()[0].field.as_str()), (tonic::Code::InvalidArgument, "INVALID_KEY", "key"));
}

#[tokio::test]
async fn one_port_speaks_both_versions_of_http() {
    let gateway = Gateway::start("").await;
    let curl = |version: &str| {
        let url = format!("{}/default/v1/count", gateway.url());
        let output = std::process::Command::new("curl").args(["-sS", version, "-w", " %{http_version}", &url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(curl("--http1.1").ends_with("1.1"));
    assert!(curl("--http2-prior-knowledge").ends_with(" 2"));

    // Requests of no protocol, and requests that are not RPCs.
    let plain = plain::send(gateway.address, "POST", &wire::path("Store"), &[("content-type", "text/plain")], "{}").await.unwrap();
    let accepted = "application/grpc, application/grpc-web, application/grpc-web-text, application/json, application/proto, \
                    application/connect+json, application/connect+proto";
    assert_eq!((plain.status, plain.headers["accept"].to_str().unwrap()), (415, accepted));
    let get = plain::send(gateway.address, "GET", &wire::path("Store"), &[("content-type", "application/grpc")], "").await.unwrap();
    assert_eq!((get.status, get.headers.get("allow")), (405, Some(&"POST".parse().unwrap())));
    assert!(!get.headers.contains_key("grpc-status"));
}
