//! Conditions on documents: checked, and evaluated.

use std::collections::BTreeSet;

use prost_types::{Struct, Value, value::Kind};

use super::{
    path::{Path, Root},
    value::{self, Key, rank},
};
use prism_call::{
    Error,
    proto::models::document::v1::{
        AnyElement, Comparison, ComparisonOperator, Condition, ConditionList, OneOf, Presence, TextMatch, TextPosition, condition::Test,
    },
};

/// Most conditions of a filter.
const MAX_CONDITIONS: usize = 100;
/// Most levels of conditions.
const MAX_LEVELS: usize = 16;
/// Most values of OneOf.
const MAX_VALUES: usize = 1000;
/// Longest text of TextMatch, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// A condition that was checked.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Holds if all of them hold.
    All(Vec<Filter>),
    /// Holds if one of them holds.
    Any(Vec<Filter>),
    /// Holds if the other one does not.
    Not(Box<Filter>),
    /// The field is equal to the value.
    Equal(Path, Value),
    /// The field is in a range of keys: a number or a string, compared with another one.
    Range(Path, KeyRange),
    /// The field is equal to one of the values; their keys are in the same order.
    OneOf(Path, Vec<Value>, BTreeSet<Key>),
    /// The field is there.
    Present(Path),
    /// The field is a string with the text in it.
    Text(Path, TextSearch),
    /// The field is a list, and the condition holds for one of its elements.
    AnyElement(Path, Box<Filter>),
}

/// Keys from `lower`, inclusive, to `upper`, exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The lower end.
    pub lower: Key,
    /// The upper end.
    pub upper: Key,
}

/// A text to look for.
#[derive(Clone, Debug)]
pub struct TextSearch {
    /// The text; lower case if case is ignored.
    pub text: String,
    /// Where it must be.
    pub position: TextPosition,
    /// Whether A–Z are equal to a–z.
    pub ignore_case: bool,
}

impl Filter {
    /// Checks the condition of a request. No condition holds for all documents.
    pub fn new(field: &str, condition: Option<Condition>) -> Result<Self, Error> {
        match condition {
            None => Ok(Self::All(Vec::new())),
            Some(condition) => Parser { conditions: 0 }.condition(field, condition, 1, false),
        }
    }

    /// Whether the condition holds for a body.
    pub fn matches(&self, body: &Struct) -> bool {
        self.holds(Root::Body(body))
    }

    fn holds(&self, root: Root<'_>) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.holds(root)),
            Self::Any(filters) => filters.iter().any(|filter| filter.holds(root)),
            Self::Not(filter) => !filter.holds(root),
            Self::Equal(path, expected) => path.get(root).is_some_and(|value| value::equal(value, expected)),
            Self::Range(path, range) => path.get(root).is_some_and(|value| range.contains(value)),
            Self::OneOf(path, _, keys) => path.get(root).is_some_and(|value| keys.contains(&value::key(Some(value)))),
            Self::Present(path) => path.get(root).is_some(),
            Self::Text(path, search) => match path.get(root).map(|value| &value.kind) {
                Some(Some(Kind::StringValue(text))) => search.finds(text),
                _ => false,
            },
            Self::AnyElement(path, filter) => match path.get(root).map(|value| &value.kind) {
                Some(Some(Kind::ListValue(list))) => list.values.iter().any(|element| filter.holds(Root::Element(element))),
                _ => false,
            },
        }
    }

    /// Calls `visit` with each condition that must hold for every document that is found.
    pub fn for_each_required<'f>(&'f self, visit: &mut impl FnMut(&'f Filter)) {
        match self {
            Self::All(filters) => filters.iter().for_each(|filter| filter.for_each_required(visit)),
            filter => visit(filter),
        }
    }

    /// The range in which the key of a field must be for the condition to hold; `None` if any value may do. The condition need not hold for all
    /// values in the range.
    pub fn range(&self, path: &Path) -> Option<KeyRange> {
        let mut range: Option<KeyRange> = None;
        self.for_each_required(&mut |filter| {
            // Keys are computed only for conditions on this field: a large value has a large key.
            if filter.is_test_of(path)
                && let Some((_, other)) = filter.own_range()
            {
                range = Some(match range.take() {
                    None => other,
                    Some(one) => KeyRange { lower: one.lower.max(other.lower), upper: one.upper.min(other.upper) },
                });
            }
        });
        range
    }

    /// Whether this is a single condition on a field.
    fn is_test_of(&self, path: &Path) -> bool {
        matches!(
            self,
            Self::Equal(own, _) | Self::Range(own, _) | Self::OneOf(own, _, _) | Self::Present(own) | Self::Text(own, _) if own == path
        )
    }

    /// The field of a single condition, and the range in which its key must be.
    pub fn own_range(&self) -> Option<(&Path, KeyRange)> {
        match self {
            Self::Equal(path, value) => Some((path, KeyRange::of_key(value::key(Some(value))))),
            Self::Range(path, range) => Some((path, range.clone())),
            Self::OneOf(path, _, keys) => {
                let range = match (keys.first(), keys.last()) {
                    (Some(first), Some(last)) => KeyRange { lower: first.clone(), upper: KeyRange::of_key(last.clone()).upper },
                    _ => KeyRange { lower: Key::new(), upper: Key::new() },
                };
                Some((path, range))
            }
            Self::Present(path) => Some((path, KeyRange { lower: vec![rank::NULL], upper: vec![rank::OBJECT + 1] })),
            Self::Text(path, TextSearch { text, position: TextPosition::Start, ignore_case: false }) => {
                let lower = value::string_key(text);
                // UTF-8 has no byte 0xff.
                let upper = [&lower[..], &[0xff]].concat();
                Some((path, KeyRange { lower, upper }))
            }
            _ => None,
        }
    }
}

