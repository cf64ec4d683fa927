//! Passwords and TLS, and the errors when they are wrong.

use prism::{
    call::{Code, Error},
    driver::Backend,
};
use serde_json::{Value, json};
use test_support::servers::{Options, Redis};

use super::{
    super::{backend, credentials, get, healthy, keyvalue, set},
    command,
};

/// Returns the error of a call after the first attempt to connect has failed.
async fn refused(values: Value) -> Error {
    let backend = backend("redis", values).await;
    let error = get(&keyvalue(&backend), "k").await.unwrap_err();
    assert_eq!(backend.health().await.unwrap_err().reason(), error.reason());
    error
}

#[tokio::test]
async fn with_a_password() {
    let options = Options { password: Some("open sesame".to_owned()), ..Options::default() };
    let server = Redis::start_with(options).unwrap();
    for values in [
        json!({"url": server.url(), "password": "open sesame"}),
        json!({"url": server.url(), "username": "default", "password": "open sesame", "database": 3}),
        json!({"url": server.url().replace("//", "//:open%20sesame@")}),
    ] {
        let backend = backend("redis", values).await;
        healthy(&backend).await;
        set(&keyvalue(&backend), "k", "v").await.unwrap();
    }
    for values in [json!({"url": server.url()}), json!({"url": server.url(), "password": "hush hush"})] {
        let error = refused(values).await;
        assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_AUTHENTICATION"), "{error:?}");
        assert!(error.message().contains("password"), "{error:?}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn over_tls() {
    let server = Redis::start_with(Options { tls: true, ..Options::default() }).unwrap();
    let trusting = json!({"url": server.tls_url(), "tls": {"ca_file": server.ca_file()}});
    let backend = backend("redis", trusting).await;
    healthy(&backend).await;
    let store = keyvalue(&backend);
    let large = vec![7; 1 << 20];
    set(&store, "k", large.clone()).await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), large);
    subscribes(&backend).await;

    let error = refused(json!({"url": server.tls_url()})).await;
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_CERTIFICATE"), "{error:?}");
    assert!(error.message().contains("tls.ca_file"), "{error:?}");
    let other_name = server.tls_url().replace("localhost", "127.0.0.2");
    let error = refused(json!({"url": other_name, "tls": {"ca_file": server.ca_file()}})).await;
    assert!(matches!(error.code(), Code::Unavailable), "{error:?}");
}

/// Subscriptions have a connection of their own, which uses the same settings.
async fn subscribes(backend: &std::sync::Arc<dyn Backend>) {
    use futures::StreamExt as _;
    let pubsub = super::super::slot(backend).interfaces.pubsub_basic.unwrap();
    let request = prism::proto::models::pubsub::v1::SubscribeRequest { topic: "t".into(), ..Default::default() };
    assert!(pubsub.subscribe(&super::super::context(), request).await.unwrap().next().await.unwrap().is_ok());
}

#[tokio::test]
async fn credentials_that_are_changed() {
    let server = Redis::start_with(Options { password: Some("first".to_owned()), ..Options::default() }).unwrap();
    let settings = json!({"url": server.url(), "password": "first"});
    // The server does not close connections by itself whose login was right.
    let change = |from: &str, to: &str| {
        let commands = format!("AUTH {from}\r\nCONFIG SET requirepass {to}\r\nCLIENT KILL TYPE normal");
        command(&server, &commands, true);
    };
    credentials::changed("redis", settings, change).await;
}
