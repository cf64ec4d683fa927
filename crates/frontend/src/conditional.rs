//! The conditional form of a write: an RPC that compares the revision and writes in one step.
//!
//! The contract names it in the option `prism.options.v1.precondition`. A request is first bound to the RPC of the route. Then its fields
//! are copied, by name, to the request of the conditional RPC. So a precondition does not change how the rest of a request is read. The
//! replies of both RPCs are encoded alike, so it does not change how they are rendered either.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

use super::{
    message_types::{Field, FieldKind, FieldShape, MessageType, MessageTypes},
    wire::{self, Fields, WireType},
};
use prism_call::{Error, Method};

/// The state of the stored entry that a write requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedRevision {
    /// It has this revision.
    Revision(u64),
    /// It has one of these revisions.
    OneOf(Vec<u64>),
    /// The entry exists.
    Exists,
    /// The entry does not exist.
    Absent,
    /// Never true: the tag is weak, or was not issued by Prism.
    Never,
}

/// An RPC that compares the revision and writes in one step.
#[derive(Debug)]
pub struct ConditionalRpc {
    /// The RPC.
    pub method: Arc<Method>,
    /// Field numbers: in the request of the route's RPC, and in the request of this RPC.
    renumber: Vec<(u32, u32)>,
    revision: u32,
    revisions: Option<u32>,
    exists: Option<u32>,
    absent: bool,
}

impl ConditionalRpc {
    /// Compiles the option of an RPC. Returns `None` if it has none, or if it streams.
    pub fn compile(types: &MessageTypes, method: &Method) -> Result<Option<Self>, String> {
        let Some(option) = option(&method.descriptor).filter(|_| !method.client_streaming && !method.server_streaming) else {
            return Ok(None);
        };
        let rpc = text(&option, "rpc");
        let wrong = |problem: String| format!("the RPC {rpc} of its option `precondition` {problem}");
        let pool = method.descriptor.parent_pool();
        let target = Method::of_service(pool, &method.service).unwrap_or_default().into_iter().find(|known| known.name == rpc);
        let target = target.ok_or_else(|| wrong(format!("is not an RPC of {}", method.service)))?;
        if target.client_streaming || target.server_streaming {
            return Err(wrong("streams; it must be unary".to_owned()));
        }
        let message = |descriptor: &prost_reflect::MessageDescriptor| {
            let id = types.find(descriptor.full_name());
            id.map(|id| types.message(id)).ok_or_else(|| wrong(format!("has the unknown message type {}", descriptor.full_name())))
        };
        let (reply, its_reply) = (message(&method.descriptor.output())?, message(&target.descriptor.output())?);
        let alike = |field: &Field| {
            let key = |field: &Field| (field.number, field.name.clone(), field.kind, field.shape);
            its_reply.fields.iter().any(|known| key(known) == key(field))
        };
        if let Some(field) = reply.fields.iter().find(|field| !alike(field)) {
            return Err(wrong(format!("has no field {} of the same number and type in its reply", field.name)));
        }
        let (ours, theirs) = (message(&method.descriptor.input())?, message(&target.descriptor.input())?);
        let renumber = ours.fields.iter().map(|field| {
            let same = theirs.fields.iter().find(|known| (&known.name, known.kind, known.shape) == (&field.name, field.kind, field.shape));
            same.map(|same| (field.number, same.number))
                .ok_or_else(|| wrong(format!("has no field {} of the same type in its request", field.name)))
        });
        let own = |option: &str, kind, repeated| match option {
            "" => Ok(None),
            name => field(theirs, name, kind, repeated).map(Some).ok_or_else(|| wrong(format!("has no field {name} of the right type"))),
        };
        Ok(Some(Self {
            renumber: renumber.collect::<Result<_, _>>()?,
            revision: own(&text(&option, "revision"), FieldKind::Uint64, false)?
                .ok_or_else(|| wrong("needs a field revision".to_owned()))?,
            revisions: own(&text(&option, "revisions"), FieldKind::Uint64, true)?,
            exists: own(&text(&option, "exists"), FieldKind::Bool, false)?,
            absent: option.get_field_by_name("absent").as_deref().and_then(Value::as_bool).unwrap_or_default(),
            method: target,
        }))
    }

    /// Whether the RPC can check this expectation.
    pub const fn takes(&self, expected: &ExpectedRevision) -> bool {
        match expected {
            ExpectedRevision::Never | ExpectedRevision::Revision(_) => true,
            ExpectedRevision::OneOf(_) => self.revisions.is_some(),
            ExpectedRevision::Exists => self.exists.is_some(),
            ExpectedRevision::Absent => self.absent,
        }
    }

    /// Converts a request of the route's RPC to a request of this RPC.
    pub fn message(&self, message: &[u8], expected: &ExpectedRevision) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(message.len() + 16);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.field().map_err(|_| Error::internal("the bound request is not a valid message"))? {
            if let Some((_, to)) = self.renumber.iter().find(|(from, _)| *from == number) {
                wire::put_value(&mut out, *to, value);
            }
        }
        match (expected, self.revisions, self.exists) {
            (ExpectedRevision::Revision(revision), ..) => put_number(&mut out, self.revision, *revision),
            (ExpectedRevision::Absent, ..) => put_number(&mut out, self.revision, 0),
            (ExpectedRevision::OneOf(list), Some(number), _) => list.iter().for_each(|revision| put_number(&mut out, number, *revision)),
            (ExpectedRevision::Exists, _, Some(number)) => put_number(&mut out, number, 1),
            _ => return Err(Error::internal("the RPC can't check this precondition")),
        }
        Ok(out.into())
    }
}

fn put_number(out: &mut Vec<u8>, field: u32, number: u64) {
    wire::put_tag(out, field, WireType::Varint);
    wire::put_varint(out, number);
}

fn option(method: &MethodDescriptor) -> Option<DynamicMessage> {
    let extension = method.parent_pool().get_extension_by_name("prism.options.v1.precondition")?;
    let options = method.options();
    let set = options.has_extension(&extension);
    set.then(|| options.get_extension(&extension).as_message().cloned()).flatten()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field).map(Cow::into_owned);
    value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn field(message: &MessageType, name: &str, kind: FieldKind, repeated: bool) -> Option<u32> {
    let field = &message.fields[message.by_name(name)?];
    (field.kind == kind && repeated == (field.shape == FieldShape::Repeated)).then_some(field.number)
}
