//! Logins and TLS, and the errors when they are wrong.

use prism::call::{Code, Error};
use serde_json::{Value, json};
use test_support::servers::{Kafka, KafkaOptions};

use super::super::{backend, healthy, slot, streams::append};

/// Returns the settings for a server with more settings.
fn with(server: &Kafka, more: &Value) -> Value {
    let mut values = json!({"url": server.url()});
    for (name, value) in more.as_object().unwrap() {
        values[name.as_str()] = value.clone();
    }
    values
}

/// Checks that Prism can write with these settings.
async fn check_accepted(values: Value) {
    let backend = backend("kafka", values).await;
    healthy(&backend).await;
    append(slot(&backend).interfaces.stream_basic.unwrap().as_ref(), "x").await.unwrap();
}

async fn refused(values: Value) -> Error {
    let backend = backend("kafka", values).await;
    append(slot(&backend).interfaces.stream_basic.unwrap().as_ref(), "x").await.unwrap_err()
}

#[tokio::test]
async fn with_a_user_and_a_password() {
    let login = Some(("ada".to_owned(), "open-sesame".to_owned()));
    let server = Kafka::start_with(KafkaOptions { login, ..KafkaOptions::default() }).unwrap();
    for mechanism in ["plain", "scram-sha-256", "scram-sha-512"] {
        let login = |password: &str| json!({"username": "ada", "password": password, "sasl": {"mechanism": mechanism}});
        check_accepted(with(&server, &login("open-sesame"))).await;
        let error = refused(with(&server, &login("hush-hush"))).await;
        assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_AUTHENTICATION"), "{mechanism}: {error:?}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn with_client_certificates() {
    let options = KafkaOptions { tls: true, client_certificates: true, ..KafkaOptions::default() };
    let server = Kafka::start_with(options).unwrap();
    let (ca, (certificate, key)) = (server.ca_file().unwrap(), server.client_certificate().unwrap());
    check_accepted(with(&server, &json!({"tls": {"ca_file": ca, "certificate_file": certificate, "key_file": key}}))).await;
    // The authorities of the system don't know the server.
    let error = refused(with(&server, &json!({"tls": {"certificate_file": certificate, "key_file": key}}))).await;
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_CERTIFICATE"), "{error:?}");
    let error = refused(with(&server, &json!({"tls": {"ca_file": ca}}))).await;
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
}
