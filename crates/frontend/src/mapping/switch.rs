//! Chooses the cases of an operation by a text in the request (`switch`).

use std::{collections::HashMap, ops::Range};

use super::{
    scope::{CallScope, NamedValues},
    template::ValueTemplate,
    value,
};
use prism_call::Error;

/// Groups of cases, each for one text.
#[derive(Debug)]
pub struct Switch {
    /// Named values that `on` uses.
    pub named: Vec<(String, ValueTemplate)>,
    /// The text.
    pub on: ValueTemplate,
    /// The cases for each text, as a range of the operation's cases.
    pub groups: HashMap<String, Range<usize>>,
    /// The cases for all other texts.
    pub otherwise: Range<usize>,
}

impl Switch {
    /// Returns the cases for a request.
    pub fn range(&self, scope: &CallScope<'_>) -> Result<Range<usize>, Error> {
        let named = NamedValues::new(&self.named);
        let found = self.on.value(&CallScope { named: Some(&named), ..*scope })?;
        let text = found.as_ref().and_then(value::to_text);
        Ok(text.and_then(|text| self.groups.get(&text)).unwrap_or(&self.otherwise).clone())
    }

    /// Whether it uses the body of the request.
    pub fn reads_body(&self) -> bool {
        self.on.reads_body() || self.named.iter().any(|(_, template)| template.reads_body())
    }

    /// Returns the text of a case; `None`: the case is for all other texts.
    pub fn text_of(&self, case: usize) -> Option<&str> {
        self.groups.iter().find(|(_, range)| range.contains(&case)).map(|(text, _)| text.as_str())
    }
}
