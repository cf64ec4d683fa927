//! Generates data for a schema that covers each branch of each union and each symbol of each enum.

use super::{Definition, Type, Types};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Null,
    Boolean(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Bytes(Vec<u8>),
    String(String),
    Array(Vec<Data>),
    Map(Vec<(String, Data)>),
    /// The index of the branch, and its value.
    Union(usize, Box<Data>),
    /// Values of the fields, in their order.
    Record(Vec<Data>),
    Enum(usize),
    Fixed(Vec<u8>),
}

/// Maximum nesting of a record within itself.
const ROUNDS: usize = 2;

/// Returns data that covers a schema. Recursive records are nested a few times.
pub fn covering(types: &Types) -> Vec<Data> {
    cover(types, &types.root, &mut Vec::new())
}

/// Whether finite data exists for all types. A record that always contains itself has none.
pub fn fillable(types: &Types) -> bool {
    !covering(types).is_empty() && types.named.keys().all(|name| !cover(types, &Type::Named(name.clone()), &mut Vec::new()).is_empty())
}

/// Returns no data only if a type always contains itself.
fn cover<'a>(types: &'a Types, kind: &'a Type, open: &mut Vec<&'a str>) -> Vec<Data> {
    match kind {
        Type::Null => vec![Data::Null],
        Type::Boolean => vec![Data::Boolean(true)],
        Type::Int => vec![Data::Int(-7)],
        Type::Long => vec![Data::Long(1 << 40)],
        Type::Float => vec![Data::Float(1.5)],
        Type::Double => vec![Data::Double(-2.25)],
        Type::Bytes => vec![Data::Bytes(b"bytes".to_vec())],
        Type::String => vec![Data::String("größer".to_owned())],
        Type::Array(items) => vec![Data::Array(cover(types, items, open))],
        Type::Map(values) => {
            let values = cover(types, values, open).into_iter().enumerate();
            vec![Data::Map(values.map(|(index, value)| (format!("k{index}"), value)).collect())]
        }
        Type::Union(branches) => {
            let mut covered = Vec::new();
            for (index, branch) in branches.iter().enumerate() {
                covered.extend(cover(types, branch, open).into_iter().map(|data| Data::Union(index, Box::new(data))));
            }
            covered
        }
        Type::Named(name) => match types.definition(name) {
            Definition::Fixed(size) => vec![Data::Fixed(vec![9; *size])],
            Definition::Enum { symbols, .. } => (0..symbols.len()).map(Data::Enum).collect(),
            Definition::Record(_) if open.iter().filter(|other| **other == name).count() > ROUNDS => Vec::new(),
            Definition::Record(fields) => {
                open.push(name);
                let fields: Vec<Vec<Data>> = fields.iter().map(|field| cover(types, &field.holds, open)).collect();
                open.pop();
                if fields.iter().any(Vec::is_empty) {
                    return Vec::new();
                }
                let most = fields.iter().map(Vec::len).max().unwrap_or(1);
                (0..most).map(|index| Data::Record(fields.iter().map(|field| field[index % field.len()].clone()).collect())).collect()
            }
        },
    }
}
