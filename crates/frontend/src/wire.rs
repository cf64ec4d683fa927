//! The protobuf wire format: what transcoding needs of it, without a message type in between.
//!
//! Merging two encoded messages is concatenating them (protobuf encoding, "Last One Wins"). Binding leans on that: the
//! fragments of body, query and path are written one behind the other.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "the encoding defines integers by their two's complement bits"
)]

/// How a field's bytes are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// A variable-length integer.
    Varint = 0,
    /// Eight bytes, little endian.
    Fixed64 = 1,
    /// A length and so many bytes.
    Bytes = 2,
    /// Four bytes, little endian.
    Fixed32 = 5,
}

/// One value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A variable-length integer.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// String, bytes, message, or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// The bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Writes a variable-length integer.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes what stands before a value.
pub fn put_tag(out: &mut Vec<u8>, number: u32, wire: WireType) {
    put_varint(out, u64::from(number) << 3 | wire as u64);
}

/// Writes a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a length-delimited value whose length is known only when it is written: `write` appends, the length is put
/// before it afterwards.
pub fn put_sized<E>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let start = out.len();
    // Most nested values are short: one byte is kept free, and only longer lengths move the value.
    out.push(0);
    write(out)?;
    let mut length = (out.len() - start - 1) as u64;
    let mut at = start;
    while length >= 0x80 {
        out[at] = length as u8 | 0x80;
        length >>= 7;
        at += 1;
        out.insert(at, 0);
    }
    out[at] = length as u8;
    Ok(())
}

/// Writes a whole field as it was read, with a number of its own.
pub fn put_value(out: &mut Vec<u8>, number: u32, value: Value<'_>) {
    match value {
        Value::Varint(value) => {
            put_tag(out, number, WireType::Varint);
            put_varint(out, value);
        }
        Value::Fixed64(value) => {
            put_tag(out, number, WireType::Fixed64);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Bytes(bytes) => {
            put_tag(out, number, WireType::Bytes);
            put_bytes(out, bytes);
        }
        Value::Fixed32(value) => {
            put_tag(out, number, WireType::Fixed32);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// `sint32` and `sint64` are written so that small negative numbers stay short.
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The reverse of [`zigzag`].
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Signed integers as `int32`, `int64` and enums write them.
pub const fn signed(value: i64) -> u64 {
    value as u64
}

/// The reverse of [`signed`].
pub const fn unsigned(value: u64) -> i64 {
    value as i64
}

/// The low half, as parsers of 32-bit fields take it.
pub const fn low32(value: u64) -> u32 {
    value as u32
}

/// The low half with its sign.
pub const fn low32_signed(value: u64) -> i32 {
    value as i32
}

/// Reads the fields of a message, in the order in which they lie.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of these bytes.
    pub const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value; groups are passed over.
    pub fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let (number, kind) = self.tag()?;
            match kind {
                3 => self.skip_group(number)?,
                _ => return self.value(kind).map(|value| Some((number, value))),
            }
        }
    }

    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let tag = u32::try_from(varint(&mut self.rest)?).map_err(|_| Malformed)?;
        if tag >> 3 == 0 { Err(Malformed) } else { Ok((tag >> 3, (tag & 7) as u8)) }
    }

    fn value(&mut self, kind: u8) -> Result<Value<'a>, Malformed> {
        Ok(match kind {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(fixed64(&mut self.rest)?),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(fixed32(&mut self.rest)?),
            _ => return Err(Malformed),
        })
    }

    /// Groups are older than proto3 and unknown to it, but a parser must pass over them, also over nested ones.
    fn skip_group(&mut self, number: u32) -> Result<(), Malformed> {
        let mut open = vec![number];
        while let Some(current) = open.last().copied() {
            match self.tag()? {
                (inner, 3) => open.push(inner),
                (end, 4) if end == current => drop(open.pop()),
                (_, kind) => drop(self.value(kind)?),
            }
        }
        Ok(())
    }
}

/// Reads a variable-length integer off the front.
pub fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for (index, byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// Reads eight bytes off the front.
pub fn fixed64(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let (bytes, behind) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = behind;
    Ok(u64::from_le_bytes(*bytes))
}

/// Reads four bytes off the front.
pub fn fixed32(rest: &mut &[u8]) -> Result<u32, Malformed> {
    let (bytes, behind) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = behind;
    Ok(u32::from_le_bytes(*bytes))
}

/// The last value of a field, which is the one that counts for a singular field that is no message.
pub fn last(message: &[u8], number: u32) -> Result<Option<Value<'_>>, Malformed> {
    let mut found = None;
    let mut fields = Fields::of(message);
    while let Some((current, value)) = fields.field()? {
        if current == number {
            found = Some(value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_come_back(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(varint(&mut out.as_slice()), Ok(value));
        }

        #[test]
        fn zigzag_comes_back(value: i64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut fields = Fields::of(&bytes);
            while let Ok(Some(_)) = fields.field() {}
        }
    }

    #[test]
    fn lengths_of_all_sizes_are_put_before_their_values() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let (mut direct, mut sized) = (Vec::new(), Vec::new());
            let value = vec![7; length];
            put_bytes(&mut direct, &value);
            put_sized(&mut sized, |out| {
                out.extend_from_slice(&value);
                Ok::<_, Malformed>(())
            })
            .unwrap();
            assert!(direct == sized, "{length}");
        }
    }

    #[test]
    fn groups_are_passed_over_and_broken_ones_refused() {
        // 1: group { 2: varint 5, 3: group {} }, then 4: varint 9
        let message = [0x0b, 0x10, 5, 0x1b, 0x1c, 0x0c, 0x20, 9];
        assert_eq!(last(&message, 4), Ok(Some(Value::Varint(9))));
        assert_eq!(last(&[0x0b, 0x10, 5], 1), Err(Malformed));
        assert_eq!(last(&[0x0b, 0x14], 1), Err(Malformed));
    }
}
