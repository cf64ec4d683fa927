//! Reserved ranges and names, and extension ranges.

use std::collections::HashSet;

use prost_reflect::{EnumDescriptor, MessageDescriptor};

use super::{Checked, FileRules, refuse, refuse_if};

/// A range with an inclusive end, and what it is.
struct NumberRange {
    start: i32,
    end: i32,
    kind: &'static str,
}

/// Checks that ranges are not empty and don't overlap.
fn check_ranges(mut ranges: Vec<NumberRange>, path: &[i32]) -> Checked {
    if let Some(range) = ranges.iter().find(|range| range.start > range.end) {
        return refuse(path, format!("the {} {} to {} ends before it starts", range.kind, range.start, range.end));
    }
    ranges.sort_by_key(|range| range.start);
    for pair in ranges.windows(2) {
        if let [one, other] = pair
            && other.start <= one.end
        {
            return refuse(
                path,
                format!("the {} {} to {} overlaps with the {} {} to {}", other.kind, other.start, other.end, one.kind, one.start, one.end),
            );
        }
    }
    Ok(())
}

/// Checks that each name is reserved once, and that nothing uses it.
fn check_names<'a>(reserved: &[String], used: impl Iterator<Item = &'a str>, path: &[i32]) -> Checked {
    let mut known = HashSet::new();
    if let Some(twice) = reserved.iter().find(|name| !known.insert(name.as_str())) {
        return refuse(path, format!("the name `{twice}` is reserved twice"));
    }
    for name in used {
        refuse_if(known.contains(name), path, || format!("the name `{name}` is reserved"))?;
    }
    Ok(())
}

impl FileRules<'_> {
    pub(super) fn check_message_ranges(&self, message: &MessageDescriptor) -> Checked {
        let proto = message.descriptor_proto();
        let reserved = proto.reserved_range.iter().map(|range| (range.start(), range.end(), "reserved range"));
        let extensions = proto.extension_range.iter().map(|range| (range.start(), range.end(), "extension range"));
        let ranges: Vec<_> =
            reserved.chain(extensions).map(|(start, end, kind)| NumberRange { start, end: end.saturating_sub(1), kind }).collect();
        refuse_if(ranges.iter().any(|range| range.start <= 0), message.path(), || "the numbers of ranges start at 1".to_owned())?;
        check_ranges(ranges, message.path())?;
        check_names(&proto.reserved_name, proto.field.iter().map(prost_types::FieldDescriptorProto::name), message.path())?;
        refuse_if(self.is_proto3() && !proto.extension_range.is_empty(), message.path(), || {
            "proto3 has no extension ranges; use proto2 or an edition".to_owned()
        })
    }
}

/// Checks the reserved ranges and names of an enum.
pub(super) fn check_enum_ranges(values: &EnumDescriptor) -> Checked {
    let proto = values.enum_descriptor_proto();
    let ranges = proto.reserved_range.iter().map(|range| NumberRange { start: range.start(), end: range.end(), kind: "reserved range" });
    check_ranges(ranges.collect(), values.path())?;
    check_names(&proto.reserved_name, proto.value.iter().map(prost_types::EnumValueDescriptorProto::name), values.path())
}
