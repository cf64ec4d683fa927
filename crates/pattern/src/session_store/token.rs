//! Ids and tokens. A token is the id of a session, a dot and a secret.

use std::fmt;

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::not_found;
use prism_call::{Code, Error};

/// Random bytes of an id.
const ID_BYTES: usize = 16;
/// Random bytes of a secret. Nobody can guess it, so its digest needs no salt and no slow hash.
const SECRET_BYTES: usize = 32;

/// The id of a session: 22 characters of base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionId(String);

/// The token of a session.
pub struct Token {
    pub id: SessionId,
    secret: [u8; SECRET_BYTES],
}

impl SessionId {
    fn generate() -> Result<Self, Error> {
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(random::<ID_BYTES>()?)))
    }

    /// Parses an id. Text in another form is no id.
    pub fn parse(text: &str) -> Option<Self> {
        decode::<ID_BYTES>(text).map(|_| Self(text.to_owned()))
    }

    /// The key of the session.
    pub fn key(&self) -> Bytes {
        format!("s/{}", self.0).into()
    }

    /// The key of the entry in the index of a user.
    pub fn index_key(&self, user: &str) -> Bytes {
        format!("{}{}", index_prefix(user), self.0).into()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What all keys in the index of a user begin with. A user has no NUL, so no prefix is the beginning of another one.
pub fn index_prefix(user: &str) -> String {
    format!("u/{user}\0")
}

impl Token {
    /// Makes the token of a new session.
    pub fn generate() -> Result<Self, Error> {
        Self::for_session(SessionId::generate()?)
    }

    /// Makes a new token of a session.
    pub fn for_session(id: SessionId) -> Result<Self, Error> {
        Ok(Self { id, secret: random()? })
    }

    /// Parses a token. Text in another form opens nothing, as a wrong token.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::invalid("token", "is missing; over HTTP, it is in the header session-token"));
        }
        let parts = text.split_once('.').and_then(|(id, secret)| Some((SessionId::parse(id)?, decode(secret)?)));
        parts.map(|(id, secret)| Self { id, secret }).ok_or_else(not_found)
    }

    /// What is stored instead of the secret.
    pub fn digest(&self) -> Bytes {
        Bytes::copy_from_slice(digest::digest(&digest::SHA256, &self.secret).as_ref())
    }

    /// The text that opens the session.
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.id, BASE64_URL_SAFE_NO_PAD.encode(self.secret))
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], Error> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| Error::new(Code::Internal, "RANDOM_UNAVAILABLE", "the operating system gives no random numbers"))?;
    Ok(bytes)
}

fn decode<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_are_written() {
        let token = Token::generate().unwrap();
        let text = token.reveal();
        assert_eq!(text.len(), 22 + 1 + 43);
        let read = Token::parse(&text).unwrap();
        assert_eq!((read.id.to_string(), read.digest()), (token.id.to_string(), token.digest()));
        assert_ne!(Token::for_session(token.id.clone()).unwrap().digest(), token.digest());
        for bad in ["x", ".", &text[1..], &format!("{text}x"), &text.replace('.', ":"), &text.replace('.', "..")] {
            assert_eq!(Token::parse(bad).err().unwrap().reason(), "SESSION_NOT_FOUND", "{bad}");
        }
        assert_eq!(Token::parse("").err().unwrap().violations()[0].field, "token");
    }

    #[test]
    fn users_have_separate_keys() {
        let id = Token::generate().unwrap().id;
        assert!(id.index_key("a").starts_with(index_prefix("a").as_bytes()));
        assert!(!id.index_key("ab").starts_with(index_prefix("a").as_bytes()));
    }
}
