//! `prism frontend describe`.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    find::{Configuration, Found},
    operation,
};
use crate::cli::{
    Failure, Outcome,
    output::{Format, columns, print},
};
use prism_frontend::{
    definition::Definition,
    mapping::{Action, Endpoint, EndpointCase, Errors, Outcome as Reply},
    template::Template,
};
use prism_registry::unknown_name;
use prism_yaml::{self as yaml, Node, Value};

const EXAMPLES: &str = "\
Examples:
  prism frontend describe frontends/notes.yaml             settings and operations
  prism frontend describe frontends/notes.yaml readNote    all of one operation
  prism frontend describe notes -o json                    by the name in prism.yaml";

/// Arguments of `prism frontend describe`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A definition: its file, or its name in the configuration, or the name of one that comes with Prism
    pub name: String,

    /// Only this operation, with all of its mapping: its `operationId`, or method and path as in 'GET /notes/{id}'
    pub operation: Option<String>,

    #[command(flatten)]
    configuration: Configuration,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

/// A definition.
#[derive(Serialize)]
struct View<'a> {
    frontend: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    pattern: &'a str,
    definition: &'a str,
    openapi: &'a str,
    base_path: &'a str,
    settings: Vec<Setting>,
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Setting {
    name: String,
    default: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<serde_json::Value>,
    description: String,
}

#[derive(Serialize)]
struct Operation {
    #[serde(rename = "operation")]
    name: String,
    method: String,
    path: String,
    cases: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    does: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    let found = Found::by_name(&args.name, &args.configuration)?;
    let definition = found.compile()?;
    if let Some(name) = &args.operation {
        let (method, template, endpoint) = find(&definition, name)?;
        return operation::print(args.output, &definition, &method, template, endpoint);
    }
    let operations = definition.api.operations().map(|(method, template, endpoint)| Operation {
        name: endpoint.name.clone(),
        method: method.map_or_else(String::new, ToString::to_string),
        path: endpoint.path(template),
        cases: endpoint.cases.iter().map(|case| Case { when: when(endpoint, case), does: does(&case.action) }).collect(),
    });
    let header = &definition.header;
    let view = View {
        frontend: &header.name,
        title: &header.title,
        description: &header.description,
        pattern: &header.pattern,
        definition: &found.texts.name,
        openapi: &found.texts.document_name,
        base_path: header.base_path.as_deref().unwrap_or("/{namespace}"),
        settings: settings(&found),
        operations: operations.collect(),
    };
    print(args.output, &view, || text(&view, &definition.api.errors, &args.name))
}

/// An operation by its id, or by method and path.
fn find<'a>(definition: &'a Definition, name: &str) -> Result<(String, &'a Template, &'a Endpoint), Failure> {
    let routes = || definition.api.operations();
    let named = |method: &str, template: &Template, endpoint: &Endpoint| {
        endpoint.name == name || format!("{method} {}", endpoint.path(template)) == name
    };
    let found = routes().find_map(|(method, template, endpoint)| {
        let method = method.map_or_else(String::new, ToString::to_string);
        named(&method, template, endpoint).then(|| (method, template, &**endpoint))
    });
    found.ok_or_else(|| {
        let names: Vec<&str> = routes().map(|(_, _, endpoint)| endpoint.name.as_str()).collect();
        Failure(unknown_name("operation", name, names))
    })
}

/// The condition of a case; of the last of several that none of the others holds.
pub(super) fn when(endpoint: &Endpoint, case: &EndpointCase) -> Option<String> {
    let on_one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    case.when
        .as_ref()
        .map(|when| on_one_line(endpoint.condition(when)))
        .or_else(|| (endpoint.cases.len() > 1).then(|| "otherwise".to_owned()))
}

/// What a case does, in a word.
pub(super) fn does(action: &Action) -> String {
    match action {
        Action::Call(call) => call.method.name.clone(),
        Action::Refuse(refusal) => format!("error {} {}", refusal.code.name(), refusal.reason),
        Action::Answer(plan) => match plan.cases.first().map(|case| &case.outcome) {
            Some(Reply::Answer(answer)) => format!("answers {} by itself", answer.status),
            _ => "answers by itself".to_owned(),
        },
    }
}

fn settings(found: &Found) -> Vec<Setting> {
    let (root, _) = yaml::parse(&found.texts.text);
    let Some(Node { value: Value::Map(entries), .. }) = root.get("settings") else { return Vec::new() };
    let setting = |(key, node): &(yaml::Key, Node)| Setting {
        name: key.name.clone(),
        default: node.get("default").map(Node::to_json).unwrap_or_default(),
        decided: found.settings.get(&key.name).cloned(),
        description: node.get("description").and_then(Node::text).unwrap_or_default().to_owned(),
    };
    entries.iter().map(setting).collect()
}

fn text(view: &View<'_>, errors: &Errors, name: &str) -> String {
    let mut out = format!("Frontend: {}\n", view.frontend);
    for text in [view.title, view.description].into_iter().filter(|text| !text.is_empty()) {
        // Writing into a String can't fail.
        let _ = writeln!(out, "  {}", text.trim());
    }
    let _ = writeln!(out, "  Pattern:    {}\n  Definition: {}\n  OpenAPI:    {}", view.pattern, view.definition, view.openapi);
    let _ = writeln!(out, "  Base path:  {}, unless a binding says otherwise", view.base_path);
    let _ = writeln!(out, "  Errors:     {}", if errors.are_problems() { "problem documents (RFC 9457)" } else { "as below" });
    if !view.settings.is_empty() {
        let rows = view.settings.iter().map(|setting| {
            let decided = setting.decided.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            vec![setting.name.clone(), setting.default.to_string(), decided, setting.description.clone()]
        });
        let head = ["SETTING", "DEFAULT", "DECIDED", "DESCRIPTION"].map(str::to_owned).to_vec();
        let _ = write!(out, "\n{}", columns(&[head].into_iter().chain(rows).collect::<Vec<_>>()));
    }
    let mut rows = vec![["OPERATION", "REQUEST", "RPC", "WHEN"].map(str::to_owned).to_vec()];
    for operation in &view.operations {
        let mut head = vec![operation.name.clone(), format!("{} {}", operation.method, operation.path)];
        for case in &operation.cases {
            let place = [case.does.clone(), shortened(case.when.as_deref().unwrap_or_default())];
            rows.push(std::mem::replace(&mut head, vec![String::new(); 2]).into_iter().chain(place).collect());
        }
    }
    let _ = write!(out, "\n{}", columns(&rows));
    if !errors.are_problems() {
        let _ = write!(out, "\nEvery error\n{}", operation::form(&errors.form, "  "));
        let cases = operation::error_cases(&errors.cases);
        let _ = write!(out, "{}", if cases.is_empty() { cases } else { format!("\n{cases}") });
    }
    if let Some(first) = view.operations.first() {
        let _ = writeln!(out, "\nAll of one operation: prism frontend describe {name} {}", quoted(&first.name));
    }
    out
}

/// So much of a condition that the table stays one; all of it is shown with its operation.
fn shortened(when: &str) -> String {
    const MOST: usize = 90;
    if when.chars().count() <= MOST {
        return when.to_owned();
    }
    when.chars().take(MOST - 1).chain(['…']).collect()
}

/// A word for a shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    if text.bytes().all(plain) { text.to_owned() } else { format!("'{text}'") }
}
