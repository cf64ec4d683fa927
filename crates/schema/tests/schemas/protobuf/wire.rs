//! Writes data with one schema version and reads it with another.

// Values are truncated to the width of the reader's type, as in C++.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prism_schema::protobuf::ProtobufSchema;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, FileDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value,
};
use prost_types::FileDescriptorProto;

/// A pseudorandom generator: the same seed gives the same numbers.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}

/// Returns the descriptor of a schema, from its base64 form.
pub fn file(schema: &ProtobufSchema) -> FileDescriptor {
    let bytes = STANDARD.decode(schema.render_as("serialized").expect("a shape of this format")).expect("base64");
    let mut file = FileDescriptorProto::decode(bytes.as_slice()).expect("a descriptor");
    // The crate prost-reflect does not support editions. These tests ignore their rules for frames and presence.
    file.syntax = file.syntax.filter(|syntax| syntax != "editions");
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_proto(file).expect("a descriptor");
    pool.files().last().expect("a file")
}

/// Returns a message with random values in about two thirds of its fields.
pub fn random(message: &MessageDescriptor, dice: &mut Dice, depth: u32) -> DynamicMessage {
    let mut out = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if dice.below(3) == 0 || (depth == 0 && field.kind().as_message().is_some()) {
            continue;
        }
        let value = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { continue };
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            let entries = (0..dice.below(3)).filter_map(|_| {
                let key = scalar(&key.kind(), dice, depth).into_map_key()?;
                Some((key, scalar(&value.kind(), dice, depth.saturating_sub(1))))
            });
            Value::Map(entries.collect())
        } else if field.is_list() {
            Value::List((0..dice.below(4)).map(|_| scalar(&field.kind(), dice, depth)).collect())
        } else {
            scalar(&field.kind(), dice, depth)
        };
        out.set_field(&field, value);
    }
    out
}

