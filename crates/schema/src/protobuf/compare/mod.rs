//! Finds the reasons why data written with one file can't be read with another.
//!
//! The rules are those of "Updating A Message Type", <https://protobuf.dev/programming-guides/proto3/#updating>, and three rules of schema
//! registries: the package stays, a message can't be removed, and a field can't refer to a type with another name. These changes are not
//! differences:
//!
//! - another syntax, service, option, default, JSON name, name of a field, or packing;
//! - added or removed fields, enums and enum values, unless they are required. A reader of a closed enum keeps unknown values among the
//!   unknown fields;
//! - types with the same encoding: see [`field`];
//! - a single field that moves into a new oneof; a oneof that is removed as a whole or renamed;
//! - a message that moves between the file and an import and keeps its full name;
//! - a field that refers to a type of the same name in another package, if data of one can be read as the other;
//! - a number or name that the writer had reserved: no data contains it.

mod field;
mod oneof;

use std::collections::{HashSet, VecDeque};

use prost_reflect::{FieldDescriptor, FileDescriptor, MessageDescriptor};

use super::link::LinkedFile;
use crate::{Difference, MAX_DIFFERENCES, TOO_COMPLEX, budget};

/// Returns the differences in the order of the reader's text, followed by removed declarations.
pub(super) fn differences(reader: &LinkedFile, writer: &LinkedFile) -> Vec<Difference> {
    let mut compare =
        ProtobufComparison { reader, writer, differences: Vec::new(), seen: HashSet::new(), next: VecDeque::new(), exceeded: false };
    compare.compare_packages();
    for message in reader.file.messages() {
        compare.compare_declared(&message);
    }
    for message in writer.file.messages() {
        compare.check_removed(&message, &HashSet::new());
    }
    while let Some((reader, writer)) = compare.next.pop_front() {
        compare.compare_messages(&reader, &writer);
    }
    if compare.exceeded {
        compare.differences.truncate(MAX_DIFFERENCES - 1);
        compare.differences.push(Difference {
            kind: TOO_COMPLEX,
            path: "#/".to_owned(),
            message: format!("the schemas are too complex to be compared: it takes more than {} steps; split them", budget::MAX_STEPS),
            detail: String::new(),
        });
    }
    compare.differences
}

/// The memory of a compared pair beside its names, in bytes.
const PAIR_BYTES: usize = 128;

struct ProtobufComparison<'a> {
    reader: &'a LinkedFile,
    writer: &'a LinkedFile,
    differences: Vec<Difference>,
    /// Pairs that were compared or are queued. Types can refer to each other in cycles.
    seen: HashSet<(String, String)>,
    next: VecDeque<(MessageDescriptor, MessageDescriptor)>,
    /// Whether the budget was exceeded.
    exceeded: bool,
}

