//! Declarations of extension ranges: which extensions a message may get.

use std::collections::HashSet;

use prost_reflect::{DynamicMessage, ExtensionDescriptor, Kind, MessageDescriptor, Value};

use super::{Checked, is_true, refuse, refuse_if, set_number};
use crate::{
    budget::{BudgetExceeded, spend},
    protobuf::wellknown::OPTIONS,
};

/// `verification = DECLARATION` and `UNVERIFIED`.
const DECLARATION: i32 = 0;
const UNVERIFIED: i32 = 1;

/// A declared extension.
struct ExtensionDeclaration {
    number: Option<i32>,
    full_name: Option<String>,
    type_name: Option<String>,
    reserved: bool,
    repeated: bool,
}

fn declarations(options: &DynamicMessage) -> Vec<ExtensionDeclaration> {
    let list = options.get_field_by_name("declaration");
    let list = list.as_ref().and_then(|list| list.as_list()).unwrap_or_default();
    let read = |declaration: &DynamicMessage| {
        let set = |name: &str| declaration.has_field_by_name(name).then(|| declaration.get_field_by_name(name)).flatten();
        let text = |name: &str| set(name).and_then(|value| value.as_str().map(str::to_owned));
        ExtensionDeclaration {
            number: set("number").and_then(|number| number.as_i32()),
            full_name: text("full_name"),
            type_name: text("type"),
            reserved: is_true(declaration, "reserved"),
            repeated: is_true(declaration, "repeated"),
        }
    };
    list.iter().filter_map(|declaration| declaration.as_message().map(read)).collect()
}

/// Returns the options of the extension ranges of a message.
pub(super) fn range_options(message: &MessageDescriptor) -> Result<Vec<DynamicMessage>, BudgetExceeded> {
    Ok(ranges(message)?.into_iter().map(|(_, options)| options).collect())
}

/// Checks the declarations of a message's extension ranges.
pub(super) fn check_declarations(message: &MessageDescriptor) -> Checked {
    let path = message.path();
    let (mut numbers, mut names) = (HashSet::new(), HashSet::new());
    for ((start, end), options) in ranges(message)? {
        let declared = declarations(&options);
        refuse_if(!declared.is_empty() && set_number(&options, "verification") == Some(UNVERIFIED), path, || {
            "an extension range with declarations can't be UNVERIFIED".to_owned()
        })?;
        for ExtensionDeclaration { number, full_name, type_name, reserved, .. } in declared {
            let Some(number) = number else { return refuse(path, "a declaration of an extension lacks its `number`") };
            refuse_if(number < start || number >= end, path, || format!("the declared extension {number} is not in its range"))?;
            refuse_if(!numbers.insert(number), path, || format!("the extension {number} is declared twice"))?;
            let (Some(full_name), Some(type_name)) = (&full_name, &type_name) else {
                let fits = reserved && full_name.is_none() && type_name.is_none();
                refuse_if(!fits, path, || format!("the declared extension {number} needs both `full_name` and `type`"))?;
                continue;
            };
            refuse_if(!is_absolute(full_name), path, || format!("the `full_name` of the declared extension {number} starts with a dot"))?;
            let known = is_absolute(type_name) || SCALARS.contains(&type_name.as_str());
            refuse_if(!known, path, || format!("the `type` of the declared extension {number} is a scalar or starts with a dot"))?;
            refuse_if(!names.insert(full_name.clone()), path, || format!("the extension `{full_name}` is declared twice"))?;
        }
    }
    Ok(())
}

/// Checks an extension against the declaration of its range.
pub(super) fn check_extension_declaration(field: &ExtensionDescriptor) -> Checked {
    // protoc leaves the declarations of its own options to its authors.
    if field.containing_message().parent_file().name() == OPTIONS {
        return Ok(());
    }
    let number = i32::try_from(field.number()).unwrap_or(i32::MAX);
    let found = ranges(&field.containing_message())?.into_iter().find(|((start, end), _)| (*start..*end).contains(&number));
    let Some((_, options)) = found else { return Ok(()) };
    let (path, declared) = (field.path(), declarations(&options));
    spend(declared.len())?;
    let verified = set_number(&options, "verification") == Some(DECLARATION) || !declared.is_empty();
    let Some(one) = declared.iter().find(|one| one.number == Some(number)) else {
        return refuse_if(verified, path, || format!("the message doesn't declare an extension with the number {number}"));
    };
    refuse_if(one.reserved, path, || format!("the extension number {number} is reserved"))?;
    let full_name = format!(".{}", field.full_name());
    let name_fits = one.full_name.as_ref().is_none_or(|name| *name == full_name);
    refuse_if(!name_fits, path, || format!("the extension {number} is declared with another name"))?;
    let own_type = match field.kind() {
        Kind::Message(message) => format!(".{}", message.full_name()),
        Kind::Enum(values) => format!(".{}", values.full_name()),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    let type_fits = one.type_name.as_ref().is_none_or(|name| *name == own_type);
    refuse_if(!type_fits, path, || format!("the extension {number} is declared with another type"))?;
    refuse_if(one.repeated != field.is_list(), path, || format!("the extension {number} is declared with another label"))
}

const SCALARS: [&str; 15] = [
    "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "bytes", "uint32", "sfixed32", "sfixed64",
    "sint32", "sint64",
];

/// Returns whether a name starts with a dot and has only identifiers.
fn is_absolute(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    name.strip_prefix('.').is_some_and(|name| name.split('.').all(part))
}

/// Start, end and options of an extension range.
type RangeOptions = ((i32, i32), DynamicMessage);

/// Returns the extension ranges of a message that have options. They are read from the whole file, since descriptors don't have them.
fn ranges(message: &MessageDescriptor) -> Result<Vec<RangeOptions>, BudgetExceeded> {
    let proto = message.descriptor_proto();
    if proto.extension_range.iter().all(|range| range.options.is_none()) {
        return Ok(Vec::new());
    }
    let encoded = message.parent_file().encode_to_vec();
    spend(encoded.len() / 2)?;
    let decoded = || {
        let kind = message.parent_pool().get_message_by_name("google.protobuf.FileDescriptorProto")?;
        let mut node = DynamicMessage::decode(kind, encoded.as_slice()).ok()?;
        for step in message.path().chunks(2) {
            let [field, index] = step else { return None };
            let list = node.get_field_by_number(u32::try_from(*field).ok()?)?.into_owned();
            node = list.as_list()?.get(usize::try_from(*index).ok()?)?.as_message()?.clone();
        }
        let list = node.get_field_by_name("extension_range")?.into_owned();
        let options = |range: &Value| Some(range.as_message()?.get_field_by_name("options")?.as_message()?.clone());
        Some(list.as_list()?.iter().map(options).collect::<Vec<_>>())
    };
    let options = decoded().unwrap_or_default();
    let ranges = proto.extension_range.iter().map(|range| (range.start(), range.end()));
    Ok(ranges.zip(options).filter_map(|(range, options)| Some((range, options?))).collect())
}
