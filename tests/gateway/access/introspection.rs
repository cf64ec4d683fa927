//! Opaque tokens, whose issuer tells who has them.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http, poll::until};

use super::{
    caller::{Action, PROTOCOLS, call},
    service,
    streams::rest,
};

/// An issuer with an introspection endpoint (RFC 7662).
struct Issuer {
    address: SocketAddr,
    /// The answers about tokens.
    tokens: Arc<Mutex<HashMap<String, Value>>>,
}

impl Issuer {
    async fn start() -> Self {
        let tokens = Arc::<Mutex<HashMap<String, Value>>>::default();
        let known = tokens.clone();
        let address = service::start(move |parts, form| {
            // `prism:s3cret`
            let is_client = parts.headers.get("authorization").is_some_and(|given| given == "Basic cHJpc206czNjcmV0");
            let token = form.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
            let answer = known.lock().unwrap().get(token).cloned().unwrap_or_else(|| json!({"active": false}));
            (if is_client { 200 } else { 401 }, answer)
        });
        Self { address: address.await, tokens }
    }

    fn set(&self, token: &str, subject: Option<&str>) {
        let answer = subject.map_or_else(|| json!({"active": false}), |subject| json!({"active": true, "sub": subject}));
        self.tokens.lock().unwrap().insert(token.to_owned(), answer);
    }

    fn config(&self) -> String {
        format!(
            "
authenticators:
  opaque: {{type: introspection, url: 'http://{}/introspect', client_id: prism, client_secret: s3cret, recheck_interval: 1s}}
listeners: {{main: {{authentication: [opaque]}}}}
backends: {{ram: {{type: memory}}}}
namespaces:
  - {{name: store, pattern: keyvalue, slots: {{storage: ram}}}}
  - {{name: events, pattern: interfaces, slots: {{backend: ram}}}}
",
            self.address
        )
    }
}

#[tokio::test]
async fn each_protocol_accepts_active_tokens_and_refuses_revoked_ones() {
    let issuer = Issuer::start().await;
    let gateway = Gateway::start(&issuer.config()).await;
    for protocol in PROTOCOLS {
        let token = format!("opaque-{protocol}");
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        let outcome = call(gateway.address, protocol, "store", Action::Store("a"), &headers).await;
        assert_eq!(outcome.code, "UNAUTHENTICATED", "{protocol}: {outcome:?}");
        issuer.set(&token, Some("ada"));
        let outcome = call(gateway.address, protocol, "store", Action::Store("a"), &headers).await;
        assert_eq!(outcome.code, "OK", "{protocol}: {outcome:?}");
        issuer.set(&token, None);
        until("refused", || async {
            let outcome = call(gateway.address, protocol, "store", Action::Retrieve("a"), &headers).await;
            if outcome.code == "UNAUTHENTICATED" { Ok(()) } else { Err(format!("{outcome:?}")) }
        })
        .await;
    }
    assert!(!gateway.log().contains("opaque-"), "a token is in the log");
}

#[tokio::test]
async fn a_revoked_token_ends_its_streams_and_no_others() {
    let issuer = Issuer::start().await;
    let gateway = Gateway::start(&issuer.config()).await;
    issuer.set("revoked", Some("ada"));
    issuer.set("kept", Some("ada"));
    let append = async || {
        let headers = [("authorization", "Bearer kept"), ("content-type", "application/json")];
        let body = "{\"stream\": \"orders\", \"payload\": \"Zmlyc3Q=\"}";
        http::send(gateway.address, "POST", "/events/v1/stream_basic/Append", &headers, body).await.unwrap().status
    };
    let follow = async |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("accept", "text/event-stream")];
        let path = "/events/v1/stream_basic/Read?stream=orders&follow=true";
        let mut events = http::open_with(gateway.address, path, &headers).await.into_body();
        events.frame().await.expect("an event").unwrap();
        events
    };
    assert_eq!(append().await, 200);
    let (ended, mut open) = (follow("revoked").await, follow("kept").await);
    issuer.set("revoked", None);
    let text = rest(ended).await;
    assert!(text.contains("ACCESS_ENDED"), "{text}");
    assert_eq!(append().await, 200);
    let event = open.frame().await.expect("the stream goes on").unwrap();
    assert!(!String::from_utf8_lossy(event.data_ref().unwrap()).contains("ACCESS_ENDED"));
}

#[tokio::test]
async fn an_issuer_that_is_away_is_unavailable_over_each_protocol() {
    // The port of a listener that has ended.
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let issuer = Issuer { address, tokens: Arc::default() };
    let gateway = Gateway::start(&issuer.config()).await;
    for protocol in PROTOCOLS {
        let outcome = call(gateway.address, protocol, "store", Action::Store("a"), &[("authorization", "Bearer opaque")]).await;
        assert_eq!((outcome.code, &*outcome.reason), ("UNAVAILABLE", "ISSUER_UNAVAILABLE"), "{protocol}");
    }
}
