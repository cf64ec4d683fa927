//! Every protocol of `prism serve` without a configuration, as its output and the README show them.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Output},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf as _, Bytes};
use prism::{call::Code, proto::patterns::slots::v1::Capabilities};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};
use test_support::{
    gateway::{Gateway, program},
    http,
    poll::until,
};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

use super::{websocket::Client, wire};

/// The services of the patterns of the default namespaces.
const SERVICES: [(&str, &str); 3] = [
    ("keyvalue", "prism.patterns.keyvalue.v1.KeyValueService"),
    ("interfaces", "prism.patterns.interfaces.v1.InterfacesService"),
    ("schema-registry", "prism.patterns.schema_registry.v1.SchemaRegistryService"),
];

/// What `prism serve` prints at its start.
#[derive(Default, Debug)]
struct Banner {
    protocols: Vec<String>,
    /// The URL of the pages for browsers.
    browser: Option<String>,
    listeners: BTreeMap<String, SocketAddr>,
    /// The address of the admin listener, and its paths.
    admin: Option<(SocketAddr, Vec<String>)>,
    /// Name and pattern of each namespace.
    namespaces: Vec<(String, String)>,
    /// Name and URL of each HTTP API of a definition.
    definitions: Vec<(String, String)>,
    examples: Vec<String>,
}

impl Banner {
    /// Reads the output. Fails at a line that it does not know.
    fn parse(text: &str) -> Self {
        let mut banner = Self::default();
        let address = |url: &str| url.strip_prefix("http://").unwrap().parse().unwrap();
        for line in text.lines().filter(|line| !line.trim().is_empty() && line.trim() != "Try it:") {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["Prism", _, "serves", ..] => {
                    let (_, list) = line.split_once(" serves ").unwrap();
                    banner.protocols = list.replace(" and ", ", ").split(", ").map(str::to_owned).collect();
                }
                ["browser", url] => banner.browser = Some(url.to_owned()),
                ["listener", name, url] => drop(banner.listeners.insert(name.to_owned(), address(url))),
                ["admin", url, ref paths @ ..] => {
                    let paths = paths.iter().map(|path| path.trim_matches(['(', ')']).to_owned()).collect();
                    banner.admin = Some((address(url), paths));
                }
                ["namespace", name, pattern, ..] => {
                    banner.namespaces.push((name.to_owned(), pattern.trim_end_matches(',').to_owned()));
                }
                ["curl", ..] => banner.examples.push(line.trim().to_owned()),
                [name, url] if url.starts_with("http://") => banner.definitions.push((name.to_owned(), url.to_owned())),
                _ => panic!("unknown line {line:?} in\n{text}"),
            }
        }
        banner
    }
}

async fn start() -> (Gateway, Banner) {
    let gateway = Gateway::start("").await;
    let text = until("printed", || async {
        let output = gateway.output();
        if output.lines().filter(|line| line.trim_start().starts_with("curl ")).count() == 3 { Ok(output) } else { Err(output) }
    })
    .await;
    (gateway, Banner::parse(&text))
}

fn shell(command: &str) -> Output {
    Command::new("sh").args(["-c", command]).output().unwrap()
}

