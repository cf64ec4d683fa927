//! Messages survive the way to GraphQL and back: a reply with all its fields, given as arguments, is the same message.

use std::fmt::Write as _;

use proptest::prelude::*;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value as ProtoValue};

use super::*;
use crate::model::{InputFields, InputTarget, is_scalar};
use prism_frontend::message_types::{FieldKind, FieldShape, MessageId};

const EVERYTHING: &str = "prism.testing.transcoding.v1.Everything";
/// How deep messages in messages are made and selected.
const DEPTH: usize = 3;

/// Numbers that decide what a message has.
struct Dice(Vec<u32>, usize);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.1 += 1;
        self.0[self.1 % self.0.len()].wrapping_add(u32::try_from(self.1).unwrap()) % sides
    }
}

fn message(descriptor: &MessageDescriptor, dice: &mut Dice, depth: usize) -> DynamicMessage {
    let mut out = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
            out.set_field_by_name("seconds", ProtoValue::I64(dice.roll(1_000_000).into()));
            out.set_field_by_name("nanos", ProtoValue::I32(i32::try_from(dice.roll(1000)).unwrap() * 1_000_000));
            return out;
        }
        "google.protobuf.FieldMask" => {
            let paths = (0..dice.roll(3)).map(|number| ProtoValue::String(format!("a_b{number}.c")));
            out.set_field_by_name("paths", ProtoValue::List(paths.collect()));
            return out;
        }
        "google.protobuf.Value" => {
            out.set_field_by_name("string_value", ProtoValue::String(format!("v{}", dice.roll(9))));
            return out;
        }
        // Its types are not those of this pool.
        "google.protobuf.Any" => return out,
        _ => {}
    }
    for field in descriptor.fields() {
        let is_message = matches!(field.kind(), Kind::Message(_));
        if dice.roll(3) == 0 || (is_message && depth == 0) || is_any(&field) {
            continue;
        }
        let value = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { unreachable!() };
            let count = dice.roll(3);
            let entries = (0..count).map(|_| (key(&entry.map_entry_key_field(), dice), value(&entry.map_entry_value_field(), dice, depth)));
            ProtoValue::Map(entries.collect())
        } else if field.is_list() {
            ProtoValue::List((0..dice.roll(3)).map(|_| value(&field, dice, depth)).collect())
        } else {
            value(&field, dice, depth)
        };
        out.set_field(&field, value);
    }
    out
}

fn is_any(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == "google.protobuf.Any")
}

