//! Reads the options in contracts that describe fields, messages and methods: `prism.options.v1`.

use prost_reflect::{DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor, OneofDescriptor, Value};

use prism_call::proto::options::v1::{ChoiceSchema, ExclusiveFields, FieldSchema, MessageSchema, Precondition};

/// Returns the constraints of a field.
pub fn field(descriptor: &FieldDescriptor) -> FieldSchema {
    let Some(extension) = descriptor.parent_pool().get_extension_by_name("prism.options.v1.field") else { return FieldSchema::default() };
    read(&descriptor.options(), &extension)
}

/// Returns the groups of exclusive fields: their names, and whether one of them must be set.
pub fn choices(message: &MessageDescriptor) -> Vec<ExclusiveFields> {
    let pool = message.parent_pool();
    let mut choices = match pool.get_extension_by_name("prism.options.v1.message") {
        Some(extension) => read::<MessageSchema>(&message.options(), &extension).exclusive,
        None => Vec::new(),
    };
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let fields = oneof.fields().map(|field| field.name().to_owned()).collect();
        choices.push(ExclusiveFields { fields, required: must_choose(&oneof) });
    }
    choices
}

/// Returns whether one member of a `oneof` must be set.
pub fn must_choose(descriptor: &OneofDescriptor) -> bool {
    let Some(extension) = descriptor.parent_pool().get_extension_by_name("prism.options.v1.choice") else { return false };
    read::<ChoiceSchema>(&descriptor.options(), &extension).required
}

/// Returns which preconditions the routes of an RPC accept and which RPC checks them.
pub fn precondition(method: &MethodDescriptor) -> Option<Precondition> {
    let extension = method.parent_pool().get_extension_by_name("prism.options.v1.precondition")?;
    let options = method.options();
    options.has_extension(&extension).then(|| read(&options, &extension))
}

fn read<M: prost::Message + Default>(options: &DynamicMessage, extension: &ExtensionDescriptor) -> M {
    match options.get_extension(extension).as_ref() {
        Value::Message(message) => message.transcode_to().unwrap_or_default(),
        _ => M::default(),
    }
}

/// Returns whether a request without the field is refused.
pub fn is_required(descriptor: &FieldDescriptor) -> bool {
    let schema = field(descriptor);
    let zero_is_wrong = schema.min_length > 0 || (schema.positive && !descriptor.supports_presence() && !descriptor.is_list());
    let chosen = || choices(descriptor.parent_message()).iter().any(|choice| choice.fields.iter().any(|name| name == descriptor.name()));
    schema.required || (zero_is_wrong && !chosen())
}