/// Returns the capabilities of a namespace over a protocol.
async fn capabilities(protocol: &str, address: SocketAddr, namespace: &str, service: &str) -> Vec<Value> {
    let path = format!("/{service}/GetCapabilities");
    let header = [("x-prism-namespace", namespace)];
    let decode = |bytes: &[u8]| {
        // The response has the capabilities in its first field, whatever the pattern.
        let response = prism::proto::patterns::keyvalue::v1::GetCapabilitiesResponse::decode(bytes).unwrap();
        let capabilities: Capabilities = response.capabilities.unwrap();
        json!({"pattern": capabilities.pattern})
    };
    let message = |body: &Bytes| {
        let size = (&body[1..5]).get_u32() as usize;
        body.slice(5..5 + size)
    };
    let from_json = |value: &Value| json!({"pattern": value["capabilities"]["pattern"].as_str().unwrap()});
    match protocol {
        "gRPC" => {
            let reply = wire::grpc(address, &path, &header, wire::framed(0, b"")).await;
            assert_eq!(reply.code(), Code::Ok, "{reply:?}");
            vec![decode(&message(&reply.body))]
        }
        "gRPC-Web" => {
            let reply = wire::grpc_web(address, &path, &header, wire::framed(0, b"")).await;
            assert_eq!(reply.code(), Code::Ok, "{reply:?}");
            let headers = [header[0], ("content-type", "application/grpc-web-text")];
            let answer = http::send(address, "POST", &path, &headers, STANDARD.encode([0; 5])).await.unwrap();
            let size = answer.text().find('=').map_or(answer.body.len(), |end| (end + 1).next_multiple_of(4));
            let text = Bytes::from(STANDARD.decode(&answer.body[..size]).unwrap());
            vec![decode(&message(&reply.body)), decode(&message(&text))]
        }
        "Connect" => {
            let path = format!("/{namespace}{path}");
            let post = http::send(address, "POST", &path, &[("content-type", "application/json")], "{}").await.unwrap();
            let proto = http::send(address, "POST", &path, &[("content-type", "application/proto")], "").await.unwrap();
            let get = http::get(address, &format!("{path}?encoding=json&message=%7B%7D")).await.unwrap();
            vec![from_json(&post.json()), decode(&proto.body), from_json(&get.json())]
        }
        "GraphQL" => {
            let (path, query) = (format!("/{namespace}/graphql"), r#"{"query":"{ getCapabilities { capabilities { pattern } } }"}"#);
            let post = http::send(address, "POST", &path, &[("content-type", "application/json")], query).await.unwrap();
            vec![from_json(&post.json()["data"]["getCapabilities"])]
        }
        "MCP" => {
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_capabilities"}}"#;
            let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
            let post = http::send(address, "POST", &format!("/{namespace}/mcp"), &headers, body).await.unwrap();
            vec![from_json(&post.json()["result"]["structuredContent"])]
        }
        "REST" => vec![from_json(&http::get(address, &format!("/{namespace}/v1/capabilities")).await.unwrap().json())],
        "WebSocket" => {
            let mut client = Client::connect(address, &format!("/{namespace}/websocket")).await;
            vec![from_json(&client.call(1, "GetCapabilities", json!({})).await["message"])]
        }
        other => panic!("no test calls the protocol {other}"),
    }
}

#[tokio::test]
async fn every_printed_protocol_serves_every_namespace() {
    let (_gateway, banner) = start().await;
    assert_eq!(banner.protocols, ["gRPC", "gRPC-Web", "Connect", "REST", "WebSocket", "GraphQL", "MCP"]);
    assert_eq!(banner.namespaces.len(), 4, "{banner:?}");
    for (namespace, pattern) in &banner.namespaces {
        let (_, service) = SERVICES.iter().find(|(known, _)| known == pattern).unwrap();
        for protocol in &banner.protocols {
            for capabilities in capabilities(protocol, banner.listeners["main"], namespace, service).await {
                assert_eq!(capabilities, json!({"pattern": pattern}), "{namespace} {protocol}");
            }
        }
    }
}

#[tokio::test]
async fn every_printed_listener_has_reflection_and_health() {
    let (_gateway, banner) = start().await;
    for (name, address) in &banner.listeners {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let pool = reflect(channel.clone(), SERVICES[0].1).await;
        assert!(pool.get_service_by_name(SERVICES[0].1).is_some(), "{name}");
        for (_, service) in SERVICES {
            let request = HealthCheckRequest { service: service.to_owned() };
            let health = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner();
            assert_eq!(health.status(), ServingStatus::Serving, "{name} {service}");
        }
    }
}

#[tokio::test]
async fn every_printed_url_answers() {
    let (gateway, banner) = start().await;
    let (admin, paths) = banner.admin.unwrap();
    assert_eq!(paths, ["/healthz", "/readyz", "/metrics"]);
    for path in paths {
        assert_eq!(http::get(admin, &path).await.unwrap().status, 200, "{path}");
    }
    let page = shell(&format!("curl -sS --fail {}", banner.browser.unwrap()));
    assert!(String::from_utf8_lossy(&page.stdout).contains("/_demo/app.js"), "{page:?}");
    assert_eq!(banner.definitions.len(), 2, "{:?}", banner.definitions);
    for (name, url) in &banner.definitions {
        let body = r#"{"schema":"\"int\""}"#;
        let post =
            format!("curl -sS --fail {url}/subjects/s/versions -H 'content-type: application/vnd.schemaregistry.v1+json' -d '{body}'");
        assert_eq!(serde_json::from_slice::<Value>(&shell(&post).stdout).unwrap()["id"], 1, "{name} {url}");
        let get = shell(&format!("curl -sS --fail {url}/subjects"));
        assert_eq!(serde_json::from_slice::<Value>(&get.stdout).unwrap(), json!(["s"]), "{name} {url}");
        documented(url);
    }
    for (namespace, _) in &banner.namespaces {
        documented(&format!("http://{}/{namespace}", banner.listeners["main"]));
    }
    let answers: Vec<_> = banner.examples.iter().map(|line| shell(&line.replace("curl ", "curl -sS --fail ")).stdout).collect();
    let answers: Vec<_> = answers.iter().map(|answer| String::from_utf8_lossy(answer)).collect();
    assert!(answers[0].contains("\"revision\"") && answers[1] == "hello" && answers[2].contains("\"greeting\""), "{answers:?}");
    assert_eq!(gateway.log(), "");
}

/// Checks that an API serves its OpenAPI document in both forms, and the page.
fn documented(url: &str) {
    for (path, begin) in [("openapi.json", "{"), ("openapi.yaml", "openapi: "), ("docs", "<!")] {
        let output = shell(&format!("curl -sSL --fail {url}/{path}"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.to_lowercase().starts_with(begin), "{url}/{path}: {}", text.chars().take(80).collect::<String>());
    }
}

/// Asks the reflection service for a service, as grpcurl does.
async fn reflect(channel: Channel, symbol: &str) -> DescriptorPool {
    let mut client = ServerReflectionClient::new(channel);
    let mut files: BTreeMap<String, prost_types::FileDescriptorProto> = BTreeMap::new();
    let mut wanted = vec![MessageRequest::FileContainingSymbol(symbol.to_owned())];
    while let Some(message) = wanted.pop() {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
        let mut answers = client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::FileDescriptorResponse(found)) = answer else { panic!("{answer:?}") };
        for bytes in found.file_descriptor_proto {
            let file = prost_types::FileDescriptorProto::decode(&bytes[..]).unwrap();
            let missing = file.dependency.iter().filter(|name| !files.contains_key(*name));
            wanted.extend(missing.map(|name| MessageRequest::FileByFilename(name.clone())));
            files.insert(file.name().to_owned(), file);
        }
    }
    DescriptorPool::from_file_descriptor_set(prost_types::FileDescriptorSet { file: files.into_values().collect() }).unwrap()
}

/// Does what `grpcurl -plaintext -d JSON ADDRESS SERVICE/RPC` does, and returns its output as JSON.
async fn grpcurl(words: &[&str]) -> Value {
    let ["grpcurl", "-plaintext", "-d", request, address, rpc] = words else { panic!("{words:?}") };
    let (service, method) = rpc.split_once('/').unwrap();
    let pool = reflect(Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap(), service).await;
    let method = pool.get_service_by_name(service).unwrap().methods().find(|known| known.name() == method).unwrap();
    let parse = |descriptor: MessageDescriptor, text: &str| {
        DynamicMessage::deserialize(descriptor, &mut serde_json::Deserializer::from_str(text)).unwrap()
    };
    let request = wire::frame(&parse(method.input(), request));
    let reply = wire::grpc(address.parse().unwrap(), &format!("/{rpc}"), &[], request).await;
    assert_eq!(reply.code(), Code::Ok, "{reply:?}");
    serde_json::to_value(DynamicMessage::decode(method.output(), &reply.body[5..]).unwrap()).unwrap()
}

/// Splits a command into its words. Single quotes are the only quotes.
fn words(command: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = command.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// Returns the commands of the console blocks of a section, with their output.
fn commands(section: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for block in section.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => output.extend([line, "\n"]),
                (None, None) => panic!("output without a command: {line}"),
            }
        }
    }
    commands
}

