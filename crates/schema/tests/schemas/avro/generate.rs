//! Random schemas and random changes, both derived from a list of numbers. A shorter list gives a simpler schema, so proptest can shrink
//! a failure.

use serde_json::{Value, json};

/// The source of random choices. After the last number, each choice is 0, which is always the simplest one.
pub struct Choices<'a> {
    numbers: &'a [u32],
}

impl<'a> Choices<'a> {
    pub fn new(numbers: &'a [u32]) -> Self {
        Self { numbers }
    }

    pub fn over(&self) -> bool {
        self.numbers.is_empty()
    }

    pub fn below(&mut self, limit: usize) -> usize {
        let Some((first, rest)) = self.numbers.split_first() else { return 0 };
        self.numbers = rest;
        *first as usize % limit
    }

    fn one<'b, T>(&mut self, options: &'b [T]) -> &'b T {
        &options[self.below(options.len())]
    }
}

const PRIMITIVES: [&str; 8] = ["int", "string", "long", "null", "double", "bytes", "float", "boolean"];

/// Returns a random schema. Names of fields and types are unique within it.
pub fn schema(choices: &mut Choices) -> Value {
    let mut generator = Generator { names: 0, known: Vec::new(), open: Vec::new() };
    // Mostly a record, as in practice.
    if choices.below(8) < 6 { generator.record(choices, 4) } else { generator.schema(choices, 4) }
}

struct Generator {
    names: usize,
    /// Names of the types that are already defined.
    known: Vec<String>,
    /// Names of the records that contain the current type.
    open: Vec<String>,
}

impl Generator {
    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn schema(&mut self, choices: &mut Choices, depth: usize) -> Value {
        match choices.below(if depth == 0 { 5 } else { 14 }) {
            0..=3 => json!(choices.one(&PRIMITIVES)),
            4 => {
                let logical = [
                    json!({"type": "int", "logicalType": "date"}),
                    json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}),
                ];
                choices.one(&logical).clone()
            }
            5 => json!({"type": "array", "items": self.schema(choices, depth - 1)}),
            6 => json!({"type": "map", "values": self.schema(choices, depth - 1)}),
            7 | 8 => self.union(choices, depth),
            9 => self.symbols(choices),
            10 => {
                let name = self.name("F");
                self.known.push(name.clone());
                json!({"type": "fixed", "name": name, "size": 1 + choices.below(4)})
            }
            11 if !self.known.is_empty() => json!(choices.one(&self.known)),
            12 if !self.open.is_empty() => {
                let name = choices.one(&self.open).clone();
                let inner = [json!(["null", name]), json!({"type": "array", "items": name}), json!({"type": "map", "values": name})];
                choices.one(&inner).clone()
            }
            _ => self.record(choices, depth - 1),
        }
    }

    fn symbols(&mut self, choices: &mut Choices) -> Value {
        let name = self.name("E");
        self.known.push(name.clone());
        let symbols: Vec<String> = (0..=choices.below(3)).map(|index| format!("S{index}")).collect();
        let mut schema = json!({"type": "enum", "name": name, "symbols": symbols});
        if choices.below(3) == 1 {
            schema["default"] = json!(choices.one(&symbols));
        }
        schema
    }

    fn union(&mut self, choices: &mut Choices, depth: usize) -> Value {
        let mut branches: Vec<Value> = Vec::new();
        for _ in 0..=1 + choices.below(3) {
            let branch = self.schema(choices, depth - 1);
            let kind = |schema: &Value| schema["type"].as_str().or(schema.as_str()).map(str::to_owned);
            let named = |schema: &Value| schema.get("name").is_some();
            if !branch.is_array() && !branches.iter().any(|other| kind(other) == kind(&branch) && !named(other)) {
                branches.push(branch);
            }
        }
        if branches.is_empty() {
            branches.push(json!("null"));
        }
        Value::Array(branches)
    }

    fn record(&mut self, choices: &mut Choices, depth: usize) -> Value {
        let name = self.name("R");
        self.open.push(name.clone());
        let mut fields = Vec::new();
        for _ in 0..choices.below(4) {
            let field = self.name("f");
            fields.push(json!({"name": field, "type": self.schema(choices, depth)}));
        }
        self.open.pop();
        self.known.push(name.clone());
        let mut record = json!({"type": "record", "name": name, "fields": fields});
        if choices.below(4) == 1 {
            record["namespace"] = json!(choices.one(&["n", "n.m"]));
        }
        record
    }
}

/// Collects the pointers of all schemas within a schema.
fn collect_pointers(schema: &Value, at: String, pointers: &mut Vec<String>) {
    match schema {
        Value::Array(branches) => {
            branches.iter().enumerate().for_each(|(index, branch)| collect_pointers(branch, format!("{at}/{index}"), pointers));
        }
        Value::Object(object) => {
            for inner in ["items", "values"] {
                if let Some(schema) = object.get(inner) {
                    collect_pointers(schema, format!("{at}/{inner}"), pointers);
                }
            }
            for (index, field) in schema["fields"].as_array().into_iter().flatten().enumerate() {
                collect_pointers(&field["type"], format!("{at}/fields/{index}/type"), pointers);
            }
        }
        _ => {}
    }
    pointers.push(at);
}

