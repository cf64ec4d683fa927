//! The whole mapping of one operation, as text.

use std::fmt::Write as _;

use serde_json::json;

use crate::cli::{
    Outcome,
    output::{self, columns_apart},
};
use prism_frontend::{
    definition::Definition,
    mapping::{
        Action, Answer, Endpoint, EndpointCase, ErrorCases, ErrorForm, Outcome as Reply, Parameter, ResponsePlan, Step, StepAction,
        ValueTemplate as Value,
    },
    message_types::MessageTypes,
    template::PathTemplate,
};

/// Prints an operation.
pub(super) fn print(format: output::Format, definition: &Definition, method: &str, path: &PathTemplate, endpoint: &Endpoint) -> Outcome {
    let schema = definition.api.types;
    let path = endpoint.path(path);
    let value = || {
        json!({
            "operation": endpoint.name,
            "method": method,
            "path": path,
            "parameters": endpoint.parameters.list.iter().map(|parameter| json!({
                "in": parameter.location.name(), "name": parameter.name, "type": parameter.value.describe(schema), "required": parameter.required,
            })).collect::<Vec<_>>(),
            "cases": endpoint.cases.iter().map(|case| json!({
                "when": condition_text(endpoint, case), "does": action_summary(&case.action), "mapping": case_text(schema, endpoint, case, ""),
            })).collect::<Vec<_>>(),
        })
    };
    output::print(format, &value(), || {
        let mut out = format!("{}: {method} {path}\n", endpoint.name);
        write_inputs(schema, endpoint, &mut out);
        for (number, case) in endpoint.cases.iter().enumerate() {
            let title = match (endpoint.cases.len(), condition_text(endpoint, case)) {
                (1, _) => action_summary(&case.action),
                (_, when) => format!("{}. {}: {}", number + 1, when.unwrap_or_default(), action_summary(&case.action)),
            };
            // Writing into a String can't fail.
            let _ = write!(out, "\n{title}\n{}", case_text(schema, endpoint, case, "  "));
        }
        out
    })
}

/// Returns the condition of a case on one line, or `otherwise` for the last of several cases.
pub(super) fn condition_text(endpoint: &Endpoint, case: &EndpointCase) -> Option<String> {
    let on_one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let when = case.when.as_ref().map(|when| on_one_line(endpoint.condition(when)));
    let Some(switch) = &endpoint.switch else {
        return when.or_else(|| (endpoint.cases.len() > 1).then(|| "otherwise".to_owned()));
    };
    let index = endpoint.cases.iter().position(|other| std::ptr::eq(other, case))?;
    let text = switch.text_of(index).unwrap_or("otherwise");
    Some(when.map_or_else(|| text.to_owned(), |when| format!("{text}: {when}")))
}

/// Describes what a case does in a few words: the RPC, the error, or the status of an answer.
pub(super) fn action_summary(action: &Action) -> String {
    match action {
        Action::Call(call) => call.method.label.clone(),
        Action::Forward(plan) => format!("forwards to {}", plan.to),
        Action::Refuse(refusal) => format!("error {} {}", refusal.code.name(), refusal.reason),
        Action::Answer(plan) => match plan.cases.first().map(|case| &case.outcome) {
            Some(Reply::Answer(answer)) => format!("answers {} without a call", answer.status),
            _ => "answers without a call".to_owned(),
        },
    }
}

/// Writes the parameters and the body that a request may have.
fn write_inputs(schema: &MessageTypes, endpoint: &Endpoint, out: &mut String) {
    let parameter = |parameter: &Parameter| {
        let mut facts = parameter.value.describe(schema);
        if parameter.required {
            facts.push_str(", required");
        }
        if let Some(default) = &parameter.default {
            let _ = write!(facts, ", default {default}");
        }
        vec![format!("  {}.{}", parameter.location.name(), parameter.name), facts]
    };
    let mut rows: Vec<Vec<String>> = endpoint.parameters.list.iter().map(parameter).collect();
    if let Some(body) = &endpoint.body {
        let media: Vec<&str> = body.contents.iter().map(|content| content.media.as_str()).collect();
        rows.push(vec!["  body".to_owned(), format!("{}{}", media.join(" or "), if body.required { ", required" } else { "" })]);
    }
    out.push_str(&columns_apart(2, &rows));
}

