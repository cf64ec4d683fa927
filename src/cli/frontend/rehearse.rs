//! `prism frontend try`.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value as Json;

use super::{
    definition_source::{ConfigOption, DefinitionSource},
    operation::condition_text,
};
use crate::cli::{Failure, Outcome, output::print_text, style};
use prism_call::{Code, Error};
use prism_frontend::{
    definition::Definition,
    mapping::{
        Action, CallPlan,
        rehearsal::{Outcome as RpcOutcome, Rehearsal, Request},
    },
    message_types::{FieldKind, FieldShape, MessageTypes},
};
use prism_registry::unknown_name;

const EXAMPLES: &str = "\
Examples:
  prism frontend try frontends/notes.yaml GET /notes/a
  prism frontend try frontends/notes.yaml GET /notes/a --reply '{\"value\": \"aGVsbG8=\", \"revision\": 3}'
  prism frontend try frontends/notes.yaml GET /notes/a --error NOT_FOUND:KEY_NOT_FOUND:'it is not there'
  prism frontend try frontends/notes.yaml PUT '/notes/a?days=2' -H 'content-type: text/plain' --body hello
  prism frontend try kv GET /v1/kv/a --namespace shop --set status_of_conflicts=412

Write the path below the base path: GET /notes/a is the request GET /pad/notes/a to a binding with base_path /pad. A reply is a
message of the RPC in JSON (ProtoJSON: bytes are base64). For a stream whose messages become one response, repeat --reply, or use
--empty. For any other stream, one --reply shows what each message becomes. The header `Accept` is ignored.";

/// Arguments of `prism frontend try`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The definition: its file, the name of a frontend in the configuration, or the name of a definition that comes with Prism
    pub name: String,

    /// Method of the request
    pub method: Method,

    /// Path below the base path, and query, such as '/notes/a?days=2'
    #[arg(value_name = "PATH?QUERY")]
    pub target: String,

    /// Header of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = crate::cli::call::parse_header)]
    pub headers: Vec<(String, String)>,

    /// Body of the request; @FILE reads it from a file
    #[arg(short, long, value_name = "TEXT|@FILE", default_value = "")]
    pub body: String,

    /// Reply of the RPC, as JSON; @FILE reads it from a file. May be repeated for a stream
    #[arg(short, long = "reply", value_name = "JSON|@FILE", conflicts_with = "error")]
    pub replies: Vec<String>,

    /// Let the RPC answer with an empty stream
    #[arg(long, conflicts_with_all = ["replies", "error"])]
    pub empty: bool,

    /// Let the RPC fail. Reason and message are optional
    #[arg(short, long, value_name = "CODE:REASON:MESSAGE", value_parser = parse_error)]
    pub error: Option<(Code, String, String)>,

    /// Value of `request.namespace`
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub namespace: String,

    /// Setting of the binding: a JSON value, or a text; may be repeated
    #[arg(short, long = "set", value_name = "SETTING=VALUE", value_parser = parse_setting)]
    pub settings: Vec<(String, Json)>,

    #[command(flatten)]
    config: ConfigOption,
}

fn parse_error(text: &str) -> Result<(Code, String, String), String> {
    let mut parts = text.splitn(3, ':');
    let name = parts.next().unwrap_or_default();
    let codes = || Code::ALL.into_iter().filter(|code| *code != Code::Ok);
    let code = codes().find(|code| code.name() == name).ok_or_else(|| {
        let names: Vec<&str> = codes().map(Code::name).collect();
        unknown_name("code", name, names)
    })?;
    let reason = parts.next().filter(|reason| !reason.is_empty()).unwrap_or(name).to_owned();
    let message = parts.next().map_or_else(|| reason.clone(), str::to_owned);
    Ok((code, reason, message))
}

