//! Requests of Aggregate: groups of documents, and numbers computed over them.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{Struct, Value, value::Kind};

use super::{
    check_collection,
    filter::Filter,
    memory::value_bytes,
    order::{Order, put_delimited},
    path::Path,
    value::{self, Key},
};
use crate::check;
use prism_call::{
    Code, Error,
    proto::models::document::v1::{Accumulator, AccumulatorFunction, AggregateRequest, AggregateResponse, GroupKey},
};

/// Most groups of a request.
pub const MAX_GROUPS: usize = 100_000;
/// Most bytes of the values of group keys, and of the different values that are counted.
pub const MAX_HELD_BYTES: usize = 64 << 20;
/// Bytes that each group and each value counts in addition to its content.
const OVERHEAD: usize = 64;
/// Most columns to group by.
const MAX_GROUP_KEYS: usize = 8;
/// Most columns to compute.
const MAX_ACCUMULATORS: usize = 32;
/// Longest name of a column, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// An aggregation that was checked.
#[derive(Clone, Debug)]
pub struct Aggregation {
    /// The collection.
    pub collection: String,
    /// Which documents count.
    pub filter: Filter,
    /// The fields that are read, each once. A document is added as the values of these fields.
    pub paths: Vec<Path>,
    group_by: Vec<Column>,
    accumulators: Vec<ComputedColumn>,
    having: Filter,
    order: Order,
    limit: usize,
}

/// A column by which documents are grouped.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    /// The number of the field in `paths`.
    field: usize,
}

/// A column that is computed.
#[derive(Clone, Debug)]
struct ComputedColumn {
    name: String,
    function: AccumulatorFunction,
    /// The number of the field in `paths`; `None` counts documents.
    field: Option<usize>,
}

impl Aggregation {
    /// Checks Aggregate.
    pub fn new(request: AggregateRequest) -> Result<Self, Error> {
        check_collection(&request.collection)?;
        if request.group_by.is_empty() && request.accumulators.is_empty() {
            return Err(Error::invalid("accumulators", "must have at least one item if group_by has none"));
        }
        for (field, count, most) in
            [("group_by", request.group_by.len(), MAX_GROUP_KEYS), ("accumulators", request.accumulators.len(), MAX_ACCUMULATORS)]
        {
            if count > most {
                return Err(Error::invalid(field, format!("has {count} items; at most {most} are allowed")));
            }
        }
        let mut names = BTreeSet::new();
        let mut aggregation = Self {
            collection: request.collection,
            filter: Filter::new("filter", request.filter)?,
            paths: Vec::new(),
            group_by: Vec::new(),
            accumulators: Vec::new(),
            having: Filter::new("having", request.having)?,
            order: Order::new(&request.order)?,
            limit: check::limit_or_all(request.limit),
        };
        for (index, GroupKey { path, name }) in request.group_by.into_iter().enumerate() {
            let field = aggregation.field(&format!("group_by[{index}].path"), &path)?;
            let name_field = format!("group_by[{index}].name");
            let name = if name.is_empty() { path } else { checked_name(&name_field, name)? };
            if !names.insert(name.clone()) {
                return Err(Error::invalid(name_field, "is the name of another column"));
            }
            aggregation.group_by.push(Column { name, field });
        }
        for (index, Accumulator { name, function, path }) in request.accumulators.into_iter().enumerate() {
            let at = |field: &str| format!("accumulators[{index}].{field}");
            let name = checked_name(&at("name"), name)?;
            if !names.insert(name.clone()) {
                return Err(Error::invalid(at("name"), "is the name of another column"));
            }
            let function = match AccumulatorFunction::try_from(function) {
                Ok(AccumulatorFunction::Unspecified) => AccumulatorFunction::Count,
                Ok(function) => function,
                Err(_) => return Err(Error::invalid(at("function"), "is not a function")),
            };
            let field =
                if path.is_empty() && function == AccumulatorFunction::Count { None } else { Some(aggregation.field(&at("path"), &path)?) };
            aggregation.accumulators.push(ComputedColumn { name, function, field });
        }
        Ok(aggregation)
    }