fn scalar(kind: &Kind, dice: &mut Dice, depth: u32) -> Value {
    let bits = dice.roll() >> (dice.below(5) * 15);
    // Truncation is documented for types of another width. Zigzag types truncate in their own way, so their values stay small.
    let low = i32::try_from(bits & 0xffff).unwrap_or(0) - 0x8000;
    match kind {
        Kind::Double => Value::F64(f64::from(low) + 0.25),
        Kind::Float => Value::F32(f32::from(i16::try_from(low).unwrap_or(0)) + 0.5),
        Kind::Int32 | Kind::Sfixed32 => Value::I32(bits as u32 as i32),
        Kind::Int64 | Kind::Sfixed64 => Value::I64(bits as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(bits as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(bits),
        Kind::Sint32 => Value::I32(low),
        Kind::Sint64 => Value::I64(i64::from(low)),
        Kind::Bool => Value::Bool(bits & 1 == 1),
        Kind::String => Value::String(format!("é{bits}")),
        Kind::Bytes => Value::Bytes(format!("ü{bits}").into_bytes().into()),
        Kind::Enum(values) => {
            let all: Vec<i32> = values.values().map(|value| value.number()).collect();
            Value::EnumNumber(all[usize::try_from(bits).unwrap_or(0) % all.len()])
        }
        Kind::Message(message) => Value::Message(random(message, dice, depth.saturating_sub(1))),
    }
}

/// Checks that a written message, when it is read, has the same values in all fields that the reader knows.
pub fn check_preserved(written: &DynamicMessage, reader: &MessageDescriptor) -> Result<(), String> {
    let read = DynamicMessage::decode(reader.clone(), written.encode_to_vec().as_slice()).map_err(|error| error.to_string())?;
    same_fields(written, &read)
}

fn same_fields(written: &DynamicMessage, read: &DynamicMessage) -> Result<(), String> {
    for (field, value) in written.fields() {
        let Some(other) = read.descriptor().get_field(field.number()) else {
            // The reader keeps it as an unknown field. But if it was in a oneof of which the reader still has a part, the reader sees no choice
            // at all. Fields outside of oneofs promise no choice.
            let choice = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            let still = |number| {
                let known = read.descriptor().get_field(number).and_then(|field| field.containing_oneof());
                known.is_some_and(|oneof| !oneof.is_synthetic())
            };
            if choice.is_some_and(|oneof| oneof.fields().any(|field| still(field.number()))) {
                return Err(format!("{} was set in a oneof, and the reader sees no choice", field.full_name()));
            }
            continue;
        };
        let now = read.get_field(&other);
        same_value(&field, value, &other, &now).map_err(|why| format!("{}: {why}", field.full_name()))?;
    }
    for (field, _) in read.fields() {
        let known = written.descriptor().get_field(field.number());
        if known.is_some_and(|known| !written.has_field(&known)) {
            return Err(format!("{} is set but was not written", field.full_name()));
        }
    }
    Ok(())
}

fn same_value(field: &FieldDescriptor, value: &Value, other: &FieldDescriptor, now: &Value) -> Result<(), String> {
    match (value, now) {
        (Value::Map(before), Value::Map(now)) => {
            let (Kind::Message(entry), Kind::Message(other)) = (field.kind(), other.kind()) else { return Err("no entries".to_owned()) };
            if other.map_entry_key_field().kind() == Kind::Bool && entry.map_entry_key_field().kind() != Kind::Bool {
                return Ok(());
            }
            for (key, value) in before {
                let key = converted(&Value::from(key.clone()), &other.map_entry_key_field().kind()).and_then(Value::into_map_key);
                let key: MapKey = key.ok_or("a key of another type")?;
                let value_now = now.get(&key).ok_or("a key is lost")?;
                same_scalar(value, value_now, &other.map_entry_value_field().kind())?;
            }
            Ok(())
        }
        (Value::List(before), Value::List(now)) if before.len() == now.len() => {
            before.iter().zip(now).try_for_each(|(before, now)| same_scalar(before, now, &other.kind()))
        }
        (Value::List(before), Value::List(now)) => Err(format!("{} values became {}", before.len(), now.len())),
        (Value::Map(_), _) | (_, Value::Map(_)) => Err("a map became something else".to_owned()),
        (before, Value::List(now)) => match now.as_slice() {
            [] => {
                if before.is_default(&field.kind()) {
                    Ok(())
                } else {
                    Err("a value is lost".to_owned())
                }
            }
            [now] => same_scalar(before, now, &other.kind()),
            _ => Err("one value became many".to_owned()),
        },
        // The reader gets the last value of several. Messages are merged instead, so they are not compared.
        (Value::List(before), now) => match before.last() {
            None | Some(Value::Message(_)) => Ok(()),
            Some(last) => same_scalar(last, now, &other.kind()),
        },
        (before, now) => same_scalar(before, now, &other.kind()),
    }
}

fn same_scalar(before: &Value, now: &Value, kind: &Kind) -> Result<(), String> {
    if let (Value::Message(before), Value::Message(now)) = (before, now) {
        return same_fields(before, now);
    }
    match converted(before, kind) {
        Some(expected) if expected == *now => Ok(()),
        // Debug output of messages would recurse through their types, which refer to each other.
        _ if before.as_message().is_some() || now.as_message().is_some() => Err("a message became something else".to_owned()),
        _ => Err(format!("{before:?} became {now:?}")),
    }
}

/// Converts a value to another type, truncated to its width as in C++.
fn converted(value: &Value, kind: &Kind) -> Option<Value> {
    let bits = match value {
        Value::Bool(value) => i128::from(*value),
        Value::I32(value) | Value::EnumNumber(value) => i128::from(*value),
        Value::I64(value) => i128::from(*value),
        Value::U32(value) => i128::from(*value),
        Value::U64(value) => i128::from(*value),
        Value::F32(_) => return matches!(kind, Kind::Float).then(|| value.clone()),
        Value::F64(_) => return matches!(kind, Kind::Double).then(|| value.clone()),
        Value::String(text) => return bytes(text.as_bytes(), kind),
        Value::Bytes(bytes_of) => return bytes(bytes_of, kind),
        Value::Message(_) | Value::List(_) | Value::Map(_) => return None,
    };
    Some(match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(bits as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(bits as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(bits as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(bits as u64),
        Kind::Bool => Value::Bool(bits != 0),
        Kind::Enum(_) => Value::EnumNumber(bits as i32),
        _ => return None,
    })
}

fn bytes(source: &[u8], kind: &Kind) -> Option<Value> {
    match kind {
        Kind::String => Some(Value::String(String::from_utf8(source.to_vec()).ok()?)),
        Kind::Bytes => Some(Value::Bytes(source.to_vec().into())),
        _ => None,
    }
}
