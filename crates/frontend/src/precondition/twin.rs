//! The RPC that does the same as another one, on condition of a revision.
//!
//! What it is, the contract says (`prism.options.v1.precondition`). A request is bound for the RPC that the route names; its
//! fields are then carried over to the twin's request by their names. So a precondition never changes how the rest of a
//! request is read.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

use super::Expected;
use crate::{
    render::Rendering,
    schema::{Kind, Message, Schema, Shape},
    wire::{self, Fields, WireType},
};
use prism_call::{Error, Method};

/// The twin of an RPC.
#[derive(Debug)]
pub struct Twin {
    /// The RPC.
    pub method: Arc<Method>,
    /// How its reply becomes a response.
    pub rendering: Rendering,
    /// Numbers of the fields: in the request of the RPC that the route names, and in the twin's.
    renumber: Vec<(u32, u32)>,
    revision: u32,
    revisions: Option<u32>,
    exists: Option<u32>,
    absent: bool,
}

impl Twin {
    /// The one that the contract names, if it names one. A stream has no precondition.
    pub fn compile(schema: &'static Schema, method: &Method, response_body: Option<&str>) -> Result<Option<Self>, String> {
        let Some(option) = option(&method.descriptor).filter(|_| !method.client_streaming && !method.server_streaming) else {
            return Ok(None);
        };
        let rpc = text(&option, "rpc");
        let wrong = |problem: String| format!("the twin {rpc} of its preconditions {problem}");
        let pool = method.descriptor.parent_pool();
        let twin = Method::of_service(pool, &method.service).unwrap_or_default().into_iter().find(|known| known.name == rpc);
        let twin = twin.ok_or_else(|| wrong(format!("is no RPC of {}", method.service)))?;
        if twin.client_streaming || twin.server_streaming {
            return Err(wrong("has streams; preconditions are for single messages".to_owned()));
        }
        let message = |descriptor: &prost_reflect::MessageDescriptor| {
            let id =
                schema.find(descriptor.full_name()).ok_or_else(|| wrong(format!("has the unknown type {}", descriptor.full_name())))?;
            Ok::<_, String>((id, schema.message(id)))
        };
        let (_, ours) = message(&method.descriptor.input())?;
        let (_, theirs) = message(&twin.descriptor.input())?;
        let (output, _) = message(&twin.descriptor.output())?;
        let renumber = ours.fields.iter().map(|field| {
            let same = theirs.fields.iter().find(|known| (&known.name, known.kind, known.shape) == (&field.name, field.kind, field.shape));
            same.map(|same| (field.number, same.number)).ok_or_else(|| wrong(format!("has no such field as {} in its request", field.name)))
        });
        let own = |option: &str, kind, repeated| match option {
            "" => Ok(None),
            name => field(theirs, name, kind, repeated).map(Some).ok_or_else(|| wrong(format!("has no field {name} of the right type"))),
        };
        Ok(Some(Self {
            renumber: renumber.collect::<Result<_, _>>()?,
            revision: own(&text(&option, "revision"), Kind::Uint64, false)?.ok_or_else(|| wrong("needs a field revision".to_owned()))?,
            revisions: own(&text(&option, "revisions"), Kind::Uint64, true)?,
            exists: own(&text(&option, "exists"), Kind::Bool, false)?,
            absent: option.get_field_by_name("absent").as_deref().and_then(Value::as_bool).unwrap_or_default(),
            rendering: Rendering::compile(schema, output, false, response_body)?,
            method: twin,
        }))
    }

    /// Whether it can check that.
    pub const fn takes(&self, expected: &Expected) -> bool {
        match expected {
            Expected::Never | Expected::Revision(_) => true,
            Expected::OneOf(_) => self.revisions.is_some(),
            Expected::Exists => self.exists.is_some(),
            Expected::Absent => self.absent,
        }
    }

    /// Its request, made of the request of the RPC that the route names.
    pub fn message(&self, message: &[u8], expected: &Expected) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(message.len() + 16);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.field().map_err(|_| Error::internal("a request was bound to bytes that are no message"))? {
            if let Some((_, to)) = self.renumber.iter().find(|(from, _)| *from == number) {
                wire::put_value(&mut out, *to, value);
            }
        }
        match (expected, self.revisions, self.exists) {
            (Expected::Revision(revision), ..) => put_number(&mut out, self.revision, *revision),
            (Expected::Absent, ..) => put_number(&mut out, self.revision, 0),
            (Expected::OneOf(list), Some(number), _) => list.iter().for_each(|revision| put_number(&mut out, number, *revision)),
            (Expected::Exists, _, Some(number)) => put_number(&mut out, number, 1),
            _ => return Err(Error::internal("a precondition came as far as this that the RPC can't check")),
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

fn field(message: &Message, name: &str, kind: Kind, repeated: bool) -> Option<u32> {
    let field = &message.fields[message.by_name(name)?];
    (field.kind == kind && repeated == (field.shape == Shape::Repeated)).then_some(field.number)
}
