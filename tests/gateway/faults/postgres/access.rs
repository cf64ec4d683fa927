//! Passwords and TLS, and the errors when they are wrong.

use prism::call::{Code, Error};
use serde_json::{Value, json};
use test_support::servers::{Postgres, PostgresOptions};

use super::super::{backend, credentials, get, healthy, keyvalue, set};

/// Returns the error of a call after the first attempt to connect has failed.
async fn refused(values: Value) -> Error {
    let backend = backend("postgres", values).await;
    let error = get(&keyvalue(&backend), "k").await.unwrap_err();
    assert_eq!(backend.health().await.unwrap_err().reason(), error.reason());
    error
}

#[tokio::test]
async fn with_a_password() {
    let options = PostgresOptions { password: Some("open sesame".to_owned()), ..PostgresOptions::default() };
    let server = Postgres::start_with(options).unwrap();
    for values in [
        json!({"url": server.url(), "password": "open sesame"}),
        json!({"url": server.url().replace("prism@", "prism:open%20sesame@")}),
        json!({"host": "127.0.0.1", "port": server.port(), "user": "prism", "database": "postgres", "password": "open sesame"}),
    ] {
        let backend = backend("postgres", values).await;
        healthy(&backend).await;
        set(&keyvalue(&backend), "k", "v").await.unwrap();
    }
    for values in [json!({"url": server.url()}), json!({"url": server.url(), "password": "hush hush"})] {
        let error = refused(values).await;
        assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_AUTHENTICATION"), "{error:?}");
        assert!(error.message().contains("password"), "{error:?}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
    let error = refused(json!({"url": server.url().replace("/postgres", "/none"), "password": "open sesame"})).await;
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_MISCONFIGURED"), "{error:?}");
}

#[tokio::test]
async fn over_tls_with_a_client_certificate() {
    let server = Postgres::start_with(PostgresOptions { tls: true, ..PostgresOptions::default() }).unwrap();
    let files = server.certificate().unwrap();
    let tls = json!({"mode": "verify-full", "ca_file": files.certificate, "certificate_file": files.certificate, "key_file": files.key});
    let backend = backend("postgres", json!({"url": server.url(), "tls": tls})).await;
    healthy(&backend).await;
    let store = keyvalue(&backend);
    let large = vec![7; 1 << 20];
    set(&store, "k", large.clone()).await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), large);

    // The server's certificate is not trusted, and it is not for this host.
    let error = refused(json!({"url": server.url(), "tls": {"mode": "verify-full"}})).await;
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_CERTIFICATE"), "{error:?}");
    assert!(error.message().contains("tls.ca_file"), "{error:?}");
    let other_name = json!({"url": server.url().replace("127.0.0.1", "127.0.0.2"), "tls": tls});
    assert!(matches!(refused(other_name).await.code(), Code::Unavailable));
    // The server admits neither connections without TLS nor without a client certificate.
    let error = refused(json!({"url": server.url()})).await;
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_AUTHENTICATION"), "{error:?}");
    let without = json!({"url": server.url(), "tls": {"mode": "verify-full", "ca_file": files.certificate}});
    let error = refused(without).await;
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls() {
    let server = Postgres::start().unwrap();
    let error = refused(json!({"url": server.url(), "tls": {"mode": "verify-full"}})).await;
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_MISCONFIGURED"), "{error:?}");
    assert!(error.message().contains("tls.mode"), "{error:?}");
}

#[tokio::test]
async fn credentials_that_are_changed() {
    let server = Postgres::start_with(PostgresOptions { password: Some("first".to_owned()), ..PostgresOptions::default() }).unwrap();
    server.sql("CREATE ROLE prism_gateway LOGIN SUPERUSER PASSWORD 'first'").unwrap();
    let change = |_: &str, to: &str| {
        // The server does not close connections by itself whose login was right.
        let close = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'prism_gateway'";
        server.sql(&format!("ALTER ROLE prism_gateway PASSWORD '{to}'; {close}")).unwrap();
    };
    let url = server.url().replace("prism@", "prism_gateway@");
    credentials::changed("postgres", json!({"url": url, "password": "first"}), change).await;
}
