//! Reads and writes the protobuf wire format without message structs.
//!
//! Concatenating two encoded messages merges them (protobuf encoding, "Last One Wins"). Binding relies on that: it writes the fragments of
//! body, query and path one after another.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "the encoding defines integers by their two's complement bits"
)]

/// The wire type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// A variable-length integer.
    Varint = 0,
    /// Eight bytes, little endian.
    Fixed64 = 1,
    /// A length, followed by that many bytes.
    Bytes = 2,
    /// Four bytes, little endian.
    Fixed32 = 5,
}

/// An encoded value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WireValue<'a> {
    /// A variable-length integer.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// String, bytes, message, or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// The bytes are not a valid message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Appends a variable-length integer.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the tag of a field: number and wire type.
pub fn put_tag(out: &mut Vec<u8>, number: u32, wire: WireType) {
    put_varint(out, u64::from(number) << 3 | wire as u64);
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a length-delimited value whose length is not known in advance: `write` appends the value, then the length is inserted before it.
pub fn put_sized<E>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let start = out.len();
    // Most nested values are short, so one byte is reserved for the length. A longer length moves the value.
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

/// Appends a field with a value that was read from another message.
pub fn put_value(out: &mut Vec<u8>, number: u32, value: WireValue<'_>) {
    match value {
        WireValue::Varint(value) => {
            put_tag(out, number, WireType::Varint);
            put_varint(out, value);
        }
        WireValue::Fixed64(value) => {
            put_tag(out, number, WireType::Fixed64);
            out.extend_from_slice(&value.to_le_bytes());
        }
        WireValue::Bytes(bytes) => {
            put_tag(out, number, WireType::Bytes);
            put_bytes(out, bytes);
        }
        WireValue::Fixed32(value) => {
            put_tag(out, number, WireType::Fixed32);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Encodes `sint32` and `sint64`, so that small negative numbers are short.
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The reverse of [`zigzag`].
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Encodes `int32`, `int64` and enum values.
pub const fn signed(value: i64) -> u64 {
    value as u64
}

/// The reverse of [`signed`].
pub const fn unsigned(value: u64) -> i64 {
    value as i64
}

/// Truncates to 32 bits, as parsers of 32-bit fields do.
pub const fn low32(value: u64) -> u32 {
    value as u32
}

/// Truncates to 32 bits, signed.
pub const fn low32_signed(value: u64) -> i32 {
    value as i32
}

/// Reads the fields of a message in wire order.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Reads the fields of these bytes.
    pub const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Returns the number and the value of the next field. Skips groups.
    pub fn field(&mut self) -> Result<Option<(u32, WireValue<'a>)>, Malformed> {
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

    fn value(&mut self, kind: u8) -> Result<WireValue<'a>, Malformed> {
        Ok(match kind {
            0 => WireValue::Varint(varint(&mut self.rest)?),
            1 => WireValue::Fixed64(fixed64(&mut self.rest)?),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                WireValue::Bytes(bytes)
            }
            5 => WireValue::Fixed32(fixed32(&mut self.rest)?),
            _ => return Err(Malformed),
        })
    }

    /// Skips a group, with nested groups. proto3 has no groups, but parsers must skip them.
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

/// Consumes a variable-length integer.
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

/// Consumes eight bytes.
pub fn fixed64(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let (bytes, behind) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = behind;
    Ok(u64::from_le_bytes(*bytes))
}

/// Consumes four bytes.
pub fn fixed32(rest: &mut &[u8]) -> Result<u32, Malformed> {
    let (bytes, behind) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = behind;
    Ok(u32::from_le_bytes(*bytes))
}

/// Returns the last value of a field, which is the effective one for a singular field of a scalar type.
pub fn last(message: &[u8], number: u32) -> Result<Option<WireValue<'_>>, Malformed> {
    let mut found = None;
    let mut fields = Fields::of(message);
    while let Some((current, value)) = fields.field()? {
        if current == number {
            found = Some(value);
        }
    }
    Ok(found)
}

/// Returns all values of a field, in their order.
pub fn all(message: &[u8], number: u32) -> Result<Vec<WireValue<'_>>, Malformed> {
    let mut found = Vec::new();
    let mut fields = Fields::of(message);
    while let Some((current, value)) = fields.field()? {
        if current == number {
            found.push(value);
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
        fn varints_round_trip(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(varint(&mut out.as_slice()), Ok(value));
        }

        #[test]
        fn zigzag_round_trips(value: i64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }

        #[test]
        fn arbitrary_bytes_are_parsed_or_refused(bytes: Vec<u8>) {
            let mut fields = Fields::of(&bytes);
            while let Ok(Some(_)) = fields.field() {}
        }
    }

    #[test]
    fn lengths_of_all_sizes_are_inserted_before_values() {
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
    fn groups_are_skipped_and_malformed_groups_are_refused() {
        // 1: group { 2: varint 5, 3: group {} }, then 4: varint 9
        let message = [0x0b, 0x10, 5, 0x1b, 0x1c, 0x0c, 0x20, 9];
        assert_eq!(last(&message, 4), Ok(Some(WireValue::Varint(9))));
        assert_eq!(last(&[0x0b, 0x10, 5], 1), Err(Malformed));
        assert_eq!(last(&[0x0b, 0x14], 1), Err(Malformed));
    }
}
