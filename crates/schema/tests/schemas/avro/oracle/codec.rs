//! The binary encoding, and reading with a reader's schema ("Data Serialization", "Schema Resolution").

use serde_json::Value;

use super::{Definition, Field, Type, Types, data::Data};

/// Writes a value of a type.
pub fn encode(types: &Types, kind: &Type, data: &Data, out: &mut Vec<u8>) {
    match (kind, data) {
        (Type::Null, Data::Null) => {}
        (Type::Boolean, Data::Boolean(truth)) => out.push(u8::from(*truth)),
        (Type::Int, Data::Int(number)) => zigzag(i64::from(*number), out),
        (Type::Long, Data::Long(number)) => zigzag(*number, out),
        (Type::Float, Data::Float(number)) => out.extend(number.to_le_bytes()),
        (Type::Double, Data::Double(number)) => out.extend(number.to_le_bytes()),
        (Type::Bytes, Data::Bytes(bytes)) => sized(bytes, out),
        (Type::String, Data::String(text)) => sized(text.as_bytes(), out),
        (Type::Array(items), Data::Array(list)) => {
            if !list.is_empty() {
                zigzag(i64::try_from(list.len()).unwrap(), out);
                for item in list {
                    encode(types, items, item, out);
                }
            }
            out.push(0);
        }
        (Type::Map(values), Data::Map(entries)) => {
            if !entries.is_empty() {
                zigzag(i64::try_from(entries.len()).unwrap(), out);
                for (key, value) in entries {
                    sized(key.as_bytes(), out);
                    encode(types, values, value, out);
                }
            }
            out.push(0);
        }
        (Type::Union(branches), Data::Union(index, data)) => {
            zigzag(i64::try_from(*index).unwrap(), out);
            encode(types, &branches[*index], data, out);
        }
        (Type::Named(name), data) => match (types.definition(name), data) {
            (Definition::Record(fields), Data::Record(values)) => {
                for (field, value) in fields.iter().zip(values) {
                    encode(types, &field.holds, value, out);
                }
            }
            (Definition::Enum { .. }, Data::Enum(index)) => zigzag(i64::try_from(*index).unwrap(), out),
            (Definition::Fixed(_), Data::Fixed(bytes)) => out.extend(bytes),
            other => panic!("{name} is not {other:?}"),
        },
        other => panic!("not a value of its type: {other:?}"),
    }
}

fn zigzag(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest > 0x7f {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
}

fn sized(bytes: &[u8], out: &mut Vec<u8>) {
    zigzag(i64::try_from(bytes.len()).unwrap(), out);
    out.extend(bytes);
}

/// Decodes data of the writer by the reader's schema. No bytes may be left.
pub fn decode(reader: &Types, writer: &Types, bytes: &[u8]) -> Result<Data, String> {
    let mut decoder = Decoder { reader, writer, bytes };
    let data = decoder.read(&reader.root, &writer.root)?;
    if decoder.bytes.is_empty() { Ok(data) } else { Err(format!("{} bytes are left", decoder.bytes.len())) }
}

struct Decoder<'a> {
    reader: &'a Types,
    writer: &'a Types,
    bytes: &'a [u8],
}

type Read<T> = Result<T, String>;

