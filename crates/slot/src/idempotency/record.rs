//! Records: the state of a call with an idempotency key, as bytes in a backend.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message as _;

use prism_call::{
    Code, Error, Outcome, Output, Reply, Trailers, idempotency,
    proto::idempotency::v1::{self as stored, Record, record},
};

/// Encodes the record of a call in flight.
pub fn encode_claim(fingerprint: &Bytes) -> Bytes {
    Record { fingerprint: fingerprint.clone(), outcome: None }.encode_to_vec().into()
}

/// Encodes the record of a finished call. If it is larger than a value may be, the reply is left out.
pub fn encode_outcome(fingerprint: &Bytes, outcome: Outcome<'_>, max_bytes: u64) -> Bytes {
    let outcome = match outcome {
        Outcome::Reply { headers, message, trailers } => record::Outcome::Reply(stored::Reply {
            message: message.to_bytes(),
            headers: encode_headers(headers),
            trailers: trailers.map(encode_headers).unwrap_or_default(),
        }),
        Outcome::Error(error) => {
            let (headers, trailers) = error.headers_and_trailers();
            record::Outcome::Failure(stored::Failure {
                status: Some(error.to_status()),
                headers: encode_headers(headers),
                trailers: encode_headers(trailers),
            })
        }
    };
    let record = Record { fingerprint: fingerprint.clone(), outcome: Some(outcome) };
    if record.encoded_len() as u64 > max_bytes { encode_without_reply(fingerprint) } else { record.encode_to_vec().into() }
}

/// Encodes the record of a finished call without its reply.
pub fn encode_without_reply(fingerprint: &Bytes) -> Bytes {
    Record { fingerprint: fingerprint.clone(), outcome: Some(record::Outcome::Unkept(stored::Unkept {})) }.encode_to_vec().into()
}

/// Decodes the outcome in a record, for a call with this fingerprint.
pub fn decode(value: Bytes, fingerprint: &Bytes) -> Result<Result<Reply, Error>, Error> {
    let record = Record::decode(value).map_err(|error| {
        Error::new(Code::DataLoss, "IDEMPOTENCY_RECORD_BROKEN", "the stored outcome of this Idempotency-Key can't be read")
            .with_source(error)
    })?;
    if record.fingerprint != *fingerprint {
        return Err(idempotency::reused());
    }
    match record.outcome {
        None => Err(idempotency::in_flight()),
        Some(record::Outcome::Unkept(_)) => Err(idempotency::reply_not_kept()),
        Some(record::Outcome::Reply(reply)) => Ok(Ok(Reply {
            headers: decode_headers(reply.headers),
            output: Output::One(reply.message.into()),
            trailers: Trailers::known(decode_headers(reply.trailers)),
        })),
        Some(record::Outcome::Failure(failure)) => {
            let error = Error::from_status(failure.status.unwrap_or_default());
            Ok(Err(error.with_headers_and_trailers(decode_headers(failure.headers), decode_headers(failure.trailers))))
        }
    }
}

fn encode_headers(headers: &HeaderMap) -> Vec<stored::Header> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| stored::Header {
        name: name.as_str().to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    headers.iter().map(line).collect()
}

fn decode_headers(lines: Vec<stored::Header>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(lines.len() + 1);
    for line in lines {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(line.name), HeaderValue::from_maybe_shared(line.value)) {
            headers.append(name, value);
        }
    }
    headers
}
