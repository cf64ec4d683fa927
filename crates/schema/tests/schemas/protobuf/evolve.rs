//! Random Protobuf schemas and random changes, whose verdicts are compared with real data.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::{collection::vec, prelude::*};

use crate::protobuf::{
    cases, differences, schema,
    wire::{self, Dice},
};

const SCALARS: [&str; 15] = [
    "int32", "int64", "uint32", "uint64", "bool", "sint32", "sint64", "string", "bytes", "fixed32", "sfixed32", "fixed64", "sfixed64",
    "float", "double",
];
const KEYS: [&str; 5] = ["int32", "int64", "string", "bool", "sfixed32"];
const MESSAGES: usize = 3;

#[derive(Clone, Debug)]
struct Field {
    number: u32,
    name: String,
    kind: String,
    label: &'static str,
    oneof: Option<u8>,
}

#[derive(Clone, Debug)]
struct Model {
    package: &'static str,
    messages: Vec<Vec<Field>>,
    values: u8,
}

fn kind(number: u16) -> String {
    match number % 24 {
        at @ 0..15 => SCALARS[usize::from(at)].to_owned(),
        15 | 16 => "E".to_owned(),
        17 => "F".to_owned(),
        at @ 18..21 => format!("M{}", usize::from(at - 18) % MESSAGES),
        21 => format!("map<{}, {}>", KEYS[usize::from(number / 24) % KEYS.len()], SCALARS[usize::from(number / 200) % SCALARS.len()]),
        22 => format!("map<{}, M1>", KEYS[usize::from(number / 24) % KEYS.len()]),
        _ => format!("map<string, {}>", ["E", "F"][usize::from(number / 24) % 2]),
    }
}

fn label(number: u16) -> &'static str {
    ["", "", "optional ", "repeated "][usize::from(number % 4)]
}

impl Model {
    fn new(fields: &[(u16, u16, u16)]) -> Self {
        let mut model = Self { package: "a", messages: vec![Vec::new(); MESSAGES], values: 3 };
        for (number, (at, what, how)) in (1..).zip(fields) {
            model.add(*at, number, *what, *how);
        }
        model
    }

    fn add(&mut self, message: u16, number: u32, what: u16, how: u16) {
        let oneof = (how / 4).is_multiple_of(3).then_some(u8::from((how / 16).is_multiple_of(2)));
        let field = Field { number, name: format!("f{number}"), kind: kind(what), label: label(how), oneof };
        let count = self.messages.len();
        let Some(fields) = self.messages.get_mut(usize::from(message) % count) else { return };
        if fields.iter().all(|known| known.number != number && known.name != field.name) {
            fields.push(field);
        }
    }

    /// Applies one random change.
    fn change(&mut self, (what, at, how): (u8, u16, u16)) {
        let fresh = 1 + self.messages.iter().flatten().map(|field| field.number).max().unwrap_or(0);
        let count: usize = self.messages.iter().map(Vec::len).sum();
        match what {
            0 => self.add(at, fresh, how, how / 7),
            1 => self.values = 1 + how.to_le_bytes()[0] % 5,
            2 => self.package = ["a", "b", "a.b"][usize::from(how % 3)],
            3 => self.messages.iter_mut().for_each(|fields| fields.reverse()),
            4 if count > 0 => {
                let mut left = usize::from(at) % count;
                for fields in &mut self.messages {
                    if left < fields.len() {
                        fields.remove(left);
                        return;
                    }
                    left -= fields.len();
                }
            }
            _ => {
                let Some(field) = self.messages.iter_mut().flatten().nth(usize::from(at) % count.max(1)) else { return };
                match what {
                    5 => field.name = format!("g{}", field.number),
                    6 | 7 => field.kind = kind(how),
                    8 => field.label = label(how),
                    9 => field.oneof = Some(how.to_le_bytes()[0] % 2),
                    _ => field.oneof = None,
                }
            }
        }
    }

