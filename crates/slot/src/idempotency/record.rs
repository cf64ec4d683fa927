//! Records: what is known of a call, as bytes in a backend.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message as _;

use prism_call::{
    Code, Error, Outcome, Output, Reply, Trailers, idempotency,
    proto::idempotency::v1::{self as stored, Record, record},
};

/// The record of a call that is in flight.
pub fn claimed(fingerprint: &Bytes) -> Bytes {
    Record { fingerprint: fingerprint.clone(), outcome: None }.encode_to_vec().into()
}

/// The record of a call that is over. What is larger than a value may be leaves only that it is over.
pub fn finished(fingerprint: &Bytes, outcome: Outcome<'_>, max_bytes: u64) -> Bytes {
    let outcome = match outcome {
        Outcome::Reply { headers, message, trailers } => record::Outcome::Reply(stored::Reply {
            message: message.clone(),
            headers: lines(headers),
            trailers: trailers.map(lines).unwrap_or_default(),
        }),
        Outcome::Error(error) => {
            let (headers, trailers) = error.headers_and_trailers();
            record::Outcome::Failure(stored::Failure {
                status: Some(error.to_status()),
                headers: lines(headers),
                trailers: lines(trailers),
            })
        }
    };
    let record = Record { fingerprint: fingerprint.clone(), outcome: Some(outcome) };
    if record.encoded_len() as u64 > max_bytes { without_reply(fingerprint) } else { record.encode_to_vec().into() }
}

/// The record of a call that is over and whose reply is not there.
pub fn without_reply(fingerprint: &Bytes) -> Bytes {
    Record { fingerprint: fingerprint.clone(), outcome: Some(record::Outcome::Unkept(stored::Unkept {})) }.encode_to_vec().into()
}

/// What a record says to a call with this fingerprint.
pub fn read(value: Bytes, fingerprint: &Bytes) -> Result<Result<Reply, Error>, Error> {
    let record = Record::decode(value).map_err(|error| {
        Error::new(Code::DataLoss, "IDEMPOTENCY_RECORD_BROKEN", "what was kept for this Idempotency-Key can't be read").with_source(error)
    })?;
    if record.fingerprint != *fingerprint {
        return Err(idempotency::reused());
    }
    match record.outcome {
        None => Err(idempotency::in_flight()),
        Some(record::Outcome::Unkept(_)) => Err(idempotency::reply_not_kept()),
        Some(record::Outcome::Reply(reply)) => Ok(Ok(Reply {
            headers: map(reply.headers),
            output: Output::One(reply.message),
            trailers: Trailers::known(map(reply.trailers)),
        })),
        Some(record::Outcome::Failure(failure)) => {
            let error = Error::from_status(failure.status.unwrap_or_default());
            Ok(Err(error.with_headers_and_trailers(map(failure.headers), map(failure.trailers))))
        }
    }
}

fn lines(headers: &HeaderMap) -> Vec<stored::Header> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| stored::Header {
        name: name.as_str().to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    headers.iter().map(line).collect()
}

fn map(lines: Vec<stored::Header>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(lines.len() + 1);
    for line in lines {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(line.name), HeaderValue::from_maybe_shared(line.value)) {
            headers.append(name, value);
        }
    }
    headers
}
