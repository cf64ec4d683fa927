use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::join_all;
use http::HeaderValue;
use prism_call::Authenticate as _;
use prism_settings::parse_settings;
use serde_json::{Value, json};

use super::*;
use crate::{
    FailureLimiter, MethodChain,
    tests::server::{TestRequest, TestServer},
};

/// An issuer that speaks RFC 7662: it checks its client, and knows tokens.
/// The header `Authorization` of a request, and its form.
type Asked = (Option<String>, HashMap<String, String>);

struct Issuer {
    server: TestServer,
    answers: Arc<Mutex<HashMap<String, Value>>>,
    is_down: Arc<AtomicBool>,
    /// What the last request had.
    last: Arc<Mutex<Asked>>,
}

fn form(request: &TestRequest) -> HashMap<String, String> {
    form_urlencoded::parse(request.body.as_bytes()).into_owned().collect()
}

impl Issuer {
    async fn start() -> Self {
        let (answers, is_down, last) =
            (Arc::<Mutex<HashMap<String, Value>>>::default(), Arc::<AtomicBool>::default(), Arc::<Mutex<_>>::default());
        let (known, down, seen) = (answers.clone(), is_down.clone(), last.clone());
        let server = TestServer::start(move |request| {
            let (authorization, form) = (request.header("authorization").map(str::to_owned), form(request));
            assert_eq!(request.line, "POST /introspect");
            assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
            *seen.lock().unwrap() = (authorization, form.clone());
            if down.load(Ordering::SeqCst) {
                return Some((503, String::new()));
            }
            let inactive = json!({"active": false});
            Some((200, known.lock().unwrap().get(&form["token"]).unwrap_or(&inactive).to_string()))
        });
        Self { server: server.await, answers, is_down, last }
    }