    fn text(&self) -> String {
        let single = |field: &&Field| !field.kind.starts_with("map") && field.label != "repeated ";
        let mut lines = vec![format!("syntax = \"proto3\"; package {};", self.package)];
        for (index, fields) in self.messages.iter().enumerate() {
            lines.push(format!("message M{index} {{"));
            for field in fields.iter().filter(|field| field.oneof.is_none() || !single(field)) {
                let label = if field.kind.starts_with("map") { "" } else { field.label };
                lines.push(format!("  {label}{} {} = {};", field.kind, field.name, field.number));
            }
            for oneof in 0..2 {
                let members: Vec<&Field> = fields.iter().filter(|field| field.oneof == Some(oneof)).filter(single).collect();
                if !members.is_empty() {
                    lines.push(format!("  oneof o{oneof} {{"));
                    lines.extend(members.iter().map(|field| format!("    {} {} = {};", field.kind, field.name, field.number)));
                    lines.push("  }".to_owned());
                }
            }
            lines.push("}".to_owned());
        }
        for name in ["E", "F"] {
            lines.push(format!("enum {name} {{"));
            lines.extend((0..self.values).map(|value| format!("  {name}{value} = {value};")));
            lines.push("}".to_owned());
        }
        lines.join("\n")
    }
}

fn fields() -> impl Strategy<Value = Vec<(u16, u16, u16)>> {
    vec((0..3_u16, any::<u16>(), any::<u16>()), 1..10)
}

fn changes(most: usize) -> impl Strategy<Value = Vec<(u8, u16, u16)>> {
    vec((0..11_u8, any::<u16>(), any::<u16>()), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, ..ProptestConfig::default() })]

    /// If a change is compatible, the reader gets the same data that was written.
    #[test]
    fn compatible_data_is_kept(fields in fields(), changes in changes(4), seed in any::<u64>()) {
        let old = Model::new(&fields);
        let mut new = old.clone();
        for change in changes {
            new.change(change);
        }
        let (old, new) = (old.text(), new.text());
        let (writer, reader) = (schema(&old), schema(&new));
        let (written, read) = (wire::file(&writer), wire::file(&reader));
        let differences_found = differences(reader, writer);
        if differences_found.is_empty() {
            let mut dice = Dice(seed);
            for (message, other) in written.messages().zip(read.messages()) {
                for _ in 0..8 {
                    let data = wire::random(&message, &mut dice, 2);
                    let preserved = wire::check_preserved(&data, &other);
                    prop_assert!(preserved.is_ok(), "{preserved:?}\n{old}\n{new}");
                }
            }
        }
    }

    /// A schema has no difference from itself, and all forms of its text are the same schema.
    #[test]
    fn random_schema_is_compatible_with_itself(fields in fields(), changes in changes(6)) {
        let mut model = Model::new(&fields);
        for change in changes {
            model.change(change);
        }
        let text = model.text();
        let first = schema(&text);
        let canonical = first.canonical();
        prop_assert_eq!(schema(&canonical).canonical(), canonical.clone());
        let serialized = first.render_as("serialized").expect("a shape of this format");
        prop_assert_eq!(schema(&serialized).canonical(), canonical.clone());
        prop_assert_eq!(schema(&canonical).render_as("serialized"), Some(serialized));
        let normalized = first.normalized();
        prop_assert_eq!(schema(&normalized).normalized(), normalized.clone());
        prop_assert_eq!(schema(&canonical).normalized(), normalized.clone());
        prop_assert!(differences(schema(&text), schema(&normalized)).is_empty());
        prop_assert!(differences(schema(&normalized), first).is_empty());
    }

    /// Parsing a mutated text must not panic.
    #[test]
    fn mutated_texts_are_read_or_refused(seed in any::<u64>(), case in any::<usize>(), cuts in 1..6_usize) {
        let texts = [include_str!("everything.proto"), crate::protobuf::texts::EDITION];
        let all: Vec<&str> = texts.into_iter().chain(cases::TYPES.iter().map(|case| case.1)).collect();
        let mut dice = Dice(seed);
        let mut chars: Vec<char> = all[case % all.len()].chars().collect();
        let pool: Vec<char> = "{}[]()<>;=\"'/*\n.,-0179 az_é\\".chars().collect();
        for _ in 0..cuts {
            let at = usize::try_from(dice.below(chars.len() as u64 + 1)).unwrap_or(0);
            let sign = pool[usize::try_from(dice.below(pool.len() as u64)).unwrap_or(0)];
            match dice.below(3) {
                0 if at < chars.len() => drop(chars.remove(at)),
                1 if at < chars.len() => chars[at] = sign,
                _ => chars.insert(at, sign),
            }
        }
        let text: String = chars.into_iter().collect();
        let given = crate::protobuf::given(&[("other.proto", crate::protobuf::texts::OTHER)]);
        if let Ok(read) = prism_schema::protobuf::ProtobufSchema::parse(&text, &given) {
            let canonical = read.canonical();
            let again = prism_schema::protobuf::ProtobufSchema::parse(&canonical, &given);
            prop_assert_eq!(again.map(|again| again.canonical()).map_err(|invalid| invalid.message), Ok(canonical));
        }
    }

    #[test]
    fn mutated_descriptors_are_read_or_refused(seed in any::<u64>(), edition in any::<bool>(), cuts in 1..6_usize) {
        let text = if edition { crate::protobuf::texts::EDITION } else { include_str!("everything.proto") };
        let given = crate::protobuf::given(&[("other.proto", crate::protobuf::texts::OTHER)]);
        let read = prism_schema::protobuf::ProtobufSchema::parse(text, &given).expect("a schema");
        let mut bytes = STANDARD.decode(read.render_as("serialized").expect("a shape of this format")).expect("base64");
        let mut dice = Dice(seed);
        for _ in 0..cuts {
            let at = usize::try_from(dice.below(bytes.len() as u64)).unwrap_or(0);
            bytes[at] = dice.roll().to_le_bytes()[0];
        }
        if let Ok(read) = prism_schema::protobuf::ProtobufSchema::parse(&STANDARD.encode(&bytes), &given) {
            let canonical = read.canonical();
            let again = prism_schema::protobuf::ProtobufSchema::parse(&canonical, &given);
            prop_assert_eq!(again.map(|again| again.canonical()).map_err(|invalid| invalid.message), Ok(canonical));
        }
    }
}

