//! Tickets: the credentials of a caller in a URL, for the event streams of browsers, which can't send headers.
//!
//! A ticket has the credentials themselves, encrypted with AES-256-GCM, so no gateway keeps a list of tickets, and every gateway with the same
//! key accepts them. The caller of the stream is authenticated with the credentials, like any other: they may have been revoked, and they may
//! expire while the stream is open.

use std::{
    borrow::Cow,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, header::ToStrError};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use prism_call::{Code, Context, Credentials, Error, IssuedTicket, TICKET_PREFIX};

/// Longest ticket. The largest credentials, a token of 16 KiB, make one of 22 KiB.
const MAX_BYTES: usize = 32 * 1024;
/// Separates the keys of tickets from other uses of the same text.
const KEY_CONTEXT: &[u8] = b"prism event ticket 1\0";

/// The key of a process whose configuration has none.
static OWN_KEY: LazyLock<[u8; 32]> = LazyLock::new(rand::random);

/// Issues tickets, and redeems them.
pub struct Tickets {
    /// The first one issues tickets. All of them redeem tickets.
    keys: Vec<LessSafeKey>,
    lifetime: Duration,
}

/// The content of a ticket.
#[derive(Serialize, Deserialize)]
struct Content<'t> {
    namespace: Cow<'t, str>,
    path: Cow<'t, str>,
    /// In seconds since 1970.
    expires: u64,
    authorization: Option<Cow<'t, str>>,
    api_key: Option<Cow<'t, str>>,
}

impl Tickets {
    /// Creates tickets with the texts of keys. Without a text, they have a random key of this process.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k str>, lifetime: Duration) -> Result<Self, Error> {
        let mut derived: Vec<[u8; 32]> = keys.into_iter().map(derive).collect();
        if derived.is_empty() {
            derived.push(*OWN_KEY);
        }
        let keys = derived.iter().map(|key| UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new)).collect::<Result<_, _>>();
        Ok(Self { keys: keys.map_err(|_| Error::internal("the keys of tickets can't be used"))?, lifetime })
    }

    /// Issues a ticket with the credentials of a caller, for one path of the namespace.
    pub fn issue(&self, context: &Context, path: &str) -> Result<IssuedTicket, Error> {
        let Credentials { authorization, api_key } = &context.credentials;
        let (Ok(authorization), Ok(api_key)) = (text_of(authorization.as_ref()), text_of(api_key.as_ref())) else {
            return Err(no_credentials());
        };
        if authorization.is_none() && api_key.is_none() {
            return Err(no_credentials());
        }
        let remaining = context.principal.expires.map(|expires| expires.saturating_duration_since(Instant::now()));
        let expires = SystemTime::now() + remaining.map_or(self.lifetime, |remaining| remaining.min(self.lifetime));
        let content =
            Content { namespace: (&*context.namespace).into(), path: path.into(), expires: seconds(expires), authorization, api_key };
        let ticket = self.seal(&content).ok_or_else(|| Error::internal("a ticket could not be made"))?;
        if ticket.len() > MAX_BYTES {
            return Err(Error::new(Code::InvalidArgument, "CREDENTIALS_TOO_LARGE", "the credentials are too large for a ticket"));
        }
        Ok(IssuedTicket { ticket, expires: UNIX_EPOCH + Duration::from_secs(content.expires) })
    }

    /// Returns the credentials in a ticket, or `None` if it is forged, has expired, or is for something else.
    pub fn redeem(&self, ticket: &str, namespace: &str, path: &str) -> Option<Credentials> {
        if ticket.len() > MAX_BYTES {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(ticket.strip_prefix(TICKET_PREFIX)?).ok()?;
        let text = self.keys.iter().find_map(|key| open(key, &sealed))?;
        let content: Content<'_> = serde_json::from_slice(&text).ok()?;
        let is_valid = content.namespace == namespace && content.path == path && content.expires > seconds(SystemTime::now());
        if !is_valid {
            return None;
        }
        let header = |text: Option<Cow<'_, str>>| {
            let mut value = HeaderValue::from_str(&text?).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        Some(Credentials { authorization: header(content.authorization), api_key: header(content.api_key) })
    }

    fn seal(&self, content: &Content<'_>) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut text = Zeroizing::new(serde_json::to_vec(content).ok()?);
        let tag = self.keys.first()?.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text).ok()?;
        let mut ticket = TICKET_PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string([&nonce[..], &text, tag.as_ref()].concat(), &mut ticket);
        Some(ticket)
    }
}

/// Decrypts a ticket.
fn open(key: &LessSafeKey, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = Zeroizing::new(rest.to_vec());
    let length = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// Returns the key of a text, which is long and random, as the configuration requires.
fn derive(text: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, &Zeroizing::new([KEY_CONTEXT, text.as_bytes()].concat())).as_ref());
    key
}

