//! `prism call`.

use std::{
    collections::HashSet,
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::{Failure, Outcome};
use prism_call::{Code, Context, Error, Handler as _, Input, Messages, Method, Output};
use prism_config::parse_duration;
use prism_frontend::{
    json,
    message_types::{MessageId, MessageTypes},
};
use prism_pattern::PATTERNS;
use prism_registry::unknown_name;
use prism_remote::RemoteHandler;

const EXAMPLES: &str = "\
Examples:
  prism call default Store '{\"key\": \"greeting\", \"value\": \"aGVsbG8=\"}'
  prism call default Retrieve '{\"key\": \"greeting\"}'
  prism call default Scan '{\"prefix\": \"gree\"}' | jq .
  prism call scratch GetCapabilities --address 10.0.0.7:8980 -H 'x-request-id: 42'
  prism call jobs queue_basic.Dequeue '{\"queue\": \"mail\"}'         an RPC of an interface, with the pattern `interfaces`
  echo '{\"key\": \"greeting\"}' | prism call default Retrieve

Fields of type bytes are base64. A stream has one JSON object on each line: requests are read from standard input, and replies
are printed as they arrive.";

/// Whether an error says that the namespace or the gateway does not serve the RPC. A service that no namespace has is refused with a bare
/// status.
fn is_not_served(error: &Error) -> bool {
    error.code() == Code::Unimplemented && matches!(error.reason(), "" | "SERVICE_NOT_SERVED")
}

/// Arguments of `prism call`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Namespace to call
    pub namespace: String,

    /// Name of the RPC, such as `Store`
    pub method: String,

    /// Request as JSON. Without it, requests are read from standard input. An empty request is `{}`
    #[arg(value_name = "JSON")]
    pub request: Option<String>,

    /// Address of Prism: HOST:PORT, or a URL for TLS
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:8980", env = "PRISM_ADDRESS")]
    pub address: String,

    /// Header to send; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = parse_header)]
    pub headers: Vec<(String, String)>,

    /// Longest time to wait for the reply, such as 5s or 1m30s
    #[arg(short, long, value_name = "DURATION", value_parser = parse_timeout)]
    pub timeout: Option<Duration>,
}

/// Parses a header such as `name: value`.
pub fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME:VALUE, such as `x-request-id: 42`")?;
    let name = name.trim().to_ascii_lowercase();
    if http::HeaderName::try_from(&name).is_err() {
        return Err(format!("`{name}` can't be the name of a header"));
    }
    let value = value.trim();
    http::HeaderValue::try_from(value).map_err(|_| format!("`{value}` can't be the value of a header"))?;
    Ok((name, value.to_owned()))
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration is a number with a unit, such as 500ms, 5s or 1m30s".to_owned())
}

/// Calls an RPC and prints its replies as they arrive.
pub fn run(args: Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the asynchronous runtime can't be started: {error}"))?;
    runtime.block_on(call(args))
}

