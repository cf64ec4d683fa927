//! Oneofs, <https://protobuf.dev/programming-guides/proto3/#backward>: who reads one keeps the last of its fields that was
//! written, and loses the others.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::MessageDescriptor;

use super::{Compare, field::Slot};

type Slots = BTreeMap<u32, Slot>;

impl Compare<'_> {
    /// The oneofs of a message.
    pub(super) fn oneofs(&mut self, path: &str, fields: &Slots, written: &Slots, reader: &MessageDescriptor, writer: &MessageDescriptor) {
        for oneof in reader.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            self.moved(path, oneof.name(), &oneof.fields().map(|field| field.number()).collect::<Vec<_>>(), written);
        }
        for oneof in writer.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let members: BTreeSet<u32> = oneof.fields().map(|field| field.number()).collect();
            let kept = |name: &str| fields.values().any(|slot| slot.oneof.as_deref() == Some(name));
            let renamed = || members.iter().find_map(|number| fields.get(number)?.oneof.clone());
            let Some(now) = Some(oneof.name().to_owned()).filter(|name| kept(name)).or_else(renamed) else { continue };
            for number in members {
                let slot = fields.get(&number);
                if slot.and_then(|slot| slot.oneof.as_ref()) == Some(&now) {
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
    fn moved(&mut self, path: &str, name: &str, members: &[u32], written: &Slots) {
        let before: Vec<&Slot> = members.iter().filter_map(|number| written.get(number)).collect();
        let oneofs: BTreeSet<&str> = before.iter().filter_map(|slot| slot.oneof.as_deref()).collect();
        let alone: Vec<&&Slot> = before.iter().filter(|slot| slot.oneof.is_none()).collect();
        let apart = oneofs.len() + alone.len();
        if apart < 2 {
            return;
        }
        let list = |slots: &[&&Slot]| slots.iter().map(|slot| format!("`{}`", slot.name)).collect::<Vec<_>>().join(", ");
        if let ([one], 1) = (alone.as_slice(), oneofs.len()) {
            let text = format!(
                "field `{}` with number {} moves into oneof `{name}`, which has other fields: data that holds both loses one; \
                 leave it out of the oneof",
                one.name, one.number
            );
            return self.found("FIELD_MOVED_TO_EXISTING_ONEOF", format!("{path}/{}", one.number), &one.name, text);
        }
        let all: Vec<&&Slot> = before.iter().collect();
        let text = format!(
            "fields {} come together in oneof `{name}`: data that holds several of them loses all but the last; \
             leave all but one out of the oneof",
            list(if alone.len() > 1 { &alone } else { &all })
        );
        self.found("MULTIPLE_FIELDS_MOVED_TO_ONEOF", format!("{path}/{name}"), name, text);
    }
}