fn text_of(header: Option<&HeaderValue>) -> Result<Option<Cow<'_, str>>, ToStrError> {
    header.map(|value| value.to_str().map(Cow::Borrowed)).transpose()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn no_credentials() -> Error {
    let message = "a ticket has the credentials of the request that asks for it, and this one has none in `authorization` or `x-api-key`";
    Error::new(Code::InvalidArgument, "NO_CREDENTIALS", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use prism_call::{AuthenticationMethod, Principal};

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn context(authorization: Option<&str>) -> Context {
        let credentials = Credentials { authorization: authorization.map(|text| text.parse().unwrap()), api_key: None };
        Context { namespace: "orders".into(), credentials, ..Context::internal("orders") }
    }

    #[test]
    fn a_ticket_is_valid_for_its_path_and_namespace_only() {
        let tickets = Tickets::new([KEY], Duration::from_mins(1)).unwrap();
        let issued = tickets.issue(&context(Some("Bearer secret")), "/v1/watch").unwrap();
        assert!(issued.ticket.starts_with(TICKET_PREFIX) && !issued.ticket.contains("secret"), "{}", issued.ticket);
        let redeemed = tickets.redeem(&issued.ticket, "orders", "/v1/watch").unwrap();
        assert_eq!(redeemed.authorization.unwrap(), "Bearer secret");
        assert!(redeemed.api_key.is_none());
        assert!(tickets.redeem(&issued.ticket, "other", "/v1/watch").is_none());
        assert!(tickets.redeem(&issued.ticket, "orders", "/v1/keys").is_none());
    }

    #[test]
    fn forged_tickets_are_refused() {
        let tickets = Tickets::new([KEY], Duration::from_mins(1)).unwrap();
        let issued = tickets.issue(&context(Some("Bearer secret")), "/v1/watch").unwrap().ticket;
        let sealed = URL_SAFE_NO_PAD.decode(issued.strip_prefix(TICKET_PREFIX).unwrap()).unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            let ticket = format!("{TICKET_PREFIX}{}", URL_SAFE_NO_PAD.encode(changed));
            assert!(tickets.redeem(&ticket, "orders", "/v1/watch").is_none(), "byte {index}");
        }
        for length in 0..sealed.len() {
            let ticket = format!("{TICKET_PREFIX}{}", URL_SAFE_NO_PAD.encode(&sealed[..length]));
            assert!(tickets.redeem(&ticket, "orders", "/v1/watch").is_none(), "{length} bytes");
        }
        for ticket in ["", TICKET_PREFIX, "prism_ticket_?", &issued[1..], &"a".repeat(2 * MAX_BYTES)] {
            assert!(tickets.redeem(ticket, "orders", "/v1/watch").is_none());
        }
    }

    #[test]
    fn keys_are_replaced_one_after_the_other() {
        let lifetime = Duration::from_mins(1);
        let (old, both) =
            (Tickets::new([KEY], lifetime).unwrap(), Tickets::new(["another key of 32 characters, yes", KEY], lifetime).unwrap());
        let issued = |tickets: &Tickets| tickets.issue(&context(Some("Bearer a")), "/").unwrap().ticket;
        assert!(both.redeem(&issued(&old), "orders", "/").is_some());
        assert!(old.redeem(&issued(&both), "orders", "/").is_none());
        let (first, second) = (Tickets::new([], lifetime).unwrap(), Tickets::new([], lifetime).unwrap());
        assert!(second.redeem(&issued(&first), "orders", "/").is_some(), "a process has one key of its own");
        assert!(old.redeem(&issued(&first), "orders", "/").is_none());
    }

    #[test]
    fn a_ticket_expires_with_its_lifetime_or_with_its_credentials() {
        let at_once = Tickets::new([KEY], Duration::ZERO).unwrap();
        let issued = at_once.issue(&context(Some("Bearer a")), "/").unwrap();
        assert!(at_once.redeem(&issued.ticket, "orders", "/").is_none());
        let tickets = Tickets::new([KEY], Duration::from_mins(1)).unwrap();
        let mut principal = Principal::new("ada", AuthenticationMethod::Jwt);
        principal.expires = Some(Instant::now());
        let issued = tickets.issue(&Context { principal: Arc::new(principal), ..context(Some("Bearer a")) }, "/").unwrap();
        assert!(issued.expires <= SystemTime::now());
        assert!(tickets.redeem(&issued.ticket, "orders", "/").is_none());
        assert_eq!(tickets.issue(&context(None), "/").err().unwrap().reason(), "NO_CREDENTIALS");
    }
}
