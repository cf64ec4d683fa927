//! The naming style of edition 2024, <https://protobuf.dev/programming-guides/style/>.

use prost_types::{DescriptorProto, EnumDescriptorProto};

use super::{Checked, FileRules, features::own_features, refuse_if, set_number};
use crate::protobuf::edition::EDITION_2024;

/// `enforce_naming_style = STYLE2024`.
const STYLE_2024: i32 = 1;

fn is_title_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase()) && name.chars().all(|letter| letter.is_ascii_alphanumeric())
}

/// Returns whether words are in the right case, begin with a letter, and are joined by single underscores.
fn is_snake_case(name: &str, fits: fn(&char) -> bool) -> bool {
    name.split('_')
        .all(|word| word.starts_with(|first: char| fits(&first)) && word.chars().all(|letter| fits(&letter) || letter.is_ascii_digit()))
}

fn is_lower(name: &str) -> bool {
    is_snake_case(name, char::is_ascii_lowercase)
}

impl FileRules<'_> {
    /// Checks the names of all declarations, unless the file or a message opts out.
    pub(super) fn check_style(&self) -> Checked {
        let style = own_features(&self.linked.file.options()).and_then(|features| set_number(&features, "enforce_naming_style"));
        if self.edition().is_none_or(|edition| edition.number < EDITION_2024) || style.unwrap_or(STYLE_2024) != STYLE_2024 {
            return Ok(());
        }
        let file = self.linked.file.file_descriptor_proto();
        let package = file.package();
        refuse_if(!package.is_empty() && !package.split('.').all(is_lower), &[2], || {
            format!("edition 2024 wants lower case for the package `{package}`, or `features.enforce_naming_style = STYLE_LEGACY`")
        })?;
        file.message_type.iter().try_for_each(check_message_style)?;
        file.enum_type.iter().try_for_each(check_enum_style)?;
        for service in &file.service {
            check_style(service.name(), "service", is_title_case(service.name()))?;
            service.method.iter().try_for_each(|method| check_style(method.name(), "method", is_title_case(method.name())))?;
        }
        Ok(())
    }
}

fn check_message_style(message: &DescriptorProto) -> Checked {
    if message.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry) {
        return Ok(());
    }
    check_style(message.name(), "message", is_title_case(message.name()))?;
    message.field.iter().try_for_each(|field| check_style(field.name(), "field", is_lower(field.name())))?;
    message.oneof_decl.iter().try_for_each(|oneof| check_style(oneof.name(), "oneof", is_lower(oneof.name())))?;
    message.enum_type.iter().try_for_each(check_enum_style)?;
    // Recursion is limited by the depth of messages.
    message.nested_type.iter().try_for_each(check_message_style)
}

fn check_enum_style(values: &EnumDescriptorProto) -> Checked {
    check_style(values.name(), "enum", is_title_case(values.name()))?;
    let upper = |name: &str| is_snake_case(name, char::is_ascii_uppercase);
    values.value.iter().try_for_each(|value| check_style(value.name(), "value of an enum", upper(value.name())))
}

fn check_style(name: &str, what: &str, fits: bool) -> Checked {
    refuse_if(!fits, &[], || {
        format!(
            "the {what} `{name}` is not in the naming style of edition 2024; rename it, or set `features.enforce_naming_style = STYLE_LEGACY`"
        )
    })
}
