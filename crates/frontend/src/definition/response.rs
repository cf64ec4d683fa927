//! Compiles `response` and `errors`.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue, StatusCode};

use super::{
    document::Operation,
    reader::Section,
    template::{ValueCompiler, report_unknown_name},
};
use crate::{
    expression::{Type, Value},
    mapping::{
        Answer, ErrorCase, ErrorCases, ErrorForm, Outcome, Refusal, ResponseCase, ResponsePlan, Status, ValueSource, ValueTemplate, is_json,
    },
    message_types::MessageId,
};
use prism_call::Code;
use prism_yaml::{Node, Value as Yaml};

/// The codes of errors.
pub const CODES: [Code; 16] = [
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

impl ValueCompiler<'_> {
    /// Compiles the mapping of a reply.
    pub fn response(
        &self,
        node: Option<&Node>,
        operation: &Operation,
        output: Option<MessageId>,
        default: &HeaderValue,
    ) -> Option<ResponsePlan> {
        let Some(node) = node else {
            let answer = self.answer(None, operation, output, default)?;
            return Some(ResponsePlan { cases: vec![ResponseCase { when: None, outcome: Outcome::Answer(answer) }] });
        };
        let Yaml::List(items) = &node.value else {
            let case = self.response_case(node, operation, output, default)?;
            if case.when.is_some() {
                self.file.problem(&node.position, "the only response can't have `when`; use a list whose last item has no `when`");
            }
            return Some(ResponsePlan { cases: vec![case] });
        };
        let (mut cases, mut compiler): (Vec<Option<ResponseCase>>, _) = (Vec::with_capacity(items.len()), self.clone());
        for item in items {
            let case = compiler.response_case(item, operation, output, default);
            if let Some(ResponseCase { when: Some(when), .. }) = &case {
                compiler.scope = compiler.scope.with_present(when.present_if(false).iter().cloned());
            }
            cases.push(case);
        }
        let whens = cases.iter().map(|case| case.as_ref().map(|case| case.when.is_some()));
        self.check_order("response", items, &whens.collect::<Vec<_>>());
        Some(ResponsePlan { cases: cases.into_iter().collect::<Option<_>>()? })
    }

    /// Checks that each case except the last one has a condition, and that the last one has none.
    pub fn check_order(&self, what: &str, items: &[Node], conditions: &[Option<bool>]) {
        for (index, (item, condition)) in items.iter().zip(conditions).enumerate() {
            let last = index + 1 == items.len();
            match condition {
                Some(false) if !last => {
                    let message = format!("no {what} after this one is ever used, because it has no `when`");
                    self.file.problem(&item.position, message);
                }
                Some(true) if last => {
                    let message = format!("the last {what} can't have `when`: it is used if no other one matches");
                    self.file.problem(&item.position, message);
                }
                _ => {}
            }
        }
    }

    fn response_case(&self, node: &Node, operation: &Operation, output: Option<MessageId>, default: &HeaderValue) -> Option<ResponseCase> {
        let section = Section::new(self.file, "the response", node);
        let when = section.get("when").map(|node| self.condition(node));
        let mut knowing = self.clone();
        if let Some(Some(when)) = &when {
            knowing.scope = knowing.scope.with_present(when.present_if(true).iter().cloned());
        }
        let outcome = if let Some(error) = section.get("error") {
            knowing.refusal(error).map(Outcome::Error)
        } else {
            knowing.answer(Some(&section), operation, output, default).map(Outcome::Answer)
        };
        section.finish();
        let when = match when {
            None => None,
            Some(compiled) => Some(compiled?),
        };
        Some(ResponseCase { when, outcome: outcome? })
    }

    fn answer(
        &self,
        section: Option<&Section<'_, '_>>,
        operation: &Operation,
        output: Option<MessageId>,
        default: &HeaderValue,
    ) -> Option<Answer> {
        let get = |key| section.and_then(|section| section.get(key));
        let status = match get("status") {
            Some(node) => self.status(node, Some(operation)),
            None => StatusCode::from_u16(operation.success()).ok().map(Status::Fixed),
        };
        let headers = get("headers").map_or_else(|| Some(Vec::new()), |node| self.headers(node));
        let documented = match &status {
            Some(Status::Fixed(status)) => operation.response(status.as_u16()),
            _ => operation.response(operation.success()),
        };
        let given = section.and_then(|section| section.given("body"));
        let body = match given {
            Some(node) if matches!(node.value, Yaml::Null) => Some(None),
            Some(node) => self.value(node).map(|typed| Some((typed, Some(node)))),
            None if documented.is_some_and(|response| response.contents.is_empty()) => Some(None),
            None => output
                .map(|output| {
                    let whole = ValueTemplate::Path(ValueSource::Variable("reply".to_owned(), Vec::new()), "reply".to_owned());
                    Some(((whole, Type::Message(output)), None))
                })
                .or(Some(None)),
        };
        let content_types = if let Some(node) = get("content_type") {
            self.content_type(node).map(|value| vec![value])
        } else {
            let contents = documented.map_or(&[][..], |response| &response.contents);
            let types: Vec<HeaderValue> = contents
                .iter()
                .filter(|(media, _)| !media.contains('*'))
                .filter_map(|(media, _)| HeaderValue::try_from(media.as_str()).ok())
                .collect();
            Some(if types.is_empty() { vec![default.clone()] } else { types })
        };
        let (status, headers, body, content_types) = (status?, headers?, body?, content_types?);
        if let (Some(((_, kind), Some(node))), Some(first)) = (&body, content_types.first())
            && is_json(first)
        {
            let wanted = documented.and_then(|response| response.contents.first()).map(|(_, kind)| kind);
            if let Some(problem) = wanted.and_then(|wanted| misfit(self, kind, wanted)) {
                self.file.problem(&node.position, format!("the body differs from the document's schema of this response: {problem}"));
            }
        }
        Some(Answer { status, headers, content_types, body: body.map(|((template, _), _)| template) })
    }

    fn content_type(&self, node: &Node) -> Option<HeaderValue> {
        let text = self.file.text("`content_type`", node)?;
        let value = HeaderValue::try_from(text).ok().filter(|_| text.contains('/'));
        if value.is_none() {
            self.file.problem(&node.position, format!("`{text}` is not a content type"));
        }
        value
    }

    /// Compiles a status. A fixed one must be in the document.
    pub fn status(&self, node: &Node, operation: Option<&Operation>) -> Option<Status> {
        if let Yaml::Number(_) = node.value {
            let status = self.file.number("`status`", node, 200..=599)?;
            let status = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
            if let Some(operation) = operation.filter(|operation| operation.response(status.as_u16()).is_none()) {
                let known: Vec<&str> = operation.responses.iter().map(|response| response.status.as_str()).collect();
                let message =
                    format!("the document lists no response {} for {}; it has {}", status.as_u16(), operation.name(), known.join(", "));
                self.file.problem(&node.position, message);
            }
            return Some(Status::Fixed(status));
        }
        let (expression, kind) = self.expression(node)?;
        if !matches!(kind, Type::Int | Type::Uint | Type::Dyn) {
            self.file.problem(&node.position, format!("`status` must be a number, but this is {}", kind.describe(self.types)));
        }
        if let Some(Value::Int(number)) = expression.as_constant() {
            // For example a setting of the binding.
            let status = u16::try_from(*number).ok().and_then(|number| StatusCode::from_u16(number).ok());
            if status.is_none() {
                self.file.problem(&node.position, format!("`status` is {number}, which is not a valid status"));
            }
            return status.map(Status::Fixed);
        }
        Some(Status::Expression(Box::new(expression), node.text().unwrap_or_default().to_owned()))
    }

    fn headers(&self, node: &Node) -> Option<Vec<(HeaderName, ValueTemplate)>> {
        let entries = self.file.entries("`headers`", node);
        let mut headers = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let Ok(name) = HeaderName::try_from(key.name.as_str()) else {
                self.file.problem(&key.position, format!("`{}` is not a valid name of a header", key.name));
                continue;
            };
            headers.push((name, self.value(node)?.0));
        }
        Some(headers)
    }

    /// Compiles an error that the definition returns.
    pub fn refusal(&self, node: &Node) -> Option<Refusal> {
        let section = Section::new(self.file, "the error", node);
        let code = section.required("code", "NOT_FOUND").and_then(|text| {
            let found = CODES.into_iter().find(|code| code.name() == text);
            if found.is_none() {
                report_unknown_name(self.file, section.get("code")?, "code", text, CODES.map(Code::name));
            }
            found
        });
        let reason = section.required("reason", "KEY_NOT_FOUND").map(str::to_owned);
        let message = section.get("message").map(|node| self.value(node));
        section.finish();
        let message = match message {
            None => None,
            Some(compiled) => Some(compiled?.0),
        };
        Some(Refusal { code: code?, reason: reason?, message })
    }

    /// Compiles the form of errors.
    pub fn error_form(&self, section: &Section<'_, '_>) -> ErrorForm {
        let content_type = section.get("content_type").and_then(|node| self.content_type(node));
        let headers = section.get("headers").and_then(|node| self.headers(node)).unwrap_or_default();
        let body = section.given("body").map(|node| match node.value {
            Yaml::Null => None,
            _ => self.value(node).map(|(template, _)| template),
        });
        ErrorForm { content_type, headers, body }
    }

    /// Compiles the special cases for errors.
    pub fn error_cases(&self, node: Option<&Node>) -> ErrorCases {
        let mut cases = HashMap::new();
        let entries = node.map_or(&[][..], |node| self.file.entries("the errors", node));
        for (key, node) in entries {
            let status = key.name.parse::<u16>().ok();
            let name = key.name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
            if !name || status.is_some_and(|status| !(400..600).contains(&status)) {
                let message = format!("`{}` is not a reason (KEY_NOT_FOUND), a code (NOT_FOUND) or a status (404)", key.name);
                self.file.problem(&key.position, message);
            }
            let section = Section::new(self.file, "the error", node);
            let case = ErrorCase {
                status: section.get("status").and_then(|node| self.status(node, None)),
                code: section.get("code").and_then(|node| self.value(node)).map(|(template, _)| template),
                message: section.get("message").and_then(|node| self.value(node)).map(|(template, _)| template),
                form: self.error_form(&section),
            };
            section.finish();
            cases.insert(key.name.clone(), case);
        }
        ErrorCases(cases)
    }
}

