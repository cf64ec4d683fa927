//! The vectors of Wycheproof for the algorithms of signatures. Each key comes from a JSON Web Key Set, as the keys of an issuer do.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, crypto::verify};
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::KeySet;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Counts the vectors that are decided as Wycheproof expects, and collects the others.
#[derive(Default)]
struct Tally {
    right: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// Verifies one signature. A key that the set does not take verifies nothing.
    fn check(&mut self, key: &Value, algorithm: Algorithm, vector: (usize, &[u8], &[u8], TestResult)) {
        let (number, message, signature, expected) = vector;
        let set = KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).ok();
        let accepted = set
            .as_ref()
            .and_then(|set| set.find(None, algorithm).next())
            .is_some_and(|key| verify(&encode(signature), message, &key.key, algorithm).unwrap_or(false));
        match (expected, accepted) {
            (TestResult::Valid, true) | (TestResult::Invalid, false) | (TestResult::Acceptable, _) => self.right += 1,
            _ => self.wrong.push(format!("{algorithm:?} {number}: expected {expected:?}, accepted: {accepted}")),
        }
    }

    fn finish(self, at_least: usize) {
        assert_eq!(self.wrong, Vec::<String>::new());
        assert!(self.right >= at_least, "only {} vectors were run", self.right);
    }
}

#[test]
fn signatures_of_elliptic_curves() {
    let sets = [
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "P-256", Algorithm::ES256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, "P-384", Algorithm::ES384),
    ];
    let mut tally = Tally::default();
    for (name, curve, algorithm) in sets {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let Some(jwk) = group.jwk else { continue };
            let key = json!({"kty": "EC", "crv": curve, "x": encode(&jwk.affine_x), "y": encode(&jwk.affine_y)});
            for test in group.tests {
                tally.check(&key, algorithm, (test.tc_id, &test.msg, &test.sig, test.result));
            }
        }
    }
    tally.finish(400);
}

#[test]
fn signatures_of_edwards_curves() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&group.jwk.x)});
        for test in group.tests {
            tally.check(&key, Algorithm::EdDSA, (test.tc_id, &test.msg, &test.sig, test.result));
        }
    }
    tally.finish(150);
}

#[test]
fn signatures_of_rsa() {
    let sets = [
        (rsa_pkcs1_verify::TestName::Rsa2048Sha256, Algorithm::RS256),
        (rsa_pkcs1_verify::TestName::Rsa2048Sha384, Algorithm::RS384),
        (rsa_pkcs1_verify::TestName::Rsa2048Sha512, Algorithm::RS512),
        (rsa_pkcs1_verify::TestName::Rsa4096Sha256, Algorithm::RS256),
    ];
    let mut tally = Tally::default();
    for (name, algorithm) in sets {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let jwk = group.jwk.expect("a JSON Web Key");
            let key = json!({"kty": "RSA", "n": encode(&jwk.n), "e": encode(&jwk.e)});
            for test in group.tests {
                tally.check(&key, algorithm, (test.tc_id, &test.msg, &test.sig, test.result));
            }
        }
    }
    let sets = [
        (rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256),
        (rsa_pss_verify::TestName::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384),
        (rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512),
    ];
    for (name, algorithm) in sets {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let jwk = group.jwk.expect("a JSON Web Key");
            let key = json!({"kty": "RSA", "n": encode(&jwk.n), "e": encode(&jwk.e)});
            for test in group.tests {
                tally.check(&key, algorithm, (test.tc_id, &test.msg, &test.sig, test.result));
            }
        }
    }
    tally.finish(1200);
}
