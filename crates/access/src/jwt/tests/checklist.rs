//! The practices of RFC 8725, section 3, one test for each that concerns who verifies tokens. Each attack is tried with keys of every type.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{ISSUER, JsonWebToken, KeySet, claims, verdict, with_file};
use crate::{jwt::key_set::VerifyingKey, tests::server::TestServer};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of an issuer.
enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Pair {
    fn all() -> [Self; 3] {
        [
            Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Self::Ed(Ed25519KeyPair::generate().unwrap()),
            Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        ]
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    fn jwk(&self) -> Value {
        match self {
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": encode(&point[1..33]), "y": encode(&point[33..65])})
            }
            Self::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": encode(pair.public_key())}),
            // The modulus in the DER of a public key with 2,048 bits (RFC 8017, appendix A.1.1).
            Self::Rsa(pair) => json!({"kty": "RSA", "kid": "one", "n": encode(&pair.public_key().as_ref()[9..265]), "e": "AQAB"}),
        }
    }

    fn signature(&self, algorithm: &str, input: &str) -> Vec<u8> {
        match self {
            Self::Ec(pair) => pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if algorithm.starts_with("PS") { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                pair.sign(padding, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
                signature
            }
        }
    }

    /// Signs a header and claims, which may be any text.
    fn sign(&self, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = self.signature(self.algorithm(), &input);
        format!("{input}.{}", encode(signature))
    }

    fn header(&self, more: &Value) -> String {
        let mut header = json!({"alg": self.algorithm(), "kid": "one"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        header.to_string()
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        self.sign(&self.header(header), &claims.to_string())
    }
}

/// Runs a test with a key of each type, and an authenticator that knows it.
async fn with_each(test: impl AsyncFn(&Pair, &JsonWebToken)) {
    for pair in Pair::all() {
        let folder = tempfile::tempdir().unwrap();
        let method = with_file(folder.path(), &[pair.jwk()], &json!({}));
        assert!(verdict(&method, &pair.token(&json!({}), &claims(|_| {}))).await.is_ok(), "{}", pair.algorithm());
        test(&pair, &method).await;
    }
}

async fn reject(method: &JsonWebToken, what: &str, token: &str) {
    assert_eq!(verdict(method, token).await.map(|_| ()), Err("rejected"), "{what}: {token}");
}

/// Section 3.1: the algorithm is one that is allowed, and one of the key.
#[tokio::test]
async fn algorithms_are_verified() {
    with_each(async |pair, method| {
        let body = encode(claims(|_| {}).to_string());
        for other in
            ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS1", "ES256K", "ES512", "RS256", "PS256", "ES256", "ES384", "EdDSA"]
        {
            if other == pair.algorithm() || (other == "PS256" && matches!(pair, Pair::Rsa(_))) {
                continue;
            }
            let header = json!({"alg": other, "kid": "one"}).to_string();
            reject(method, other, &pair.sign(&header, &claims(|_| {}).to_string())).await;
            reject(method, other, &format!("{}.{body}.", encode(&header))).await;
        }
        // The public key as the secret of an HMAC, in several forms.
        let jwk = pair.jwk();
        let forms = [jwk.to_string().into_bytes(), jwk["x"].to_string().into_bytes(), jwk["n"].to_string().into_bytes()];
        for form in forms {
            let input = format!("{}.{body}", encode(json!({"alg": "HS256", "kid": "one"}).to_string()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &form), input.as_bytes());
            reject(method, "HMAC with the public key", &format!("{input}.{}", encode(tag))).await;
        }
        reject(method, "no algorithm", &pair.sign("{\"kid\": \"one\"}", &claims(|_| {}).to_string())).await;
        reject(method, "two algorithms", &pair.sign("{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"one\"}", &claims(|_| {}).to_string()))
            .await;
    })
    .await;
    // A key that names its algorithm is used with no other, even one of its type.
    let pair = Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut jwk = pair.jwk();
    jwk["alg"] = "RS256".into();
    let method = with_file(folder.path(), &[jwk], &json!({}));
    let input = format!("{}.{}", encode(json!({"alg": "PS256", "kid": "one"}).to_string()), encode(claims(|_| {}).to_string()));
    let signature = encode(pair.signature("PS256", &input));
    reject(&method, "PS256 with a key for RS256", &format!("{input}.{signature}")).await;
    // An algorithm that is not in the list of the operator.
    let method = with_file(folder.path(), &[pair.jwk()], &json!({"algorithms": ["PS256"]}));
    assert!(verdict(&method, &format!("{input}.{signature}")).await.is_ok());
    reject(&method, "RS256 is not allowed", &pair.token(&json!({}), &claims(|_| {}))).await;
}

/// Section 3.3: a token is rejected as a whole if anything of it does not verify.
#[tokio::test]
async fn all_operations_are_validated() {
    with_each(async |pair, method| {
        let token = pair.token(&json!({}), &claims(|_| {}));
        let parts: Vec<_> = token.split('.').collect();
        let [header, body, signature] = parts[..] else { panic!("{token}") };
        let other = encode(claims(|claims| claims["sub"] = "root".into()).to_string());
        let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
        flipped[7] ^= 1;
        let foreign = Pair::all().into_iter().find(|other| other.algorithm() == pair.algorithm()).unwrap();
        let attacks = [
            ("no signature", format!("{header}.{body}.")),
            ("no signature and no separator", format!("{header}.{body}")),
            ("no payload", format!("{header}..{signature}")),
            ("no header", format!(".{body}.{signature}")),
            ("another payload", format!("{header}.{other}.{signature}")),
            ("another header", format!("{}.{body}.{signature}", encode(pair.header(&json!({"x": 1}))))),
            ("a flipped bit", format!("{header}.{body}.{}", encode(flipped))),
            ("a truncated signature", format!("{header}.{body}.{}", &signature[..signature.len() - 4])),
            ("an extended signature", format!("{header}.{body}.{signature}AAAA")),
            ("a signature with padding", format!("{header}.{body}.{signature}==")),
            ("a signature in the other alphabet", format!("{header}.{body}.{}", "+".repeat(signature.len()))),
            ("another part", format!("{token}.e30")),
            ("an empty part", format!("{token}.")),
            ("a signature of another key", foreign.token(&json!({}), &claims(|_| {}))),
            ("JSON serialization", json!({"payload": body, "signatures": [{"protected": header, "signature": signature}]}).to_string()),
            ("flattened JSON", json!({"payload": body, "protected": header, "signature": signature}).to_string()),
        ];
        for (what, token) in attacks {
            reject(method, what, &token).await;
        }
    })
    .await;
}

/// Sections 3.4 and 3.5: keys that are no keys, or that are too short, verify nothing.
#[test]
fn keys_are_validated() {
    let ec = |x: &str, y: &str| json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
    let zeros = encode([0; 32]);
    let bad = [
        ("a symmetric key", json!({"kty": "oct", "k": encode([7; 32])})),
        ("a curve that no algorithm has", json!({"kty": "OKP", "crv": "X25519", "x": zeros})),
        ("a key without a point", json!({"kty": "EC", "crv": "P-256"})),
        ("a key for encryption", json!({"kty": "OKP", "crv": "Ed25519", "x": zeros, "use": "enc"})),
        ("no key", json!("key")),
    ];
    for (what, key) in bad {
        assert!(KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).is_err(), "{what}");
    }
    // These are found when a signature is verified.
    let short = encode([0xff; 128]);
    let unusable = [
        ("a point that is not on the curve", "ES256", ec(&encode([1; 32]), &encode([1; 32]))),
        ("the point at infinity", "ES256", ec(&zeros, &zeros)),
        ("RSA with 1,024 bits", "RS256", json!({"kty": "RSA", "n": short, "e": "AQAB"})),
        ("RSA with the exponent 1", "RS256", json!({"kty": "RSA", "n": encode([0xff; 256]), "e": "AQ"})),
    ];
    for (what, name, key) in unusable {
        let algorithm = name.parse().unwrap();
        let Ok(set) = KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()) else { continue };
        for size in [64, 128, 256] {
            for byte in [0, 1, 0xff] {
                let signature = encode(vec![byte; size]);
                let accepts =
                    |key: &VerifyingKey| jsonwebtoken::crypto::verify(&signature, b"message", &key.key, algorithm).unwrap_or(false);
                assert!(!set.find(None, algorithm).any(accepts), "{what}");
            }
        }
    }
}

/// Sections 3.6 and 3.7: encrypted tokens and compression are not supported, and text is UTF-8.
#[tokio::test]
async fn encodings_are_strict() {
    with_each(async |pair, method| {
        reject(method, "an encrypted token", "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA").await;
        let text = claims(|_| {}).to_string();
        let header = pair.header(&json!({}));
        let mut latin = text.clone().into_bytes();
        let position = text.find("ada").unwrap();
        latin[position] = 0xe9;
        let input = format!("{}.{}", encode(&header), encode(&latin));
        reject(method, "Latin-1", &format!("{input}.{}", encode(pair.signature(pair.algorithm(), &input)))).await;
        reject(method, "text after the claims", &pair.sign(&header, &format!("{text}x"))).await;
        reject(method, "claims that are a list", &pair.sign(&header, &format!("[{text}]"))).await;
        reject(method, "a byte order mark", &pair.sign(&header, &format!("\u{feff}{text}"))).await;
        reject(method, "an unencoded payload", &pair.token(&json!({"b64": false, "crit": ["b64"]}), &claims(|_| {}))).await;
        reject(method, "an unknown extension", &pair.token(&json!({"x": 1, "crit": ["x"]}), &claims(|_| {}))).await;
        reject(method, "an empty list of extensions", &pair.token(&json!({"crit": []}), &claims(|_| {}))).await;
    })
    .await;
}

/// Sections 3.8 and 3.9: the issuer is the one of the keys, and the token is for this audience.
#[tokio::test]
async fn issuer_subject_and_audience_are_validated() {
    with_each(async |pair, method| {
        let wrong: [(&str, &str, Value); 8] = [
            ("another issuer", "iss", "https://evil.example".into()),
            ("an issuer with a slash more", "iss", format!("{ISSUER}/").into()),
            ("a list of issuers", "iss", json!([ISSUER, "https://evil.example"])),
            ("another audience", "aud", "other".into()),
            ("a part of the audience", "aud", "pris".into()),
            ("no audience", "aud", json!([])),
            ("an empty subject", "sub", "".into()),
            ("a subject that is no text", "sub", json!({"name": "ada"})),
        ];
        for (what, name, value) in wrong {
            reject(method, what, &pair.token(&json!({}), &claims(|claims| claims[name] = value.clone()))).await;
        }
        let twice = claims(|_| {}).to_string().replacen('{', "{\"iss\": \"https://evil.example\", ", 1);
        reject(method, "two issuers", &pair.sign(&pair.header(&json!({})), &twice)).await;
    })
    .await;
}

/// Section 3.10: nothing in a token leads to a request, a file or a query.
#[tokio::test]
async fn claims_of_the_header_are_not_trusted() {
    let thieves = Pair::all();
    let keys = json!({"keys": thieves.iter().map(Pair::jwk).collect::<Vec<_>>()}).to_string();
    let server = TestServer::start(move |_| Some((200, keys.clone()))).await;
    with_each(async |pair, method| {
        let thief = thieves.iter().find(|thief| thief.algorithm() == pair.algorithm()).unwrap();
        let headers = [
            json!({"jku": format!("{}/keys", server.url)}),
            json!({"x5u": format!("{}/chain.pem", server.url)}),
            json!({"jwk": thief.jwk()}),
            json!({"x5c": ["MIIB"]}),
            json!({"kid": "../../../../dev/null"}),
            json!({"kid": "one' OR '1'='1"}),
            json!({"kid": format!("{}/keys", server.url)}),
            json!({"kid": "two"}),
            json!({"kid": 1}),
        ];
        for header in headers {
            reject(method, "a header of a thief", &thief.token(&header, &claims(|_| {}))).await;
        }
    })
    .await;
    assert_eq!(server.count(), 0, "a token led to a request");
}

/// Sections 3.11 and 3.12: tokens of other kinds do not pass, even if the issuer signed them.
#[tokio::test]
async fn kinds_of_tokens_are_told_apart() {
    with_each(async |pair, method| {
        for kind in ["secevent+jwt", "logout+jwt", "dpop+jwt", "JWE", "application/logout+jwt", "token-introspection+jwt", ""] {
            reject(method, kind, &pair.token(&json!({"typ": kind}), &claims(|_| {}))).await;
        }
        for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
            assert!(verdict(method, &pair.token(&json!({"typ": kind}), &claims(|_| {}))).await.is_ok(), "{kind}");
        }
        let bound = claims(|claims| claims["cnf"] = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}));
        reject(method, "a token that is bound to a key", &pair.token(&json!({}), &bound)).await;
    })
    .await;
}
