//! Features of editions, <https://protobuf.dev/editions/features/>: where they may be set, and which values fit.

use prost_reflect::{Cardinality, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::{Checked, FileRules, refuse, refuse_if, set_number};

/// `json_format = LEGACY_BEST_EFFORT`.
pub(super) const JSON_LEGACY: i32 = 2;
const JSON_ALLOW: i32 = 1;
const EXPLICIT: i32 = 1;
const IMPLICIT: i32 = 2;
const REQUIRED: i32 = 3;
const CLOSED: i32 = 2;
const PACKED: i32 = 1;

/// Returns the features that options set.
pub(super) fn own_features(options: &DynamicMessage) -> Option<DynamicMessage> {
    let features = options.has_field_by_name("features").then(|| options.get_field_by_name("features"))??;
    features.as_message().cloned()
}

fn own_feature(options: &DynamicMessage, name: &str) -> Option<i32> {
    set_number(&own_features(options)?, name)
}

/// Returns a feature of a message, from the innermost declaration that sets it.
fn inherited_feature(message: Option<MessageDescriptor>, file: &DynamicMessage, name: &str) -> Option<i32> {
    let mut next = message;
    while let Some(message) = next {
        if let Some(number) = own_feature(&message.options(), name) {
            return Some(number);
        }
        next = message.parent_message();
    }
    own_feature(file, name)
}

impl FileRules<'_> {
    /// Returns whether an enum is closed, in whatever file it is.
    pub(super) fn is_closed(&self, values: &EnumDescriptor) -> bool {
        let file = values.parent_file();
        if self.linked.proto3.contains(file.name()) {
            return false;
        }
        if !self.linked.editions.contains(file.name()) {
            return true;
        }
        let own = own_feature(&values.options(), "enum_type");
        own.or_else(|| inherited_feature(values.parent_message(), &file.options(), "enum_type")) == Some(CLOSED)
    }

    pub(super) fn json_format(&self, message: &MessageDescriptor) -> i32 {
        if self.edition().is_none() {
            return if self.is_proto2() { JSON_LEGACY } else { JSON_ALLOW };
        }
        inherited_feature(Some(message.clone()), &self.linked.file.options(), "json_format").unwrap_or(JSON_ALLOW)
    }

    /// Checks the features of a field, or of an extension, which has no descriptor of a field.
    pub(super) fn check_field_features(
        &self,
        path: &[i32],
        options: &DynamicMessage,
        kind: &Kind,
        cardinality: Cardinality,
        field: Option<&FieldDescriptor>,
    ) -> Checked {
        let repeated = cardinality == Cardinality::Repeated;
        let in_oneof = field.and_then(FieldDescriptor::containing_oneof).is_some_and(|oneof| !oneof.is_synthetic());
        let is_message = matches!(kind, Kind::Message(_));
        if self.edition().is_none() {
            return Ok(());
        }
        let own = |name| own_feature(options, name);
        let parent = field.map(|field| field.parent_message().clone());
        let presence = own("field_presence").or_else(|| inherited_feature(parent, &self.linked.file.options(), "field_presence"));
        let presence = presence.unwrap_or(EXPLICIT);
        if let Some(own) = own("field_presence") {
            refuse_if(in_oneof, path, || "a field of a oneof can't set its presence".to_owned())?;
            refuse_if(repeated, path, || "a repeated field can't set its presence".to_owned())?;
            refuse_if(is_message && own == IMPLICIT, path, || "a message can't have implicit presence".to_owned())?;
            refuse_if(field.is_none(), path, || "an extension can't set its presence".to_owned())?;
            refuse_if(field.is_none() && own == REQUIRED, path, || "an extension can't be required".to_owned())?;
        }
        let singular = !repeated && !in_oneof && field.is_some() && !is_message;
        if singular && presence == IMPLICIT {
            let default = field.is_some_and(|field| field.field_descriptor_proto().default_value.is_some());
            refuse_if(default, path, || "a field with implicit presence can't have a default".to_owned())?;
            let closed = kind.as_enum().is_some_and(|values| self.is_closed(values));
            refuse_if(closed, path, || "a field with implicit presence needs an open enum".to_owned())?;
        }
        let map = field.filter(|field| field.is_map()).and_then(|_| kind.as_message().cloned());
        let entry = |field: FieldDescriptor| matches!(field.kind(), Kind::String);
        let has_text = matches!(kind, Kind::String) || map.as_ref().is_some_and(|map| map.fields().any(entry));
        refuse_if(own("utf8_validation").is_some() && !has_text, path, || "only strings can set `utf8_validation`".to_owned())?;
        if let Some(encoding) = own("repeated_field_encoding") {
            refuse_if(!repeated, path, || "only repeated fields can set `repeated_field_encoding`".to_owned())?;
            let packable = !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_));
            refuse_if(encoding == PACKED && !packable, path, || "only repeated numbers, booleans and enums can be packed".to_owned())?;
        }
        let framed = is_message && map.is_none();
        refuse_if(own("message_encoding").is_some() && !framed, path, || "only messages can set `message_encoding`".to_owned())
    }

    /// Checks the features that a file sets for all its declarations.
    pub(super) fn check_file_features(&self) -> Checked {
        let required = own_feature(&self.linked.file.options(), "field_presence") == Some(REQUIRED);
        refuse_if(required, &[], || "a file can't make all its fields required".to_owned())
    }

    /// Checks where features are set. `target` is the kind of declaration, `google.protobuf.FieldOptions.OptionTargetType`.
    pub(super) fn check_feature_targets(&self, path: &[i32], options: &DynamicMessage, target: i32) -> Checked {
        let Some(features) = own_features(options) else { return Ok(()) };
        if self.edition().is_none() {
            return refuse(path, "features need an edition");
        }
        self.check_targets(path, &features, target)?;
        for (_, value) in features.extensions() {
            if let Some(features) = value.as_message() {
                self.check_targets(path, features, target)?;
            }
        }
        Ok(())
    }

    fn check_targets(&self, path: &[i32], features: &DynamicMessage, target: i32) -> Checked {
        for (field, value) in features.fields() {
            let options = field.options();
            let targets = options.get_field_by_name("targets");
            let targets = targets.as_ref().and_then(|list| list.as_list()).unwrap_or_default();
            let fits = targets.is_empty() || targets.iter().any(|known| known.as_enum_number() == Some(target));
            refuse_if(!fits, path, || format!("the feature `{}` can't be set here", field.name()))?;
            refuse_if(value.as_enum_number() == Some(0), path, || format!("the feature `{}` has no known value", field.name()))?;
            self.check_support(path, &field, value)?;
        }
        Ok(())
    }
}