/// Pairs that are incompatible by the rules although no data of these tests shows it, with the reason.
const HARMLESS: [&str; 17] = [
    // These tests don't write extensions.
    "an extension becomes a field of another type",
    "an extension changes",
    // A single number is read as a list with one item; but an absent number is read as an empty list.
    "a number becomes many",
    // The codec of these tests does not support the message encoding of editions.
    "a file becomes delimited",
    // Registries compare the types, although the bytes are the same.
    "a message becomes bytes",
    "a map becomes a message",
    "a message becomes a map",
    "an enum becomes bool",
    "bool becomes an enum",
    "another message",
    "another enum",
    "a renamed message",
    "an inner type of the same name",
    "values are another message",
    "an enum of the package moves in",
    "a field moves out of a oneof",
    "a oneof becomes two",
];

/// For each incompatible pair, some data shows the incompatibility.
#[test]
fn incompatible_pairs_have_a_witness() {
    let mut without = Vec::new();
    for (name, old, new, expected) in [cases::FIELDS, cases::TYPES, cases::LABELS, cases::ONEOFS].concat() {
        let about = |kind: &&str| !kind.starts_with("REQUIRED") && !kind.starts_with("MESSAGE_REMOVED");
        if !expected.iter().any(about) {
            continue;
        }
        let own = |text: &str| {
            if text.starts_with("message") || text.starts_with("enum") { format!("syntax = \"proto3\"; {text}") } else { text.to_owned() }
        };
        let (writer, reader) = (wire::file(&schema(&own(old))), wire::file(&schema(&own(new))));
        let mut dice = Dice(7);
        let lost =
            writer.messages().chain(writer.messages().flat_map(|message| message.child_messages().collect::<Vec<_>>())).any(|message| {
                let Some(other) = reader.parent_pool().get_message_by_name(message.full_name()).filter(|_| !message.is_map_entry()) else {
                    return false;
                };
                (0..200).any(|_| wire::check_preserved(&wire::random(&message, &mut dice, 2), &other).is_err())
            });
        if !lost {
            without.push(name);
        }
    }
    without.retain(|name| !HARMLESS.contains(name));
    assert_eq!(without, Vec::<&str>::new());
}

/// Both verdicts occur often enough, so the properties above are not trivial.
#[test]
fn random_changes_are_sometimes_compatible_and_sometimes_not() {
    let mut dice = Dice(11);
    let mut three = || {
        let bytes = dice.roll().to_le_bytes();
        (u16::from_le_bytes([bytes[0], 0]), u16::from_le_bytes([bytes[2], bytes[3]]), u16::from_le_bytes([bytes[4], bytes[5]]))
    };
    let compatible = (0..200).filter(|_| {
        let old = Model::new(&(0..6).map(|_| three()).collect::<Vec<_>>());
        let mut new = old.clone();
        for (what, at, how) in [three(), three()] {
            new.change((what.to_le_bytes()[0] % 11, at, how));
        }
        differences(schema(&new.text()), schema(&old.text())).is_empty()
    });
    let compatible = compatible.count();
    assert!((40..160).contains(&compatible), "{compatible} of 200 are compatible");
}
