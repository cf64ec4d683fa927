//! Where the keys of an issuer come from: a file, a URL, or OpenID Connect discovery. The last good keys stay during an outage.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use reqwest::Client;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{key_set::KeySet, settings::JwtSettings};
use crate::{
    cache::VerifiedCache,
    http_client::{self, SAFE_URL, is_safe},
};

/// Time for one request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer.
const MAX_BYTES: usize = 1 << 20;

/// The keys of an issuer, and how they are fetched.
pub struct KeySource {
    keys: ArcSwapOption<FetchedKeys>,
    /// `None`: the keys are in a file. The configuration is loaded again when it changes.
    refresh: Option<Arc<Refresh>>,
}

struct FetchedKeys {
    set: Arc<KeySet>,
    text: Vec<u8>,
    at: Instant,
}

/// Fetches keys: one request at a time, and not more often than the floor.
pub struct Refresh {
    /// Name of the authenticator, for the log.
    name: String,
    client: Client,
    issuer: String,
    url: Option<String>,
    interval: Duration,
    /// The time of the last attempt. Whoever has the lock fetches.
    last: Arc<Mutex<Option<Instant>>>,
    verified: Arc<VerifiedCache>,
}

impl Refresh {
    /// Time between two attempts.
    pub const FLOOR: Duration = Duration::from_secs(10);
}

impl KeySource {
    /// Reads a file, or prepares the requests. The verified tokens are forgotten when the keys change.
    pub fn open(name: &str, settings: &JwtSettings, verified: Arc<VerifiedCache>) -> Result<Self, String> {
        if let Some(file) = &settings.jwks_file {
            let set = KeySet::read(file).map_err(|problem| format!("`jwks_file` {problem}"))?;
            let fetched = FetchedKeys { set: Arc::new(set), text: Vec::new(), at: Instant::now() };
            return Ok(Self { keys: ArcSwapOption::from_pointee(fetched), refresh: None });
        }
        let url = settings.jwks_url.as_ref().unwrap_or(&settings.issuer);
        let refresh = Refresh {
            name: name.to_owned(),
            client: http_client::client(url, settings.ca_file.as_deref(), TIMEOUT, 1)?,
            issuer: settings.issuer.clone(),
            url: settings.jwks_url.clone(),
            interval: *settings.refresh_interval,
            last: Arc::default(),
            verified,
        };
        Ok(Self { keys: ArcSwapOption::empty(), refresh: Some(Arc::new(refresh)) })
    }

    /// Returns the keys, if there are any yet.
    pub fn current(&self) -> Option<Arc<KeySet>> {
        self.keys.load().as_ref().map(|fetched| fetched.set.clone())
    }

    /// Fetches the keys in the background if they are old.
    pub fn refresh_if_stale(self: &Arc<Self>) {
        let Some(refresh) = &self.refresh else { return };
        let is_stale = self.keys.load().as_ref().is_some_and(|fetched| fetched.at.elapsed() > refresh.interval);
        if is_stale && refresh.last.try_lock().is_ok_and(|last| Refresh::may_try(*last)) {
            let source = self.clone();
            tokio::spawn(async move { source.refresh(source.current().as_ref()).await });
        }
    }

    /// Returns other keys than the known ones, if the issuer has some. Callers that come at the same time share one request.
    pub async fn refresh(self: &Arc<Self>, known: Option<&Arc<KeySet>>) -> Option<Arc<KeySet>> {
        let Some(refresh) = &self.refresh else { return self.current() };
        let mut last = refresh.last.clone().lock_owned().await;
        let current = self.current();
        let is_known = match (&current, known) {
            (Some(current), Some(known)) => Arc::ptr_eq(current, known),
            (None, _) => true,
            (Some(_), None) => false,
        };
        if !is_known || !Refresh::may_try(*last) {
            return current;
        }
        *last = Some(Instant::now());
        let (source, refresh) = (self.clone(), refresh.clone());
        // A task, so that a caller who leaves does not interrupt the request that others wait for.
        let fetching = tokio::spawn(async move {
            match refresh.fetch().await {
                Ok(text) => source.replace(&refresh, text),
                Err(problem) => {
                    tracing::warn!(authenticator = refresh.name, "the keys of the issuer can't be fetched; the last ones stay: {problem}");
                }
            }
            drop(last);
        });
        let _ = fetching.await;
        self.current()
    }

    fn replace(&self, refresh: &Refresh, text: Vec<u8>) {
        let known = self.keys.load_full();
        if let Some(known) = known.filter(|known| known.text == text) {
            self.keys.store(Some(Arc::new(FetchedKeys { set: known.set.clone(), text, at: Instant::now() })));
            return;
        }
        match KeySet::parse(&text) {
            Ok(set) => {
                self.keys.store(Some(Arc::new(FetchedKeys { set: Arc::new(set), text, at: Instant::now() })));
                // A key may have been removed because it was stolen.
                refresh.verified.clear();
            }
            Err(problem) => {
                tracing::warn!(authenticator = refresh.name, "the keys of the issuer can't be used; the last ones stay: {problem}");
            }
        }
    }
}

#[cfg(test)]
impl KeySource {
    /// As if the floor had passed.
    pub async fn forget_last_attempt(&self) {
        if let Some(refresh) = &self.refresh {
            *refresh.last.lock().await = None;
        }
    }
}

impl Refresh {
    fn may_try(last: Option<Instant>) -> bool {
        last.is_none_or(|last| last.elapsed() >= Self::FLOOR)
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        if let Some(url) = &self.url {
            return self.get(url).await;
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = serde_json::from_slice(&self.get(&url).await?).map_err(|error| format!("{url}: {error}"))?;
        // OpenID Connect Discovery 1.0, section 4.3.
        if discovery.issuer != self.issuer {
            return Err(format!("{url} is the document of another issuer, {:?}", discovery.issuer));
        }
        if !is_safe(&discovery.jwks_uri) {
            return Err(format!("{url}: jwks_uri must be {SAFE_URL}"));
        }
        self.get(&discovery.jwks_uri).await
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        http_client::send(url, self.client.get(url), MAX_BYTES).await
    }
}