impl ProtobufComparison<'_> {
    fn report(&mut self, kind: &'static str, path: String, detail: &str, message: String) {
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(Difference { kind, path, message, detail: detail.to_owned() });
        }
    }

    fn is_full(&self) -> bool {
        self.differences.len() >= MAX_DIFFERENCES
    }

    /// Compares the packages: with another package, every message has another full name.
    fn compare_packages(&mut self) {
        let (has, had) = (self.reader.file.package_name(), self.writer.file.package_name());
        if has != had {
            let show = |package: &str| if package.is_empty() { "none".to_owned() } else { format!("`{package}`") };
            let text = format!(
                "the package changes from {} to {}, so every message has another full name; keep the package, or register the schema under \
                 another subject",
                show(had),
                show(has)
            );
            self.report("PACKAGE_CHANGED", "#/".to_owned(), has, text);
        }
    }

    /// Compares a message of the reader's file with its counterpart, and all nested messages.
    fn compare_declared(&mut self, message: &MessageDescriptor) {
        if message.is_map_entry() {
            return;
        }
        if let Some(other) = counterpart(message, self.reader, self.writer) {
            self.compare_messages(message, &other);
        }
        for inner in message.child_messages() {
            self.compare_declared(&inner);
        }
    }

    /// Checks whether a message of the writer's file still exists, in the file or in an import. `groups` are the groups of the enclosing
    /// message: they are added and removed with their fields.
    fn check_removed(&mut self, message: &MessageDescriptor, groups: &HashSet<String>) {
        if message.is_map_entry() || groups.contains(message.full_name()) {
            return;
        }
        let Some(kept) = counterpart(message, self.writer, self.reader) else {
            let local = local_name(self.writer, message.full_name());
            let path = format!("#/{}", local.replace('.', "/"));
            let text = format!(
                "message `{local}` is removed: its data can't be read; keep the message, or register the schema under another subject"
            );
            return self.report("MESSAGE_REMOVED", path, message.full_name(), text);
        };
        self.compare_messages(&kept, message);
        let groups = message.fields().filter(FieldDescriptor::is_group);
        let groups = groups.filter_map(|field| Some(field.kind().as_message()?.full_name().to_owned())).collect();
        for inner in message.child_messages() {
            self.check_removed(&inner, &groups);
        }
    }

    /// Compares two messages: data of the second one is read as the first one.
    fn compare_messages(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor) {
        if self.is_full() || self.exceeded || !self.seen.insert((reader.full_name().to_owned(), writer.full_name().to_owned())) {
            return;
        }
        let steps = 4 + 8 * (reader.fields().len() + writer.fields().len());
        let bytes = PAIR_BYTES + 2 * (reader.full_name().len() + writer.full_name().len());
        if budget::spend(steps).and(budget::hold(bytes)).is_err() {
            self.exceeded = true;
            return;
        }
        let path = self.path(reader);
        let (fields, written) = (field::wire_fields(self.reader, reader), field::wire_fields(self.writer, writer));
        for (number, field) in &fields {
            self.compare_field(&format!("{path}/{number}"), field, written.get(number));
        }
        for (number, field) in written.iter().filter(|(number, field)| field.traits.required && !fields.contains_key(number)) {
            let text = format!(
                "required field `{}` with number {number} is removed: readers with older schemas refuse data without it; keep the field",
                field.name
            );
            self.report("REQUIRED_FIELD_REMOVED", format!("{path}/{number}"), &field.name, text);
        }
        self.compare_oneofs(&path, &fields, &written);
    }

    /// Queues the types of a field. Each pair is compared once, however many fields refer to it.
    fn compare_later(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor) {
        // Runtime files are those of this build for both sides.
        if reader.parent_file().name().starts_with("google/protobuf/") && writer.parent_file().name() == reader.parent_file().name() {
            return;
        }
        if !self.seen.contains(&(reader.full_name().to_owned(), writer.full_name().to_owned())) {
            self.next.push_back((reader.clone(), writer.clone()));
        }
    }

    /// Returns the path of a message: its name in the package, or its full name if it is in another package.
    fn path(&self, message: &MessageDescriptor) -> String {
        if is_local(self.reader, message.full_name()) {
            format!("#/{}", local_name(self.reader, message.full_name()).replace('.', "/"))
        } else {
            format!("#/{}", message.full_name())
        }
    }
}

/// Finds the message with the same name on the other side: relative to the package, or else by its full name in any file.
fn counterpart(message: &MessageDescriptor, own: &LinkedFile, other: &LinkedFile) -> Option<MessageDescriptor> {
    let pool = other.file.parent_pool();
    let renamed = super::names::join_name(other.file.package_name(), local_name(own, message.full_name()));
    let found = pool.get_message_by_name(&renamed).or_else(|| pool.get_message_by_name(message.full_name()));
    found.filter(|found| !found.is_map_entry())
}

/// Returns whether two types have the same name, in full or relative to the packages of their files.
fn same_name((file, reader): (&FileDescriptor, &str), (other, writer): (&FileDescriptor, &str)) -> bool {
    reader == writer || local_part(file.package_name(), reader) == local_part(other.package_name(), writer)
}

fn is_local(linked: &LinkedFile, full: &str) -> bool {
    let package = linked.file.package_name();
    package.is_empty() || full.strip_prefix(package).is_some_and(|rest| rest.starts_with('.'))
}

/// Returns a name relative to the package of its file.
fn local_name<'a>(linked: &LinkedFile, full: &'a str) -> &'a str {
    local_part(linked.file.package_name(), full)
}

fn local_part<'a>(package: &str, full: &'a str) -> &'a str {
    full.strip_prefix(package).map_or(full, |rest| rest.trim_start_matches('.'))
}
