//! Which series a request is about.

use super::{Labels, MAX_NAME_BYTES};
use prism_call::{
    Error,
    proto::models::timeseries::v1::{LabelMatcher, LabelOperator, SeriesSelector},
};

/// Most matchers of a selector, and values of a matcher.
const MAX_MATCHERS: usize = 32;
const MAX_VALUES: usize = 100;

/// A checked selector.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Name of the series.
    pub name: String,
    matchers: Vec<LabelMatcher>,
}

impl Selector {
    /// Checks the field `selector` of a request.
    pub fn new(selector: Option<SeriesSelector>) -> Result<Self, Error> {
        let invalid = |field: String, problem: &str| Err(Error::invalid(field, problem).with_reason("INVALID_SELECTOR"));
        let SeriesSelector { name, matchers } = selector.unwrap_or_default();
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return invalid("selector.name".to_owned(), "must have 1 to 255 bytes");
        }
        if matchers.len() > MAX_MATCHERS {
            return invalid("selector.matchers".to_owned(), "has more than 32 items");
        }
        for (index, matcher) in matchers.iter().enumerate() {
            let field = |name: &str| format!("selector.matchers[{index}].{name}");
            if matcher.label.is_empty() || matcher.label.len() > MAX_NAME_BYTES {
                return invalid(field("label"), "must have 1 to 255 bytes");
            }
            match matcher.operator() {
                LabelOperator::Present | LabelOperator::Absent if !matcher.values.is_empty() => {
                    return invalid(field("values"), "must be empty for this operator");
                }
                LabelOperator::In | LabelOperator::NotIn | LabelOperator::Unspecified
                    if matcher.values.is_empty() || matcher.values.len() > MAX_VALUES =>
                {
                    return invalid(field("values"), "must have 1 to 100 items for this operator");
                }
                _ => {}
            }
        }
        Ok(Self { name, matchers })
    }

    /// Returns whether all matchers hold. A label that a series does not have is an empty one.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = labels.get(&matcher.label).map_or("", String::as_str);
            match matcher.operator() {
                LabelOperator::In | LabelOperator::Unspecified => matcher.values.iter().any(|one| one == value),
                LabelOperator::NotIn => !matcher.values.iter().any(|one| one == value && !value.is_empty()),
                LabelOperator::Present => !value.is_empty(),
                LabelOperator::Absent => value.is_empty(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_look_at_labels() {
        let labels = Labels::from([("host".to_owned(), "a".to_owned())]);
        let matches = |label: &str, operator: LabelOperator, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            let matcher = LabelMatcher { label: label.to_owned(), operator: operator.into(), values };
            let selector = SeriesSelector { name: "cpu".to_owned(), matchers: vec![matcher] };
            Selector::new(Some(selector)).map(|selector| selector.matches(&labels))
        };
        for (label, operator, values, expected) in [
            ("host", LabelOperator::In, &["b", "a"][..], true),
            ("host", LabelOperator::Unspecified, &["b"], false),
            ("host", LabelOperator::NotIn, &["b"], true),
            ("host", LabelOperator::NotIn, &["a"], false),
            ("zone", LabelOperator::NotIn, &["a", ""], true),
            ("zone", LabelOperator::In, &[""], true),
            ("host", LabelOperator::Present, &[], true),
            ("zone", LabelOperator::Present, &[], false),
            ("zone", LabelOperator::Absent, &[], true),
        ] {
            assert_eq!(matches(label, operator, values).unwrap(), expected, "{label} {operator:?} {values:?}");
        }
        for (label, operator, values) in
            [("", LabelOperator::Present, &[][..]), ("a", LabelOperator::In, &[]), ("a", LabelOperator::Absent, &["x"])]
        {
            assert_eq!(matches(label, operator, values).unwrap_err().reason(), "INVALID_SELECTOR");
        }
        assert_eq!(Selector::new(None).unwrap_err().violations()[0].field, "selector.name");
    }
}
