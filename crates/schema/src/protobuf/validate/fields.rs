//! Fields and their options.

use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, Kind};
use prost_types::{DescriptorProto, FieldDescriptorProto};

use super::{Checked, FileRules, is_true, refuse, refuse_if, set_number};
use crate::protobuf::edition::EDITION_2024;

/// `jstype = JS_NORMAL`.
const JS_NORMAL: i32 = 0;

impl FileRules<'_> {
    pub(super) fn check_field(&self, field: &FieldDescriptor) -> Checked {
        let path = field.path();
        let proto = field.field_descriptor_proto();
        let json = proto.json_name();
        refuse_if(json.starts_with('[') && json.ends_with(']'), path, || {
            "a `json_name` can't be in brackets, which mark extensions".to_owned()
        })?;
        let repeated = field.cardinality() == Cardinality::Repeated;
        refuse_if(repeated && proto.default_value.is_some(), path, || "a repeated field can't have a default".to_owned())?;
        if self.is_proto3() {
            refuse_if(field.cardinality() == Cardinality::Required, path, || "proto3 has no required fields".to_owned())?;
            refuse_if(proto.default_value.is_some(), path, || "proto3 has no defaults".to_owned())?;
            refuse_if(field.is_group(), path, || "proto3 has no groups".to_owned())?;
            let closed = field.kind().as_enum().is_some_and(|values| self.is_closed(values));
            refuse_if(closed, path, || "the enum is closed, and a field of proto3 needs an open one".to_owned())?;
        }
        self.check_field_options(path, &field.options(), &field.kind(), field.cardinality())?;
        self.check_field_features(path, &field.options(), &field.kind(), field.cardinality(), Some(field))
    }

    pub(super) fn check_field_options(&self, path: &[i32], options: &DynamicMessage, kind: &Kind, cardinality: Cardinality) -> Checked {
        let packable = cardinality == Cardinality::Repeated && !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_));
        if options.has_field_by_name("packed") {
            refuse_if(self.edition().is_some(), path, || {
                "editions have no option `packed`; use the feature `repeated_field_encoding`".to_owned()
            })?;
            refuse_if(is_true(options, "packed") && !packable, path, || {
                "only repeated numbers, booleans and enums can be packed".to_owned()
            })?;
        }
        for name in ["lazy", "unverified_lazy"] {
            refuse_if(is_true(options, name) && !matches!(kind, Kind::Message(_)), path, || format!("only messages can be `{name}`"))?;
        }
        let wide = matches!(kind, Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64);
        let jstype = set_number(options, "jstype").unwrap_or(JS_NORMAL);
        refuse_if(jstype != JS_NORMAL && !wide, path, || "`jstype` is for integers of 64 bits".to_owned())?;
        if self.edition().is_some_and(|edition| edition.number >= EDITION_2024) && options.has_field_by_name("ctype") {
            return refuse(path, "edition 2024 has no `ctype`; use the feature `(pb.cpp).string_type`");
        }
        Ok(())
    }

    /// Returns the field or extension at a path of the descriptor as it was parsed.
    pub(super) fn parsed_field(&self, path: &[i32]) -> Option<&FieldDescriptorProto> {
        let file = self.file.parsed.as_ref()?;
        let at = |index: i32| usize::try_from(index).ok();
        let [outer @ .., kind, index] = path else { return None };
        if outer.is_empty() {
            return file.extension.get(at(*index)?);
        }
        let mut message: Option<&DescriptorProto> = None;
        for pair in outer.chunks(2) {
            let [_, index] = pair else { return None };
            message = match message {
                None => file.message_type.get(at(*index)?),
                Some(message) => message.nested_type.get(at(*index)?),
            };
        }
        let message = message?;
        if *kind == 6 { message.extension.get(at(*index)?) } else { message.field.get(at(*index)?) }
    }
}