fn parse_setting(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE, such as status_of_conflicts=412")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// Prints what a request and a reply become.
pub(super) fn run(args: &Args) -> Outcome {
    let mut source = DefinitionSource::find(&args.name, &args.config)?;
    source.settings.extend(args.settings.iter().cloned());
    let definition = source.compile()?;
    let request = build_request(args)?;
    let replies = args.replies.iter().map(|reply| read_content(reply).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    let replies = replies.collect::<Result<Vec<_>, _>>()?;
    let outcome = match &args.error {
        Some((code, reason, message)) => Some(RpcOutcome::Error(Error::new(*code, reason.clone(), message.clone()))),
        None => (args.empty || !replies.is_empty()).then_some(RpcOutcome::Replies(replies)),
    };
    let rehearsal = definition.api.rehearse(&args.namespace, &request, outcome)?;
    let mut out = render(&definition, &rehearsal)?;
    if rehearsal.operation.is_none() {
        // Writing into a String can't fail.
        let _ = writeln!(out, "\n{}", explain_missing_route(&definition, &args.namespace, &request));
    }
    print_text(&out)
}

fn build_request(args: &Args) -> Result<Request, Failure> {
    let (path, query) = args.target.split_once('?').map_or((args.target.as_str(), None), |(path, query)| (path, Some(query)));
    if !path.starts_with('/') {
        return Err(Failure(format!("the path `{path}` must begin with `/`; write the path below the base path, such as /notes/a")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    Ok(Request {
        method: args.method.clone(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers,
        body: read_content(&args.body)?,
    })
}

/// Returns a text as bytes; `@FILE` stands for the content of a file.
fn read_content(text: &str) -> Result<Bytes, Failure> {
    match text.strip_prefix('@') {
        None => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some(file) => std::fs::read(file).map(Bytes::from).map_err(|error| Failure(format!("{file} can't be read: {error}"))),
    }
}

/// Says what to do about a path that no route matches.
fn explain_missing_route(definition: &Definition, namespace: &str, request: &Request) -> String {
    let base = definition.header.base_path.as_deref().unwrap_or("/{namespace}").replace("{namespace}", namespace);
    let inner = request.path.strip_prefix(base.trim_end_matches('/')).filter(|path| path.starts_with('/') && *path != request.path);
    if let Some(inner) = inner.filter(|inner| definition.api.routes.find(&request.method, inner).is_ok()) {
        return format!("Write the path below the base path: leave out {base} and try {inner}.");
    }
    let operations = definition.api.operations();
    let list: Vec<String> = operations
        .map(|(method, template, endpoint)| format!("  {} {}", method.map_or("*", Method::as_str), endpoint.path(template)))
        .collect();
    format!("The routes are:\n{}", list.join("\n"))
}

fn render(definition: &Definition, rehearsal: &Rehearsal) -> Result<String, Failure> {
    let mut out = String::new();
    let endpoint =
        definition.api.operations().map(|(_, _, endpoint)| endpoint).find(|endpoint| Some(&endpoint.name) == rehearsal.operation.as_ref());
    let heading = |text: &str| style::heading(&format!("{text:<11}"));
    match &rehearsal.operation {
        Some(operation) => {
            let _ = writeln!(out, "{}{operation}", heading("Operation"));
        }
        None => {
            let _ = writeln!(out, "{}none", heading("Operation"));
        }
    }
    let case = endpoint.and_then(|endpoint| endpoint.cases.get(rehearsal.case.unwrap_or(1) - 1));
    if let (Some(endpoint), Some(case), Some(number)) = (endpoint, case, rehearsal.case) {
        let _ = writeln!(
            out,
            "{}{number} of {}: {}",
            heading("Case"),
            endpoint.cases.len(),
            condition_text(endpoint, case).unwrap_or_default()
        );
    }
    let plan = case.and_then(|case| if let Action::Call(plan) = &case.action { Some(plan) } else { None });
    if let (Some(rpc), Some(plan)) = (&rehearsal.rpc, plan) {
        let _ = writeln!(out, "{}{rpc}({}) returns {}", heading("RPC"), plan.method.descriptor.input().name(), returned_type(plan));
    }
    if let Some(operation) = &rehearsal.forwarded {
        let _ = writeln!(out, "{}{operation}", heading("Forwarded"));
    }
    for message in &rehearsal.messages {
        let _ = writeln!(out, "\n{}", indent_json(message)?);
    }
    if let Some(response) = &rehearsal.response {
        let _ = writeln!(out, "\n{}", style::heading(&format!("HTTP/1.1 {}", response.status)));
        for (name, value) in &response.headers {
            let _ = writeln!(out, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        if !response.body.is_empty() {
            let _ = writeln!(out, "\n{}", printable_body(&response.body).trim_end());
        }
    } else if rehearsal.forwarded.is_none() {
        let example = plan.map(|plan| example_reply(definition.api.types, plan)).unwrap_or_default();
        let _ = writeln!(out, "\nTo see the response to a reply, add --reply '{example}'");
    }
    Ok(out)
}

fn returned_type(plan: &CallPlan) -> String {
    let output = plan.method.descriptor.output();
    format!("{}{}", if plan.method.server_streaming { "a stream of " } else { "" }, output.name())
}

fn indent_json(json: &str) -> Result<String, Failure> {
    let value: Json = serde_json::from_str(json)?;
    Ok(serde_json::to_string_pretty(&value)?)
}

/// Returns a body as a text that can be printed.
fn printable_body(body: &Bytes) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("({} bytes that are not text)", body.len()),
    }
}

/// Returns a reply with values for its first scalar fields.
fn example_reply(schema: &MessageTypes, plan: &CallPlan) -> String {
    let fields = schema.message(plan.output).fields.iter().filter_map(|field| {
        let value = match (field.shape, field.kind) {
            (FieldShape::Singular { .. }, FieldKind::Bool) => "true".to_owned(),
            (FieldShape::Singular { .. }, FieldKind::String) => "\"text\"".to_owned(),
            (FieldShape::Singular { .. }, FieldKind::Bytes) => "\"aGVsbG8=\"".to_owned(),
            (FieldShape::Singular { .. }, FieldKind::Message(_)) | (FieldShape::Map(_) | FieldShape::Repeated, _) => return None,
            (FieldShape::Singular { .. }, _) => "1".to_owned(),
        };
        Some(format!("\"{}\": {value}", field.json_name))
    });
    format!("{{{}}}", fields.take(4).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_settings_are_parsed() {
        assert_eq!(parse_error("ABORTED"), Ok((Code::Aborted, "ABORTED".to_owned(), "ABORTED".to_owned())));
        assert_eq!(parse_error("NOT_FOUND:GONE:it: is"), Ok((Code::NotFound, "GONE".to_owned(), "it: is".to_owned())));
        assert!(parse_error("NOTFOUND").is_err_and(|message| message.starts_with("unknown code `NOTFOUND`; did you mean `NOT_FOUND`?")));
        assert_eq!(parse_setting("a=412"), Ok(("a".to_owned(), 412.into())));
        assert_eq!(parse_setting("a=b=c"), Ok(("a".to_owned(), "b=c".into())));
        assert!(parse_setting("a").is_err());
    }
}