    /// The columns by which documents are grouped, as numbers of fields in `paths`.
    pub fn group_fields(&self) -> impl Iterator<Item = usize> {
        self.group_by.iter().map(|column| column.field)
    }

    /// The columns that are computed: the function, and the number of its field in `paths`. `None` counts documents.
    pub fn computed(&self) -> impl Iterator<Item = (AccumulatorFunction, Option<usize>)> {
        self.accumulators.iter().map(|column| (column.function, column.field))
    }

    /// The row of a group: the values of its group keys, and those of the computed columns.
    pub fn row(&self, keys: Vec<Option<Value>>, computed: impl Iterator<Item = Value>) -> Struct {
        let keys = self.group_by.iter().zip(keys).filter_map(|(column, key)| Some((column.name.clone(), key?)));
        let computed = self.accumulators.iter().zip(computed).map(|(column, value)| (column.name.clone(), value));
        Struct { fields: keys.chain(computed).collect() }
    }

    /// The rows that the request asks for, in its order.
    pub fn select(&self, rows: impl Iterator<Item = Struct>) -> Vec<AggregateResponse> {
        let rows = rows.filter(|row| self.having.matches(row));
        let mut rows: Vec<(Vec<u8>, Struct)> = if self.order.is_by_id() {
            rows.take(self.limit).map(|row| (Vec::new(), row)).collect()
        } else {
            rows.map(|row| (self.order.encode(&self.order.place("", &row)), row)).collect()
        };
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        rows.into_iter().take(self.limit).map(|(_, row)| AggregateResponse { row: Some(row) }).collect()
    }

    /// The number of a field in `paths`.
    fn field(&mut self, field: &str, path: &str) -> Result<usize, Error> {
        let path = Path::new(field, path)?;
        let number = self.paths.iter().position(|other| *other == path).unwrap_or(self.paths.len());
        if number == self.paths.len() {
            self.paths.push(path);
        }
        Ok(number)
    }
}

fn checked_name(field: &str, name: String) -> Result<String, Error> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(Error::invalid(field, format!("has {} bytes; 1 to {MAX_NAME_BYTES} are allowed", name.len())));
    }
    Ok(name)
}

/// The groups of the documents that were added.
pub struct Groups {
    aggregation: Aggregation,
    by_key: BTreeMap<Key, Group>,
    held_bytes: usize,
}

/// One group.
struct Group {
    keys: Vec<Option<Value>>,
    columns: Vec<State>,
}

/// What is known of a computed column.
enum State {
    Count(u64),
    Distinct(BTreeSet<Key>),
    Sum(f64),
    Average(f64, u64),
    Least(Option<f64>),
    Greatest(Option<f64>),
}

impl Groups {
    /// No document was added. Without columns to group by, there is one group.
    pub fn new(aggregation: Aggregation) -> Self {
        let mut groups = Self { aggregation, by_key: BTreeMap::new(), held_bytes: 0 };
        if groups.aggregation.group_by.is_empty() {
            groups.by_key.insert(Key::new(), Group::new(&groups.aggregation, Vec::new()));
        }
        groups
    }

    /// The aggregation.
    pub fn aggregation(&self) -> &Aggregation {
        &self.aggregation
    }

    /// Adds a document.
    pub fn add_body(&mut self, body: &Struct) -> Result<(), Error> {
        let values: Vec<Option<&Value>> = self.aggregation.paths.iter().map(|path| path.get_in(body)).collect();
        self.add(&values)
    }

