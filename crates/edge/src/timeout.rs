//! Parses the timeout headers of the protocols.

use std::time::Duration;

use http::HeaderMap;

use prism_call::{Code, Error};

/// Parses `grpc-timeout`: up to 8 digits and a unit ("gRPC over HTTP2", Timeout).
pub fn grpc(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    parse_grpc(value.as_bytes()).map(Some).ok_or_else(|| malformed("grpc-timeout", "up to 8 digits and one of the units H, M, S, m, u, n"))
}

fn parse_grpc(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let amount = parse_number(digits, 8)?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Parses `connect-timeout-ms`: up to 10 digits ("Connect Protocol", Timeout).
pub fn connect(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get("connect-timeout-ms") else { return Ok(None) };
    let parsed = parse_number(value.as_bytes(), 10).map(Duration::from_millis);
    parsed.map(Some).ok_or_else(|| malformed("connect-timeout-ms", "up to 10 digits, milliseconds"))
}

/// Parses the headers of REST: `grpc-timeout`, `connect-timeout-ms` (up to 10 digits), and `x-request-timeout` or `request-timeout`
/// (seconds, with an optional fraction, or a number with one of the units ms, s, m, h). Returns the shortest timeout.
pub fn http(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let mut shortest: Option<Duration> = None;
    // Requests have few headers: iterating over them is faster than four lookups.
    for (name, value) in headers {
        let timeout = match name.as_str() {
            "grpc-timeout" => grpc(headers)?,
            "connect-timeout-ms" => connect(headers)?,
            name @ ("x-request-timeout" | "request-timeout") => {
                let parsed = value.to_str().ok().and_then(parse_http);
                Some(parsed.ok_or_else(|| malformed(name, "seconds, as 1.5, or a number with a unit, as 250ms, 30s, 2m, 1h"))?)
            }
            _ => continue,
        };
        shortest = shortest.into_iter().chain(timeout).min();
    }
    Ok(shortest)
}

fn parse_http(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (amount, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(amount.parse::<f64>().ok()? * scale).ok()
}

fn parse_number(digits: &[u8], max_digits: usize) -> Option<u64> {
    if digits.is_empty() || digits.len() > max_digits || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(header: &str, expected: &str) -> Error {
    Error::wire(Code::InvalidArgument, "MALFORMED_TIMEOUT", format!("{header}: must be {expected}"))
        .with_violation(header, format!("must be {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_grpc_units_are_parsed() {
        for (text, expected) in [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("5m", Some(Duration::from_millis(5))),
            ("7u", Some(Duration::from_micros(7))),
            ("9n", Some(Duration::from_nanos(9))),
            ("100000000S", None),
            ("S", None),
            ("-1S", None),
            ("1s", None),
            ("", None),
        ] {
            assert_eq!(parse_grpc(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_shortest_http_timeout_is_used() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-timeout", "1.5".parse().unwrap());
        headers.insert("connect-timeout-ms", "2000".parse().unwrap());
        assert_eq!(http(&headers).unwrap(), Some(Duration::from_millis(1500)));
        for (text, millis) in [("250ms", 250), ("1 s", 1000), ("0.5", 500), ("1m", 1500), ("1h", 1500)] {
            headers.insert("request-timeout", text.parse().unwrap());
            assert_eq!(http(&headers).unwrap(), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["-1", "1d", "", "1e999", "inf", "NaN"] {
            headers.insert("request-timeout", bad.parse().unwrap());
            assert!(http(&headers).is_err(), "{bad}");
        }
        headers.insert("x-request-timeout", "soon".parse().unwrap());
        assert!(http(&headers).unwrap_err().message().contains("x-request-timeout"));
    }
}
