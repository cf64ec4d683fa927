//! Which messages of its topic a subscription wants.

use std::collections::BTreeMap;

use prism_call::{
    Error,
    proto::models::pubsub::v1::{AttributeCondition, Message, attribute_condition::Test},
};

/// Applied before a message goes into a subscription's buffer.
pub enum Filter {
    /// All messages.
    All,
    /// Those whose attributes fulfil all conditions.
    Attributes(Vec<AttributeCondition>),
    /// Those of one line, or of any when absent.
    Ordered(Option<String>),
}

impl Filter {
    /// From a request; a problem is `INVALID_ARGUMENT INVALID_FILTER`.
    pub fn attributes(conditions: Vec<AttributeCondition>) -> Result<Self, Error> {
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

    /// Whether the subscription wants it.
    pub fn wants(&self, message: &Message) -> bool {
        match self {
            Self::All => true,
            Self::Attributes(conditions) => conditions.iter().all(|condition| fits(condition, &message.attributes)),
            Self::Ordered(line) => message.ordering_key.as_ref().is_some_and(|key| line.as_ref().is_none_or(|line| line == key)),
        }
    }
}

fn fits(condition: &AttributeCondition, attributes: &BTreeMap<String, String>) -> bool {
    let text = attributes.get(&condition.attribute);
    let number = || text.and_then(|text| decimal(text));
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

/// A decimal number, not the words (`inf`, `nan`) that Rust reads too.
fn decimal(text: &str) -> Option<f64> {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')).then(|| text.parse().ok())?
}