/// Whether an output is the expected one, in which a line `...` stands for any lines. The time of `retry` is random.
fn matches(expected: &[&str], lines: &[&str]) -> bool {
    match (expected, lines) {
        (["...", rest @ ..], _) => (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..])),
        ([first, rest @ ..], [line, others @ ..]) => {
            (first == line || (first.starts_with("retry: ") && line.starts_with("retry: "))) && matches(rest, others)
        }
        ([], []) => true,
        _ => false,
    }
}

#[tokio::test]
async fn the_commands_of_the_readme_print_what_it_shows() {
    let (gateway, banner) = start().await;
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let section = text.split("\n## Protocols\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let commands = commands(section);
    assert!(commands.len() >= 15, "{}", commands.len());
    let main = gateway.address.to_string();
    for (command, expected) in commands {
        let real = command.replace("127.0.0.1:8980", &main).replace("127.0.0.1:8081", &banner.listeners["registry"].to_string());
        if command.starts_with("grpcurl ") {
            assert_eq!(grpcurl(&words(&real)).await, serde_json::from_str::<Value>(&expected).unwrap(), "{command}");
            continue;
        }
        let output = if let Some(arguments) = real.strip_prefix("prism ") {
            let output = Command::new(program()).args(words(arguments)).env("PRISM_ADDRESS", &main).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        } else {
            assert!(real.starts_with("curl "), "no test runs {command}");
            String::from_utf8(shell(&real.replace("curl ", "curl -sS ")).stdout).unwrap()
        };
        // The body of a response comes after its headers and an empty line, and is not shown.
        let expected: Vec<_> = expected.lines().collect();
        let lines: Vec<_> = output.lines().map(str::trim_end).collect();
        assert!(matches(&expected, &lines), "{command} prints\n{output}\nnot\n{}", expected.join("\n"));
    }
}