fn case_text(schema: &MessageTypes, endpoint: &Endpoint, case: &EndpointCase, indent: &str) -> String {
    let mut out = String::new();
    if !case.named.is_empty() {
        let rows = case.named.iter().map(|(name, value)| vec![format!("{indent}  {name}"), format!("= {value}")]);
        let _ = write!(out, "{indent}Names\n{}", columns_apart(1, &rows.collect::<Vec<_>>()));
    }
    match &case.action {
        Action::Refuse(refusal) => {
            if let Some(message) = &refusal.message {
                let _ = writeln!(out, "{indent}Message {message}");
            }
        }
        Action::Answer(plan) => out.push_str(&response_text(plan, indent)),
        Action::Forward(plan) => {
            let each = plan.each.as_ref().map(|(_, list)| format!(", one for each of {list}")).unwrap_or_default();
            let _ = writeln!(out, "{indent}Forwarded to {}{each}\n{indent}  body ← {}", plan.to, plan.body);
        }
        Action::Call(call) => {
            for step in &call.first {
                out.push_str(&step_text(schema, step, indent));
            }
            let (list, fields) = call.request.shown(schema, &endpoint.parameters);
            let message = call.method.descriptor.input().name().to_owned();
            let each = list.map(|list| format!(", one for each of {list}")).unwrap_or_default();
            let rows = fields.into_iter().map(|(name, value)| {
                let name = if name.is_empty() { "(all)".to_owned() } else { name };
                vec![format!("{indent}  {name}"), format!("← {value}")]
            });
            let rows: Vec<Vec<String>> = rows.collect();
            let _ = write!(out, "{indent}Request {message}{each}\n{}", columns_apart(1, &rows));
            out.push_str(&response_text(&call.response, indent));
            if let Some(again) = &call.again {
                let _ = writeln!(out, "{indent}Again if {}", again.text());
            }
            let cases = error_cases_text(&call.errors);
            if !cases.is_empty() {
                let _ = writeln!(out, "{indent}Errors");
                for line in cases.lines() {
                    let _ = writeln!(out, "{indent}  {line}");
                }
            }
        }
    }
    out
}

/// Describes a step before the call.
fn step_text(schema: &MessageTypes, step: &Step, indent: &str) -> String {
    let mut out = format!("{indent}First {}", step.name);
    if let Some((_, list)) = &step.each {
        let _ = write!(out, ", for each of {list}");
    }
    if let Some(when) = &step.when {
        let _ = write!(out, ", if {}", when.text());
    }
    match &step.action {
        StepAction::Refuse(refusal) => {
            let _ = writeln!(out, ": error {} {}", refusal.code.name(), refusal.reason);
        }
        StepAction::Call(call) => {
            let _ = writeln!(out, ": {}", call.method.label);
            let rows: Vec<Vec<String>> = call
                .request
                .shown(schema)
                .into_iter()
                .map(|(name, value)| vec![format!("{indent}  {name}"), format!("← {value}")])
                .collect();
            out.push_str(&columns_apart(1, &rows));
        }
    }
    out
}

fn response_text(plan: &ResponsePlan, indent: &str) -> String {
    let mut out = String::new();
    for case in &plan.cases {
        let when = match (&case.when, plan.cases.len()) {
            (Some(when), _) => format!(" if {}", when.text()),
            (None, 1) => String::new(),
            (None, _) => " otherwise".to_owned(),
        };
        match &case.outcome {
            Reply::Error(refusal) => {
                let _ = write!(out, "{indent}Error{when}: {} {}", refusal.code.name(), refusal.reason);
                let _ = writeln!(out, "{}", refusal.message.as_ref().map(|message| format!(", {message}")).unwrap_or_default());
            }
            Reply::Answer(answer) => {
                let _ = write!(out, "{indent}Response {}{when}\n{}", answer.status, answer_text(answer, indent));
            }
        }
    }
    out
}

fn answer_text(answer: &Answer, indent: &str) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![format!("{indent}  {name}"), value]);
    for (name, value) in &answer.headers {
        row(&format!("{name}:"), value.to_string());
    }
    let types: Vec<&str> = answer.content_types.iter().filter_map(|value| value.to_str().ok()).collect();
    match &answer.body {
        None => row("no body", String::new()),
        Some(body) => {
            row("content-type:", types.join(" or "));
            match body {
                Value::Object(members) => members.iter().for_each(|(name, value)| row(&format!("body.{name}"), format!("← {value}"))),
                Value::Path(..) if body.to_string() == "reply" => row("body", "← the whole reply".to_owned()),
                body => row("body", format!("← {body}")),
            }
        }
    }
    columns_apart(1, &rows)
}

/// Describes headers and body of every error.
pub(super) fn error_form_text(form: &ErrorForm, indent: &str) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![format!("{indent}{name}"), value]);
    if let Some(content_type) = &form.content_type {
        row("content-type:", content_type.to_str().unwrap_or_default().to_owned());
    }
    for (name, value) in &form.headers {
        row(&format!("{name}:"), value.to_string());
    }
    match &form.body {
        None => {}
        Some(None) => row("no body", String::new()),
        Some(Some(Value::Object(members))) => members.iter().for_each(|(name, value)| row(&format!("body.{name}"), format!("← {value}"))),
        Some(Some(body)) => row("body", format!("← {body}")),
    }
    columns_apart(1, &rows)
}

/// Describes the errors that differ from the others, one on each line.
pub(super) fn error_cases_text(cases: &ErrorCases) -> String {
    let mut names: Vec<&String> = cases.0.keys().collect();
    names.sort();
    let rows = names.into_iter().map(|name| {
        let case = &cases.0[name];
        let mut facts = Vec::new();
        facts.extend(case.status.as_ref().map(|status| format!("status {status}")));
        facts.extend(case.code.as_ref().map(|code| format!("code {code}")));
        facts.extend(case.message.as_ref().map(|message| format!("message {message}")));
        facts.extend(case.form.content_type.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned));
        facts.extend(case.form.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        facts.extend(case.form.body.as_ref().map(|body| body.as_ref().map_or_else(|| "no body".to_owned(), |body| format!("body {body}"))));
        vec![name.clone(), facts.join(", ")]
    });
    columns_apart(2, &rows.collect::<Vec<_>>())
}
