//! Trusted documents in a namespace with the pattern `keyvalue`, so that they are added and removed while gateways run. The key of a document is
//! its id, or `sha256:` and its hash, so that clients can also send the text.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use lru::LruCache;
use prost::Message as _;

use prism_call::{
    Admitted, Code, Error, Namespace, Output,
    proto::patterns::keyvalue::v1::{RetrieveRequest, RetrieveResponse},
};
use prism_graphql::{DocumentName, GraphqlRequest, RequestError};

/// Documents that a frontend keeps.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// Maximum bytes of a document that is kept. Larger ones are read for each request.
const MAX_KEPT_BYTES: usize = 64 << 10;
/// Maximum bytes of a name that is asked for.
const MAX_NAME_BYTES: usize = 256;
/// How long a document is used without asking again.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// How long a document is known to be missing. It is shorter, because a new client may come at once with a new document.
const MISSING_FOR: Duration = Duration::from_secs(1);

/// The documents in a namespace.
pub struct StoredDocuments {
    namespace: Arc<Namespace>,
    kept: Mutex<LruCache<String, KeptDocument>>,
}

/// A document that was read; `None`: there is none.
struct KeptDocument {
    text: Option<Arc<str>>,
    until: Instant,
}

impl StoredDocuments {
    /// Returns the documents in a namespace with the pattern `keyvalue`.
    pub fn new(namespace: Arc<Namespace>) -> Self {
        Self { namespace, kept: Mutex::new(LruCache::new(KEPT)) }
    }

    /// Puts the trusted text into a request, which has it, its hash or its id.
    pub async fn resolve(&self, admitted: &Admitted<'_>, request: &mut GraphqlRequest) -> Result<(), RequestError> {
        let name = DocumentName::of(request);
        let text = self.find(admitted, &name.key()).await?;
        request.trust(text.as_deref().filter(|text| name.names(text)))
    }

    async fn find(&self, admitted: &Admitted<'_>, key: &str) -> Result<Option<Arc<str>>, Error> {
        if key.is_empty() || key.len() > MAX_NAME_BYTES {
            return Ok(None);
        }
        let now = Instant::now();
        let known = self.kept().get(key).filter(|known| known.until > now).map(|known| known.text.clone());
        if let Some(text) = known {
            return Ok(text);
        }
        let text = self.read(admitted, key).await?;
        if text.as_ref().is_none_or(|text| text.len() <= MAX_KEPT_BYTES) {
            let until = now + if text.is_some() { FRESH_FOR } else { MISSING_FOR };
            self.kept().put(key.to_owned(), KeptDocument { text: text.clone(), until });
        }
        Ok(text)
    }

    async fn read(&self, admitted: &Admitted<'_>, key: &str) -> Result<Option<Arc<str>>, Error> {
        let unreadable =
            || Error::new(Code::Unavailable, "TRUSTED_DOCUMENTS_UNAVAILABLE", "the trusted documents can't be read; try again later");
        let method = self.namespace.methods.iter().find(|method| method.name == "Retrieve").ok_or_else(unreadable)?;
        let message = RetrieveRequest { key: key.to_owned() }.encode_to_vec().into();
        let reply = match admitted.ask_namespace_for_gateway(&self.namespace, method, message).await {
            Ok(reply) => reply,
            Err(error) if error.code() == Code::NotFound => return Ok(None),
            Err(error) => return Err(unreadable().with_source(error)),
        };
        let Output::One(message) = reply.output else { return Err(unreadable()) };
        let found = RetrieveResponse::decode(message.to_bytes()).map_err(|error| unreadable().with_source(error))?;
        // What is no text is no document.
        Ok(std::str::from_utf8(&found.value).ok().map(Arc::from))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, LruCache<String, KeptDocument>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
