//! The text of API keys: `prism_ID_SECRET`. Scanners of repositories recognize the prefix.

use rand::Rng as _;
use zeroize::Zeroizing;

/// The beginning of every key.
pub const PREFIX: &str = "prism_";
/// Characters of an id that is made up.
const ID_LENGTH: usize = 12;
/// Characters of a secret: 43 of 62 possible ones are 256 bits.
const SECRET_LENGTH: usize = 43;

/// A new key. The secret is shown once, and only its hash is stored.
pub struct NewKey {
    /// Names the key in the file.
    pub id: String,
    /// The secret.
    pub secret: Zeroizing<String>,
}

impl NewKey {
    /// Returns the key as its owner presents it.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}_{}", self.id, *self.secret))
    }
}

/// Makes up a key. Without an id, makes one up too.
pub fn generate(id: Option<String>) -> NewKey {
    let id = id.unwrap_or_else(|| random(b"abcdefghijklmnopqrstuvwxyz0123456789", ID_LENGTH));
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    NewKey { id, secret: Zeroizing::new(random(alphabet, SECRET_LENGTH)) }
}

/// Tells whether a text can be the id of a key: 1 to 64 letters, digits, `-` and `.`.
pub fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// Returns the id and the secret of a key, or `None` if it has not the form of one.
pub fn parse(key: &str) -> Option<(String, String)> {
    let (id, secret) = key.strip_prefix(PREFIX)?.split_once('_')?;
    (is_id(id) && !secret.is_empty()).then(|| (id.to_owned(), secret.to_owned()))
}

/// `rand::rng` is a generator for cryptography, seeded by the operating system.
fn random(alphabet: &[u8], length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())])).collect()
}
