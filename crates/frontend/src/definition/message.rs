//! Compiles `request`: the mapping of a request to messages.

use super::template::{ValueCompiler, report_unknown_name};
use crate::{
    expression::{Type, value},
    mapping::{BodyContent, BodyFormat, Fill, MessagePlan, RequestPlan, ValueSource, ValueTemplate},
    message_types::{Field, FieldKind, FieldShape, MessageId},
};
use prism_yaml::{Node, Value as Yaml};

impl ValueCompiler<'_> {
    /// Compiles the mapping of a request. Without a node, fields are mapped by their names.
    pub fn request(&self, node: Option<&Node>, input: MessageId, streaming: bool, body: Option<&BodyContent>) -> Option<RequestPlan> {
        let whole = |source, text: &str| Some(ValueTemplate::Path(source, text.to_owned()));
        let Some(node) = node else {
            return Some(match body {
                Some(body) if streaming && matches!(body.value, Type::List(_)) => {
                    let item = ValueSource::Variable("item".to_owned(), Vec::new());
                    RequestPlan::Each(ValueSource::Body(Vec::new()), self.by_name(input, whole(item, "item")))
                }
                Some(body) if body.reading == BodyFormat::Json => {
                    RequestPlan::One(self.by_name(input, whole(ValueSource::Body(Vec::new()), "body")))
                }
                _ => RequestPlan::One(self.by_name(input, None)),
            });
        };
        if let (true, Some(list)) = (streaming, node.get("$each")) {
            let Some(item) = node.get("$item") else {
                self.file.problem(&node.position, "`$each` needs `$item`: the value for each item");
                return None;
            };
            let (source, inner) = self.list(list)?;
            return Some(RequestPlan::Each(source, inner.message(item, input)?));
        }
        Some(RequestPlan::One(self.message(node, input)?))
    }

    /// Maps parameters and the members of an object to the fields with their names.
    pub fn by_name(&self, input: MessageId, whole: Option<ValueTemplate>) -> MessagePlan {
        let message = self.types.message(input);
        let fields = self.parameters.iter().enumerate().filter_map(|(position, parameter)| {
            let field = message.by_name(&parameter.name)?;
            let text = format!("{}.{}", parameter.location.name(), parameter.name);
            Some((field, Fill::Value(ValueTemplate::Path(ValueSource::Parameter(position), text))))
        });
        MessagePlan { message: input, whole, fields: fields.collect() }
    }

    /// Compiles a message, field by field or as a whole.
    pub fn message(&self, node: &Node, id: MessageId) -> Option<MessagePlan> {
        let Yaml::Map(entries) = &node.value else { return self.whole(node, id) };
        if entries.iter().any(|(key, _)| key.name.starts_with('$')) {
            return self.whole(node, id);
        }
        let message = self.types.message(id);
        let (mut fields, mut whole) = (Vec::with_capacity(entries.len()), true);
        for (key, node) in entries {
            let Some(position) = message.by_name(&key.name) else {
                let known = message.fields.iter().map(|field| field.name.as_str());
                let at = Node { value: Yaml::Null, position: key.position.clone() };
                report_unknown_name(self.file, &at, &format!("field of {}", message.name), &key.name, known);
                whole = false;
                continue;
            };
            match self.fill(node, &message.fields[position]) {
                Some(fill) => fields.push((position, fill)),
                None => whole = false,
            }
        }
        whole.then_some(MessagePlan { message: id, whole: None, fields })
    }

    fn whole(&self, node: &Node, id: MessageId) -> Option<MessagePlan> {
        let (template, kind) = self.value(node)?;
        let name = &self.types.message(id).name;
        match kind {
            Type::Dyn | Type::Map(_) | Type::Object(_) | Type::Null => {}
            Type::Message(other) if other == id => {}
            other => {
                let kind = other.describe(self.types);
                self.file.problem(&node.position, format!("the request is a message {name}, but this is {kind}"));
                return None;
            }
        }
        if let Type::Object(object) = &kind
            && !object.open
        {
            let known = self.types.message(id);
            for member in object.members.iter().filter(|member| known.by_name(&member.name).is_none()) {
                report_unknown_name(
                    self.file,
                    node,
                    &format!("field of {name}"),
                    &member.name,
                    known.fields.iter().map(|field| field.name.as_str()),
                );
            }
        }
        Some(MessagePlan { message: id, whole: Some(template), fields: Vec::new() })
    }

    fn fill(&self, node: &Node, field: &Field) -> Option<Fill> {
        if let (Yaml::Map(entries), FieldShape::Singular { .. }, FieldKind::Message(id)) = (&node.value, field.shape, field.kind)
            && self.types.message(id).special.is_none()
            && !entries.iter().any(|(key, _)| key.name.starts_with('$'))
        {
            return self.message(node, id).map(Fill::Message);
        }
        let (template, kind) = self.value(node)?;
        let tell = |problem: String| {
            let text = node.text().map_or_else(|| template.to_string(), str::to_owned);
            self.file.problem(&node.position, format!("`{text}`: {problem}"));
        };
        if let ValueTemplate::Constant(constant) = &template {
            let mut bytes = Vec::new();
            return match value::put(self.types, field, constant, &mut bytes) {
                Ok(()) => Some(Fill::Encoded(bytes)),
                Err(refusal) => {
                    tell(format!("`{}` {refusal}", field.name));
                    None
                }
            };
        }
        if let Err(problem) = value::assignable(self.types, &kind, field) {
            tell(problem);
            return None;
        }
        Some(Fill::Value(template))
    }
}
