//! Hashes of secrets: argon2id, in the PHC string format.

use std::{sync::LazyLock, thread::available_parallelism, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString},
};
use rand::RngCore as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use prism_call::{Code, Error};

/// Secrets that wait for a hash. Further ones are refused.
const MAX_WAITING: usize = 128;
/// Longest secret that is hashed.
const MAX_SECRET_BYTES: usize = 512;

/// Hashes that are computed at once: half of the processors, so that wrong keys can't take all. Each takes 19 MiB.
static RUNNING: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, |count| (count.get() / 2).clamp(1, 4))));
static WAITING: Semaphore = Semaphore::const_new(MAX_WAITING);

/// Hashes a secret with a random salt, with the parameters that OWASP recommends (19 MiB, 2 iterations, 1 lane).
pub fn hash(secret: &str) -> Result<String, String> {
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    let unusable = |error: argon2::password_hash::Error| format!("the secret can't be hashed: {error}");
    let salt = SaltString::encode_b64(&salt).map_err(unusable)?;
    Ok(Argon2::default().hash_password(secret.as_bytes(), &salt).map_err(unusable)?.to_string())
}

/// Tells whether a text is a hash that [`verify`] understands.
pub fn is_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| hash.algorithm == argon2::ARGON2ID_IDENT && hash.hash.is_some())
}

/// Tells whether a secret has this hash. Runs on a thread that may block.
pub async fn verify(secret: String, hash: String) -> Result<bool, Error> {
    let secret = Zeroizing::new(secret);
    if secret.len() > MAX_SECRET_BYTES {
        return Ok(false);
    }
    let busy = || {
        Error::new(Code::Unavailable, "AUTHENTICATION_BUSY", "too many credentials are being checked; try again")
            .with_retry_after(Duration::from_secs(1))
    };
    let waiting = WAITING.try_acquire().map_err(|_| busy())?;
    let running = RUNNING.acquire().await.map_err(|_| busy())?;
    let work = tokio::task::spawn_blocking(move || {
        let known = PasswordHash::new(&hash);
        let is_right = known.is_ok_and(|known| Argon2::default().verify_password(secret.as_bytes(), &known).is_ok());
        // They are held until here, because the hash goes on when its caller leaves.
        drop((waiting, running));
        is_right
    });
    work.await.map_err(|error| Error::internal("the check of a secret failed").with_source(error))
}
