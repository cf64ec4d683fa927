//! What the features of editions say of a field, <https://protobuf.dev/editions/features/>.

use prost_reflect::{Cardinality, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor};

use super::link::LinkedFile;

/// `field_presence = LEGACY_REQUIRED`.
const REQUIRED: i32 = 3;
/// `message_encoding = DELIMITED`.
const DELIMITED: i32 = 2;

/// What a field of any syntax is on the wire, beyond its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WireTraits {
    /// Data without it can't be read.
    pub required: bool,
    /// A message is framed by tags, as a group is, and not by its length.
    pub delimited: bool,
}

/// Of a field.
pub(super) fn of_field(linked: &LinkedFile, field: &FieldDescriptor) -> WireTraits {
    let plain = WireTraits { required: field.cardinality() == Cardinality::Required, delimited: field.is_group() };
    if field.is_map() || !linked.editions.contains(field.parent_file().name()) {
        return plain;
    }
    let file = field.parent_file().options();
    resolved(plain, &field.options(), Some(field.parent_message().clone()), &file)
}

/// Of an extension.
pub(super) fn of_extension(linked: &LinkedFile, field: &ExtensionDescriptor) -> WireTraits {
    let plain = WireTraits { required: field.cardinality() == Cardinality::Required, delimited: field.is_group() };
    if !linked.editions.contains(field.parent_file().name()) {
        return plain;
    }
    let file = field.parent_file().options();
    resolved(plain, &field.options(), field.parent_message(), &file)
}

/// The innermost declaration that sets a feature decides it.
fn resolved(plain: WireTraits, own: &DynamicMessage, mut parent: Option<MessageDescriptor>, file: &DynamicMessage) -> WireTraits {
    let (mut presence, mut encoding) = (feature(own, "field_presence"), feature(own, "message_encoding"));
    while let Some(message) = parent {
        let options = message.options();
        presence = presence.or_else(|| feature(&options, "field_presence"));
        encoding = encoding.or_else(|| feature(&options, "message_encoding"));
        parent = message.parent_message();
    }
    presence = presence.or_else(|| feature(file, "field_presence"));
    encoding = encoding.or_else(|| feature(file, "message_encoding"));
    WireTraits { required: plain.required || presence == Some(REQUIRED), delimited: plain.delimited || encoding == Some(DELIMITED) }
}

fn feature(options: &DynamicMessage, name: &str) -> Option<i32> {
    let features = options.get_field_by_name("features")?;
    let features = features.as_message()?;
    if !features.has_field_by_name(name) {
        return None;
    }
    features.get_field_by_name(name)?.as_enum_number()
}
