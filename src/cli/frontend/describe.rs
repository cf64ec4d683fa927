//! `prism frontend describe`.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    definition_source::{ConfigOption, DefinitionSource},
    operation::{self, action_summary, condition_text},
};
use crate::cli::{
    Failure, Outcome,
    output::{Format, columns, print},
};
use prism_frontend::{
    definition::{self, Definition},
    mapping::{Endpoint, Errors},
    template::PathTemplate,
};
use prism_graphql::GraphqlDefinition;
use prism_registry::unknown_name;
use prism_yaml::{self as yaml, Node, Value};

const EXAMPLES: &str = "\
Examples:
  prism frontend describe frontends/notes.yaml             show settings and operations
  prism frontend describe frontends/notes.yaml readNote    show the whole mapping of one operation
  prism frontend describe notes -o json                    use the name of the frontend in prism.yaml";

/// Arguments of `prism frontend describe`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The definition: its file, the name of a frontend in the configuration, or the name of a definition that comes with Prism
    pub name: String,

    /// Show only this operation, with its whole mapping: its `operationId`, or method and path such as 'GET /notes/{id}'
    pub operation: Option<String>,

    #[command(flatten)]
    config: ConfigOption,

    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

/// A definition, as it is printed.
#[derive(Serialize)]
struct DefinitionView<'a> {
    frontend: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    pattern: &'a str,
    definition: &'a str,
    openapi: &'a str,
    base_path: &'a str,
    settings: Vec<SettingView>,
    operations: Vec<OperationView>,
}

/// A definition of a GraphQL API, as it is printed.
#[derive(Serialize)]
struct GraphqlView<'a> {
    frontend: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    pattern: &'a str,
    definition: &'a str,
    schema: &'a str,
    base_path: &'a str,
    fields: Vec<FieldView<'a>>,
}

#[derive(Serialize)]
struct FieldView<'a> {
    field: &'a str,
    rpc: &'a str,
}

#[derive(Serialize)]
struct SettingView {
    name: String,
    default: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<serde_json::Value>,
    description: String,
}

#[derive(Serialize)]
struct OperationView {
    #[serde(rename = "operation")]
    name: String,
    method: String,
    path: String,
    cases: Vec<CaseView>,
}

#[derive(Serialize)]
struct CaseView {
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    does: String,
}

/// Prints a definition, or one of its operations.
pub(super) fn run(args: &Args) -> Outcome {
    let source = DefinitionSource::find(&args.name, &args.config)?;
    if definition::header(&source.texts.text).is_graphql {
        return describe_graphql(&source, args);
    }
    let definition = source.compile()?;
    if let Some(name) = &args.operation {
        let (method, template, endpoint) = find_operation(&definition, name)?;
        return operation::print(args.output, &definition, &method, template, endpoint);
    }
    let operations = definition.api.operations().map(|(method, template, endpoint)| OperationView {
        name: endpoint.name.clone(),
        method: method.map_or_else(String::new, ToString::to_string),
        path: endpoint.path(template),
        cases: endpoint
            .cases
            .iter()
            .map(|case| CaseView { when: condition_text(endpoint, case), does: action_summary(&case.action) })
            .collect(),
    });
    let header = &definition.header;
    let view = DefinitionView {
        frontend: &header.name,
        title: &header.title,
        description: &header.description,
        pattern: &header.pattern,
        definition: &source.texts.name,
        openapi: &source.texts.document_name,
        base_path: header.base_path.as_deref().unwrap_or("/{namespace}"),
        settings: setting_views(&source),
        operations: operations.collect(),
    };
    print(args.output, &view, || render(&view, &definition.api.errors, &args.name))
}

