//! What stands in the way of reading with one file what was written with another.
//!
//! The rules are those of "Updating A Message Type", <https://protobuf.dev/programming-guides/proto3/#updating>, with what
//! registries add to them: a message may not go, and a field may not refer to another type. Only what stands in the way is
//! told; these changes are none:
//!
//! - another package, syntax, service, option, default, JSON name or name of a field, packed or not;
//! - fields, enums and their values that come or go, unless they are required. A value of a closed enum that the reader
//!   doesn't have is kept among the unknown fields;
//! - types that are alike on the wire: see [`field`];
//! - one field, alone, that moves into a oneof of its own; a oneof that goes as a whole, or has another name;
//! - a message that moves from the file into an import, or back, if it keeps its full name;
//! - a number or name that the writer had reserved: nothing that it wrote has it.

mod field;
mod oneof;

use std::collections::{HashSet, VecDeque};

use prost_reflect::{FieldDescriptor, MessageDescriptor};

use super::link::LinkedFile;
use crate::{Difference, MAX_DIFFERENCES};

/// All differences, in the order of the reader's text; behind them what the reader doesn't have.
pub(super) fn differences(reader: &LinkedFile, writer: &LinkedFile) -> Vec<Difference> {
    let mut compare = ProtobufComparison { reader, writer, found: Vec::new(), seen: HashSet::new(), next: VecDeque::new() };
    for message in reader.file.messages() {
        compare.declared(&message);
    }
    for message in writer.file.messages() {
        compare.removed(&message, &HashSet::new());
    }
    while let Some((reader, writer)) = compare.next.pop_front() {
        compare.messages(&reader, &writer);
    }
    compare.found
}

struct ProtobufComparison<'a> {
    reader: &'a LinkedFile,
    writer: &'a LinkedFile,
    found: Vec<Difference>,
    /// Pairs that were compared, or will be: types refer to each other in circles.
    seen: HashSet<(String, String)>,
    next: VecDeque<(MessageDescriptor, MessageDescriptor)>,
}

impl ProtobufComparison<'_> {
    fn found(&mut self, kind: &'static str, path: String, detail: &str, message: String) {
        if self.found.len() < MAX_DIFFERENCES {
            self.found.push(Difference { kind, path, message, detail: detail.to_owned() });
        }
    }

    fn full(&self) -> bool {
        self.found.len() >= MAX_DIFFERENCES
    }

    /// A message of the reader's file with its counterpart, and all messages within it.
    fn declared(&mut self, message: &MessageDescriptor) {
        if message.is_map_entry() {
            return;
        }
        if let Some(other) = counterpart(message, self.reader, self.writer) {
            self.messages(message, &other);
        }
        for inner in message.child_messages() {
            self.declared(&inner);
        }
    }

    /// A message of the writer's file: is it there still, here or in an import?
    /// `groups` are those of the message that it is in: they come and go with their fields.
    fn removed(&mut self, message: &MessageDescriptor, groups: &HashSet<String>) {
        if message.is_map_entry() || groups.contains(message.full_name()) {
            return;
        }
        let Some(kept) = counterpart(message, self.writer, self.reader) else {
            let local = local(self.writer, message.full_name());
            let path = format!("#/{}", local.replace('.', "/"));
            let text = format!(
                "message `{local}` is gone: data written as it can't be read; keep the message, or register the schema under another subject"
            );
            return self.found("MESSAGE_REMOVED", path, message.full_name(), text);
        };
        self.messages(&kept, message);
        let groups = message.fields().filter(FieldDescriptor::is_group);
        let groups = groups.filter_map(|field| Some(field.kind().as_message()?.full_name().to_owned())).collect();
        for inner in message.child_messages() {
            self.removed(&inner, &groups);
        }
    }

    /// Two messages of which data of the second is read as the first.
    fn messages(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor) {
        if self.full() || !self.seen.insert((reader.full_name().to_owned(), writer.full_name().to_owned())) {
            return;
        }
        let path = self.path(reader);
        let (fields, written) = (field::slots(self.reader, reader), field::slots(self.writer, writer));
        for (number, slot) in &fields {
            self.field(&format!("{path}/{number}"), slot, written.get(number));
        }
        for (number, slot) in written.iter().filter(|(number, slot)| slot.traits.required && !fields.contains_key(number)) {
            let text = format!(
                "required field `{}` with number {number} is gone: readers of older schemas refuse data without it; keep the field",
                slot.name
            );
            self.found("REQUIRED_FIELD_REMOVED", format!("{path}/{number}"), &slot.name, text);
        }
        self.oneofs(&path, &fields, &written);
    }

    /// Types that a field refers to are compared once, whichever fields refer to them.
    fn later(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor) {
        // Both are of the runtimes, which are those of this build on either side.
        if reader.parent_file().name().starts_with("google/protobuf/") && writer.parent_file().name() == reader.parent_file().name() {
            return;
        }
        if !self.seen.contains(&(reader.full_name().to_owned(), writer.full_name().to_owned())) {
            self.next.push_back((reader.clone(), writer.clone()));
        }
    }

    /// Whether two types have the same name, in full or in the packages of their files.
    fn same_name(&self, reader: &str, writer: &str) -> bool {
        reader == writer
            || (is_local(self.reader, reader) && is_local(self.writer, writer) && local(self.reader, reader) == local(self.writer, writer))
    }

    /// Where a message is: by its name in the package, or its full name if it is of another one.
    fn path(&self, message: &MessageDescriptor) -> String {
        if is_local(self.reader, message.full_name()) {
            format!("#/{}", local(self.reader, message.full_name()).replace('.', "/"))
        } else {
            format!("#/{}", message.full_name())
        }
    }
}

/// The message of the other side that has the same name: within the package, or else in full, wherever it is declared.
fn counterpart(message: &MessageDescriptor, own: &LinkedFile, other: &LinkedFile) -> Option<MessageDescriptor> {
    let pool = other.file.parent_pool();
    let renamed = super::names::joined(other.file.package_name(), local(own, message.full_name()));
    let found = pool.get_message_by_name(&renamed).or_else(|| pool.get_message_by_name(message.full_name()));
    found.filter(|found| !found.is_map_entry())
}

fn is_local(linked: &LinkedFile, full: &str) -> bool {
    let package = linked.file.package_name();
    package.is_empty() || full.strip_prefix(package).is_some_and(|rest| rest.starts_with('.'))
}

/// A name within the package of its file.
fn local<'a>(linked: &LinkedFile, full: &'a str) -> &'a str {
    full.strip_prefix(linked.file.package_name()).map_or(full, |rest| rest.trim_start_matches('.'))
}