async fn call(args: Args) -> Outcome {
    let methods = find_methods(&args.method)?;
    let url = if args.address.contains("://") { args.address.clone() } else { format!("http://{}", args.address) };
    let handler = RemoteHandler::connect(&url, &args.namespace, true, None)?;
    let mut context = Context::internal(args.namespace.as_str());
    if let Some(timeout) = args.timeout {
        context = context.with_timeout(timeout);
    }
    for (name, value) in &args.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            context.metadata.append(name, value);
        }
    }
    let schema = MessageTypes::of_methods(&methods);
    // If several patterns have the RPC, try one after the other: only the gateway knows the pattern of the namespace.
    let text = match args.request {
        None if methods.len() > 1 => Some(read_standard_input().await.map_err(explain)?),
        text => text.map(String::into_bytes),
    };
    let mut reply = Err(Error::internal("no RPC was called"));
    let mut output = None;
    // Why the request does not fit the RPC of some pattern.
    let mut unfit = Vec::new();
    for method in &methods {
        let input = find_message(schema, method.descriptor.input().full_name())?;
        output = Some(find_message(schema, method.descriptor.output().full_name())?);
        let requests: Messages<Bytes> = match &text {
            Some(text) => Box::pin(stream::iter([encode_request(schema, input, text)])),
            None => requests_from_standard_input(schema, input, method.client_streaming),
        };
        let input = Input::Stream(requests);
        let input = match input {
            input if method.client_streaming => input,
            input => match input.bytes().await {
                Ok(message) => Input::One(message),
                Err(error) => {
                    unfit.push(explain(error).0);
                    continue;
                }
            },
        };
        reply = handler.handle(&context, method, input).await;
        if !reply.as_ref().is_err_and(is_not_served) {
            unfit.clear();
            break;
        }
    }
    if !unfit.is_empty() {
        return Err(Failure(unfit.join("\n")));
    }
    let (reply, output) = (reply.map_err(explain)?, output.ok_or("no RPC was called")?);
    match reply.output {
        Output::One(message) => print_reply(schema, output, &message.to_bytes())?,
        Output::Stream(mut messages) => {
            while let Some(message) = messages.next().await {
                print_reply(schema, output, &message.map_err(explain)?)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds the RPCs with a name: one, or one of each pattern if all patterns have it. RPCs of interfaces have names such as
/// `queue_basic.Enqueue`.
fn find_methods(name: &str) -> Result<Vec<Arc<Method>>, Failure> {
    let mut methods: Vec<_> = PATTERNS.iter().flat_map(|pattern| pattern.methods()).collect();
    if !methods.iter().any(|method| method.label.eq_ignore_ascii_case(name)) {
        return Err(Failure(unknown_rpc(name, &methods)));
    }
    methods.retain(|method| method.label.eq_ignore_ascii_case(name));
    Ok(methods)
}

/// Describes an RPC that does not exist. All interfaces together have hundreds of RPCs, so only those of the interface in question are listed.
fn unknown_rpc(name: &str, methods: &[Arc<Method>]) -> String {
    let labels = |wanted: &dyn Fn(&Method) -> bool| -> Vec<&str> {
        methods.iter().filter(|method| wanted(method)).map(|method| method.label.as_str()).collect()
    };
    let of_interfaces = labels(&|method| method.interface.is_some() && method.name.eq_ignore_ascii_case(name));
    if !of_interfaces.is_empty() {
        return format!("unknown RPC `{name}`; an RPC of an interface needs its name: {}", of_interfaces.join(", "));
    }
    let interface = name.split_once('.').map(|(interface, _)| interface);
    let mut seen = HashSet::new();
    let mut candidates = labels(&|method| method.interface == interface);
    // All patterns have GetCapabilities.
    candidates.retain(|label| seen.insert(*label));
    if candidates.is_empty() {
        let mut interfaces: Vec<_> = methods.iter().filter_map(|method| method.interface).collect();
        interfaces.dedup();
        return unknown_name("interface", interface.unwrap_or_default(), interfaces);
    }
    unknown_name("RPC", name, candidates)
}

fn find_message(schema: &'static MessageTypes, name: &str) -> Result<MessageId, Failure> {
    schema.find(name).ok_or_else(|| Failure(format!("there is no message {name}")))
}

/// Encodes a request from JSON.
fn encode_request(schema: &MessageTypes, message: MessageId, text: &[u8]) -> Result<Bytes, Error> {
    let mut out = Vec::new();
    json::decode(schema, message, text, &mut out)?;
    Ok(out.into())
}

/// Reads one request from the whole input, or one from each line.
fn requests_from_standard_input(schema: &'static MessageTypes, message: MessageId, lines: bool) -> Messages<Bytes> {
    if lines {
        let lines = BufReader::new(tokio::io::stdin()).lines();
        return Box::pin(stream::try_unfold(lines, move |mut lines| async move {
            while let Some(line) = lines.next_line().await.map_err(input_error)? {
                if !line.trim().is_empty() {
                    return Ok(Some((encode_request(schema, message, line.as_bytes())?, lines)));
                }
            }
            Ok(None)
        }));
    }
    Box::pin(stream::once(async move { encode_request(schema, message, &read_standard_input().await?) }))
}

/// Reads the whole standard input. An empty input is an empty request.
async fn read_standard_input() -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    // A terminal is not read: a user who leaves out the request means an empty one.
    if !std::io::stdin().is_terminal() {
        tokio::io::stdin().read_to_end(&mut text).await.map_err(input_error)?;
    }
    Ok(if text.iter().all(u8::is_ascii_whitespace) { b"{}".to_vec() } else { text })
}

fn input_error(error: std::io::Error) -> Error {
    Error::internal("standard input can't be read").with_source(error)
}

/// Prints a reply as a line of JSON.
fn print_reply(schema: &MessageTypes, message: MessageId, bytes: &[u8]) -> Result<(), Failure> {
    let mut line = Vec::new();
    json::encode(schema, message, bytes, &mut line)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).map_err(|error| Failure(format!("standard output can't be written: {error}")))
}

/// Formats an error: code, reason and message, then violations and metadata.
#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn explain(error: Error) -> Failure {
    let mut text = format!("{} {}: {error}", error.code().name(), error.reason());
    for violation in error.violations() {
        let _ = write!(text, "\n  {}: {}", violation.field, violation.description);
    }
    for (key, value) in error.metadata() {
        let _ = write!(text, "\n  {key}: {value}");
    }
    Failure(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_rpcs_are_explained() {
        let problem = |name: &str| find_methods(name).err().map(|failure| failure.0).unwrap_or_default();
        assert_eq!(problem("queue_basic.enqueue"), "");
        assert_eq!(problem("Enqueue"), "unknown RPC `Enqueue`; an RPC of an interface needs its name: queue_basic.Enqueue");
        assert!(
            problem("queue_basic.Enque")
                .starts_with("unknown RPC `queue_basic.Enque`; did you mean `queue_basic.Enqueue`? There are: queue_basic.")
        );
        assert!(problem("queu_basic.Enqueue").contains("unknown interface `queu_basic`; did you mean `queue_basic`?"));
        assert!(problem("Stor").contains("did you mean `Store`?") && !problem("Stor").contains("queue_basic"));
    }

    #[test]
    fn headers_are_checked() {
        assert_eq!(parse_header("X-Request-Id: 42"), Ok(("x-request-id".into(), "42".into())));
        assert_eq!(parse_header("x:a:b"), Ok(("x".into(), "a:b".into())));
        assert!(parse_header("none").is_err());
        assert!(parse_header("a b: c").is_err());
    }
}
