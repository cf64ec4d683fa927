mod checklist;
mod vectors;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::tests::server::TestServer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

const ISSUER: &str = "http://127.0.0.1:1";

/// A key of an issuer.
struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        Self { id, pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": part(&point[1..33]), "y": part(&point[33..65])})
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        let der = self.pair.to_pkcs8v1().unwrap();
        encode(header, claims, &EncodingKey::from_ec_der(der.as_ref())).unwrap()
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::ES256) }, claims)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims =
        json!({"iss": ISSUER, "aud": ["other", "prism"], "sub": "ada", "exp": now() + 60, "tenant": "acme", "roles": ["a", "b"]});
    change(&mut claims);
    claims
}

fn settings(more: &Value) -> JwtSettings {
    let mut all = json!({"issuer": ISSUER, "audiences": ["prism"], "tenant_claim": "tenant", "groups_claim": "roles"});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    prism_settings::parse_settings(all.as_object().unwrap()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn with_file(folder: &std::path::Path, keys: &[Value], more: &Value) -> JsonWebToken {
    let file = folder.join("jwks.json");
    std::fs::write(&file, json!({"keys": keys}).to_string()).unwrap();
    let mut all = json!({"jwks_file": file});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    JsonWebToken::open("test", &settings(&all)).unwrap()
}

async fn verdict(method: &JsonWebToken, token: &str) -> Result<Arc<prism_call::Principal>, &'static str> {
    let credentials = Credentials { authorization: Some(HeaderValue::try_from(format!("Bearer {token}")).unwrap()), api_key: None };
    let peer = Peer::default();
    let verdict = match method.attempt(&peer, &credentials) {
        Attempt::Absent => return Err("absent"),
        Attempt::Ready(verdict) => verdict,
        Attempt::Pending(work) | Attempt::Again(work) => work.await,
    };
    match verdict {
        Verdict::Accepted(principal) => Ok(principal),
        Verdict::Rejected => Err("rejected"),
        Verdict::Unavailable(_) => Err("unavailable"),
    }
}

#[tokio::test]
async fn a_token_names_subject_tenant_groups_and_expiry() {
    let (folder, signer) = (tempfile::tempdir().unwrap(), Signer::new("one"));
    let method = with_file(folder.path(), &[signer.jwk()], &json!({}));
    let principal = verdict(&method, &signer.token(&claims(|_| {}))).await.unwrap();
    assert_eq!((&*principal.subject, &*principal.tenant), ("ada", "acme"));
    assert_eq!(principal.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["a", "b"]);
    assert!(!principal.is_expired() && principal.expires.is_some());
    assert!(principal.claims.contains("\"iss\""));
    // Without a key id, any key of the algorithm fits.
    assert!(verdict(&method, &signer.sign(&Header::new(Algorithm::ES256), &claims(|_| {}))).await.is_ok());
    let scope = claims(|claims| claims["roles"] = "read write".into());
    assert_eq!(verdict(&method, &signer.token(&scope)).await.unwrap().groups.len(), 2);
}

#[tokio::test]
async fn invalid_claims_are_rejected() {
    let (folder, signer) = (tempfile::tempdir().unwrap(), Signer::new("one"));
    let method = with_file(folder.path(), &[signer.jwk()], &json!({"required_claims": ["email"], "leeway": "5s"}));
    let valid = claims(|claims| claims["email"] = "ada@example.com".into());
    assert!(verdict(&method, &signer.token(&valid)).await.is_ok());
    let removed = ["iss", "aud", "exp", "sub", "tenant", "email"];
    for name in removed {
        let mut claims = valid.clone();
        claims.as_object_mut().unwrap().remove(name);
        assert!(verdict(&method, &signer.token(&claims)).await.is_err(), "without {name}");
    }
    let wrong = [
        ("iss", json!("https://other.example")),
        ("aud", json!("other")),
        ("exp", json!(now() - 6)),
        ("exp", json!("tomorrow")),
        ("nbf", json!(now() + 60)),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("tenant", json!("")),
        ("email", Value::Null),
    ];
    for (name, value) in wrong {
        let mut claims = valid.clone();
        claims[name] = value.clone();
        assert!(verdict(&method, &signer.token(&claims)).await.is_err(), "{name}: {value}");
    }
    // Within the leeway.
    let late = claims(|claims| (claims["email"], claims["exp"]) = ("x".into(), (now() - 1).into()));
    assert!(verdict(&method, &signer.token(&late)).await.is_ok());
}

/// The attacks of RFC 8725, section 2.
#[tokio::test]
async fn forged_tokens_are_rejected() {
    let (folder, signer, thief) = (tempfile::tempdir().unwrap(), Signer::new("one"), Signer::new("one"));
    let secret = json!({"kty": "oct", "kid": "secret", "k": "c2VjcmV0"});
    let method = with_file(folder.path(), &[signer.jwk(), secret], &json!({}));
    let token = signer.token(&claims(|_| {}));
    let [header, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let encode_json = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let other_body = encode_json(&claims(|claims| claims["sub"] = "eve".into()));
    let hmac = |key: &[u8], id: &str| {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims(|_| {}), &EncodingKey::from_secret(key)).unwrap()
    };
    let header_with = |more: Value| {
        let mut header = json!({"alg": "ES256", "kid": "one"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        encode_json(&header)
    };
    let forged = [
        ("none", format!("{}.{body}.", encode_json(&json!({"alg": "none"})))),
        ("None", format!("{}.{body}.", encode_json(&json!({"alg": "None", "kid": "one"})))),
        ("no signature", format!("{header}.{body}.")),
        ("the signature of another body", format!("{header}.{other_body}.{signature}")),
        ("another key with the same id", thief.token(&claims(|_| {}))),
        ("HMAC with the public key", hmac(signer.pair.public_key().as_ref(), "one")),
        ("HMAC with the text of the key", hmac(signer.jwk().to_string().as_bytes(), "one")),
        ("HMAC with a symmetric key of the set", hmac(b"secret", "secret")),
        ("a zero signature", format!("{header}.{body}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("an unknown extension", format!("{}.{body}.{signature}", header_with(json!({"crit": ["x"], "x": 1})))),
        ("a key in the header", format!("{}.{body}.{signature}", header_with(json!({"jwk": thief.jwk()})))),
        ("another algorithm", format!("{}.{body}.{signature}", header_with(json!({"alg": "RS256"})))),
        ("four parts", format!("{token}.{signature}")),
        ("no token", "a.b.c".to_owned()),
        ("empty", String::new()),
        ("too long", format!("{header}.{}.{signature}", "A".repeat(20_000))),
    ];
    for (attack, token) in forged {
        assert_eq!(verdict(&method, &token).await.map(|_| ()), Err("rejected"), "{attack}");
    }
    let typed = |kind: &str| {
        let header = Header { typ: Some(kind.to_owned()), kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) };
        signer.sign(&header, &claims(|_| {}))
    };
    assert!(verdict(&method, &typed("at+jwt")).await.is_ok());
    assert!(verdict(&method, &typed("logout+jwt")).await.is_err());
    let critical = Header { crit: Some(vec!["x".to_owned()]), kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) };
    assert!(verdict(&method, &signer.sign(&critical, &claims(|_| {}))).await.is_err());
}

/// An issuer that serves its keys over HTTP.
struct Issuer {
    url: String,
    keys: Arc<std::sync::Mutex<Option<Value>>>,
    requests: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(keys: Value) -> Self {
        let keys = Arc::new(std::sync::Mutex::new(Some(keys)));
        let requests = Arc::new(AtomicUsize::new(0));
        let (served, counted) = (keys.clone(), requests.clone());
        let server = TestServer::start(move |request| {
            let own = format!("http://{}", request.header("host").unwrap());
            Some(match served.lock().unwrap().clone() {
                None => (503, "{}".to_owned()),
                Some(_) if request.line.starts_with("GET /.well-known/") => {
                    (200, json!({"issuer": own, "jwks_uri": format!("{own}/keys")}).to_string())
                }
                Some(keys) => {
                    counted.fetch_add(1, Ordering::SeqCst);
                    (200, json!({"keys": keys}).to_string())
                }
            })
        });
        Self { url: server.await.url, keys, requests }
    }

    fn method(&self, refresh_interval: &str) -> JsonWebToken {
        let all = json!({"issuer": self.url, "audiences": ["prism"], "refresh_interval": refresh_interval});
        JsonWebToken::open("test", &prism_settings::parse_settings(all.as_object().unwrap()).unwrap()).unwrap()
    }

    fn claims(&self, subject: &str) -> Value {
        claims(|claims| (claims["iss"], claims["sub"]) = (self.url.as_str().into(), subject.into()))
    }
}

#[tokio::test]
async fn keys_are_discovered_and_the_last_good_ones_survive_an_outage() {
    let (signer, other) = (Signer::new("one"), Signer::new("two"));
    let issuer = Issuer::start(json!([signer.jwk()])).await;
    let method = issuer.method("1s");
    let tokens: Vec<_> = (0..20).map(|number| signer.token(&issuer.claims(&number.to_string()))).collect();
    let verdicts = futures::future::join_all(tokens.iter().map(|token| verdict(&method, token))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(issuer.requests.load(Ordering::SeqCst), 1, "concurrent tokens share one request");
    // Unknown key ids fetch at most once in the time of the floor.
    for number in 0..5 {
        assert_eq!(verdict(&method, &other.token(&issuer.claims(&number.to_string()))).await.map(|_| ()), Err("rejected"));
    }
    assert_eq!(issuer.requests.load(Ordering::SeqCst), 1);
    *issuer.keys.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(verdict(&method, &signer.token(&issuer.claims("outage"))).await.is_ok());
}

#[tokio::test]
async fn an_unknown_key_fetches_the_new_keys() {
    let (signer, next) = (Signer::new("one"), Signer::new("two"));
    let issuer = Issuer::start(json!([signer.jwk()])).await;
    let method = issuer.method("15m");
    let old = signer.token(&issuer.claims("old"));
    assert!(verdict(&method, &old).await.is_ok());
    // As if the floor had passed.
    method.keys.forget_last_attempt().await;
    *issuer.keys.lock().unwrap() = Some(json!([next.jwk()]));
    assert!(verdict(&method, &next.token(&issuer.claims("new"))).await.is_ok());
    assert_eq!(issuer.requests.load(Ordering::SeqCst), 2);
    // The old key was removed, and so were the tokens that were verified with it.
    assert_eq!(verdict(&method, &old).await.map(|_| ()), Err("rejected"));
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_unavailable() {
    let signer = Signer::new("one");
    let method = JsonWebToken::open("test", &settings(&json!({}))).unwrap();
    assert_eq!(verdict(&method, &signer.token(&claims(|_| {}))).await.map(|_| ()), Err("unavailable"));
}
