//! Validates a descriptor before it is linked. The linker trusts descriptors in a way that is safe only for the output of a compiler, and
//! the printer writes names unchanged. Without these checks, a crafted descriptor could mean something else than its text.

use std::collections::HashMap;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use crate::{InvalidSchema, budget::hold};

/// The maximum nesting depth of messages, as in protoc.
const MAX_DEPTH: usize = 31;
/// The maximum length of a name in bytes, including the package. The linker walks all parts of a name several times.
const MAX_NAME: usize = 1_000;
/// The number of copies of a full name that the linker keeps.
const NAME_COPIES: usize = 2;
/// The maximum number of ranges (`reserved`, `extensions`) of one message or enum. Every number is compared with all of them.
const MAX_RANGES: usize = 2_000;

/// Refuses a descriptor that no compiler creates. `source` says that it was parsed from source, where only the parser creates map entries.
pub(super) fn check_descriptor(name: &str, file: &FileDescriptorProto, source: bool) -> Result<(), InvalidSchema> {
    let check = DescriptorCheck { file: name, source };
    check.check_full_name(file.package.as_deref().unwrap_or_default(), "the package")?;
    file.message_type.iter().try_for_each(|message| check.check_message(message, "", 0, &RepeatedTypes::new()))?;
    file.enum_type.iter().try_for_each(|values| check.check_enum(values, ""))?;
    file.extension.iter().try_for_each(|field| check.check_field(field, "an extension", 0))?;
    for service in &file.service {
        check.check_identifier(service.name(), "a service")?;
        for method in &service.method {
            check.check_identifier(method.name(), "a method")?;
            check.check_full_name(method.input_type(), "a request's type")?;
            check.check_full_name(method.output_type(), "a response's type")?;
        }
    }
    Ok(())
}

/// The number of repeated fields of a message for each type, by the last part of the type's name.
type RepeatedTypes<'a> = HashMap<&'a str, usize>;

fn count_repeated_types(fields: &[FieldDescriptorProto]) -> RepeatedTypes<'_> {
    let mut uses = RepeatedTypes::new();
    for field in fields.iter().filter(|field| field.label() == Label::Repeated && field.r#type() != Type::Group) {
        *uses.entry(field.type_name().rsplit('.').next().unwrap_or_default()).or_default() += 1;
    }
    uses
}

struct DescriptorCheck<'a> {
    file: &'a str,
    source: bool,
}

