//! Extensions and imports.

use std::collections::{HashMap, HashSet};

use prost_reflect::{Cardinality, ExtensionDescriptor, Kind, MessageDescriptor};

use super::{Checked, FileRules, declarations::check_extension_declaration, is_true, refuse, refuse_if};
use crate::protobuf::{names::json_name, wellknown::OPTIONS};

/// `optimize_for = LITE_RUNTIME`.
const LITE: i32 = 3;

/// The numbers of extensions, by the full name of the extended message.
type ExtensionNumbers = HashMap<String, HashSet<u32>>;

/// Notes the numbers of the extensions in a message. Recursion is limited by the depth of messages.
fn take_numbers(message: &MessageDescriptor, taken: &mut ExtensionNumbers) -> Checked {
    message.child_extensions().try_for_each(|field| take_number(&field, taken))?;
    message.child_messages().try_for_each(|nested| take_numbers(&nested, taken))
}

fn take_number(field: &ExtensionDescriptor, taken: &mut ExtensionNumbers) -> Checked {
    let extended = field.containing_message();
    let is_new = match taken.get_mut(extended.full_name()) {
        Some(numbers) => numbers.insert(field.number()),
        None => taken.insert(extended.full_name().to_owned(), HashSet::from([field.number()])).is_none(),
    };
    refuse_if(!is_new, field.path(), || {
        format!("`{}` has another extension with the number {}; use another number", extended.full_name(), field.number())
    })
}

impl FileRules<'_> {
    pub(super) fn check_extension(&self, field: &ExtensionDescriptor) -> Checked {
        let path = field.path();
        let extended = field.containing_message();
        refuse_if(field.cardinality() == Cardinality::Required, path, || "an extension can't be required".to_owned())?;
        refuse_if(self.is_proto3() && extended.parent_file().name() != OPTIONS, path, || {
            "proto3 has extensions for options only".to_owned()
        })?;
        let message_set = is_true(&extended.options(), "message_set_wire_format");
        refuse_if(message_set && (field.is_list() || !matches!(field.kind(), Kind::Message(_))), path, || {
            "an extension of a message set is an optional message".to_owned()
        })?;
        let custom_json =
            self.parsed_field(path).is_some_and(|parsed| !parsed.json_name().is_empty() && parsed.json_name() != json_name(parsed.name()));
        refuse_if(custom_json, path, || "an extension can't have a `json_name`".to_owned())?;
        check_extension_declaration(field)?;
        self.check_field_options(path, &field.options(), &field.kind(), field.cardinality())?;
        self.check_field_features(path, &field.options(), &field.kind(), field.cardinality(), None)
    }

    /// Checks that the extensions of a message have different numbers. protoc doesn't compare the extensions of several files.
    pub(super) fn check_extension_numbers(&self) -> Checked {
        let file = &self.linked.file;
        let mut taken = ExtensionNumbers::new();
        file.extensions().try_for_each(|field| take_number(&field, &mut taken))?;
        file.messages().try_for_each(|message| take_numbers(&message, &mut taken))
    }

    pub(super) fn check_message_set(&self, message: &MessageDescriptor) -> Checked {
        if !is_true(&message.options(), "message_set_wire_format") {
            return Ok(());
        }
        refuse_if(self.is_proto3(), message.path(), || "proto3 has no message sets".to_owned())?;
        refuse_if(message.fields().len() > 0, message.path(), || "a message set has no fields, only extensions".to_owned())
    }

    /// Checks that a file for the full runtime imports none for the lite runtime.
    pub(super) fn check_imports(&self) -> Checked {
        let is_lite = |options: &prost_reflect::DynamicMessage| super::set_number(options, "optimize_for") == Some(LITE);
        let file = &self.linked.file;
        if is_lite(&file.options()) {
            return Ok(());
        }
        let pool = file.parent_pool();
        for (path, _) in &self.linked.imports {
            if pool.get_file_by_name(path).is_some_and(|import| is_lite(&import.options())) {
                return refuse(&[], format!("\"{path}\" is for the lite runtime (`optimize_for`), and this file is not"));
            }
        }
        Ok(())
    }
}
