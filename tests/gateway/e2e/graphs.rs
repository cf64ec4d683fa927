//! Graphs over REST, gRPC and GraphQL, through the pattern `interfaces`.

use prism::proto::models::graph::v1::{ShortestPathRequest, ShortestPathResponse};
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

use super::wire;

const CONFIG: &str = "
backends:
  ram: {type: memory}
namespaces:
  - {name: graph, pattern: interfaces, slots: {backend: ram}}
";

async fn post(gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
    let answer = http::send(gateway.address, "POST", path, &[("content-type", "application/json")], body.to_string()).await.unwrap();
    (answer.status, answer.json())
}

#[tokio::test]
async fn every_protocol_reaches_the_same_graph() {
    let gateway = Gateway::start(CONFIG).await;
    // Replies nest properties deeper than requests do.
    let deep = (0..31).fold(json!({"a": 1.0}), |inner, _| json!({"a": inner}));
    for (id, properties) in [("ann", json!({})), ("bob", deep.clone())] {
        let node = json!({"node": {"id": id, "labels": ["Person"], "properties": properties}});
        let (status, reply) = post(&gateway, "/graph/v1/graph_basic/AddNode", &node).await;
        assert_eq!((status, &reply["created"]), (200, &json!(true)), "{reply}");
    }
    let edge = json!({"edge": {"id": "1", "label": "KNOWS", "fromNodeId": "ann", "toNodeId": "bob"}});
    let (status, reply) = post(&gateway, "/graph/v1/graph_basic/AddEdge", &edge).await;
    assert_eq!((status, &reply["edge"]["properties"]), (200, &json!({})), "{reply}");
    let (status, problem) = post(&gateway, "/graph/v1/graph_basic/AddEdge", &edge).await;
    assert_eq!((status, &problem["reason"]), (409, &json!("EDGE_EXISTS")), "{problem}");
    let (status, problem) = post(&gateway, "/graph/v1/graph_basic/DeleteNode", &json!({"nodeId": "bob"})).await;
    assert_eq!((status, &problem["reason"]), (400, &json!("NODE_HAS_EDGES")), "{problem}");

    let walk = json!({"traversal": {"startNodeIds": ["ann"]}}).to_string();
    let headers = [("content-type", "application/json")];
    let reply = http::send(gateway.address, "POST", "/graph/v1/graph_traversal/TraverseBreadthFirst", &headers, walk).await.unwrap();
    let visits: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let visits: Vec<&Value> = visits.iter().map(|message| &message["visit"]).collect();
    assert_eq!((reply.status, visits.len(), &visits[0]["node"]["id"]), (200, 2, &json!("ann")), "{visits:?}");
    let found = (&visits[1]["node"]["properties"], &visits[1]["edge"]["id"], &visits[1]["depth"]);
    assert_eq!(found, (&deep, &json!("1"), &json!(1)), "{visits:?}");

    let request = ShortestPathRequest { from_node_id: "ann".to_owned(), to_node_id: "bob".to_owned(), ..Default::default() };
    let path = "/prism.interfaces.graph.v1.GraphAnalyticsService/ShortestPath";
    let reply = wire::grpc(gateway.address, path, &[("x-prism-namespace", "graph")], wire::frame(&request)).await;
    let path = reply.message::<ShortestPathResponse>().path.unwrap();
    assert_eq!(path.nodes.iter().map(|node| node.id.as_str()).collect::<Vec<_>>(), ["ann", "bob"]);

    let query = json!({"query": r#"{ graphBasicGetNodes(nodeIds: ["bob", "ann", "none"]) { nodes { id labels } } }"#});
    let (status, reply) = post(&gateway, "/graph/graphql", &query).await;
    let nodes = json!([{"id": "bob", "labels": ["Person"]}, {"id": "ann", "labels": ["Person"]}]);
    assert_eq!((status, &reply["data"]["graphBasicGetNodes"]["nodes"]), (200, &nodes), "{reply}");
}