    fn settings(&self, more: &Value) -> IntrospectionSettings {
        let mut all = json!({"url": format!("{}/introspect", self.server.url), "client_id": "prism", "client_secret": "s3cret"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        parse_settings(all.as_object().unwrap()).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn method(&self, more: &Value) -> Introspection {
        Introspection::open("test", &self.settings(more)).unwrap()
    }

    fn set(&self, token: &str, answer: Value) {
        self.answers.lock().unwrap().insert(token.to_owned(), answer);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn bearer(token: &str) -> Credentials {
    Credentials { authorization: Some(HeaderValue::try_from(format!("Bearer {token}")).unwrap()), api_key: None }
}

async fn verdict(method: &Introspection, token: &str) -> Result<Arc<Principal>, &'static str> {
    let (peer, credentials) = (Peer::default(), bearer(token));
    let verdict = match method.attempt(&peer, &credentials) {
        Attempt::Absent => return Err("absent"),
        Attempt::Ready(verdict) => verdict,
        Attempt::Pending(work) | Attempt::Again(work) => work.await,
    };
    match verdict {
        Verdict::Accepted(principal) => Ok(principal),
        Verdict::Rejected => Err("rejected"),
        Verdict::Unavailable(error) => {
            assert_eq!((error.code(), error.reason()), (Code::Unavailable, "ISSUER_UNAVAILABLE"));
            Err("unavailable")
        }
    }
}

/// As if the recheck interval had passed.
fn age(method: &Introspection, token: &str) {
    let known = method.state.answers.get(token.as_bytes()).expect("a known token");
    let aged = Principal { check_again: Some(Instant::now()), ..(*known).clone() };
    method.state.answers.put(token.as_bytes(), Arc::new(aged));
}

#[tokio::test]
async fn an_active_token_names_its_caller() {
    let issuer = Issuer::start().await;
    let method = issuer.method(&json!({"tenant_claim": "org", "groups_claim": "scope"}));
    issuer.set("opaque-1", json!({"active": true, "sub": "ada", "org": "acme", "scope": "read write", "exp": now() + 60}));
    let principal = verdict(&method, "opaque-1").await.unwrap();
    assert_eq!((&*principal.subject, &*principal.tenant, principal.method.name()), ("ada", "acme", "introspection"));
    assert_eq!(principal.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["read", "write"]);
    assert!(principal.expires.is_some() && principal.check_again.is_some() && principal.claims.contains("\"org\":\"acme\""));
    let (authorization, form) = issuer.last.lock().unwrap().clone();
    assert_eq!(authorization, Some(format!("Basic {}", STANDARD.encode("prism:s3cret"))));
    assert_eq!((&*form["token"], &*form["token_type_hint"], form.len()), ("opaque-1", "access_token", 2));
    // The answer is kept, and a token that is not known is asked for each time.
    assert!(verdict(&method, "opaque-1").await.is_ok());
    assert_eq!(issuer.server.count(), 1);
    assert_eq!(verdict(&method, "unknown").await.map(|_| ()), Err("rejected"));
    // Texts that are no tokens, and tokens of other methods, are not sent anywhere.
    assert_eq!(verdict(&method, &format!("{PREFIX}id_secret")).await.map(|_| ()), Err("absent"));
    for bad in ["a b", "a\"b", "", "===", &"x".repeat(MAX_TOKEN_BYTES + 1)] {
        assert_eq!(verdict(&method, bad).await.map(|_| ()), Err("rejected"), "{bad:.20}");
    }
    assert_eq!(issuer.server.count(), 2);
}

#[tokio::test]
async fn the_client_authenticates_as_the_settings_say() {
    let issuer = Issuer::start().await;
    issuer.set("t", json!({"active": true, "sub": "ada"}));
    // RFC 6749, section 2.3.1: both parts are encoded before they are joined.
    let basic = issuer.method(&json!({"client_id": "a:b", "client_secret": "c d%"}));
    assert!(verdict(&basic, "t").await.is_ok());
    assert_eq!(issuer.last.lock().unwrap().0, Some(format!("Basic {}", STANDARD.encode("a%3Ab:c+d%25"))));
    let post = issuer.method(&json!({"client_authentication": "post", "client_secret": "c&d=e"}));
    assert!(verdict(&post, "t").await.is_ok());
    let (authorization, form) = issuer.last.lock().unwrap().clone();
    assert_eq!((authorization, &*form["client_id"], &*form["client_secret"]), (None, "prism", "c&d=e"));
    let bearer = issuer.method(&json!({"client_authentication": "bearer", "client_id": null}));
    assert!(verdict(&bearer, "t").await.is_ok());
    assert_eq!(issuer.last.lock().unwrap().0.as_deref(), Some("Bearer s3cret"));
}

#[tokio::test]
async fn tokens_that_are_not_for_prism_are_rejected() {
    let issuer = Issuer::start().await;
    let settings = json!({"issuer": "https://i.example", "audiences": ["prism"], "required_claims": ["client_id"], "tenant_claim": "org"});
    let method = issuer.method(&settings);
    let valid = json!({
        "active": true, "iss": "https://i.example", "aud": ["prism", "other"], "sub": "ada", "client_id": "app", "org": "acme",
        "exp": now() + 60, "nbf": now() - 1,
    });
    issuer.set("valid", valid.clone());
    assert!(verdict(&method, "valid").await.is_ok());
    let changes = [
        ("active", json!(false)),
        ("iss", json!("https://other.example")),
        ("iss", Value::Null),
        ("aud", json!("other")),
        ("aud", Value::Null),
        ("sub", json!("")),
        ("client_id", Value::Null),
        ("org", Value::Null),
        ("exp", json!(now() - 1)),
        ("exp", json!("soon")),
        ("nbf", json!(now() + 60)),
        ("nbf", json!("now")),
        ("cnf", json!({"jkt": "x"})),
    ];
    for (index, (name, value)) in changes.into_iter().enumerate() {
        let mut answer = valid.clone();
        answer[name] = value.clone();
        let token = format!("changed-{index}");
        issuer.set(&token, answer);
        assert_eq!(verdict(&method, &token).await.map(|_| ()), Err("rejected"), "{name}: {value}");
    }
}

#[tokio::test]
async fn callers_with_the_same_token_share_one_request() {
    let issuer = Issuer::start().await;
    let method = issuer.method(&json!({}));
    issuer.set("shared", json!({"active": true, "sub": "ada"}));
    let verdicts = join_all((0..50).map(|_| verdict(&method, "shared"))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(issuer.server.count(), 1);
    assert!(method.flights.is_empty());
}

#[tokio::test]
async fn an_answer_counts_for_the_recheck_interval() {
    let issuer = Issuer::start().await;
    let method = issuer.method(&json!({}));
    issuer.set("t", json!({"active": true, "sub": "ada"}));
    assert!(verdict(&method, "t").await.is_ok());
    issuer.set("t", json!({"active": false}));
    assert!(verdict(&method, "t").await.is_ok(), "the answer is fresh");
    age(&method, "t");
    assert_eq!(verdict(&method, "t").await.map(|_| ()), Err("rejected"));
    assert!(method.state.answers.get(b"t").is_none());
}

#[tokio::test]
async fn an_outage_refuses_and_never_extends_a_token() {
    let issuer = Issuer::start().await;
    let method = issuer.method(&json!({}));
    issuer.set("t", json!({"active": true, "sub": "ada", "exp": now() + 60}));
    issuer.is_down.store(true, Ordering::SeqCst);
    assert_eq!(verdict(&method, "t").await.map(|_| ()), Err("unavailable"));
    issuer.is_down.store(false, Ordering::SeqCst);
    let known = verdict(&method, "t").await.unwrap();
    issuer.is_down.store(true, Ordering::SeqCst);
    assert!(verdict(&method, "t").await.is_ok(), "the last answer counts");
    age(&method, "t");
    assert_eq!(verdict(&method, "t").await.map(|_| ()), Err("unavailable"));
    // A fresh answer counts no longer when its token has expired.
    let expired = Principal { expires: Some(Instant::now()), ..(*known).clone() };
    method.state.answers.put(b"t", Arc::new(expired));
    assert_eq!(verdict(&method, "t").await.map(|_| ()), Err("unavailable"));
}

#[tokio::test]
async fn answers_that_are_none_are_an_outage() {
    let answers = ["", "[]", "{}", "{\"active\": \"true\"}", "{\"active\": 1, \"sub\": \"ada\"}", "<html>"];
    let count = Arc::new(Mutex::new(answers.to_vec()));
    let server = TestServer::start(move |_| {
        let mut left = count.lock().unwrap();
        Some((200, left.pop().map_or_else(|| format!("{{\"active\": true, \"x\": \"{}\"}}", "x".repeat(70_000)), str::to_owned)))
    });
    let server = server.await;
    let settings = json!({"url": server.url, "client_id": "prism", "client_secret": "s"});
    let method = Introspection::open("test", &parse_settings(settings.as_object().unwrap()).unwrap()).unwrap();
    for number in 0..=answers.len() {
        assert_eq!(verdict(&method, &format!("t{number}")).await.map(|_| ()), Err("unavailable"), "{number}");
    }
    for status in [301, 302, 400, 401, 403, 429, 500] {
        let server = TestServer::start(move |_| Some((status, "{\"active\": true, \"sub\": \"ada\"}".to_owned()))).await;
        let settings = json!({"url": server.url, "client_id": "prism", "client_secret": "s"});
        let method = Introspection::open("test", &parse_settings(settings.as_object().unwrap()).unwrap()).unwrap();
        assert_eq!(verdict(&method, "t").await.map(|_| ()), Err("unavailable"), "{status}");
    }
    let silent = TestServer::start(|_| None).await;
    let settings = json!({"url": silent.url, "client_id": "prism", "client_secret": "s", "timeout": "50ms"});
    let method = Introspection::open("test", &parse_settings(settings.as_object().unwrap()).unwrap()).unwrap();
    assert_eq!(verdict(&method, "t").await.map(|_| ()), Err("unavailable"));
}

#[tokio::test]
async fn a_caller_who_was_known_is_checked_again_even_if_others_of_the_address_fail() {
    let issuer = Issuer::start().await;
    let method = Arc::new(issuer.method(&json!({})));
    let chain = MethodChain::new(vec![method.clone()], false, Arc::new(FailureLimiter::default()));
    let peer = Peer { address: Some("192.0.2.1:1".parse().unwrap()), ..Peer::default() };
    issuer.set("known", json!({"active": true, "sub": "ada"}));
    issuer.set("new", json!({"active": true, "sub": "bob"}));
    assert!(chain.authenticate(&peer, &bearer("known")).result().await.is_ok());
    let mut refusals = Vec::new();
    for number in 0..30 {
        refusals.push(chain.authenticate(&peer, &bearer(&format!("guess-{number}"))).result().await.unwrap_err().code());
    }
    assert_eq!((refusals[0], refusals[29]), (Code::Unauthenticated, Code::ResourceExhausted));
    age(&method, "known");
    assert!(chain.authenticate(&peer, &bearer("known")).result().await.is_ok());
    assert_eq!(chain.authenticate(&peer, &bearer("new")).result().await.unwrap_err().code(), Code::ResourceExhausted);
}

#[test]
fn settings_are_checked() {
    let problems = |settings: Value| -> Vec<String> {
        let problems = parse_settings::<IntrospectionSettings>(settings.as_object().unwrap()).map(drop).unwrap_err();
        problems.iter().map(|problem| format!("{} {}", problem.setting, problem.kind)).collect()
    };
    let found = problems(json!({
        "url": "http://login.example.com/introspect", "client_secret": "", "timeout": "2m", "recheck_interval": "2h", "ca_file": "/none",
    }));
    for setting in ["url", "client_id", "client_secret", "timeout", "recheck_interval", "ca_file"] {
        assert!(found.iter().any(|problem| problem.starts_with(setting)), "{setting}: {found:?}");
    }
    let found = problems(json!({
        "url": "https://a:b@login.example.com", "client_id": "x", "client_secret": "a b", "client_authentication": "bearer",
    }));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(!found.iter().any(|problem| problem.contains("a b")), "{found:?}");
}
