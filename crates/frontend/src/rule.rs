//! HTTP rules: the `google.api.http` annotations of RPCs.

use std::borrow::Cow;

use http::Method;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use super::template::PathTemplate;
use prism_call::Method as Rpc;

/// An HTTP rule of an RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// The HTTP method; `None`: any.
    pub method: Option<Method>,
    /// The path template.
    pub template: PathTemplate,
    /// The part of the request message that the body sets.
    pub body: RuleBody,
    /// The field of the reply that is the response body; `None`: the whole reply.
    pub response_body: Option<String>,
}

/// The part of the request message that the body of an HTTP request sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleBody {
    /// The request has no body.
    None,
    /// The whole message (`*`).
    Whole,
    /// One field, by name.
    Field(String),
}

impl HttpRule {
    /// Reads the annotation of an RPC with its additional bindings. Returns an empty list if there is no annotation.
    ///
    /// RPCs of interfaces have no annotations. Their rules follow from their names: `POST /v1/{interface}/{RPC}` with the request as body,
    /// and, if the RPC only reads, `GET` with the fields of the request as query parameters.
    pub fn of(rpc: &Rpc) -> Result<Vec<Self>, String> {
        if let Some(interface) = rpc.interface {
            return Self::of_interface(interface, rpc);
        }
        let method = &rpc.descriptor;
        let Some(extension) = method.parent_pool().get_extension_by_name("google.api.http") else { return Ok(Vec::new()) };
        let options = method.options();
        if !options.has_extension(&extension) {
            return Ok(Vec::new());
        }
        let value = options.get_extension(&extension);
        let Value::Message(rule) = value.as_ref() else { return Ok(Vec::new()) };
        let mut rules = vec![Self::read(rule)?];
        if let Some(Value::List(additional)) = rule.get_field_by_name("additional_bindings").as_deref() {
            for binding in additional.iter().filter_map(Value::as_message) {
                if list_length(binding) > 0 {
                    return Err("additional_bindings can't be nested".to_owned());
                }
                rules.push(Self::read(binding)?);
            }
        }
        Ok(rules)
    }

    fn of_interface(interface: &str, rpc: &Rpc) -> Result<Vec<Self>, String> {
        let path = format!("/v1/{interface}/{}", rpc.name);
        let template = PathTemplate::parse(&path).map_err(|error| format!("the path {path:?} is invalid {error}"))?;
        let rule = |http, body| Self { method: Some(http), template: template.clone(), body, response_body: None };
        let mut rules = vec![rule(Method::POST, RuleBody::Whole)];
        if rpc.read_only && !rpc.client_streaming {
            rules.push(rule(Method::GET, RuleBody::None));
        }
        Ok(rules)
    }

    fn read(rule: &DynamicMessage) -> Result<Self, String> {
        let Some(oneof) = rule.descriptor().oneofs().find(|oneof| oneof.name() == "pattern") else {
            return Err("HttpRule has no oneof `pattern`".to_owned());
        };
        let Some(set) = oneof.fields().find(|field| rule.has_field(field)) else {
            return Err("a rule needs one of get, put, post, delete, patch and custom".to_owned());
        };
        let value = rule.get_field(&set);
        let (kind, path) = match value.as_ref() {
            Value::String(path) => (set.name().to_ascii_uppercase(), path.clone()),
            Value::Message(custom) => (text(custom, "kind"), text(custom, "path")),
            _ => return Err(format!("{} is not a pattern", set.name())),
        };
        let method = match kind.as_str() {
            "*" => None,
            other => Some(other.parse().map_err(|_| format!("{other:?} is not an HTTP method"))?),
        };
        let template = PathTemplate::parse(&path).map_err(|error| format!("the path template {path:?} is invalid {error}"))?;
        let body = match text(rule, "body").as_str() {
            "" => RuleBody::None,
            "*" => RuleBody::Whole,
            field => RuleBody::Field(field.to_owned()),
        };
        let response_body = Some(text(rule, "response_body")).filter(|field| !field.is_empty());
        Ok(Self { method, template, body, response_body })
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field).map(Cow::into_owned);
    value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list_length(message: &DynamicMessage) -> usize {
    let value = message.get_field_by_name("additional_bindings");
    value.as_deref().and_then(Value::as_list).map_or(0, <[_]>::len)
}
