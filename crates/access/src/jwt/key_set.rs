//! The keys of an issuer: a JSON Web Key Set (RFC 7517).

use std::{fs, path::Path};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// Keys of a set that are used. Further ones are ignored.
const MAX_KEYS: usize = 64;

/// The keys of an issuer that can verify signatures.
#[derive(Default)]
pub struct KeySet(Vec<VerifyingKey>);

/// A public key.
pub struct VerifyingKey {
    id: Option<String>,
    /// The algorithms that the type of the key allows, or only the one that the set names.
    algorithms: Vec<Algorithm>,
    /// The key.
    pub key: DecodingKey,
}

impl KeySet {
    /// Reads a file. The error completes a sentence that begins with the name of the setting.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read(path).map_err(|error| format!("can't be read: {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|problem| format!("can't be used: {}: {problem}", path.display()))
    }

    /// Parses a set. Keys of other types and for other uses are ignored, as RFC 7517, section 5, requires.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<Value>,
        }
        let set: Keys = serde_json::from_slice(text).map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
        let keys: Vec<_> = set.keys.into_iter().filter_map(|key| VerifyingKey::of(key).ok().flatten()).take(MAX_KEYS).collect();
        if keys.is_empty() {
            return Err("it has no public key that can verify signatures".to_owned());
        }
        Ok(Self(keys))
    }

    /// Returns the keys for a token. A token without `kid` may be signed with any key of its algorithm.
    pub fn find<'s>(&'s self, id: Option<&'s str>, algorithm: Algorithm) -> impl Iterator<Item = &'s VerifyingKey> {
        self.0.iter().filter(move |key| (id.is_none() || key.id.as_deref() == id) && key.algorithms.contains(&algorithm))
    }

    /// Tells whether a key has this id, whatever its algorithm.
    pub fn has(&self, id: Option<&str>) -> bool {
        id.is_none() || self.0.iter().any(|key| key.id.as_deref() == id)
    }
}

impl VerifyingKey {
    fn of(key: Value) -> Result<Option<Self>, serde_json::Error> {
        let jwk: Jwk = serde_json::from_value(key)?;
        if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return Ok(None);
        }
        // Symmetric keys are never used: whoever knows one could sign tokens.
        let by_type: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => {
                &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512]
            }
            AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => &[],
            },
            AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
            _ => &[],
        };
        let named = jwk.common.key_algorithm.map(|name| name.to_string());
        let fits = |algorithm: &&Algorithm| named.as_ref().is_none_or(|name| *name == format!("{algorithm:?}"));
        let algorithms: Vec<_> = by_type.iter().filter(fits).copied().collect();
        if algorithms.is_empty() {
            return Ok(None);
        }
        let Ok(key) = DecodingKey::from_jwk(&jwk) else { return Ok(None) };
        Ok(Some(Self { id: jwk.common.key_id, algorithms, key }))
    }
}
