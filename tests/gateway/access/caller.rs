//! A caller of the KeyValue service over any protocol, with any credentials.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use prism::{call::Code, proto::patterns::keyvalue::v1::*};
use serde_json::json;
use test_support::http;

use crate::e2e::wire;

/// The protocols that every case runs over.
pub const PROTOCOLS: [&str; 4] = ["rest", "grpc", "grpc-web", "connect"];

/// The result of a call, the same for every protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// As `UNAUTHENTICATED`.
    pub code: &'static str,
    /// The reason of an error.
    pub reason: String,
    /// The challenges of the response.
    pub challenges: Vec<String>,
    /// The headers of the response.
    pub headers: ::http::HeaderMap,
}

/// What a caller does: an RPC of the KeyValue service, with a key.
#[derive(Clone, Copy)]
pub enum Action<'a> {
    Store(&'a str),
    Retrieve(&'a str),
}

impl Action<'_> {
    fn key(self) -> String {
        let (Self::Store(key) | Self::Retrieve(key)) = self;
        key.to_owned()
    }

    fn rpc(self) -> &'static str {
        match self {
            Self::Store(_) => "Store",
            Self::Retrieve(_) => "Retrieve",
        }
    }
}

/// Calls an RPC of a namespace.
pub async fn call(address: SocketAddr, protocol: &str, namespace: &str, action: Action<'_>, headers: &[(&str, &str)]) -> Outcome {
    match protocol {
        "rest" => rest(address, namespace, action, headers).await,
        "connect" => connect(address, namespace, action, headers).await,
        _ => grpc(address, protocol, namespace, action, headers).await,
    }
}

async fn rest(address: SocketAddr, namespace: &str, action: Action<'_>, headers: &[(&str, &str)]) -> Outcome {
    let (method, body) = match action {
        Action::Store(_) => ("PUT", "value"),
        Action::Retrieve(_) => ("GET", ""),
    };
    let answer = http::send(address, method, &format!("/{namespace}/v1/values/{}", action.key()), headers, body).await.unwrap();
    let reason = if answer.status < 400 { String::new() } else { answer.json()["reason"].as_str().unwrap_or_default().to_owned() };
    outcome(code_of(answer.status), reason, answer.headers)
}

async fn connect(address: SocketAddr, namespace: &str, action: Action<'_>, headers: &[(&str, &str)]) -> Outcome {
    let mut body = json!({"key": action.key()});
    if let Action::Store(_) = action {
        body["value"] = "dmFsdWU=".into();
    }
    let headers = [headers, &[("content-type", "application/json")]].concat();
    let path = format!("/{namespace}{}", wire::path(action.rpc()));
    let answer = http::send(address, "POST", &path, &headers, body.to_string()).await.unwrap();
    let reason = if answer.status < 400 {
        String::new()
    } else {
        answer.json()["details"][0]["debug"]["reason"].as_str().unwrap_or_default().to_owned()
    };
    outcome(code_of(answer.status), reason, answer.headers)
}

async fn grpc(address: SocketAddr, protocol: &str, namespace: &str, action: Action<'_>, headers: &[(&str, &str)]) -> Outcome {
    let body = match action {
        Action::Store(key) => wire::frame(&StoreRequest { key: key.to_owned(), value: "value".into(), ..StoreRequest::default() }),
        Action::Retrieve(key) => wire::frame(&RetrieveRequest { key: key.to_owned() }),
    };
    let (headers, path) = ([headers, &[("x-prism-namespace", namespace)]].concat(), wire::path(action.rpc()));
    let reply = match protocol {
        "grpc" => wire::grpc(address, &path, &headers, body).await,
        _ => wire::grpc_web(address, &path, &headers, body).await,
    };
    assert_eq!(reply.status, 200);
    let reason = if reply.code() == Code::Ok { String::new() } else { reply.error().reason().to_owned() };
    outcome(reply.code().name(), reason, reply.headers)
}

fn outcome(code: &'static str, reason: String, headers: ::http::HeaderMap) -> Outcome {
    let challenges = headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    Outcome { code, reason, challenges, headers }
}

fn code_of(status: u16) -> &'static str {
    if status < 300 {
        return "OK";
    }
    match status {
        401 => Code::Unauthenticated.name(),
        403 => Code::PermissionDenied.name(),
        404 => Code::NotFound.name(),
        429 => Code::ResourceExhausted.name(),
        503 => Code::Unavailable.name(),
        other => panic!("HTTP status {other}"),
    }
}

/// Creates a key in a file with `prism auth key create`, and returns it.
pub fn create_key(file: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prism"));
    let output = command.args(["auth", "key", "create", "--file", file.to_str().unwrap()]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let key = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(!fs::read_to_string(file).unwrap().contains(key.rsplit('_').next().unwrap()), "the file has the secret");
    key
}
