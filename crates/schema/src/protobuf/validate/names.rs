//! Names in JSON, and the scopes of names.

use std::collections::{HashMap, HashSet};

use prost_reflect::MessageDescriptor;

use super::{Checked, FileRules, features::JSON_LEGACY, is_true, refuse};
use crate::protobuf::names::{join_name, json_name};

impl FileRules<'_> {
    /// Checks that the fields of a message have different JSON names: the default ones, and those that fields set.
    pub(super) fn check_json_names(&self, message: &MessageDescriptor) -> Checked {
        let legacy = self.json_format(message) == JSON_LEGACY;
        let passes = if is_true(&message.options(), "deprecated_legacy_json_field_conflicts") { &[true][..] } else { &[false, true] };
        for custom_names in passes {
            let mut seen: HashMap<String, (String, bool)> = HashMap::new();
            for field in message.fields() {
                let default = json_name(field.name());
                let written = self.linked.json_names.get(&join_name(message.full_name(), field.name()));
                let written = written.cloned().unwrap_or_else(|| field.json_name().to_owned());
                let custom = *custom_names && written != default;
                let name = if custom { written } else { default };
                let Some((other, other_custom)) = seen.insert(name.clone(), (field.name().to_owned(), custom)) else { continue };
                let (all_default, involves_default) = (!custom && !other_custom, !custom || !other_custom);
                if *custom_names && all_default || legacy && involves_default {
                    continue;
                }
                return refuse(
                    field.path(),
                    format!(
                        "fields `{other}` and `{}` both have the name `{name}` in JSON; rename one, or give it a `json_name`",
                        field.name()
                    ),
                );
            }
        }
        Ok(())
    }

    /// Checks that no method hides the type of a request or response: a name is looked up in the scope of the method first.
    pub(super) fn check_methods(&self) -> Checked {
        let Some(parsed) = &self.file.parsed else { return Ok(()) };
        for (at, service) in parsed.service.iter().enumerate() {
            let names: HashSet<&str> = service.method.iter().map(prost_types::MethodDescriptorProto::name).collect();
            for (index, method) in service.method.iter().enumerate() {
                for name in [method.input_type(), method.output_type()] {
                    if names.contains(name) {
                        let path = [6, i32::try_from(at).unwrap_or_default(), 2, i32::try_from(index).unwrap_or_default()];
                        return refuse(&path, format!("`{name}` is a method here and not a message; write the full name of the message"));
                    }
                }
            }
        }
        Ok(())
    }
}