impl KeyRange {
    /// The range that has only one key.
    pub fn of_key(key: Key) -> Self {
        let upper = [&key[..], &[0]].concat();
        Self { lower: key, upper }
    }

    /// Whether the range can have only one key.
    pub fn is_one_key(&self) -> bool {
        self.upper.strip_suffix(&[0]) == Some(&self.lower[..])
    }

    /// Whether the range has no key.
    pub fn is_empty(&self) -> bool {
        self.lower >= self.upper
    }

    fn contains(&self, value: &Value) -> bool {
        // Only numbers and strings are less or greater than others, and the key of a list may be large.
        if !matches!(value.kind, Some(Kind::NumberValue(_) | Kind::StringValue(_))) {
            return false;
        }
        let key = value::key(Some(value));
        self.lower <= key && key < self.upper
    }

    /// The values of the same type as a number or a string that compare with it in this way.
    fn compared(operator: ComparisonOperator, value: &Value) -> Self {
        let key = value::key(Some(value));
        let rank = key[0];
        let next = Self::of_key(key.clone()).upper;
        let (lower, upper) = match operator {
            ComparisonOperator::Less => (vec![rank], key),
            ComparisonOperator::LessOrEqual => (vec![rank], next),
            ComparisonOperator::Greater => (next, vec![rank + 1]),
            _ => (key, vec![rank + 1]),
        };
        Self { lower, upper }
    }
}

impl TextSearch {
    fn finds(&self, text: &str) -> bool {
        if self.ignore_case { self.finds_exactly(&text.to_ascii_lowercase()) } else { self.finds_exactly(text) }
    }

    fn finds_exactly(&self, text: &str) -> bool {
        match self.position {
            TextPosition::Start => text.starts_with(&self.text),
            TextPosition::End => text.ends_with(&self.text),
            TextPosition::Anywhere | TextPosition::Unspecified => text.contains(&self.text),
        }
    }
}

fn invalid(field: &str, problem: impl Into<String>) -> Error {
    Error::invalid(field, problem).with_reason("INVALID_CONDITION")
}

struct Parser {
    /// Conditions that were seen.
    conditions: usize,
}

