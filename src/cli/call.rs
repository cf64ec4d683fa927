//! `prism call`.

use std::time::Duration;

use crate::config::parse_duration;

const EXAMPLES: &str = "\
Examples:
  prism call default Store '{\"key\": \"greeting\", \"value\": \"aGVsbG8=\"}'
  prism call default Retrieve '{\"key\": \"greeting\"}'
  prism call default Scan '{\"prefix\": \"gree\"}' | jq .
  prism call scratch GetCapabilities --address 10.0.0.7:8980 -H 'x-request-id: 42'
  echo '{\"key\": \"greeting\"}' | prism call default Retrieve

Fields of type bytes are base64. A stream is one JSON object per line, both ways: requests are read from standard input,
answers are written as they come.";

/// Arguments of `prism call`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The namespace to call
    pub namespace: String,

    /// The RPC, as `Store`
    pub method: String,

    /// The request as JSON; without it, requests are read from standard input. `{}` if there is nothing to say
    #[arg(value_name = "JSON")]
    pub request: Option<String>,

    /// Where Prism listens: HOST:PORT, or a URL for TLS
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:8980", env = "PRISM_ADDRESS")]
    pub address: String,

    /// A header to send; may be given many times
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,

    /// How long to wait for the answer, as 5s or 1m30s
    #[arg(short, long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME:VALUE, as `x-request-id: 42`")?;
    let name = name.trim().to_ascii_lowercase();
    if http::HeaderName::try_from(&name).is_err() {
        return Err(format!("`{name}` can't be the name of a header"));
    }
    let value = value.trim();
    http::HeaderValue::try_from(value).map_err(|_| format!("`{value}` can't be the value of a header"))?;
    Ok((name, value.to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration is a number with a unit, as 500ms, 5s or 1m30s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked() {
        assert_eq!(header("X-Request-Id: 42"), Ok(("x-request-id".into(), "42".into())));
        assert_eq!(header("x:a:b"), Ok(("x".into(), "a:b".into())));
        assert!(header("none").is_err());
        assert!(header("a b: c").is_err());
    }
}
