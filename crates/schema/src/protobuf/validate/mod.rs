//! Checks the rules of Protobuf that the linker doesn't check, as protoc does. One module for each group of rules.
//!
//! Only the file itself is checked. What it imports was checked when it was registered.

mod declarations;
mod enums;
mod extensions;
mod features;
mod fields;
mod names;
mod options;
mod ranges;
mod style;
mod visibility;

use prost_reflect::{DynamicMessage, EnumDescriptor, MessageDescriptor};

use super::{
    edition::Edition,
    link::LinkedFile,
    read::{ProtoFile, Syntax},
};
use crate::{
    InvalidSchema,
    budget::{BudgetExceeded, spend},
};

/// Why a file is invalid: a path in the descriptor, and what is wrong there.
pub(super) struct RuleViolation {
    path: Vec<i32>,
    message: String,
}

impl From<BudgetExceeded> for RuleViolation {
    fn from(exceeded: BudgetExceeded) -> Self {
        Self { path: Vec::new(), message: exceeded.to_string() }
    }
}

/// The outcome of a check.
type Checked = Result<(), RuleViolation>;

/// Refuses a declaration.
fn refuse<T>(path: &[i32], message: impl Into<String>) -> Result<T, RuleViolation> {
    Err(RuleViolation { path: path.to_vec(), message: message.into() })
}

/// Refuses a declaration if a condition holds.
fn refuse_if(condition: bool, path: &[i32], message: impl FnOnce() -> String) -> Checked {
    if condition { refuse(path, message()) } else { Ok(()) }
}

/// A file that is checked.
struct FileRules<'a> {
    file: &'a ProtoFile,
    linked: &'a LinkedFile,
}

impl FileRules<'_> {
    fn is_proto3(&self) -> bool {
        self.linked.syntax == Syntax::Proto3
    }

    fn is_proto2(&self) -> bool {
        self.linked.syntax == Syntax::Proto2
    }

    fn edition(&self) -> Option<Edition> {
        match self.linked.syntax {
            Syntax::Edition(edition) => Some(edition),
            Syntax::Proto2 | Syntax::Proto3 => None,
        }
    }

    fn check_messages(&self, messages: impl Iterator<Item = MessageDescriptor>) -> Checked {
        for message in messages {
            spend(8 + 8 * message.fields().len())?;
            if message.is_map_entry() {
                continue;
            }
            self.check_message(&message)?;
            message.child_enums().try_for_each(|values| self.check_enum(&values))?;
            message.child_extensions().try_for_each(|field| self.check_extension(&field))?;
            // Recursion is limited by the depth of messages.
            self.check_messages(message.child_messages())?;
        }
        Ok(())
    }

    fn check_message(&self, message: &MessageDescriptor) -> Checked {
        self.check_message_ranges(message)?;
        self.check_json_names(message)?;
        declarations::check_declarations(message)?;
        self.check_message_set(message)?;
        message.fields().try_for_each(|field| self.check_field(&field))
    }

    fn check_enum(&self, values: &EnumDescriptor) -> Checked {
        spend(8 + 8 * values.values().len())?;
        self.check_enum_values(values)?;
        ranges::check_enum_ranges(values)
    }
}

/// Checks a linked file.
pub(super) fn validate(file: &ProtoFile, linked: &LinkedFile) -> Result<(), InvalidSchema> {
    check(&FileRules { file, linked }).map_err(|RuleViolation { path, message }| match file.describe_declaration(&path) {
        Some(position) => InvalidSchema::new(format!("{position}: {message}")),
        None => InvalidSchema::new(message),
    })
}

fn check(rules: &FileRules) -> Checked {
    let file = &rules.linked.file;
    rules.check_imports()?;
    rules.check_all_options()?;
    rules.check_extension_numbers()?;
    rules.check_messages(file.messages())?;
    file.enums().try_for_each(|values| rules.check_enum(&values))?;
    file.extensions().try_for_each(|field| rules.check_extension(&field))?;
    rules.check_methods()?;
    rules.check_visibility()?;
    rules.check_style()
}

/// Returns the number of an enum's value in a message, if it is set.
fn set_number(message: &DynamicMessage, field: &str) -> Option<i32> {
    message.has_field_by_name(field).then(|| message.get_field_by_name(field)?.as_enum_number()).flatten()
}

/// Returns whether a message has a boolean that is set to true.
fn is_true(message: &DynamicMessage, field: &str) -> bool {
    message.get_field_by_name(field).and_then(|value| value.as_bool()) == Some(true)
}
