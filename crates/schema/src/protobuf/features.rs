//! Resolves the features of editions for a field, <https://protobuf.dev/editions/features/>.

use prost_reflect::{Cardinality, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor};

use super::link::LinkedFile;

/// `field_presence = LEGACY_REQUIRED`.
const REQUIRED: i32 = 3;
/// `message_encoding = DELIMITED`.
const DELIMITED: i32 = 2;

/// The properties of a field's encoding beyond its type, for any syntax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WireTraits {
    /// Data without the field can't be read.
    pub required: bool,
    /// A message is delimited by tags, like a group, instead of having a length prefix.
    pub delimited: bool,
}

/// Returns the traits of a field.
pub(super) fn field_traits(linked: &LinkedFile, field: &FieldDescriptor) -> WireTraits {
    let base = WireTraits { required: field.cardinality() == Cardinality::Required, delimited: field.is_group() };
    if field.is_map() || !linked.editions.contains(field.parent_file().name()) {
        return base;
    }
    let file = field.parent_file().options();
    apply_features(base, &field.options(), Some(field.parent_message().clone()), &file)
}

/// Returns the traits of an extension.
pub(super) fn extension_traits(linked: &LinkedFile, field: &ExtensionDescriptor) -> WireTraits {
    let base = WireTraits { required: field.cardinality() == Cardinality::Required, delimited: field.is_group() };
    if !linked.editions.contains(field.parent_file().name()) {
        return base;
    }
    let file = field.parent_file().options();
    apply_features(base, &field.options(), field.parent_message(), &file)
}

/// Applies features. The innermost declaration that sets a feature decides.
fn apply_features(base: WireTraits, own: &DynamicMessage, mut parent: Option<MessageDescriptor>, file: &DynamicMessage) -> WireTraits {
    let (mut presence, mut encoding) = (feature(own, "field_presence"), feature(own, "message_encoding"));
    while let Some(message) = parent {
        let options = message.options();
        presence = presence.or_else(|| feature(&options, "field_presence"));
        encoding = encoding.or_else(|| feature(&options, "message_encoding"));
        parent = message.parent_message();
    }
    presence = presence.or_else(|| feature(file, "field_presence"));
    encoding = encoding.or_else(|| feature(file, "message_encoding"));
    WireTraits { required: base.required || presence == Some(REQUIRED), delimited: base.delimited || encoding == Some(DELIMITED) }
}

fn feature(options: &DynamicMessage, name: &str) -> Option<i32> {
    let features = options.get_field_by_name("features")?;
    let features = features.as_message()?;
    if !features.has_field_by_name(name) {
        return None;
    }
    features.get_field_by_name(name)?.as_enum_number()
}
