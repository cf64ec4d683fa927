//! Data of a schema: enough of it to meet every branch of every union and every symbol of every enum.

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
    /// Which branch, and its value.
    Union(usize, Box<Data>),
    /// Values of the fields, in their order.
    Record(Vec<Data>),
    Enum(usize),
    Fixed(Vec<u8>),
}

/// Data that covers a schema, types that hold themselves up to some levels deep.
pub fn covering(types: &Types, levels: usize) -> Vec<Data> {
    cover(types, &types.root, levels)
}

/// Whether there are data of all types: not so where a record holds itself and nothing lets it end.
pub fn fillable(types: &Types, levels: usize) -> bool {
    !cover(types, &types.root, levels).is_empty()
        && types.named.keys().all(|name| !cover(types, &Type::Named(name.clone()), levels).is_empty())
}

/// None only where a type holds itself without end.
fn cover(types: &Types, of: &Type, levels: usize) -> Vec<Data> {
    match of {
        Type::Null => vec![Data::Null],
        Type::Boolean => vec![Data::Boolean(true)],
        Type::Int => vec![Data::Int(-7)],
        Type::Long => vec![Data::Long(1 << 40)],
        Type::Float => vec![Data::Float(1.5)],
        Type::Double => vec![Data::Double(-2.25)],
        Type::Bytes => vec![Data::Bytes(b"bytes".to_vec())],
        Type::String => vec![Data::String("größer".to_owned())],
        Type::Array(items) => vec![Data::Array(cover(types, items, levels))],
        Type::Map(values) => {
            let values = cover(types, values, levels).into_iter().enumerate();
            vec![Data::Map(values.map(|(index, value)| (format!("k{index}"), value)).collect())]
        }
        Type::Union(branches) => {
            let branch = |(index, branch)| cover(types, branch, levels).into_iter().map(move |data| Data::Union(index, Box::new(data)));
            branches.iter().enumerate().flat_map(branch).collect()
        }
        Type::Named(name) => match types.definition(name) {
            Definition::Fixed(size) => vec![Data::Fixed(vec![9; *size])],
            Definition::Enum { symbols, .. } => (0..symbols.len()).map(Data::Enum).collect(),
            Definition::Record(_) if levels == 0 => Vec::new(),
            Definition::Record(fields) => {
                let fields: Vec<Vec<Data>> = fields.iter().map(|field| cover(types, &field.holds, levels - 1)).collect();
                if fields.iter().any(Vec::is_empty) {
                    return Vec::new();
                }
                let most = fields.iter().map(Vec::len).max().unwrap_or(1);
                (0..most).map(|index| Data::Record(fields.iter().map(|field| field[index % field.len()].clone()).collect())).collect()
            }
        },
    }
}
