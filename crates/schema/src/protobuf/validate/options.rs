//! Options of all declarations: features, editions that have them, and required fields.

use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage as _, Value};

use super::{Checked, FileRules, declarations::range_options, refuse, refuse_if};

/// `google.protobuf.FieldOptions.OptionTargetType`.
mod target {
    pub const FILE: i32 = 1;
    pub const EXTENSION_RANGE: i32 = 2;
    pub const MESSAGE: i32 = 3;
    pub const FIELD: i32 = 4;
    pub const ONEOF: i32 = 5;
    pub const ENUM: i32 = 6;
    pub const ENUM_ENTRY: i32 = 7;
    pub const SERVICE: i32 = 8;
    pub const METHOD: i32 = 9;
}

impl FileRules<'_> {
    /// Checks the options of all declarations of the file.
    pub(super) fn check_all_options(&self) -> Checked {
        let file = &self.linked.file;
        self.check_options(&[], &file.options(), target::FILE)?;
        self.check_file_features()?;
        refuse_if(self.edition().is_some() && file.options().has_field_by_name("java_string_check_utf8"), &[], || {
            "editions have no `java_string_check_utf8`; use the feature `(pb.java).utf8_validation`".to_owned()
        })?;
        file.messages().try_for_each(|message| self.check_message_options(&message))?;
        file.enums().try_for_each(|values| self.check_enum_options(&values))?;
        file.extensions().try_for_each(|field| self.check_options(field.path(), &field.options(), target::FIELD))?;
        for service in file.services() {
            self.check_options(service.path(), &service.options(), target::SERVICE)?;
            service.methods().try_for_each(|method| self.check_options(method.path(), &method.options(), target::METHOD))?;
        }
        Ok(())
    }

    fn check_message_options(&self, message: &MessageDescriptor) -> Checked {
        if message.is_map_entry() {
            return Ok(());
        }
        self.check_options(message.path(), &message.options(), target::MESSAGE)?;
        message.fields().try_for_each(|field| self.check_options(field.path(), &field.options(), target::FIELD))?;
        message.oneofs().try_for_each(|oneof| self.check_options(oneof.path(), &oneof.options(), target::ONEOF))?;
        message.child_extensions().try_for_each(|field| self.check_options(field.path(), &field.options(), target::FIELD))?;
        for options in range_options(message)? {
            self.check_options(message.path(), &options, target::EXTENSION_RANGE)?;
        }
        message.child_enums().try_for_each(|values| self.check_enum_options(&values))?;
        // Recursion is limited by the depth of messages.
        message.child_messages().try_for_each(|nested| self.check_message_options(&nested))
    }

    fn check_enum_options(&self, values: &prost_reflect::EnumDescriptor) -> Checked {
        self.check_options(values.path(), &values.options(), target::ENUM)?;
        values.values().try_for_each(|value| self.check_options(value.path(), &value.options(), target::ENUM_ENTRY))
    }

    fn check_options(&self, path: &[i32], options: &DynamicMessage, target: i32) -> Checked {
        self.check_feature_targets(path, options, target)?;
        for (field, value) in options.fields() {
            check_target(path, &field.options(), field.name(), target)?;
            self.check_support(path, &field, value)?;
        }
        for (extension, value) in options.extensions() {
            check_target(path, &extension.options(), extension.full_name(), target)?;
            check_required(path, value, extension.full_name())?;
        }
        Ok(())
    }

    /// Checks that the edition of the file has an option and its value.
    pub(super) fn check_support(&self, path: &[i32], field: &FieldDescriptor, value: &Value) -> Checked {
        const PROTO2: i32 = 998;
        let edition = self.edition().map_or(PROTO2 + i32::from(self.is_proto3()), |edition| edition.number);
        check_supported(path, &field.options(), field.name(), edition)?;
        let named = field.kind().as_enum().and_then(|values| values.get_value(value.as_enum_number()?));
        named.map_or(Ok(()), |named| check_supported(path, &named.options(), named.name(), edition))
    }
}

/// Checks that an option may be set on this kind of declaration.
fn check_target(path: &[i32], options: &DynamicMessage, name: &str, target: i32) -> Checked {
    let targets = options.get_field_by_name("targets");
    let targets = targets.as_ref().and_then(|list| list.as_list()).unwrap_or_default();
    let fits = targets.is_empty() || targets.iter().any(|known| known.as_enum_number() == Some(target));
    refuse_if(!fits, path, || format!("the option `{name}` can't be set here"))
}

fn check_supported(path: &[i32], options: &DynamicMessage, name: &str, edition: i32) -> Checked {
    let Some(support) = options.has_field_by_name("feature_support").then(|| options.get_field_by_name("feature_support")).flatten() else {
        return Ok(());
    };
    let Some(support) = support.as_message() else { return Ok(()) };
    let introduced = super::set_number(support, "edition_introduced");
    refuse_if(introduced.is_some_and(|introduced| introduced > edition), path, || format!("`{name}` needs a later edition"))?;
    let removed = super::set_number(support, "edition_removed");
    refuse_if(removed.is_some_and(|removed| removed <= edition), path, || format!("`{name}` is no longer there in this edition"))
}

/// Checks that the messages in an option have all their required fields. Recursion is limited by the depth of options.
fn check_required(path: &[i32], value: &Value, name: &str) -> Checked {
    match value {
        Value::Message(message) => {
            for field in message.descriptor().fields() {
                if field.cardinality() == Cardinality::Required && !message.has_field(&field) {
                    return refuse(path, format!("the option `{name}` lacks the required field `{}`", field.name()));
                }
            }
            message.fields().try_for_each(|(_, value)| check_required(path, value, name))
        }
        Value::List(list) => list.iter().try_for_each(|value| check_required(path, value, name)),
        Value::Map(map) => map.values().try_for_each(|value| check_required(path, value, name)),
        _ => Ok(()),
    }
}
