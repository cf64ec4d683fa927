//! Graphs over REST, gRPC and GraphQL, through the pattern `interfaces`.

use prism::proto::models::graph::v1::{ShortestPathRequest, ShortestPathResponse};
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http, servers::Postgres};

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

/// A node of PostgreSQL has very many edges, of which a call wants few.
#[tokio::test]
async fn labels_of_a_node_with_very_many_edges() {
    let server = Postgres::start().unwrap();
    let gateway = Gateway::start(&format!(
        "backends:\n  db: {{type: postgres, url: '{}'}}\nnamespaces:\n  - {{name: graph, pattern: interfaces, slots: {{backend: db}}}}\n",
        server.url()
    ))
    .await;
    for id in ["hub", "smaller-hub", "leaf"] {
        let (status, reply) = post(&gateway, "/graph/v1/graph_basic/AddNode", &json!({"node": {"id": id, "labels": ["N"]}})).await;
        assert_eq!(status, 200, "{reply}");
    }
    for (id, from) in [("z-1", "hub"), ("z-2", "smaller-hub")] {
        let edge = json!({"edge": {"id": id, "label": "KNOWS", "fromNodeId": from, "toNodeId": "leaf"}});
        assert_eq!(post(&gateway, "/graph/v1/graph_basic/AddEdge", &edge).await.0, 200);
    }
    for (node, count) in [("hub", 260_000), ("smaller-hub", 9_000)] {
        server
            .sql(&format!(
                "INSERT INTO prism.graph_edges SELECT keyspace, convert_to('{node}-' || number, 'UTF8'), 1, 'OTHER', '{node}', 'leaf', 2, '{{}}'
                 FROM prism.graph_nodes, generate_series(1, {count}) AS number WHERE id = '{node}'"
            ))
            .unwrap();
    }
    let headers = [("content-type", "application/json")];
    let lines = async |path: &str, body: Value| {
        let answer = http::send(gateway.address, "POST", path, &headers, body.to_string()).await.unwrap();
        let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (answer.status, lines)
    };
    for direction in ["DIRECTION_OUT", "DIRECTION_BOTH"] {
        for (node, edge) in [("hub", "z-1"), ("smaller-hub", "z-2")] {
            let request = json!({"nodeId": node, "direction": direction, "edgeLabels": ["KNOWS"]});
            let (status, edges) = lines("/graph/v1/graph_basic/GetEdges", request).await;
            let ids: Vec<_> = edges.iter().map(|message| message["edge"]["id"].as_str().unwrap_or_default()).collect();
            assert_eq!((status, ids), (200, vec![edge]), "{direction} {edges:?}");
        }
        let walk = |node: &str| json!({"traversal": {"startNodeIds": [node], "direction": direction, "maxDepth": 1, "subgraph": {"edgeLabels": ["KNOWS"]}}});
        let (status, visits) = lines("/graph/v1/graph_traversal/TraverseBreadthFirst", walk("smaller-hub")).await;
        assert_eq!((status, visits.len(), &visits[1]["visit"]["edge"]["id"]), (200, 2, &json!("z-2")), "{visits:?}");
        let (_, visits) = lines("/graph/v1/graph_traversal/TraverseBreadthFirst", walk("hub")).await;
        let end = visits.last().unwrap().to_string();
        assert!(end.contains("TRAVERSAL_TOO_LARGE") && end.contains("250000 edges that its labels leave out"), "{visits:?}");
    }
}
