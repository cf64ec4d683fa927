//! Filters of subscriptions.

use std::collections::BTreeMap;

use prism_call::{
    Error,
    proto::models::pubsub::v1::{AttributeCondition, Message, attribute_condition::Test},
};

/// Selects messages before they enter the buffer of a subscription.
#[derive(Debug)]
pub enum Filter {
    /// All messages.
    All,
    /// Messages whose attributes meet all conditions.
    Attributes(Vec<AttributeCondition>),
    /// Ordered messages: those with this ordering key, or all of them if `None`.
    Ordered(Option<String>),
}

impl Filter {
    /// Checks the conditions of a request. A problem is `INVALID_ARGUMENT INVALID_FILTER`.
    pub fn from_conditions(conditions: Vec<AttributeCondition>) -> Result<Self, Error> {
        let refused = |field: String, problem: &str| Err(Error::invalid(field, problem).with_reason("INVALID_FILTER"));
        if conditions.len() > 32 {
            return refused("conditions".into(), "has too many items; at most 32 are allowed");
        }
        for (index, condition) in conditions.iter().enumerate() {
            if condition.attribute.is_empty() || condition.attribute.len() > 128 {
                return refused(format!("conditions[{index}].attribute"), "must have 1 to 128 bytes");
            }
            match &condition.test {
                None => return refused(format!("conditions[{index}].test"), "must be set, as equals or exists"),
                Some(Test::AnyOf(texts)) if texts.values.is_empty() || texts.values.len() > 100 => {
                    return refused(format!("conditions[{index}].any_of"), "must have 1 to 100 values");
                }
                Some(Test::LessThan(number) | Test::AtMost(number) | Test::GreaterThan(number) | Test::AtLeast(number))
                    if !number.is_finite() =>
                {
                    return refused(format!("conditions[{index}].test"), "must compare with a finite number");
                }
                Some(_) => {}
            }
        }
        Ok(Self::Attributes(conditions))
    }

    /// Whether the message passes.
    pub fn matches(&self, message: &Message) -> bool {
        match self {
            Self::All => true,
            Self::Attributes(conditions) => conditions.iter().all(|condition| matches_condition(condition, &message.attributes)),
            Self::Ordered(wanted) => message.ordering_key.as_ref().is_some_and(|key| wanted.as_ref().is_none_or(|wanted| wanted == key)),
        }
    }
}

fn matches_condition(condition: &AttributeCondition, attributes: &BTreeMap<String, String>) -> bool {
    let text = attributes.get(&condition.attribute);
    let number = || text.and_then(|text| parse_decimal(text));
    match &condition.test {
        Some(Test::Equals(other)) => text == Some(other),
        Some(Test::NotEquals(other)) => text != Some(other),
        Some(Test::Prefix(prefix)) => text.is_some_and(|text| text.starts_with(prefix.as_str())),
        Some(Test::Exists(exists)) => text.is_some() == *exists,
        Some(Test::AnyOf(others)) => text.is_some_and(|text| others.values.contains(text)),
        Some(Test::LessThan(other)) => number().is_some_and(|number| number < *other),
        Some(Test::AtMost(other)) => number().is_some_and(|number| number <= *other),
        Some(Test::GreaterThan(other)) => number().is_some_and(|number| number > *other),
        Some(Test::AtLeast(other)) => number().is_some_and(|number| number >= *other),
        None => false,
    }
}

/// Parses a decimal number. Refuses the words `inf` and `nan`, which Rust would accept.
fn parse_decimal(text: &str) -> Option<f64> {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')).then(|| text.parse().ok())?
}