impl<'a> Decoder<'a> {
    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or("too few bytes")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn zigzag(&mut self) -> Read<i64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err("a number without end".to_owned())
    }

    fn sized(&mut self) -> Read<Vec<u8>> {
        let size = usize::try_from(self.zigzag()?).map_err(|wrong| wrong.to_string())?;
        Ok(self.take(size)?.to_vec())
    }

    fn read(&mut self, reader: &Type, writer: &Type) -> Read<Data> {
        // "if writer's is a union": resolve the branch that was written.
        if let Type::Union(branches) = writer {
            let index = usize::try_from(self.zigzag()?).map_err(|wrong| wrong.to_string())?;
            return self.read(reader, branches.get(index).ok_or("no such branch")?);
        }
        // "if reader's is a union, but writer's is not": the first schema that matches.
        if let Type::Union(branches) = reader {
            let index = branches.iter().position(|branch| self.matches(branch, writer));
            let index = index.ok_or_else(|| format!("no branch of {branches:?} matches {writer:?}"))?;
            return Ok(Data::Union(index, Box::new(self.read(&branches[index], writer)?)));
        }
        if !self.matches(reader, writer) {
            return Err(format!("{writer:?} is not {reader:?}"));
        }
        match (reader, writer) {
            (Type::Array(reader), Type::Array(writer)) => {
                let mut list = Vec::new();
                for _ in 0..self.zigzag()? {
                    list.push(self.read(reader, writer)?);
                }
                if !list.is_empty() {
                    self.zigzag()?;
                }
                Ok(Data::Array(list))
            }
            (Type::Map(reader), Type::Map(writer)) => {
                let mut entries = Vec::new();
                for _ in 0..self.zigzag()? {
                    let key = String::from_utf8(self.sized()?).map_err(|wrong| wrong.to_string())?;
                    entries.push((key, self.read(reader, writer)?));
                }
                if !entries.is_empty() {
                    self.zigzag()?;
                }
                Ok(Data::Map(entries))
            }
            (Type::Named(r), Type::Named(w)) => self.named(r, w),
            (reader, writer) => self.primitive(reader, writer),
        }
    }

    fn named(&mut self, r: &str, w: &str) -> Read<Data> {
        let (reader, writer) = (self.reader, self.writer);
        match (reader.definition(r), writer.definition(w)) {
            (Definition::Fixed(_), Definition::Fixed(size)) => Ok(Data::Fixed(self.take(*size)?.to_vec())),
            (Definition::Enum { symbols, default }, Definition::Enum { symbols: written, .. }) => {
                let index = usize::try_from(self.zigzag()?).map_err(|wrong| wrong.to_string())?;
                let symbol = written.get(index).ok_or("no such symbol")?;
                let known = |symbol: &String| symbols.iter().position(|known| known == symbol);
                let index = known(symbol).or_else(|| known(default.as_ref()?));
                Ok(Data::Enum(index.ok_or_else(|| format!("{symbol} is not in {r}"))?))
            }
            (Definition::Record(fields), Definition::Record(written)) => {
                let mut values: Vec<Option<Data>> = vec![None; fields.len()];
                // "the fields are in the order of the writer"; fields that the reader does not have are skipped.
                for field in written {
                    let wanted = fields.iter().position(|known| known.name == field.name);
                    let wanted = wanted.or_else(|| fields.iter().position(|known| known.aliases.contains(&field.name)));
                    if let Some(index) = wanted {
                        values[index] = Some(self.read(&fields[index].holds, &field.holds)?);
                    } else {
                        let mut skipping = Decoder { reader: writer, writer, bytes: self.bytes };
                        skipping.read(&field.holds, &field.holds)?;
                        self.bytes = skipping.bytes;
                    }
                }
                let filled = fields.iter().zip(values).map(|(field, value)| match value {
                    Some(value) => Ok(value),
                    None => self.default(field),
                });
                Ok(Data::Record(filled.collect::<Read<Vec<Data>>>()?))
            }
            _ => Err(format!("{w} is not {r}")),
        }
    }

    fn primitive(&mut self, reader: &Type, writer: &Type) -> Read<Data> {
        let data = match writer {
            Type::Null => Data::Null,
            Type::Boolean => Data::Boolean(self.take(1)?[0] == 1),
            Type::Int => Data::Int(i32::try_from(self.zigzag()?).map_err(|wrong| wrong.to_string())?),
            Type::Long => Data::Long(self.zigzag()?),
            Type::Float => Data::Float(f32::from_le_bytes(self.take(4)?.try_into().unwrap())),
            Type::Double => Data::Double(f64::from_le_bytes(self.take(8)?.try_into().unwrap())),
            Type::Bytes => Data::Bytes(self.sized()?),
            Type::String => Data::String(String::from_utf8(self.sized()?).map_err(|wrong| wrong.to_string())?),
            other => return Err(format!("{other:?} is not primitive")),
        };
        #[allow(clippy::cast_precision_loss)]
        Ok(match (reader, data) {
            (Type::Long, Data::Int(number)) => Data::Long(i64::from(number)),
            (Type::Float, Data::Int(number)) => Data::Float(number as f32),
            (Type::Float, Data::Long(number)) => Data::Float(number as f32),
            (Type::Double, Data::Int(number)) => Data::Double(f64::from(number)),
            (Type::Double, Data::Long(number)) => Data::Double(number as f64),
            (Type::Double, Data::Float(number)) => Data::Double(f64::from(number)),
            (Type::String, Data::Bytes(bytes)) => Data::String(String::from_utf8(bytes).map_err(|wrong| wrong.to_string())?),
            (Type::Bytes, Data::String(text)) => Data::Bytes(text.into_bytes()),
            (_, data) => data,
        })
    }

    /// "To match, one of the following must hold".
    #[allow(clippy::match_same_arms)]
    fn matches(&self, reader: &Type, writer: &Type) -> bool {
        match (reader, writer) {
            (Type::Union(_), _) | (_, Type::Union(_)) => true,
            (Type::Array(reader), Type::Array(writer)) | (Type::Map(reader), Type::Map(writer)) => self.matches(reader, writer),
            (Type::Named(r), Type::Named(w)) => {
                let simple = |name: &str| name.rsplit('.').next().unwrap().to_owned();
                let named = simple(r) == simple(w) || self.reader.named[r].aliases.contains(w);
                named
                    && match (self.reader.definition(r), self.writer.definition(w)) {
                        (Definition::Fixed(reader), Definition::Fixed(writer)) => reader == writer,
                        (Definition::Enum { .. }, Definition::Enum { .. }) | (Definition::Record(_), Definition::Record(_)) => true,
                        _ => false,
                    }
            }
            // "the writer's schema may be promoted to the reader's".
            (Type::Long, Type::Int)
            | (Type::Float, Type::Int | Type::Long)
            | (Type::Double, Type::Int | Type::Long | Type::Float)
            | (Type::String, Type::Bytes)
            | (Type::Bytes, Type::String) => true,
            (Type::Named(_) | Type::Array(_) | Type::Map(_), _) | (_, Type::Named(_)) => false,
            (reader, writer) => reader == writer,
        }
    }

    /// "if the reader's record schema has a field with a default value and the writer's doesn't have it".
    fn default(&self, field: &Field) -> Read<Data> {
        let default = field.default.as_ref().ok_or_else(|| format!("{} has no default", field.name))?;
        self.value(&field.holds, default).ok_or_else(|| format!("{default} is not a value of {}", field.name))
    }

    fn value(&self, kind: &Type, json: &Value) -> Option<Data> {
        #[allow(clippy::cast_possible_truncation)]
        Some(match (kind, json) {
            (Type::Null, Value::Null) => Data::Null,
            (Type::Boolean, Value::Bool(truth)) => Data::Boolean(*truth),
            (Type::Int, Value::Number(number)) => Data::Int(i32::try_from(number.as_i64()?).ok()?),
            (Type::Long, Value::Number(number)) => Data::Long(number.as_i64()?),
            (Type::Float, Value::Number(number)) => Data::Float(number.as_f64()? as f32),
            (Type::Double, Value::Number(number)) => Data::Double(number.as_f64()?),
            (Type::String, Value::String(text)) => Data::String(text.clone()),
            (Type::Bytes, Value::String(text)) => Data::Bytes(latin(text)?),
            (Type::Array(items), Value::Array(list)) => {
                Data::Array(list.iter().map(|item| self.value(items, item)).collect::<Option<_>>()?)
            }
            (Type::Map(values), Value::Object(object)) => {
                let entry = |(key, value): (&String, &Value)| Some((key.clone(), self.value(values, value)?));
                Data::Map(object.iter().map(entry).collect::<Option<_>>()?)
            }
            (Type::Union(branches), json) => {
                let branch = |(index, branch)| Some(Data::Union(index, Box::new(self.value(branch, json)?)));
                return branches.iter().enumerate().find_map(branch);
            }
            (Type::Named(name), json) => match (self.reader.definition(name), json) {
                (Definition::Enum { symbols, .. }, Value::String(symbol)) => Data::Enum(symbols.iter().position(|known| known == symbol)?),
                (Definition::Fixed(size), Value::String(text)) => Data::Fixed(latin(text).filter(|bytes| bytes.len() == *size)?),
                (Definition::Record(fields), Value::Object(object)) => {
                    let field = |field: &Field| match object.get(&field.name) {
                        Some(value) => self.value(&field.holds, value),
                        None => self.default(field).ok(),
                    };
                    Data::Record(fields.iter().map(field).collect::<Option<_>>()?)
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// Each byte becomes one code point.
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}
