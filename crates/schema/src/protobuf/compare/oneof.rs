//! Oneofs, <https://protobuf.dev/programming-guides/proto3/#backward>: who reads one keeps the last of its fields that was
//! written, and loses the others.

use std::collections::{BTreeMap, BTreeSet};

use super::{ProtobufComparison, field::WireField};

type WireFields = BTreeMap<u32, WireField>;

/// The fields of each oneof.
fn oneofs(slots: &WireFields) -> BTreeMap<&str, Vec<u32>> {
    let mut oneofs: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (number, slot) in slots {
        if let Some(oneof) = &slot.oneof {
            oneofs.entry(oneof).or_default().push(*number);
        }
    }
    oneofs
}

impl ProtobufComparison<'_> {
    /// The oneofs of a message.
    pub(super) fn oneofs(&mut self, path: &str, fields: &WireFields, written: &WireFields) {
        let now = oneofs(fields);
        for (name, members) in &now {
            self.moved(path, name, members, written);
        }
        for (name, members) in oneofs(written) {
            let renamed = || members.iter().find_map(|number| fields.get(number)?.oneof.as_deref());
            let Some(now) = Some(name).filter(|name| now.contains_key(name)).or_else(renamed) else { continue };
            for number in members {
                let slot = fields.get(&number);
                if slot.and_then(|slot| slot.oneof.as_deref()) == Some(now) {
                    continue;
                }
                let name = written.get(&number).map_or_else(String::new, |slot| slot.name.clone());
                let text = match slot {
                    Some(_) => {
                        format!("field `{name}` with number {number} moves out of oneof `{now}`; keep it there, or use a new number")
                    }
                    None => format!(
                        "field `{name}` with number {number} is gone from oneof `{now}`: data that holds it is read as if nothing were set; \
                         keep the field and mark it deprecated"
                    ),
                };
                self.found("ONEOF_FIELD_REMOVED", format!("{path}/{number}"), &name, text);
            }
        }
    }

    /// Fields that come together in a oneof could have been written together.
    fn moved(&mut self, path: &str, name: &str, members: &[u32], written: &WireFields) {
        let before: Vec<&WireField> = members.iter().filter_map(|number| written.get(number)).collect();
        let oneofs: BTreeSet<&str> = before.iter().filter_map(|slot| slot.oneof.as_deref()).collect();
        let alone: Vec<&&WireField> = before.iter().filter(|slot| slot.oneof.is_none()).collect();
        let apart = oneofs.len() + alone.len();
        if apart < 2 {
            return;
        }
        let list = |slots: &[&&WireField]| slots.iter().map(|slot| format!("`{}`", slot.name)).collect::<Vec<_>>().join(", ");
        if let ([one], 1) = (alone.as_slice(), oneofs.len()) {
            let text = format!(
                "field `{}` with number {} moves into oneof `{name}`, which has other fields: data that holds both loses one; \
                 leave it out of the oneof",
                one.name, one.number
            );
            return self.found("FIELD_MOVED_TO_EXISTING_ONEOF", format!("{path}/{}", one.number), &one.name, text);
        }
        let all: Vec<&&WireField> = before.iter().collect();
        let text = format!(
            "fields {} come together in oneof `{name}`: data that holds several of them loses all but the last; \
             leave all but one out of the oneof",
            list(if alone.len() > 1 { &alone } else { &all })
        );
        self.found("MULTIPLE_FIELDS_MOVED_TO_ONEOF", format!("{path}/{name}"), name, text);
    }
}
