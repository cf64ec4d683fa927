//! What conditions can ask about.

use std::collections::HashMap;

use cel::{Value, objects::Key};
use prism_call::{AuthenticationMethod, Method, Peer, Principal};
use prism_frontend::{
    expression::{
        Member, Scope, Type, Variables,
        value::{from_field, from_json, from_message},
    },
    message_types::MessageTypes,
};

/// The variable with the request.
pub const REQUEST: &str = "request";

/// A call that is to be decided about.
#[derive(Clone, Copy)]
pub struct CallFacts<'a> {
    /// The caller.
    pub principal: &'a Principal,
    /// The remote end of the connection.
    pub peer: &'a Peer,
    /// Name of the namespace.
    pub namespace: &'a str,
    /// Name of its pattern.
    pub pattern: &'a str,
    /// The RPC.
    pub method: &'a Method,
    /// Name of the protocol, as `grpc`.
    pub protocol: &'a str,
}

/// The name of a member, and its type.
type MemberType = (&'static str, fn() -> Type);

const PRINCIPAL: [MemberType; 6] = [
    ("subject", || Type::String),
    ("tenant", || Type::String),
    ("groups", || Type::list(Type::String)),
    ("claims", || Type::map(Type::Dyn)),
    ("method", || Type::String),
    ("authenticated", || Type::Bool),
];

const CALL: [MemberType; 6] = [
    ("namespace", || Type::String),
    ("pattern", || Type::String),
    ("method", || Type::String),
    ("read", || Type::Bool),
    ("write", || Type::Bool),
    ("protocol", || Type::String),
];

const PEER: [MemberType; 4] =
    [("address", || Type::String), ("listener", || Type::String), ("tls", || Type::Bool), ("server_name", || Type::String)];

fn object(members: &[MemberType]) -> Type {
    Type::object(members.iter().map(|(name, value)| Member { name: (*name).to_owned(), value: value(), required: true }))
}

/// The variables of roles.
pub fn caller_scope() -> Scope {
    Scope::new().with("principal", object(&PRINCIPAL)).with("peer", object(&PEER))
}

/// The variables of rules, without the request.
pub fn scope() -> Scope {
    caller_scope().with("call", object(&CALL))
}

/// The values of the variables.
pub struct Facts<'a> {
    pub call: &'a CallFacts<'a>,
    /// The types of messages, and the request. `None`: it is not read.
    pub request: Option<(&'a MessageTypes, &'a [u8])>,
}

impl Variables for Facts<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        match name {
            "principal" => Some(self.select(&PRINCIPAL.map(|(name, _)| name), Self::principal)),
            "call" => Some(self.select(&CALL.map(|(name, _)| name), Self::call)),
            "peer" => Some(self.select(&PEER.map(|(name, _)| name), Self::peer)),
            REQUEST => {
                let (types, bytes) = self.request?;
                from_message(types, types.find(self.call.method.descriptor.input().full_name())?, bytes).ok()
            }
            _ => None,
        }
    }

    fn members(&self, name: &str, members: &[String]) -> Option<Value> {
        match name {
            "principal" => Some(self.select(members, Self::principal)),
            "call" => Some(self.select(members, Self::call)),
            "peer" => Some(self.select(members, Self::peer)),
            REQUEST => {
                let (types, bytes) = self.request?;
                let id = types.find(self.call.method.descriptor.input().full_name())?;
                let mut values = HashMap::with_capacity(members.len());
                for field in types.message(id).fields.iter().filter(|field| members.contains(&field.name)) {
                    if let Some(value) = from_field(types, id, field, bytes).ok()? {
                        values.insert(Key::from(field.name.as_str()), value);
                    }
                }
                Some(Value::from(values))
            }
            _ => self.get(name),
        }
    }
}

impl Facts<'_> {
    fn select<N: AsRef<str>>(&self, names: &[N], read: fn(&Self, &str) -> Option<Value>) -> Value {
        let values: HashMap<Key, Value> =
            names.iter().filter_map(|name| Some((Key::from(name.as_ref()), read(self, name.as_ref())?))).collect();
        Value::from(values)
    }

    fn principal(&self, name: &str) -> Option<Value> {
        let principal = self.call.principal;
        Some(match name {
            "subject" => Value::from(&*principal.subject),
            "tenant" => Value::from(&*principal.tenant),
            "groups" => Value::List(principal.groups.iter().map(|group| Value::from(&**group)).collect::<Vec<_>>().into()),
            "claims" => serde_json::from_str(&principal.claims)
                .map_or_else(|_| Value::from(HashMap::<Key, Value>::new()), |claims: serde_json::Value| from_json(&claims)),
            "method" => Value::from(principal.method.name()),
            "authenticated" => Value::Bool(principal.method != AuthenticationMethod::None),
            _ => return None,
        })
    }

    fn call(&self, name: &str) -> Option<Value> {
        let call = self.call;
        Some(match name {
            "namespace" => Value::from(call.namespace),
            "pattern" => Value::from(call.pattern),
            "method" => Value::from(call.method.label.as_str()),
            "read" => Value::Bool(call.method.read_only),
            "write" => Value::Bool(!call.method.read_only),
            "protocol" => Value::from(call.protocol),
            _ => return None,
        })
    }

    fn peer(&self, name: &str) -> Option<Value> {
        let peer = self.call.peer;
        Some(match name {
            "address" => Value::from(peer.address.map(|address| address.ip().to_canonical().to_string()).unwrap_or_default()),
            "listener" => Value::from(&*peer.listener),
            "tls" => Value::Bool(peer.tls.is_some()),
            "server_name" => Value::from(peer.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).unwrap_or_default()),
            _ => return None,
        })
    }
}
