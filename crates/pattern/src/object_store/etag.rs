//! Lists of ETags, as clients send them in `if_match` and `if_none_match`.

use prism_call::{Code, Error, proto::models::blob::v1::blob_condition::Test};

/// Stands for any ETag.
const ANY: &str = "*";

/// Which object a read or a write expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// None.
    Absent,
    /// Any.
    Exists,
    /// One of these ETags.
    OneOf(Vec<String>),
}

impl Expected {
    /// Reads the fields of a request. Returns `None` if it has no condition.
    pub fn of(if_match: Vec<String>, if_none_match: &[String]) -> Result<Option<Self>, Error> {
        match (if_match.is_empty(), if_none_match) {
            (true, []) => Ok(None),
            (true, [any]) if any == ANY => Ok(Some(Self::Absent)),
            (true, _) => Err(unsupported("if_none_match", "must be * in a request that writes")),
            (false, []) if if_match.iter().any(|etag| etag == ANY) => Ok(Some(Self::Exists)),
            (false, []) if if_match.len() > 64 => Err(unsupported("if_match", "must have at most 64 ETags")),
            (false, []) => Ok(Some(Self::OneOf(if_match))),
            (false, _) => Err(unsupported("if_none_match", "can't be combined with if_match; send one of them")),
        }
    }

    /// Returns the condition for a backend, if the backend can check it without knowing the current ETag.
    pub fn test(&self) -> Option<Test> {
        match self {
            Self::Absent => Some(Test::Absent(true)),
            Self::Exists => Some(Test::Exists(true)),
            Self::OneOf(etags) => match etags.as_slice() {
                [etag] => Some(Test::Etag(etag.clone())),
                _ => None,
            },
        }
    }

    /// Whether an existing object has one of the ETags.
    pub fn matches(&self, etag: &str) -> bool {
        match self {
            Self::Absent => false,
            Self::Exists => true,
            Self::OneOf(etags) => etags.iter().any(|known| known == etag),
        }
    }
}

fn unsupported(field: &str, problem: &str) -> Error {
    Error::invalid(field, problem).with_reason("PRECONDITION_UNSUPPORTED")
}

/// `ABORTED ETAG_MISMATCH`. `current`: empty if there is no object.
pub fn mismatch(expected: &Expected, current: &str) -> Error {
    let message = match (expected, current) {
        (Expected::Absent, _) => "there is an object with this key already, but none was expected",
        (_, "") => "there is no object with this key, but one was expected",
        _ => "the object has another ETag than expected; read it and try again",
    };
    let error = Error::new(Code::Aborted, "ETAG_MISMATCH", message);
    if current.is_empty() { error } else { error.with("current_etag", current) }
}
