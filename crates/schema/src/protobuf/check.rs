//! What a descriptor has to be before it is linked. Linking trusts what a compiler would never write, and prints a descriptor's
//! names as they are; both would be ways to get something else read than what was given.

use std::collections::HashMap;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use crate::InvalidSchema;

/// Deepest nesting of messages within messages, as protoc has it.
const MAX_DEPTH: usize = 31;
/// Longest name, in bytes, packages included; linking goes through all of its parts, again and again.
const MAX_NAME: usize = 1_000;
/// Most ranges (`reserved`, `extensions`) of one message or enum; every number is held against all of them.
const MAX_RANGES: usize = 2_000;

/// Refuses a descriptor that no compiler makes. `source` tells that it was parsed from source, where entries of maps are made
/// by the parser alone.
pub(super) fn sane(name: &str, file: &FileDescriptorProto, source: bool) -> Result<(), InvalidSchema> {
    let check = DescriptorCheck { file: name, source };
    check.dotted(file.package.as_deref().unwrap_or_default(), "the package")?;
    file.message_type.iter().try_for_each(|message| check.message(message, "", 0, &MapUses::new()))?;
    file.enum_type.iter().try_for_each(|values| check.enumeration(values, ""))?;
    file.extension.iter().try_for_each(|field| check.field(field, "an extension", 0))?;
    for service in &file.service {
        check.ident(service.name(), "a service")?;
        for method in &service.method {
            check.ident(method.name(), "a method")?;
            check.dotted(method.input_type(), "a request's type")?;
            check.dotted(method.output_type(), "a response's type")?;
        }
    }
    Ok(())
}

/// How many fields of a message are many of a type, by the last part of its name.
type MapUses<'a> = HashMap<&'a str, usize>;

fn uses_of(fields: &[FieldDescriptorProto]) -> MapUses<'_> {
    let mut uses = MapUses::new();
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

    fn short(&self, name: &str, what: &str) -> Result<(), InvalidSchema> {
        if name.len() <= MAX_NAME {
            return Ok(());
        }
        self.refuse(&format!("{what} has a name of more than {MAX_NAME} bytes; shorten it"))
    }

    fn ident(&self, name: &str, what: &str) -> Result<(), InvalidSchema> {
        self.short(name, what)?;
        let mut letters = name.chars();
        let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if begins && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            return Ok(());
        }
        self.refuse(&format!("{what} is named {name:?}; a name is letters, digits and underscores, and begins with no digit"))
    }

    /// A name with dots, or none at all.
    fn dotted(&self, name: &str, what: &str) -> Result<(), InvalidSchema> {
        if name.is_empty() {
            return Ok(());
        }
        self.short(name, what)?;
        name.strip_prefix('.').unwrap_or(name).split('.').try_for_each(|part| self.ident(part, what))
    }

    fn message(&self, message: &DescriptorProto, parent: &str, depth: usize, uses: &MapUses) -> Result<(), InvalidSchema> {
        if depth > MAX_DEPTH {
            return self.refuse(&format!("messages are nested deeper than {MAX_DEPTH} levels; take inner ones out to the file"));
        }
        self.ident(message.name(), "a message")?;
        let path = if parent.is_empty() { message.name().to_owned() } else { format!("{parent}.{}", message.name()) };
        self.entry(message, &path, uses)?;
        if message.reserved_range.len() + message.extension_range.len() + message.reserved_name.len() > MAX_RANGES {
            return self.refuse(&format!("message `{path}` has more than {MAX_RANGES} ranges; join those that follow each other"));
        }
        message.reserved_name.iter().try_for_each(|name| self.ident(name, "a reserved name"))?;
        for oneof in &message.oneof_decl {
            self.ident(oneof.name(), "a oneof")?;
        }
        message.field.iter().try_for_each(|field| self.field(field, &path, message.oneof_decl.len()))?;
        message.extension.iter().try_for_each(|field| self.field(field, &path, 0))?;
        message.enum_type.iter().try_for_each(|values| self.enumeration(values, &path))?;
        let uses = uses_of(&message.field);
        message.nested_type.iter().try_for_each(|nested| self.message(nested, &path, depth + 1, &uses))
    }

    fn field(&self, field: &FieldDescriptorProto, path: &str, oneofs: usize) -> Result<(), InvalidSchema> {
        self.ident(field.name(), "a field")?;
        self.dotted(field.type_name(), "a type")?;
        self.dotted(field.extendee(), "an extended message")?;
        let known =
            field.label.is_none_or(|label| Label::try_from(label).is_ok()) && field.r#type.is_none_or(|kind| Type::try_from(kind).is_ok());
        if !known || (field.type_name().is_empty() && field.r#type.is_none()) {
            return self.refuse(&format!("field `{}` of `{path}` has no type or label that is known", field.name()));
        }
        let named = matches!(field.r#type, None | Some(10 | 11 | 14));
        if named == field.type_name().is_empty() {
            return self.refuse(&format!("field `{}` of `{path}` has a type that doesn't fit its type's name", field.name()));
        }
        if field.oneof_index.is_some_and(|index| usize::try_from(index).map_or(true, |index| index >= oneofs)) {
            return self.refuse(&format!("field `{}` of `{path}` is of a oneof that isn't there", field.name()));
        }
        Ok(())
    }

    fn enumeration(&self, values: &EnumDescriptorProto, parent: &str) -> Result<(), InvalidSchema> {
        self.ident(values.name(), "an enum")?;
        if values.value.is_empty() {
            return self.refuse(&format!("enum `{}` of `{parent}` has no value; give it one", values.name()));
        }
        if values.reserved_range.len() + values.reserved_name.len() > MAX_RANGES {
            return self.refuse(&format!("enum `{}` has more than {MAX_RANGES} ranges; join those that follow each other", values.name()));
        }
        values.reserved_name.iter().try_for_each(|name| self.ident(name, "a reserved name"))?;
        values.value.iter().try_for_each(|value| self.ident(value.name(), "an enum's value"))
    }

    /// A message that is the entry of a map has a key, a value and the one field that it is made for.
    fn entry(&self, message: &DescriptorProto, path: &str, uses: &MapUses) -> Result<(), InvalidSchema> {
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
        self.refuse(&format!("message `{path}` claims to be the entry of a map and isn't one; write `map<…>` for the field instead"))
    }
}
