//! Compiles the values of a definition to templates, and infers their types.

use super::reader::{Section, SourceFile};
use crate::{
    bind::FieldPath,
    expression::{self, Expression, Member, Object, Type, Value},
    mapping::{EmbeddedError, ErrorLocation, Parameter, ParameterLocation, Translation, ValueSource, ValueTemplate},
    message_types::{FieldKind, FieldShape, MessageId, MessageTypes},
};
use prism_yaml::{Node, Value as Yaml, unknown_name};

/// The type of errors in a reply.
const STATUS: &str = "google.rpc.Status";

/// The context in which a value is compiled.
#[derive(Clone)]
pub struct ValueCompiler<'a> {
    /// The definition's file.
    pub file: &'a SourceFile,
    /// All message types.
    pub types: &'static MessageTypes,
    /// The variables with their types.
    pub scope: expression::Scope,
    /// The parameters of the operation.
    pub parameters: &'a [Parameter],
    /// The type of `reply` and of the items of `replies`.
    pub reply: Option<MessageId>,
    /// The type of `item`, if it is a message that comes from the reply.
    pub item: Option<MessageId>,
}

/// A template and the type of its value.
pub type Typed = (ValueTemplate, Type);

impl ValueCompiler<'_> {
    /// Compiles a value. Reports its problems.
    pub fn value(&self, node: &Node) -> Option<Typed> {
        match &node.value {
            Yaml::Null => Some((ValueTemplate::Constant(Value::Null), Type::Null)),
            Yaml::Bool(value) => Some((ValueTemplate::Constant(Value::Bool(*value)), Type::Bool)),
            Yaml::Number(_) => {
                let value = expression::value::from_json(&node.to_json());
                let kind = match value {
                    Value::UInt(_) => Type::Uint,
                    Value::Float(_) => Type::Double,
                    _ => Type::Int,
                };
                Some((ValueTemplate::Constant(value), kind))
            }
            Yaml::Text(text) => self.text(node, text),
            Yaml::List(items) => {
                let items: Option<Vec<Typed>> = items.iter().map(|item| self.value(item)).collect();
                let (templates, types): (Vec<_>, Vec<_>) = items?.into_iter().unzip();
                let element = types.into_iter().reduce(|one, other| one.join(&other)).unwrap_or(Type::Null);
                Some((ValueTemplate::List(templates), Type::list(element)))
            }
            Yaml::Map(entries) if entries.iter().any(|(key, _)| is_form(&key.name)) => self.form(node),
            Yaml::Map(entries) => {
                let mut members = Vec::with_capacity(entries.len());
                let mut object = Object { members: Vec::with_capacity(entries.len()), open: false };
                let mut whole = true;
                for (key, node) in entries {
                    let Some((template, value)) = self.value(node) else {
                        whole = false;
                        continue;
                    };
                    let name = key.name.strip_prefix('$').unwrap_or(&key.name).to_owned();
                    object.members.push(Member { name: name.clone(), value, required: self.is_always_there(&template) });
                    members.push((name.into(), template));
                }
                whole.then(|| (ValueTemplate::Object(members), Type::Object(object.into())))
            }
        }
    }

    /// Compiles an expression.
    pub fn expression(&self, node: &Node) -> Option<(Expression, Type)> {
        let text = match &node.value {
            Yaml::Text(text) => text.clone(),
            Yaml::Bool(value) => value.to_string(),
            other => {
                self.file.problem(&node.position, format!("expected an expression, not {}", other.kind()));
                return None;
            }
        };
        self.compile(node, &text)
    }

    /// Compiles a condition.
    pub fn condition(&self, node: &Node) -> Option<Expression> {
        let (expression, kind) = self.expression(node)?;
        if !matches!(kind, Type::Bool | Type::Dyn) {
            let kind = kind.describe(self.types);
            self.file.problem(&node.position, format!("the condition must be true or false, but it is {kind}"));
            return None;
        }
        Some(expression)
    }

    fn compile(&self, node: &Node, text: &str) -> Option<(Expression, Type)> {
        match Expression::compile(text, self.types, &self.scope) {
            Ok(expression) => {
                let kind = expression.type_of().clone();
                Some((expression, kind))
            }
            Err(problem) => {
                // A plain word instead of a quoted text is a common mistake.
                let word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' '));
                let hint = if word { format!("; to use the text itself, write \"'{text}'\"") } else { String::new() };
                self.file.problem(&node.position, format!("`{text}`: {problem}{hint}"));
                None
            }
        }
    }

    fn text(&self, node: &Node, text: &str) -> Option<Typed> {
        let (expression, kind) = self.compile(node, text)?;
        if let Some(constant) = expression.as_constant() {
            return Some((ValueTemplate::Constant(constant.clone()), kind));
        }
        if let Some(path) = expression.as_path()
            && let Some(source) = self.source(path)
        {
            return Some((ValueTemplate::Path(source, text.to_owned()), kind));
        }
        Some((ValueTemplate::Expression(Box::new(expression), text.to_owned()), kind))
    }

    /// Resolves a path of names.
    pub fn source(&self, path: &[String]) -> Option<ValueSource> {
        let (root, names) = path.split_first()?;
        let location = match root.as_str() {
            "path" => Some(ParameterLocation::Path),
            "query" => Some(ParameterLocation::Query),
            "header" => Some(ParameterLocation::Header),
            "cookie" => Some(ParameterLocation::Cookie),
            _ => None,
        };
        if let (Some(location), [name]) = (location, names) {
            let fits = |parameter: &Parameter| {
                parameter.location == location
                    && (parameter.name == *name || location == ParameterLocation::Header && parameter.name.replace('-', "_") == *name)
            };
            return self.parameters.iter().position(fits).map(ValueSource::Parameter);
        }
        let target = |message: MessageId| {
            // A path into something other than a message, such as a map, is resolved at run time.
            FieldPath::resolve(self.types, message, names.iter().map(String::as_str)).ok()
        };
        match root.as_str() {
            "body" => return Some(ValueSource::Body(names.to_vec())),
            "reply" if !names.is_empty() => {
                if let Some(found) = self.reply.and_then(target) {
                    return Some(ValueSource::Reply(found));
                }
            }
            "item" => match (self.item, names) {
                (Some(_), []) => return Some(ValueSource::Message),
                (Some(id), _) => {
                    if let Some(found) = target(id) {
                        return Some(ValueSource::Item(found));
                    }
                }
                (None, _) => {}
            },
            _ => {}
        }
        Some(ValueSource::Variable(root.clone(), names.to_vec()))
    }

    /// Whether a value is always set.
    fn is_always_there(&self, template: &ValueTemplate) -> bool {
        match template {
            ValueTemplate::Path(ValueSource::Parameter(position), _) => {
                self.parameters.get(*position).is_some_and(|parameter| parameter.required || parameter.default.is_some())
            }
            ValueTemplate::Path(ValueSource::Reply(target) | ValueSource::Item(target), _) => {
                target.steps.iter().all(|step| step.field(self.types).shape != FieldShape::Singular { presence: true })
            }
            ValueTemplate::Path(ValueSource::Body(_) | ValueSource::Variable(..), _)
            | ValueTemplate::Translate(_)
            | ValueTemplate::Error(_) => false,
            ValueTemplate::When(when) => when.2.is_some(),
            ValueTemplate::Default(both) => self.is_always_there(&both.1),
            _ => true,
        }
    }

    fn form(&self, node: &Node) -> Option<Typed> {
        let section = Section::new(self.file, "this form", node);
        let found = if let Some(list) = section.get("$each") {
            self.each(&section, list)
        } else if let Some(condition) = section.get("$when") {
            self.when(&section, condition)
        } else if let Some(from) = section.get("$from") {
            self.from(&section, from)
        } else if let Some(error) = section.get("$error") {
            self.error(error)
        } else {
            let message =
                "a form begins with `$each`, `$when`, `$from` or `$error`; a member whose name begins with `$` is written with `$$`";
            self.file.problem(&node.position, message);
            return None;
        };
        section.finish();
        found
    }

    fn each(&self, section: &Section<'_, '_>, list: &Node) -> Option<Typed> {
        let item = section.given("$item");
        if item.is_none() {
            self.file.problem(&section.position, "`$each` needs `$item`: the value for each item");
        }
        let (source, inner) = self.list(list)?;
        let (template, kind) = inner.value(item?)?;
        let name = list.text().unwrap_or_default().to_owned();
        Some((ValueTemplate::Each(Box::new((source, name, template))), Type::list(kind)))
    }

    /// Compiles a list. Returns it with the context of its items.
    pub fn list(&self, node: &Node) -> Option<(ValueSource, Self)> {
        let (expression, kind) = self.expression(node)?;
        let element = match kind {
            Type::List(element) => *element,
            Type::Dyn => Type::Dyn,
            other => {
                let kind = other.describe(self.types);
                self.file.problem(&node.position, format!("`$each` needs a list, but `{}` is {kind}", node.text().unwrap_or_default()));
                return None;
            }
        };
        let mut inner = self.clone();
        inner.scope = self.scope.with("item", element).with("index", Type::Int);
        inner.item = None;
        let source = match expression.as_path() {
            Some([root]) if root == "replies" => {
                inner.item = self.reply;
                ValueSource::Replies
            }
            Some(path) => match self.source(path)? {
                ValueSource::Reply(target) => match (target.field(self.types).shape, target.field(self.types).kind) {
                    (FieldShape::Repeated, FieldKind::Message(id)) if self.types.message(id).special.is_none() => {
                        inner.item = Some(id);
                        ValueSource::Messages(target, id)
                    }
                    _ => ValueSource::Reply(target),
                },
                other => other,
            },
            None => ValueSource::List(Box::new(expression)),
        };
        Some((source, inner))
    }

    fn when(&self, section: &Section<'_, '_>, condition: &Node) -> Option<Typed> {
        let condition = self.condition(condition);
        let knowing = |holds: bool| {
            let present = condition.as_ref().map_or(&[][..], |condition| condition.present_if(holds));
            Self { scope: self.scope.with_present(present.iter().cloned()), ..self.clone() }
        };
        let then = section.given("$then");
        if then.is_none() {
            self.file.problem(&section.position, "`$when` needs `$then`: the value if the condition holds");
        }
        let then = then.and_then(|node| knowing(true).value(node));
        let otherwise = section.given("$else").map(|node| knowing(false).value(node));
        let (then, kind) = then?;
        match otherwise {
            None => Some((ValueTemplate::When(Box::new((condition?, then, None))), kind)),
            Some(otherwise) => {
                let (otherwise, other) = otherwise?;
                Some((ValueTemplate::When(Box::new((condition?, then, Some(otherwise)))), kind.join(&other)))
            }
        }
    }

    fn from(&self, section: &Section<'_, '_>, from: &Node) -> Option<Typed> {
        let (from, mut kind) = self.value(from)?;
        let mut template = from;
        let map = section.get("$map");
        let otherwise = section.given("$else");
        if let Some(map) = map {
            let entries: Vec<(String, Value)> = self
                .file
                .entries("`$map`", map)
                .iter()
                .map(|(key, node)| (key.name.clone(), expression::value::from_json(&node.to_json())))
                .collect();
            kind = entries.iter().map(|(_, value)| type_of(value)).reduce(|one, other| one.join(&other)).unwrap_or(Type::Dyn);
            let otherwise = match otherwise {
                None => None,
                Some(node) => {
                    let (template, other) = self.value(node)?;
                    kind = kind.join(&other);
                    Some(template)
                }
            };
            template = ValueTemplate::Translate(Box::new(Translation { from: template, entries, otherwise }));
        } else if otherwise.is_some() {
            self.file.problem(&section.position, "`$else` belongs to `$map`; the value for an absent one is `$default`");
        }
        if let Some(default) = section.given("$default") {
            let (default, other) = self.value(default)?;
            kind = kind.join(&other);
            template = ValueTemplate::Default(Box::new((template, default)));
        } else if map.is_none() {
            self.file.problem(&section.position, "`$from` needs `$default` or `$map`; for the value alone, write only the expression");
        }
        Some((template, kind))
    }

    /// Compiles an error in the reply. `errors` defines its body, which may differ between cases.
    fn error(&self, node: &Node) -> Option<Typed> {
        let (expression, kind) = self.expression(node)?;
        let text = node.text().unwrap_or_default();
        let status = matches!(kind, Type::Message(id) if self.types.message(id).name == STATUS);
        let position = match expression.as_path().and_then(|path| self.source(path)) {
            Some(ValueSource::Reply(target)) if status => Some(ErrorLocation::Reply(target)),
            Some(ValueSource::Item(target)) if status => Some(ErrorLocation::Item(target)),
            Some(ValueSource::Message) if status => Some(ErrorLocation::Whole),
            _ => None,
        };
        if position.is_none() {
            let kind = kind.describe(self.types);
            self.file.problem(&node.position, format!("`$error` needs a path to a {STATUS} in the reply, but `{text}` is {kind}"));
        }
        Some((ValueTemplate::Error(EmbeddedError { place: position?, text: text.to_owned() }), Type::Dyn))
    }
}

fn is_form(key: &str) -> bool {
    key.starts_with('$') && !key.starts_with("$$")
}

fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::UInt(_) => Type::Uint,
        Value::Float(_) => Type::Double,
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        _ => Type::Dyn,
    }
}

/// Reports an unknown name.
pub fn report_unknown_name<'n>(file: &SourceFile, node: &Node, what: &str, name: &str, known: impl IntoIterator<Item = &'n str> + Clone) {
    file.problem(&node.position, unknown_name(what, name, known));
}