/// Prints the fields of a GraphQL API.
fn describe_graphql(source: &DefinitionSource, args: &Args) -> Outcome {
    if args.operation.is_some() {
        return Err(Failure(format!("{} is a GraphQL API; leave the operation out to see its fields", source.texts.name)));
    }
    let GraphqlDefinition { header, schema } = source.compile_graphql()?;
    let fields = schema.mapped_fields();
    let view = GraphqlView {
        frontend: &header.name,
        title: &header.title,
        description: &header.description,
        pattern: &header.pattern,
        definition: &source.texts.name,
        schema: &source.texts.document_name,
        base_path: header.base_path.as_deref().unwrap_or("/{namespace}"),
        fields: fields.iter().map(|(field, rpc)| FieldView { field, rpc }).collect(),
    };
    print(args.output, &view, || {
        let mut rows = vec![["FIELD", "RPC"].map(str::to_owned).to_vec()];
        rows.extend(view.fields.iter().map(|field| vec![field.field.to_owned(), field.rpc.to_owned()]));
        let GraphqlView { frontend, pattern, definition, schema, base_path, .. } = &view;
        format!(
            "Frontend: {frontend}\n  Pattern:    {pattern}\n  Definition: {definition}\n  Schema:     {schema}\n  \
             Base path:  {base_path}, unless a binding says otherwise\n\n{}",
            columns(&rows)
        )
    })
}

/// Finds an operation by its id, or by method and path.
fn find_operation<'a>(definition: &'a Definition, name: &str) -> Result<(String, &'a PathTemplate, &'a Endpoint), Failure> {
    let routes = || definition.api.operations();
    let has_name = |method: &str, template: &PathTemplate, endpoint: &Endpoint| {
        endpoint.name == name || format!("{method} {}", endpoint.path(template)) == name
    };
    let operation = routes().find_map(|(method, template, endpoint)| {
        let method = method.map_or_else(String::new, ToString::to_string);
        has_name(&method, template, endpoint).then(|| (method, template, &**endpoint))
    });
    operation.ok_or_else(|| {
        let names: Vec<&str> = routes().map(|(_, _, endpoint)| endpoint.name.as_str()).collect();
        Failure(unknown_name("operation", name, names))
    })
}

fn setting_views(source: &DefinitionSource) -> Vec<SettingView> {
    let (root, _) = yaml::parse(&source.texts.text);
    let Some(Node { value: Value::Map(entries), .. }) = root.get("settings") else { return Vec::new() };
    let view = |(key, node): &(yaml::Key, Node)| SettingView {
        name: key.name.clone(),
        default: node.get("default").map(Node::to_json).unwrap_or_default(),
        decided: source.settings.get(&key.name).cloned(),
        description: node.get("description").and_then(Node::text).unwrap_or_default().to_owned(),
    };
    entries.iter().map(view).collect()
}

fn render(view: &DefinitionView<'_>, errors: &Errors, name: &str) -> String {
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
            let columns = [case.does.clone(), shorten(case.when.as_deref().unwrap_or_default())];
            rows.push(std::mem::replace(&mut head, vec![String::new(); 2]).into_iter().chain(columns).collect());
        }
    }
    let _ = write!(out, "\n{}", columns(&rows));
    if !errors.are_problems() {
        let _ = write!(out, "\nEvery error\n{}", operation::error_form_text(&errors.form, "  "));
        let cases = operation::error_cases_text(&errors.cases);
        let _ = write!(out, "{}", if cases.is_empty() { cases } else { format!("\n{cases}") });
    }
    if let Some(first) = view.operations.first() {
        let _ = writeln!(out, "\nThe whole mapping of one operation: prism frontend describe {name} {}", quote_for_shell(&first.name));
    }
    out
}

/// Shortens a condition so that its row fits into a table. The whole condition is shown with its operation.
fn shorten(when: &str) -> String {
    const MAX_CHARS: usize = 90;
    if when.chars().count() <= MAX_CHARS {
        return when.to_owned();
    }
    when.chars().take(MAX_CHARS - 1).chain(['…']).collect()
}

/// Quotes a text for a shell.
fn quote_for_shell(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    if text.bytes().all(is_plain) { text.to_owned() } else { format!("'{text}'") }
}