/// Applies one random change at one position. The result may be invalid; then the caller skips the change.
pub fn change(schema: &Value, choices: &mut Choices, fresh: &str) -> Value {
    let mut pointers = Vec::new();
    collect_pointers(schema, String::new(), &mut pointers);
    let pointer = choices.one(&pointers).clone();
    let mut whole = schema.clone();
    let at = whole.pointer_mut(&pointer).unwrap();
    let how = choices.below(12);
    match (at["type"].as_str().unwrap_or_default().to_owned().as_str(), how) {
        ("record", 0..=8) => record(at, how, choices, fresh),
        ("enum", 0..=6) => symbols(at, how, choices, fresh),
        ("fixed", 0) => at["size"] = json!(1 + choices.below(4)),
        ("record" | "enum" | "fixed", 9) => rename(at, fresh, choices.below(3) > 0),
        ("record" | "enum" | "fixed", 10) => at["namespace"] = json!(choices.one(&["", "n", "other"])),
        ("array", 0) => *at = json!({"type": "map", "values": at["items"]}),
        ("map", 0) => *at = json!({"type": "array", "items": at["values"]}),
        _ if at.is_array() => {
            let branches = at.as_array_mut().unwrap();
            match how {
                0..=2 => branches.push(json!(choices.one(&PRIMITIVES))),
                3 if branches.len() > 1 => drop(branches.remove(choices.below(branches.len()))),
                4 => branches.reverse(),
                5 => *at = branches[choices.below(branches.len())].clone(),
                _ => {}
            }
        }
        (_, 1..=3) => *at = json!(["null", at.clone()]),
        (_, 4) => *at = json!([at.clone(), choices.one(&PRIMITIVES)]),
        (_, 5..=8) => *at = json!(promoted(at, choices)),
        _ => *at = json!(choices.one(&PRIMITIVES)),
    }
    // A new name also replaces the old name wherever it is used.
    let (Some(old), Some(new)) =
        (schema.pointer(&pointer).and_then(|at| at["name"].as_str()), whole.pointer(&pointer).and_then(|at| at["name"].as_str()))
    else {
        return whole;
    };
    let (old, new) = (old.to_owned(), new.to_owned());
    if old != new {
        replace(&mut whole, &old, &new);
    }
    whole
}

fn replace(schema: &mut Value, old: &str, new: &str) {
    match schema {
        Value::String(name) if name == old => new.clone_into(name),
        Value::Array(list) => list.iter_mut().for_each(|inner| replace(inner, old, new)),
        Value::Object(object) => {
            let inner = object.iter_mut().filter(|(key, _)| ["type", "items", "values", "fields"].contains(&key.as_str()));
            inner.for_each(|(_, inner)| replace(inner, old, new));
        }
        _ => {}
    }
}

fn promoted(at: &Value, choices: &mut Choices) -> Value {
    let to: &[&str] = match at.as_str() {
        Some("int") => &["long", "float", "double"],
        Some("long") => &["float", "double", "int"],
        Some("float") => &["double", "long"],
        Some("string") => &["bytes"],
        Some("bytes") => &["string"],
        _ => return at.clone(),
    };
    json!(choices.one(to))
}

fn rename(at: &mut Value, fresh: &str, alias: bool) {
    let old = at["name"].clone();
    at["name"] = json!(format!("{}{fresh}", old.as_str().unwrap()));
    if alias {
        let mut aliases = at["aliases"].as_array().cloned().unwrap_or_default();
        aliases.push(old);
        at["aliases"] = Value::Array(aliases);
    }
}

fn record(at: &mut Value, how: usize, choices: &mut Choices, fresh: &str) {
    let defaults = [
        json!("int"),
        json!("string"),
        json!(["null", "string"]),
        json!({"type": "array", "items": "int"}),
        json!({"type": "map", "values": "int"}),
    ];
    let values = [json!(5), json!("x"), json!(null), json!([1, 2]), json!({"k": 1})];
    let fields = at["fields"].as_array_mut().unwrap();
    let which = choices.below(defaults.len());
    match how {
        0 | 1 => {
            let field = json!({"name": format!("g{fresh}"), "type": defaults[which], "default": values[which]});
            fields.insert(choices.below(fields.len() + 1), field);
        }
        2 => fields.push(json!({"name": format!("g{fresh}"), "type": defaults[which]})),
        _ if fields.is_empty() => {}
        3 | 4 => drop(fields.remove(choices.below(fields.len()))),
        5 => fields.reverse(),
        6 => {
            let field = choices.below(fields.len());
            rename(&mut fields[field], fresh, true);
        }
        7 => {
            let field = choices.below(fields.len());
            rename(&mut fields[field], fresh, false);
        }
        _ => {
            let field = choices.below(fields.len());
            fields[field]["type"] = defaults[which].clone();
            fields[field]["default"] = values[which].clone();
        }
    }
}

fn symbols(at: &mut Value, how: usize, choices: &mut Choices, fresh: &str) {
    let symbols = at["symbols"].as_array_mut().unwrap();
    match how {
        0 | 1 => symbols.push(json!(format!("T{fresh}"))),
        2 if symbols.len() > 1 => drop(symbols.remove(choices.below(symbols.len()))),
        3 => symbols.reverse(),
        4 | 5 => at["default"] = symbols[choices.below(symbols.len())].clone(),
        _ => drop(at.as_object_mut().unwrap().remove("default")),
    }
}
