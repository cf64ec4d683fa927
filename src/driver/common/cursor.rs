//! Opaque cursors: bytes that a driver chooses, as URL-safe text.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::call::{Code, Error};

/// The cursor behind an item that these bytes place.
pub fn encode(place: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// The bytes of a cursor; `None` for the empty one, which means "from the start".
pub fn decode(cursor: &str) -> Result<Option<Vec<u8>>, Error> {
    if cursor.is_empty() {
        return Ok(None);
    }
    URL_SAFE_NO_PAD.decode(cursor).map(Some).map_err(|_| invalid())
}

/// The cursor of a numbered place, such as an offset.
pub fn encode_number(number: u64) -> String {
    encode(&number.to_be_bytes())
}

/// The number of a cursor.
pub fn decode_number(cursor: &str) -> Result<Option<u64>, Error> {
    let Some(bytes) = decode(cursor)? else { return Ok(None) };
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| invalid())?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// `INVALID_ARGUMENT INVALID_CURSOR`
pub fn invalid() -> Error {
    Error::new(
        Code::InvalidArgument,
        "INVALID_CURSOR",
        "cursor: not a cursor of this answer; send one as it was received, or none to begin at the start",
    )
    .with_violation("cursor", "not a cursor that was given out here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_went() {
        for number in [0, 1, u64::MAX] {
            assert_eq!(decode_number(&encode_number(number)).unwrap(), Some(number));
        }
        assert_eq!(decode("").unwrap(), None);
        assert_eq!(decode(&encode(b"\xff\x00/")).unwrap(), Some(b"\xff\x00/".to_vec()));
        assert_eq!(decode("a b").unwrap_err().reason(), "INVALID_CURSOR");
        assert_eq!(decode_number(&encode(b"abc")).unwrap_err().reason(), "INVALID_CURSOR");
    }
}
