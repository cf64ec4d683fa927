//! What contracts say of fields beside their types: `prism.options.v1`.

use prost_reflect::{DynamicMessage, ExtensionDescriptor, FieldDescriptor, OneofDescriptor, Value};

use crate::proto::options::v1::{ChoiceSchema, FieldSchema};

/// What a field may hold.
pub fn field(descriptor: &FieldDescriptor) -> FieldSchema {
    let Some(extension) = descriptor.parent_pool().get_extension_by_name("prism.options.v1.field") else { return FieldSchema::default() };
    read(&descriptor.options(), &extension)
}

/// Whether a member of a `oneof` must be set.
pub fn must_choose(descriptor: &OneofDescriptor) -> bool {
    let Some(extension) = descriptor.parent_pool().get_extension_by_name("prism.options.v1.choice") else { return false };
    read::<ChoiceSchema>(&descriptor.options(), &extension).required
}

fn read<M: prost::Message + Default>(options: &DynamicMessage, extension: &ExtensionDescriptor) -> M {
    match options.get_extension(extension).as_ref() {
        Value::Message(message) => message.transcode_to().unwrap_or_default(),
        _ => M::default(),
    }
}

/// Whether a request without the field is refused.
pub fn is_required(descriptor: &FieldDescriptor, schema: &FieldSchema) -> bool {
    schema.required || schema.min_length > 0 || (schema.positive && !descriptor.supports_presence())
}
