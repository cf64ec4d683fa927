//! Opaque cursors: bytes of a driver, encoded as URL-safe base64.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use prism_call::{Code, Error};

/// Encodes the bytes of a position as a cursor.
pub fn encode(position: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(position)
}

/// Decodes a cursor. Returns `None` for the empty cursor, which means "from the start".
pub fn decode(cursor: &str) -> Result<Option<Vec<u8>>, Error> {
    if cursor.is_empty() {
        return Ok(None);
    }
    URL_SAFE_NO_PAD.decode(cursor).map(Some).map_err(|_| invalid())
}

/// Encodes a number, such as an offset, as a cursor.
pub fn encode_number(number: u64) -> String {
    encode(&number.to_be_bytes())
}

/// Decodes a cursor that is a number. Returns `None` for the empty cursor.
pub fn decode_number(cursor: &str) -> Result<Option<u64>, Error> {
    let Some(bytes) = decode(cursor)? else { return Ok(None) };
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| invalid())?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// Encodes a cursor that is valid only in its scope, as `stream:orders`.
pub fn seal(scope: &str, position: &[u8]) -> String {
    let mut bytes = checksum(scope, position).to_be_bytes().to_vec();
    bytes.extend_from_slice(position);
    encode(&bytes)
}

/// Decodes a cursor of [`seal`]. Returns `None` for the empty cursor. A cursor of another scope or an invalid cursor is an error.
pub fn open(scope: &str, cursor: &str) -> Result<Option<Vec<u8>>, Error> {
    let Some(bytes) = decode(cursor)? else { return Ok(None) };
    let (sum, position) = bytes.split_first_chunk::<4>().ok_or_else(invalid)?;
    if u32::from_be_bytes(*sum) != checksum(scope, position) {
        return Err(invalid());
    }
    Ok(Some(position.to_vec()))
}

/// Computes FNV-1a. It detects mistakes and is not a signature: a forged cursor gives access to nothing that a plain request does not give.
fn checksum(scope: &str, position: &[u8]) -> u32 {
    let separator = [0xff];
    scope
        .bytes()
        .chain(separator)
        .chain(position.iter().copied())
        .fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Returns `INVALID_ARGUMENT INVALID_CURSOR`.
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
    fn decodes_what_it_encoded() {
        for number in [0, 1, u64::MAX] {
            assert_eq!(decode_number(&encode_number(number)).unwrap(), Some(number));
        }
        assert_eq!(decode("").unwrap(), None);
        assert_eq!(decode(&encode(b"\xff\x00/")).unwrap(), Some(b"\xff\x00/".to_vec()));
        assert_eq!(decode("a b").unwrap_err().reason(), "INVALID_CURSOR");
        assert_eq!(decode_number(&encode(b"abc")).unwrap_err().reason(), "INVALID_CURSOR");
    }

    #[test]
    fn a_sealed_cursor_is_valid_only_in_its_scope() {
        let cursor = seal("stream:a", b"\x01\x02");
        assert_eq!(open("stream:a", &cursor).unwrap(), Some(b"\x01\x02".to_vec()));
        assert_eq!(open("stream:a", "").unwrap(), None);
        for broken in [seal("stream:b", b"\x01\x02"), encode(b"abc"), encode(b"abcdefgh"), "a b".to_owned(), format!("{cursor}AA")] {
            assert_eq!(open("stream:a", &broken).unwrap_err().reason(), "INVALID_CURSOR", "{broken}");
        }
    }
}
