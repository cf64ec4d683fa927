//! Logins and TLS, and the errors when they are wrong.

use std::sync::Arc;

use prism::{
    call::{Code, Error},
    driver::Backend,
};
use serde_json::{Value, json};
use test_support::servers::{Nats, NatsOptions};

use super::super::{backend, credentials, get, healthy, keyvalue, set};

fn with(configuration: &str) -> Nats {
    Nats::start_with(NatsOptions { configuration: configuration.to_owned(), ..NatsOptions::default() }).unwrap()
}

/// Returns the error of calls after the first attempt to connect has failed.
async fn refused(values: Value) -> Error {
    let backend = backend("nats", values).await;
    let error = get(&keyvalue(&backend), "k").await.unwrap_err();
    assert_eq!(backend.health().await.unwrap_err().reason(), error.reason());
    error
}

/// Checks that the login works, and that those of `bad` are refused.
async fn check_login(server: &Nats, good: Value, bad: &[Value]) {
    let settings = |login: &Value| {
        let mut values = json!({"url": server.url()});
        for (name, value) in login.as_object().unwrap() {
            values[name.as_str()] = value.clone();
        }
        values
    };
    let backend = backend("nats", settings(&good)).await;
    healthy(&backend).await;
    set(&keyvalue(&backend), "k", "v").await.unwrap();
    for login in bad.iter().chain([&json!({})]) {
        let error = refused(settings(login)).await;
        assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_AUTHENTICATION"), "{error:?}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn with_a_user_and_a_password() {
    let server = with("authorization { user: ada, password: \"open sesame\" }");
    let bad = [json!({"username": "ada", "password": "hush hush"}), json!({"username": "eve", "password": "open sesame"})];
    check_login(&server, json!({"username": "ada", "password": "open sesame"}), &bad).await;
    let backend = backend("nats", json!({"url": server.url().replace("//", "//ada:open%20sesame@")})).await;
    healthy(&backend).await;
}

#[tokio::test]
async fn with_a_token() {
    let server = with("authorization { token: \"open sesame\" }");
    check_login(&server, json!({"token": "open sesame"}), &[json!({"token": "hush hush"})]).await;
}

#[tokio::test]
async fn with_an_nkey() {
    // A pair of keys for this test only.
    let (public, seed) =
        ("UB2VZ2HKTHUICF6PUKT3NB5YKZ4LIHHAYY2TTIQ55KSJDICQM6RELJBM", "SUAEMXIJJWDQRZAXWGZM2WTUGKU74EY24EQUIBNE7JNFYFCG6IHZDHNFXQ");
    let server = with(&format!("authorization {{ users: [{{ nkey: {public} }}] }}"));
    check_login(&server, json!({"nkey_seed": seed}), &[]).await;
}

#[tokio::test]
async fn with_credentials_of_a_jwt() {
    let server = with(include_str!("jwt/server.conf"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/faults/nats/jwt/prism.creds");
    check_login(&server, json!({"credentials_file": file}), &[]).await;
    check_login(&server, json!({"credentials": include_str!("jwt/prism.creds")}), &[]).await;
}

#[tokio::test]
async fn credentials_that_are_changed() {
    let mut server = with("authorization { token: first }");
    let settings = json!({"url": server.url(), "token": "first"});
    // The server disconnects clients whose login is not valid any more.
    let change = |_: &str, to: &str| server.reconfigure(&format!("authorization {{ token: {to} }}")).unwrap();
    credentials::changed("nats", settings, change).await;
}

#[tokio::test]
async fn without_permissions() {
    let permissions = "publish: [\"prism.>\", \"$JS.API.>\"], subscribe: [\"prism.>\", \"_INBOX.>\"]";
    let user = |name: &str, permissions: &str| format!("{{ user: {name}, password: x, permissions: {{ {permissions} }} }}");
    let users = [user("ada", permissions), user("eve", "publish: [\"$JS.API.INFO\"], subscribe: [\"_INBOX.>\"]")];
    let server = with(&format!("authorization {{ users: [{}] }}", users.join(",")));
    let connected = async |name: &str| {
        let settings = json!({"url": server.url(), "username": name, "password": "x", "request_timeout": "1s"});
        let backend = backend("nats", settings).await;
        healthy(&backend).await;
        backend
    };
    let ada = connected("ada").await;
    set(&keyvalue(&ada), "k", "v").await.unwrap();
    subscribes(&ada).await;
    let error = set(&keyvalue(&connected("eve").await), "k", "v").await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_PERMISSION"), "{error:?}");
}

#[tokio::test]
async fn over_tls() {
    let server = Nats::start_with(NatsOptions { tls: true, ..NatsOptions::default() }).unwrap();
    let backend = backend("nats", json!({"url": server.url(), "tls": {"ca_file": server.ca_file()}})).await;
    healthy(&backend).await;
    let store = keyvalue(&backend);
    let large = vec![7; 1 << 20];
    set(&store, "k", large.clone()).await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), large);
    subscribes(&backend).await;
    let error = refused(json!({"url": server.url()})).await;
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_CERTIFICATE"), "{error:?}");
    assert!(error.message().contains("tls"), "{error:?}");
    let other_name = server.url().replace("localhost", "127.0.0.2");
    let error = refused(json!({"url": other_name, "tls": {"ca_file": server.ca_file()}})).await;
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
}

#[tokio::test]
async fn with_a_client_certificate() {
    let server = Nats::start_with(NatsOptions { tls: true, client_certificates: true, ..NatsOptions::default() }).unwrap();
    let (certificate, key) = server.client_certificate().unwrap();
    let tls = json!({"ca_file": server.ca_file(), "certificate_file": certificate, "key_file": key});
    let backend = backend("nats", json!({"url": server.url(), "tls": tls})).await;
    healthy(&backend).await;
    set(&keyvalue(&backend), "k", "v").await.unwrap();
    let error = refused(json!({"url": server.url(), "tls": {"ca_file": server.ca_file()}})).await;
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
}

async fn subscribes(backend: &Arc<dyn Backend>) {
    use futures::StreamExt as _;
    let pubsub = super::super::slot(backend).interfaces.pubsub_basic.unwrap();
    let request = prism::proto::models::pubsub::v1::SubscribeRequest { topic: "t".into(), ..Default::default() };
    assert!(pubsub.subscribe(&super::super::context(), request).await.unwrap().next().await.unwrap().is_ok());
}