impl DescriptorCheck<'_> {
    fn refuse<T>(&self, why: &str) -> Result<T, InvalidSchema> {
        Err(InvalidSchema::new(format!("{}: {why}", self.file)))
    }

    fn check_length(&self, name: &str, what: &str) -> Result<(), InvalidSchema> {
        if name.len() <= MAX_NAME {
            return Ok(());
        }
        self.refuse(&format!("{what} has a name of more than {MAX_NAME} bytes; shorten it"))
    }

    fn check_identifier(&self, name: &str, what: &str) -> Result<(), InvalidSchema> {
        self.check_length(name, what)?;
        let mut letters = name.chars();
        let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if begins && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            return Ok(());
        }
        self.refuse(&format!("{what} is named {name:?}; a name has letters, digits and underscores, and does not begin with a digit"))
    }

    /// Checks a name with dots. An empty name is valid.
    fn check_full_name(&self, name: &str, what: &str) -> Result<(), InvalidSchema> {
        if name.is_empty() {
            return Ok(());
        }
        self.check_length(name, what)?;
        name.strip_prefix('.').unwrap_or(name).split('.').try_for_each(|part| self.check_identifier(part, what))
    }

    fn check_message(&self, message: &DescriptorProto, parent: &str, depth: usize, uses: &RepeatedTypes) -> Result<(), InvalidSchema> {
        if depth > MAX_DEPTH {
            return self.refuse(&format!("messages are nested deeper than {MAX_DEPTH} levels; move inner messages to the top level"));
        }
        self.check_identifier(message.name(), "a message")?;
        let path = if parent.is_empty() { message.name().to_owned() } else { format!("{parent}.{}", message.name()) };
        self.check_map_entry(message, &path, uses)?;
        let values: usize = message.enum_type.iter().map(|values| 1 + values.value.len()).sum();
        let named = 1 + message.field.len() + message.extension.len() + message.oneof_decl.len() + values;
        hold(NAME_COPIES * named * path.len())?;
        if message.reserved_range.len() + message.extension_range.len() + message.reserved_name.len() > MAX_RANGES {
            return self.refuse(&format!("message `{path}` has more than {MAX_RANGES} ranges; join those that follow each other"));
        }
        message.reserved_name.iter().try_for_each(|name| self.check_identifier(name, "a reserved name"))?;
        for oneof in &message.oneof_decl {
            self.check_identifier(oneof.name(), "a oneof")?;
        }
        message.field.iter().try_for_each(|field| self.check_field(field, &path, message.oneof_decl.len()))?;
        message.extension.iter().try_for_each(|field| self.check_field(field, &path, 0))?;
        message.enum_type.iter().try_for_each(|values| self.check_enum(values, &path))?;
        let uses = count_repeated_types(&message.field);
        message.nested_type.iter().try_for_each(|nested| self.check_message(nested, &path, depth + 1, &uses))
    }

    fn check_field(&self, field: &FieldDescriptorProto, path: &str, oneofs: usize) -> Result<(), InvalidSchema> {
        self.check_identifier(field.name(), "a field")?;
        self.check_full_name(field.type_name(), "a type")?;
        self.check_full_name(field.extendee(), "an extended message")?;
        let known =
            field.label.is_none_or(|label| Label::try_from(label).is_ok()) && field.r#type.is_none_or(|kind| Type::try_from(kind).is_ok());
        if !known || (field.type_name().is_empty() && field.r#type.is_none()) {
            return self.refuse(&format!("field `{}` of `{path}` has an unknown type or label", field.name()));
        }
        let named = matches!(field.r#type, None | Some(10 | 11 | 14));
        if named == field.type_name().is_empty() {
            return self.refuse(&format!("field `{}` of `{path}` has a type that doesn't fit its type's name", field.name()));
        }
        if field.oneof_index.is_some_and(|index| usize::try_from(index).map_or(true, |index| index >= oneofs)) {
            return self.refuse(&format!("field `{}` of `{path}` belongs to a oneof that does not exist", field.name()));
        }
        Ok(())
    }

    fn check_enum(&self, values: &EnumDescriptorProto, parent: &str) -> Result<(), InvalidSchema> {
        self.check_identifier(values.name(), "an enum")?;
        if values.value.is_empty() {
            return self.refuse(&format!("enum `{}` of `{parent}` has no value; give it one", values.name()));
        }
        if values.reserved_range.len() + values.reserved_name.len() > MAX_RANGES {
            return self.refuse(&format!("enum `{}` has more than {MAX_RANGES} ranges; join those that follow each other", values.name()));
        }
        values.reserved_name.iter().try_for_each(|name| self.check_identifier(name, "a reserved name"))?;
        values.value.iter().try_for_each(|value| self.check_identifier(value.name(), "an enum's value"))
    }

    /// Checks that a map entry has a key, a value, and exactly one field that uses it.
    fn check_map_entry(&self, message: &DescriptorProto, path: &str, uses: &RepeatedTypes) -> Result<(), InvalidSchema> {
        let Some(options) = &message.options else { return Ok(()) };
        let written = options
            .uninterpreted_option
            .iter()
            .any(|option| matches!(option.name.as_slice(), [part] if part.name_part == "map_entry" && !part.is_extension));
        if written && self.source {
            return self.refuse(&format!("message `{path}` sets `map_entry`; write `map<…>` for the field instead"));
        }
        if options.map_entry != Some(true) {
            return Ok(());
        }
        let numbered = |index: usize, name: &str, number: i32| {
            message.field.get(index).is_some_and(|field| {
                field.name() == name && field.number() == number && field.label() == Label::Optional && field.oneof_index.is_none()
            })
        };
        let key = message.field.first().map(FieldDescriptorProto::r#type);
        let keyed = !matches!(key, None | Some(Type::Double | Type::Float | Type::Bytes | Type::Group | Type::Message | Type::Enum));
        let bare = message.nested_type.is_empty() && message.enum_type.is_empty() && message.extension.is_empty();
        let bare = bare && message.oneof_decl.is_empty() && message.extension_range.is_empty() && message.reserved_range.is_empty();
        if message.field.len() == 2
            && numbered(0, "key", 1)
            && numbered(1, "value", 2)
            && keyed
            && bare
            && uses.get(message.name()) == Some(&1)
        {
            return Ok(());
        }
        self.refuse(&format!("message `{path}` is marked as a map entry but isn't one; write `map<…>` for the field instead"))
    }
}
