//! Compares oneofs, <https://protobuf.dev/programming-guides/proto3/#backward>. A reader of a oneof keeps only the last of its fields that was
//! written.

use std::collections::{BTreeMap, BTreeSet};

use super::{ProtobufComparison, field::WireField};

type WireFields = BTreeMap<u32, WireField>;

/// Returns the field numbers of each oneof.
fn group_by_oneof(fields: &WireFields) -> BTreeMap<&str, Vec<u32>> {
    let mut oneofs: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (number, field) in fields {
        if let Some(oneof) = &field.oneof {
            oneofs.entry(oneof).or_default().push(*number);
        }
    }
    oneofs
}

impl ProtobufComparison<'_> {
    /// Compares the oneofs of a message.
    pub(super) fn compare_oneofs(&mut self, path: &str, fields: &WireFields, written: &WireFields) {
        let now = group_by_oneof(fields);
        for (name, members) in &now {
            self.check_merged_fields(path, name, members, written);
        }
        for (name, members) in group_by_oneof(written) {
            let renamed = || members.iter().find_map(|number| fields.get(number)?.oneof.as_deref());
            let Some(now) = Some(name).filter(|name| now.contains_key(name)).or_else(renamed) else { continue };
            for number in members {
                let field = fields.get(&number);
                if field.and_then(|field| field.oneof.as_deref()) == Some(now) {
                    continue;
                }
                let name = written.get(&number).map_or_else(String::new, |field| field.name.clone());
                let text = match field {
                    Some(_) => {
                        format!("field `{name}` with number {number} moves out of oneof `{now}`; keep it there, or use a new number")
                    }
                    None => format!(
                        "field `{name}` with number {number} is removed from oneof `{now}`: data that holds it is read as if nothing were set; \
                         keep the field and mark it deprecated"
                    ),
                };
                self.report("ONEOF_FIELD_REMOVED", format!("{path}/{number}"), &name, text);
            }
        }
    }

    /// Reports fields that are now in one oneof and could be set together before.
    fn check_merged_fields(&mut self, path: &str, name: &str, members: &[u32], written: &WireFields) {
        let before: Vec<&WireField> = members.iter().filter_map(|number| written.get(number)).collect();
        let oneofs: BTreeSet<&str> = before.iter().filter_map(|field| field.oneof.as_deref()).collect();
        let alone: Vec<&&WireField> = before.iter().filter(|field| field.oneof.is_none()).collect();
        let apart = oneofs.len() + alone.len();
        if apart < 2 {
            return;
        }
        let list = |slots: &[&&WireField]| slots.iter().map(|field| format!("`{}`", field.name)).collect::<Vec<_>>().join(", ");
        if let ([one], 1) = (alone.as_slice(), oneofs.len()) {
            let text = format!(
                "field `{}` with number {} moves into oneof `{name}`, which has other fields: data that holds both loses one; \
                 leave it out of the oneof",
                one.name, one.number
            );
            return self.report("FIELD_MOVED_TO_EXISTING_ONEOF", format!("{path}/{}", one.number), &one.name, text);
        }
        let all: Vec<&&WireField> = before.iter().collect();
        let text = format!(
            "fields {} are together in oneof `{name}` now: data that holds several of them loses all but the last; \
             leave all but one out of the oneof",
            list(if alone.len() > 1 { &alone } else { &all })
        );
        self.report("MULTIPLE_FIELDS_MOVED_TO_ONEOF", format!("{path}/{name}"), name, text);
    }
}