    /// Adds a document, as the values of the fields that are read.
    pub fn add(&mut self, values: &[Option<&Value>]) -> Result<(), Error> {
        let value = |field: usize| values.get(field).copied().flatten();
        let mut key = Key::new();
        for column in &self.aggregation.group_by {
            put_delimited(&mut key, &value::key(value(column.field)));
        }
        if !self.by_key.contains_key(&key) {
            if self.by_key.len() == MAX_GROUPS {
                return Err(too_many_groups("groups", MAX_GROUPS));
            }
            // Lists and objects take many times the bytes of their keys.
            let values: u64 = self.aggregation.group_by.iter().filter_map(|column| value(column.field)).map(value_bytes).sum();
            let values = usize::try_from(values).unwrap_or(usize::MAX);
            hold(&mut self.held_bytes, values.saturating_add(key.len() + OVERHEAD * (1 + self.aggregation.accumulators.len())))?;
            let keys = self.aggregation.group_by.iter().map(|column| value(column.field).cloned()).collect();
            self.by_key.insert(key.clone(), Group::new(&self.aggregation, keys));
        }
        let Some(group) = self.by_key.get_mut(&key) else { return Ok(()) };
        for (column, state) in self.aggregation.accumulators.iter().zip(&mut group.columns) {
            let given = column.field.map(value);
            let number = match given.flatten().map(|value| &value.kind) {
                Some(Some(Kind::NumberValue(number))) => Some(*number),
                _ => None,
            };
            match (state, given, number) {
                (State::Count(count), given, _) => *count += u64::from(given.is_none_or(|value| value.is_some())),
                (State::Distinct(keys), Some(Some(value)), _) => {
                    let key = value::key(Some(value));
                    if !keys.contains(&key) {
                        hold(&mut self.held_bytes, key.len() + OVERHEAD)?;
                        keys.insert(key);
                    }
                }
                (State::Sum(sum), _, Some(number)) => *sum = add(*sum, number),
                (State::Average(sum, count), _, Some(number)) => {
                    *sum = add(*sum, number);
                    *count += 1;
                }
                (State::Least(least), _, Some(number)) => *least = Some(least.map_or(number, |least| least.min(number))),
                (State::Greatest(greatest), _, Some(number)) => *greatest = Some(greatest.map_or(number, |greatest| greatest.max(number))),
                _ => {}
            }
        }
        Ok(())
    }

    /// The rows, in the order of the request.
    pub fn finish(self) -> Vec<AggregateResponse> {
        let Self { aggregation, by_key, .. } = self;
        let rows = by_key.into_values().map(|group| {
            let computed = group.columns.into_iter().map(State::value);
            aggregation.row(group.keys, computed)
        });
        aggregation.select(rows)
    }
}

/// A sum stays within the numbers that JSON has: the greatest one stands for all that are greater.
fn add(sum: f64, number: f64) -> f64 {
    (sum + number).clamp(f64::MIN, f64::MAX)
}

fn hold(held: &mut usize, bytes: usize) -> Result<(), Error> {
    *held = held.saturating_add(bytes);
    if *held > MAX_HELD_BYTES { Err(too_many_groups("bytes of different values", MAX_HELD_BYTES)) } else { Ok(()) }
}

/// `RESOURCE_EXHAUSTED TOO_MANY_GROUPS`
pub fn too_many_groups(what: &str, limit: usize) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_GROUPS",
        format!("the result has more than {limit} {what}; select fewer documents with a filter, or group by fewer fields"),
    )
    .with("limit", limit.to_string())
}

impl Group {
    fn new(aggregation: &Aggregation, keys: Vec<Option<Value>>) -> Self {
        let columns = aggregation.accumulators.iter().map(|column| match column.function {
            AccumulatorFunction::Count | AccumulatorFunction::Unspecified => State::Count(0),
            AccumulatorFunction::CountDistinct => State::Distinct(BTreeSet::new()),
            AccumulatorFunction::Sum => State::Sum(0.0),
            AccumulatorFunction::Average => State::Average(0.0, 0),
            AccumulatorFunction::Min => State::Least(None),
            AccumulatorFunction::Max => State::Greatest(None),
        });
        Self { keys, columns: columns.collect() }
    }
}

impl State {
    #[expect(clippy::cast_precision_loss, reason = "numbers have the precision of a double")]
    fn value(self) -> Value {
        match self {
            Self::Count(count) => value::number(count as f64),
            Self::Distinct(keys) => value::number(keys.len() as f64),
            Self::Sum(sum) => value::number(sum),
            Self::Average(_, 0) => value::null(),
            Self::Average(sum, count) => value::number(sum / count as f64),
            Self::Least(number) | Self::Greatest(number) => number.map_or_else(value::null, value::number),
        }
    }
}