fn value(field: &FieldDescriptor, dice: &mut Dice, depth: usize) -> ProtoValue {
    let number = u64::from(dice.roll(u32::MAX)) << dice.roll(33);
    match field.kind() {
        Kind::Double => ProtoValue::F64(f64::from(dice.roll(1000)) / 7.0),
        Kind::Float => ProtoValue::F32(f32::from(u16::try_from(dice.roll(1000)).unwrap()) / 7.0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => ProtoValue::I32(i32::from_le_bytes(dice.roll(u32::MAX).to_le_bytes())),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => ProtoValue::I64(i64::from_le_bytes((!number).to_le_bytes())),
        Kind::Uint32 | Kind::Fixed32 => ProtoValue::U32(dice.roll(u32::MAX)),
        Kind::Uint64 | Kind::Fixed64 => ProtoValue::U64(number),
        Kind::Bool => ProtoValue::Bool(dice.roll(2) == 1),
        Kind::String => ProtoValue::String(format!("\"ä\\{}", dice.roll(100))),
        Kind::Bytes => ProtoValue::Bytes(number.to_le_bytes().to_vec().into()),
        Kind::Enum(known) => {
            let index = usize::try_from(dice.roll(u32::try_from(known.values().len()).unwrap())).unwrap();
            ProtoValue::EnumNumber(known.values().nth(index).unwrap().number())
        }
        Kind::Message(inner) => ProtoValue::Message(message(&inner, dice, depth.saturating_sub(1))),
    }
}

fn key(field: &FieldDescriptor, dice: &mut Dice) -> MapKey {
    match value(field, dice, 0) {
        ProtoValue::Bool(key) => MapKey::Bool(key),
        ProtoValue::I32(key) => MapKey::I32(key),
        ProtoValue::I64(key) => MapKey::I64(key),
        ProtoValue::U32(key) => MapKey::U32(key),
        ProtoValue::U64(key) => MapKey::U64(key),
        ProtoValue::String(key) => MapKey::String(key),
        other => panic!("{other:?} is no key"),
    }
}

/// A selection of all fields.
fn selection(model: &Model, kind: FieldKind, depth: usize) -> Option<String> {
    let Some((id, object)) = model.object(kind) else { return Some(String::new()) };
    if depth == 0 {
        return None;
    }
    let mut out = "{".to_owned();
    for (name, known) in &object.fields {
        let field = model.field(id, known.index);
        let Some(below) = selection(model, field.kind, depth - 1) else { continue };
        let _ = match field.shape {
            FieldShape::Map(_) => write!(out, " {name} {{ key value {below} }}"),
            _ => write!(out, " {name} {below}"),
        };
    }
    Some(out + " __typename }")
}

/// An object of a reply as an input object. Members of choices move below the name of the choice.
fn as_input(model: &Model, id: MessageId, fields: &InputFields, object: &Value) -> Value {
    let output = &model.objects[&id].fields;
    let mut out = serde_json::Map::new();
    let converted = |index: usize| {
        let (name, _) = output.iter().find(|(_, known)| known.index == index)?;
        let value = object.get(name).filter(|value| !value.is_null())?;
        let field = model.field(id, index);
        let one = |value: &Value| value_as_input(model, field.kind, value);
        Some(match (field.shape, value) {
            (FieldShape::Map(_), Value::Array(entries)) => {
                entries.iter().map(|entry| json!({"key": entry["key"], "value": one(&entry["value"])})).collect()
            }
            (FieldShape::Repeated, Value::Array(elements)) => elements.iter().map(one).collect(),
            (_, value) => one(value),
        })
    };
    for (name, input) in fields {
        match &input.target {
            InputTarget::Field { index, .. } => {
                if let Some(value) = converted(*index) {
                    out.insert(name.clone(), value);
                }
            }
            InputTarget::Choice { members, .. } => {
                if let Some((member, value)) = members.iter().find_map(|(member, index)| Some((member, converted(*index)?))) {
                    out.insert(name.clone(), json!({member: value}));
                }
            }
        }
    }
    out.into()
}

fn value_as_input(model: &Model, kind: FieldKind, value: &Value) -> Value {
    match kind {
        FieldKind::Message(id) if !is_scalar(model.types, kind) => as_input(model, id, &model.inputs[&id].fields, value),
        _ => value.clone(),
    }
}

/// A message as JSON by another implementation: what two messages are compared by.
fn shown(message: &DynamicMessage) -> Value {
    serde_json::to_value(message).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_survive_both_ways(numbers in proptest::collection::vec(any::<u32>(), 40)) {
        let descriptor = POOL.get_message_by_name(EVERYTHING).unwrap();
        let sent = message(&descriptor, &mut Dice(numbers, 0), DEPTH - 1);
        let model = &TRANSCODING.model;
        let root = model.groups[0].mutations.get("replace").unwrap();
        let wide = GraphqlLimits { max_complexity: 1_000_000, max_tokens: 100_000, ..limits() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let caller = Scripted::answering([Ok(Bytes::from(prost::Message::encode_to_vec(&sent)))]);
            let query = format!("mutation {{ replace {} }}", selection(model, FieldKind::Message(root.output), DEPTH + 1).unwrap());
            let answer = run_with(&TRANSCODING, &wide, &query, &json!({}), &caller).await.unwrap();
            assert_eq!(answer.get("errors"), None, "{answer}");

            let arguments = as_input(model, root.output, &root.arguments, &answer["data"]["replace"]);
            let names: Vec<&String> = arguments.as_object().unwrap().keys().collect();
            let declared = TRANSCODING.dynamic().registry().types["Mutation"].field_by_name("replace").unwrap();
            let kind = |name: &str| declared.args[name].ty.as_str();
            let variables = names.iter().map(|name| format!("${name}: {}", kind(name))).collect::<Vec<_>>().join(", ");
            let given = names.iter().map(|name| format!("{name}: ${name}")).collect::<Vec<_>>().join(", ");
            let query = if names.is_empty() { "mutation { replace { __typename } }".to_owned() } else { format!("mutation({variables}) {{ replace({given}) {{ __typename }} }}") };
            let caller = Scripted::default();
            run_with(&TRANSCODING, &wide, &query, &arguments, &caller).await.unwrap_or_else(|error| panic!("{query} {arguments}: {error:?}"));
            let received = DynamicMessage::decode(descriptor.clone(), caller.message(0)).unwrap();
            let (received, sent) = (shown(&received), shown(&sent));
            for (name, value) in sent.as_object().unwrap() {
                assert_eq!(received.get(name), Some(value), "{name}");
            }
            assert_eq!(received, sent);
        });
    }
}