/// Returns why a body can't match the document's schema, or `None` if it may match.
fn misfit(compiler: &ValueCompiler<'_>, body: &Type, wanted: &Type) -> Option<String> {
    let differ = || {
        let (body, wanted) = (body.describe(compiler.types), wanted.describe(compiler.types));
        Some(format!("it is {body}, but the schema says {wanted}"))
    };
    match (body, wanted) {
        (Type::Dyn | Type::Null, _)
        | (_, Type::Dyn | Type::Null)
        // The members of a map or a message are known only at run time.
        | (Type::Map(_) | Type::Message(_), Type::Object(_) | Type::Map(_) | Type::Message(_))
        | (Type::Object(_), Type::Map(_) | Type::Message(_)) => None,
        (Type::List(body), Type::List(wanted)) => misfit(compiler, body, wanted),
        (Type::Object(body), Type::Object(wanted)) => {
            for member in &body.members {
                match wanted.member(&member.name) {
                    Some(known) => {
                        if let Some(problem) = misfit(compiler, &member.value, &known.value) {
                            return Some(format!("`{}`: {problem}", member.name));
                        }
                    }
                    None if !wanted.open => return Some(format!("it has no member `{}`", member.name)),
                    None => {}
                }
            }
            let missing = wanted.members.iter().find(|known| known.required && body.member(&known.name).is_none());
            missing.filter(|_| !body.open).map(|known| format!("its member `{}` is required", known.name))
        }
        (Type::List(_) | Type::Object(_) | Type::Map(_) | Type::Message(_), _)
        | (_, Type::List(_) | Type::Object(_) | Type::Map(_) | Type::Message(_)) => differ(),
        // Bytes are base64; 64-bit integers may be strings.
        (body, wanted) if body.is_number() == wanted.is_number() && (*body == Type::Bool) == (*wanted == Type::Bool) => None,
        (Type::Int | Type::Uint, Type::String) => None,
        _ => differ(),
    }
}
