//! Formats mappings for display, as in the definition, on one line.

use std::fmt;

use super::{
    Condition, Endpoint,
    message::{Fill, MessagePlan, RequestPlan},
    parameter::Parameter,
    rendered::Status,
    request::Parameters,
    template::{Translation, ValueSource, ValueTemplate},
};
use crate::{
    expression::{self, Value},
    json,
    message_types::MessageTypes,
    template::PathTemplate,
};

impl fmt::Display for ValueTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => Constant(value).fmt(f),
            Self::Path(_, text) | Self::Expression(_, text) => f.write_str(text),
            Self::Object(members) => {
                f.write_str("{")?;
                for (index, (name, template)) in members.iter().enumerate() {
                    write!(f, "{}{name}: {template}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Default(both) => match &both.0 {
                Self::Translate(translation) => write!(f, "{{{}, $default: {}}}", Members(translation), both.1),
                from => write!(f, "{{$from: {from}, $default: {}}}", both.1),
            },
            Self::Translate(translation) => write!(f, "{{{}}}", Members(translation)),
            Self::Each(each) => write!(f, "{{$each: {}, $item: {}}}", each.1, each.2),
            Self::When(when) => {
                write!(f, "{{$when: {}, $then: {}", when.0.text(), when.1)?;
                if let Some(otherwise) = &when.2 {
                    write!(f, ", $else: {otherwise}")?;
                }
                f.write_str("}")
            }
            Self::Error(told) => write!(f, "{{$error: {}}}", told.text),
        }
    }
}

/// The members of a translation, which may also have a default.
struct Members<'a>(&'a Translation);

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Translation { from, entries, otherwise } = self.0;
        write!(f, "$from: {from}, $map: {{")?;
        for (index, (text, value)) in entries.iter().enumerate() {
            write!(f, "{}{text}: {}", if index > 0 { ", " } else { "" }, Constant(value))?;
        }
        f.write_str("}")?;
        otherwise.as_ref().map_or(Ok(()), |otherwise| write!(f, ", $else: {otherwise}"))
    }
}

/// A constant as JSON.
struct Constant<'a>(&'a Value);

impl fmt::Display for Constant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        expression::value::to_json(self.0, &mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(status) => write!(f, "{}", status.as_u16()),
            Self::Expression(_, text) => f.write_str(text),
        }
    }
}

impl RequestPlan {
    /// Returns the list of `$each`, if there is one, and the values of the message's fields by their paths. The value of a whole message has
    /// an empty path.
    pub fn shown(&self, types: &MessageTypes, parameters: &Parameters) -> (Option<String>, Vec<(String, String)>) {
        let (list, plan) = match self {
            Self::One(plan) => (None, plan),
            Self::Each(source, plan) => (Some(list(source, parameters)), plan),
        };
        (list, plan.shown(types))
    }
}

impl MessagePlan {
    /// Returns the values of the fields by their paths.
    pub fn shown(&self, types: &MessageTypes) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        self.show(types, "", &mut fields);
        fields
    }

    fn show(&self, types: &MessageTypes, prefix: &str, out: &mut Vec<(String, String)>) {
        if let Some(whole) = &self.whole {
            out.push((prefix.trim_end_matches('.').to_owned(), whole.to_string()));
        }
        for (place, fill) in &self.fields {
            let field = &types.message(self.message).fields[*place];
            let name = format!("{prefix}{}", field.name);
            match fill {
                Fill::Message(plan) => plan.show(types, &format!("{name}."), out),
                Fill::Value(template) => out.push((name, template.to_string())),
                Fill::Encoded(bytes) => {
                    let mut text = Vec::new();
                    // It was encoded when the definition was compiled, so this does not fail.
                    let _ = json::encode_field(types, self.message, field, bytes, &mut text);
                    out.push((name, String::from_utf8_lossy(&text).into_owned()));
                }
            }
        }
    }

    /// Whether a parameter is copied to a field.
    pub fn takes_parameter(&self, wanted: usize) -> bool {
        self.fields.iter().any(|(_, fill)| match fill {
            Fill::Value(ValueTemplate::Path(ValueSource::Parameter(place), _)) => *place == wanted,
            Fill::Message(plan) => plan.takes_parameter(wanted),
            Fill::Value(_) | Fill::Encoded(_) => false,
        })
    }
}

/// Formats the list of a request's `$each` as in the definition.
fn list(source: &ValueSource, parameters: &Parameters) -> String {
    let path = |root: &str, names: &[String]| std::iter::once(root).chain(names.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
    match source {
        ValueSource::Parameter(place) => parameters.list.get(*place).map_or_else(String::new, name),
        ValueSource::Body(names) => path("body", names),
        ValueSource::Variable(root, names) => path(root, names),
        ValueSource::List(expression) => expression.text().to_owned(),
        // Requests can't use replies.
        ValueSource::Replies | ValueSource::Message | ValueSource::Reply(_) | ValueSource::Messages(..) | ValueSource::Item(_) => {
            "reply".to_owned()
        }
    }
}

fn name(parameter: &Parameter) -> String {
    format!("{}.{}", parameter.location.name(), parameter.name)
}

impl Endpoint {
    /// Returns its path with the parameter names of the document.
    pub fn path(&self, template: &PathTemplate) -> String {
        let mut text = template.to_string();
        let own = self.parameters.variables.iter().skip(self.parameters.of_prefix);
        for (number, place) in own.enumerate() {
            let Some(parameter) = self.parameters.list.get(*place) else { continue };
            for end in ['}', '='] {
                text = text.replacen(&format!("{{p{number}{end}"), &format!("{{{}{end}", parameter.name), 1);
            }
        }
        text
    }

    /// Formats a condition as in the definition.
    pub fn condition(&self, condition: &Condition) -> String {
        match condition {
            Condition::Expression(_, text) => text.clone(),
            Condition::Given(place) => {
                let parameter = self.parameters.list.get(*place);
                parameter.map_or_else(String::new, |parameter| format!("has({})", name(parameter)))
            }
        }
    }
}
