//! The file with the hashes of keys.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write as _},
    path::Path,
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    format::is_id,
    hash::{hash, is_hash, verify},
};
use crate::method::Verdict;
use prism_call::{AuthenticationMethod, Principal};
use prism_frontend::time::parse_timestamp;

/// The keys of a file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// The keys, in the order of their creation.
    #[serde(default)]
    pub keys: Vec<StoredKey>,
}

/// A key in a file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    /// Names the key; also the name of HTTP Basic.
    pub id: String,
    /// Who the caller is.
    pub subject: String,
    /// The tenant of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The groups of the caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When the key was created, as `2026-05-01T12:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When the key expires. Without it, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The hash of the secret.
    pub hash: String,
}

/// Reads a file. The error completes a sentence that begins with the name of the setting.
pub fn read(path: &Path) -> Result<KeyFile, String> {
    let text = fs::read_to_string(path).map_err(|error| {
        let hint = if error.kind() == ErrorKind::NotFound { "; `prism auth key create --file` creates it" } else { "" };
        format!("can't be read: {}: {error}{hint}", path.display())
    })?;
    if text.trim().is_empty() {
        return Ok(KeyFile::default());
    }
    // The message of the parser may show the line, which has a hash.
    serde_saphyr::from_str(&text).map_err(|error| {
        let place = error.location().map_or_else(String::new, |location| format!(":{}", location.line()));
        format!("is not a file of keys: {}{place}; `prism auth key create` writes such files", path.display())
    })
}

/// Changes a file, or creates it. Only its owner can read it. Other commands that change it wait.
pub fn update<T>(path: &Path, change: impl FnOnce(&mut KeyFile) -> Result<T, String>) -> Result<T, String> {
    let problem = |error: std::io::Error| format!("{} can't be written: {error}", path.display());
    let lock = path.with_extension("lock");
    let lock_file = File::create(&lock).map_err(problem)?;
    lock_file.lock().map_err(problem)?;
    let mut file = if path.exists() { read(path).map_err(|error| format!("the file {error}"))? } else { KeyFile::default() };
    let result = change(&mut file)?;
    let text = serde_saphyr::to_string(&file).map_err(|error| error.to_string())?;
    let next = path.with_extension("next");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(&next).map_err(problem)?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).and_then(|()| fs::rename(&next, path)).map_err(problem)?;
    Ok(result)
}

/// The hash that secrets of unknown ids are compared with.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("").unwrap_or_default());

/// The keys of a file, by their ids.
pub struct KeyTable(HashMap<String, (StoredKey, Option<SystemTime>)>);

impl KeyTable {
    /// Checks the keys of a file. The error completes a sentence that begins with the name of the setting.
    pub fn new(file: KeyFile) -> Result<Self, String> {
        LazyLock::force(&NOBODY);
        let mut table = HashMap::with_capacity(file.keys.len());
        for key in file.keys {
            let id = key.id.clone();
            if !is_id(&id) {
                return Err(format!("has a key with the id `{id}`; an id has 1 to 64 letters, digits, `-` and `.`"));
            }
            if key.subject.is_empty() {
                return Err(format!("has the key `{id}` without a subject"));
            }
            if !is_hash(&key.hash) {
                return Err(format!("has the key `{id}` with a hash that is not argon2id"));
            }
            let expires = match &key.expires {
                Some(text) => Some(time(text).ok_or_else(|| format!("has the key `{id}` with an invalid time `{text}`"))?),
                None => None,
            };
            if table.insert(id.clone(), (key, expires)).is_some() {
                return Err(format!("has the key `{id}` twice"));
            }
        }
        Ok(Self(table))
    }

    /// Verifies a key. An unknown id takes as long as a wrong secret.
    pub async fn verify(&self, id: String, secret: String, method: AuthenticationMethod) -> Verdict {
        let found = self.0.get(&id);
        let known = found.map_or_else(|| NOBODY.clone(), |(key, _)| key.hash.clone());
        match verify(secret, known).await {
            Ok(true) => found.and_then(|(key, expires)| principal(key, *expires, method)).map_or(Verdict::Rejected, Verdict::Accepted),
            Ok(false) => Verdict::Rejected,
            Err(error) => Verdict::Unavailable(error),
        }
    }
}

/// Returns the caller with a key, or `None` if it has expired.
fn principal(key: &StoredKey, expires: Option<SystemTime>, method: AuthenticationMethod) -> Option<Arc<Principal>> {
    let expires = match expires {
        Some(end) => Some(Instant::now().checked_add(end.duration_since(SystemTime::now()).ok()?)?),
        None => None,
    };
    Some(Arc::new(Principal {
        tenant: key.tenant.as_deref().unwrap_or_default().into(),
        groups: key.groups.iter().map(|group| group.as_str().into()).collect(),
        expires,
        ..Principal::new(key.subject.as_str(), method)
    }))
}

fn time(text: &str) -> Option<SystemTime> {
    let seconds = u64::try_from(parse_timestamp(text)?.seconds).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