impl Parser {
    /// Parses a condition at a level. `element` = within AnyElement, where a path may be empty.
    fn condition(&mut self, field: &str, condition: Condition, level: usize, element: bool) -> Result<Filter, Error> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(invalid(field, format!("is one condition more than the {MAX_CONDITIONS} that are allowed")));
        }
        if level > MAX_LEVELS {
            return Err(invalid(field, format!("is deeper than the {MAX_LEVELS} levels that are allowed")));
        }
        match condition.test {
            None => Err(invalid(field, "is empty; set one of all, any, not, compare, one_of, presence, text and any_element")),
            Some(Test::All(list)) => Ok(Filter::All(self.list(&format!("{field}.all"), list, level, element)?)),
            Some(Test::Any(list)) => Ok(Filter::Any(self.list(&format!("{field}.any"), list, level, element)?)),
            Some(Test::Not(inner)) => Ok(Filter::Not(Box::new(self.condition(&format!("{field}.not"), *inner, level + 1, element)?))),
            Some(Test::Compare(comparison)) => compare(&format!("{field}.compare"), comparison, element),
            Some(Test::OneOf(one_of)) => parse_one_of(&format!("{field}.one_of"), one_of, element),
            Some(Test::Presence(Presence { path, absent })) => {
                let present = Filter::Present(parse_path(&format!("{field}.presence"), &path, false)?);
                Ok(if absent { Filter::Not(Box::new(present)) } else { present })
            }
            Some(Test::Text(text)) => parse_text(&format!("{field}.text"), text, element),
            Some(Test::AnyElement(any)) => {
                let AnyElement { path, condition } = *any;
                let field = format!("{field}.any_element");
                let path = parse_path(&field, &path, element)?;
                let Some(condition) = condition else { return Err(invalid(&format!("{field}.condition"), "must be set")) };
                let inner = self.condition(&format!("{field}.condition"), *condition, level + 1, true)?;
                Ok(Filter::AnyElement(path, Box::new(inner)))
            }
        }
    }

    fn list(&mut self, field: &str, list: ConditionList, level: usize, element: bool) -> Result<Vec<Filter>, Error> {
        let conditions = list.conditions.into_iter().enumerate();
        conditions
            .map(|(index, condition)| self.condition(&format!("{field}.conditions[{index}]"), condition, level + 1, element))
            .collect()
    }
}

fn compare(field: &str, comparison: Comparison, element: bool) -> Result<Filter, Error> {
    let path = parse_path(field, &comparison.path, element)?;
    let Ok(operator) = ComparisonOperator::try_from(comparison.operator) else {
        return Err(invalid(&format!("{field}.operator"), "is not an operator"));
    };
    let value_field = format!("{field}.value");
    let Some(value) = comparison.value else { return Err(invalid(&value_field, "must be set; JSON null is a value too")) };
    check_value(&value_field, &value)?;
    Ok(match operator {
        ComparisonOperator::Equal | ComparisonOperator::Unspecified => Filter::Equal(path, value),
        ComparisonOperator::NotEqual => Filter::Not(Box::new(Filter::Equal(path, value))),
        operator if matches!(value.kind, Some(Kind::NumberValue(_) | Kind::StringValue(_))) => {
            Filter::Range(path, KeyRange::compared(operator, &value))
        }
        // Only numbers and strings are less or greater than others.
        _ => Filter::Any(Vec::new()),
    })
}

fn parse_one_of(field: &str, one_of: OneOf, element: bool) -> Result<Filter, Error> {
    let path = parse_path(field, &one_of.path, element)?;
    if one_of.values.len() > MAX_VALUES {
        let problem = format!("has {} items; at most {MAX_VALUES} are allowed", one_of.values.len());
        return Err(invalid(&format!("{field}.values"), problem));
    }
    for (index, value) in one_of.values.iter().enumerate() {
        check_value(&format!("{field}.values[{index}]"), value)?;
    }
    let keys = one_of.values.iter().map(|value| value::key(Some(value))).collect();
    Ok(Filter::OneOf(path, one_of.values, keys))
}

fn parse_text(field: &str, search: TextMatch, element: bool) -> Result<Filter, Error> {
    let path = parse_path(field, &search.path, element)?;
    let Ok(position) = TextPosition::try_from(search.position) else {
        return Err(invalid(&format!("{field}.position"), "is not a position"));
    };
    let size = search.text.len();
    if size == 0 || size > MAX_TEXT_BYTES {
        return Err(invalid(&format!("{field}.text"), format!("has {size} bytes; 1 to {MAX_TEXT_BYTES} are allowed")));
    }
    let text = if search.ignore_case { search.text.to_ascii_lowercase() } else { search.text };
    Ok(Filter::Text(path, TextSearch { text, position, ignore_case: search.ignore_case }))
}

fn parse_path(field: &str, text: &str, may_be_empty: bool) -> Result<Path, Error> {
    if text.is_empty() && may_be_empty {
        return Ok(Path::empty());
    }
    Path::parse(text).map_err(|problem| invalid(&format!("{field}.path"), problem))
}

fn check_value(field: &str, value: &Value) -> Result<(), Error> {
    value::check_value(field, value).map_err(|error| error.with_reason("INVALID_CONDITION"))
}
