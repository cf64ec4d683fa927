//! Compiles `routes`: the operations of the document with the RPCs that they call.

use std::{collections::HashMap, sync::Arc};

use http::HeaderValue;
use serde_json::json;

use super::{
    document::{Document, Operation, is_method},
    template::ValueCompiler,
};
use crate::{
    expression::{Member, Object, Scope, Type},
    mapping::{
        Action, BodyFormat, BodyTypes, Endpoint, ForwardTarget, ForwardTargets, Outcome, PairNames, Parameter, ParameterFormat,
        ParameterLocation, Parameters, RequestBody, RequestSchemas, ResponsePlan, SchemaComponents, is_json,
    },
    router::Router,
    template::{PathTemplate, Segment},
};
use prism_call::Method;
use prism_yaml::{Key, Node, unknown_name};

/// Compiles the routes of a definition.
pub struct RouteCompiler<'a> {
    /// Compiles values outside of routes, without parameters.
    pub compiler: ValueCompiler<'a>,
    /// The document.
    pub document: &'a Document,
    /// The RPCs of the pattern.
    pub methods: &'a [Arc<Method>],
    /// The content type of responses for which the document has none.
    pub content_type: HeaderValue,
    /// Whether unknown query parameters are ignored.
    pub ignore_unknown: bool,
    /// The components that the document's schemas refer to.
    pub components: Arc<SchemaComponents>,
    /// Which content types bodies may have.
    pub body_types: BodyTypes,
    /// Whether the first value of a query parameter counts that appears twice.
    pub first_of_repeated: bool,
    /// Whether members of JSON bodies that are `null` count as absent.
    pub drop_nulls: bool,
    /// Templates for paths that OpenAPI can't express.
    pub paths: &'a [(Key, Node)],
    /// The path parameter that selects the namespace.
    pub namespace: Option<&'a str>,
    /// The prefix under which all paths are served too, such as `/contexts/{context}`.
    pub also_under: Option<&'a str>,
}

/// The RPCs of an operation, by path and method; `None`: it only refuses requests.
pub type Rpcs = Vec<(String, String, Option<Vec<String>>)>;

/// What the routes of a definition compile to, apart from the router.
#[derive(Default)]
pub struct CompiledRoutes {
    /// The RPCs of each operation.
    pub rpcs: Rpcs,
    /// The operations that serve forwarded requests.
    pub targets: ForwardTargets<Endpoint>,
}

/// Adds the RPCs of each operation and a default error response to the document. Removes operations that only refuse requests.
/// `problems`: whether errors are problem documents.
pub fn annotate(document: &mut serde_json::Value, rpcs: &Rpcs, problems: bool) {
    for (path, method, names) in rpcs {
        let Some(operation) = document.get_mut("paths").and_then(|paths| paths.get_mut(path)).and_then(|item| item.get_mut(method)) else {
            continue;
        };
        let Some(names) = names else {
            leave_out(document, path, method);
            continue;
        };
        operation["x-prism-rpc"] = names.clone().into();
        if let Some(responses) = operation.get_mut("responses").and_then(serde_json::Value::as_object_mut)
            && !responses.contains_key("default")
        {
            let mut error = json!({"description": "An error in the form of this API."});
            if problems {
                error["content"] = json!({"application/problem+json": {"schema": {"type": "object"}}});
            }
            responses.insert("default".to_owned(), error);
        }
    }
}

fn leave_out(document: &mut serde_json::Value, path: &str, method: &str) {
    let Some(paths) = document.get_mut("paths").and_then(serde_json::Value::as_object_mut) else { return };
    let Some(item) = paths.get_mut(path).and_then(serde_json::Value::as_object_mut) else { return };
    item.shift_remove(method);
    if !item.keys().any(|key| is_method(key)) {
        paths.shift_remove(path);
    }
}

impl RouteCompiler<'_> {
    /// Compiles all routes and adds them to the router.
    pub fn routes(&self, node: &Node, document: &str, router: &mut Router<Arc<Endpoint>>) -> CompiledRoutes {
        let file = self.compiler.file;
        let entries = file.entries("`routes`", node);
        if entries.len() > super::MAX_ROUTES {
            file.problem(&node.position, format!("a definition has at most {} routes, not {}", super::MAX_ROUTES, entries.len()));
            return CompiledRoutes::default();
        }
        let mut routed: Vec<bool> = vec![false; self.document.operations.len()];
        let mut compiled: Vec<(usize, &Node, Arc<Endpoint>)> = Vec::with_capacity(entries.len());
        let mut by_name: HashMap<String, usize> = HashMap::with_capacity(entries.len() * 2);
        for (position, operation) in self.document.operations.iter().enumerate() {
            by_name.extend(operation.id.clone().map(|id| (id, position)));
            by_name.insert(format!("{} {}", operation.method, operation.path), position);
        }
        for (key, node) in entries {
            let Some(position) = by_name.get(&key.name).copied() else {
                let known = self.document.operations.iter().filter_map(|operation| operation.id.as_deref());
                file.problem(&key.position, unknown_name("operation of the document", &key.name, known.collect::<Vec<_>>()));
                continue;
            };
            if std::mem::replace(&mut routed[position], true) {
                file.problem(&key.position, format!("`{}` has a route already", key.name));
                continue;
            }
            let operation = &self.document.operations[position];
            let Some((endpoint, templates)) = self.endpoint(operation, key, node) else { continue };
            let endpoint = Arc::new(endpoint);
            compiled.push((position, node, endpoint.clone()));
            for template in templates {
                if let Err(shadowed) = router.insert(Some(operation.method.clone()), template, endpoint.clone()) {
                    file.problem(&key.position, shadowed.to_string());
                }
            }
        }
        for (path, _) in self.paths {
            if !self.document.operations.iter().any(|operation| operation.path == path.name) {
                let known: Vec<&str> = self.document.operations.iter().map(|operation| operation.path.as_str()).collect();
                file.problem(&path.position, unknown_name("path of the document", &path.name, known));
            }
        }
        for (operation, _) in self.document.operations.iter().zip(&routed).filter(|(_, routed)| !**routed) {
            let message = format!("the operation {} of {} (line {}) has no route", operation.name(), document, line(operation));
            file.problem(&node.position, message);
        }
        let targets = self.targets(&compiled, &by_name);
        let rpcs = compiled.iter().map(|(position, _, endpoint)| {
            let operation = &self.document.operations[*position];
            (operation.path.clone(), operation.method.as_str().to_ascii_lowercase(), names(endpoint, &targets))
        });
        CompiledRoutes { rpcs: rpcs.collect(), targets }
    }

    /// Collects the operations that serve forwarded requests, and checks that they can.
    fn targets(&self, compiled: &[(usize, &Node, Arc<Endpoint>)], by_name: &HashMap<String, usize>) -> ForwardTargets<Endpoint> {
        let file = self.compiler.file;
        let mut targets = ForwardTargets::new();
        for (_, node, endpoint) in compiled {
            for plan in endpoint.cases.iter().filter_map(|case| if let Action::Forward(plan) = &case.action { Some(plan) } else { None }) {
                let Some(position) = by_name.get(&plan.to) else {
                    let known = self.document.operations.iter().filter_map(|operation| operation.id.as_deref());
                    file.problem(&node.position, unknown_name("operation of the document", &plan.to, known.collect::<Vec<_>>()));
                    continue;
                };
                let Some((_, _, target)) = compiled.iter().find(|(other, ..)| other == position) else { continue };
                let operation = &self.document.operations[*position];
                if let Some(problem) = unfit_target(operation, target) {
                    file.problem(&node.position, format!("requests can't be forwarded to {}: {problem}", plan.to));
                    continue;
                }
                let Ok((template, _)) = PathTemplate::of_openapi(&operation.path) else { continue };
                let (method, path) = (operation.method.clone(), operation.path.clone());
                targets.insert(plan.to.clone(), ForwardTarget { endpoint: target.clone(), method, path, template });
            }
        }
        targets
    }

    /// Returns the prefix `also_under` and its parameters. Returns `None` if the operation is not served there: it has a parameter of the
    /// same name, or its path is `/`.
    fn under(&self, operation: &Operation) -> Option<(&str, Vec<Parameter>)> {
        let prefix = self.also_under.filter(|_| operation.path != "/")?;
        let (_, names) = plain(prefix);
        let taken = |name: &String| operation.parameters.iter().any(|own| own.location == ParameterLocation::Path && own.name == *name);
        (!names.iter().any(taken)).then(|| (prefix, names.into_iter().map(Parameter::of_prefix).collect()))
    }

    fn endpoint(&self, operation: &Operation, key: &Key, node: &Node) -> Option<(Endpoint, Vec<PathTemplate>)> {
        let mut operation = operation.clone();
        let (template, mut variables) = self.template(&operation, key, None)?;
        let (mut templates, own) = (vec![template], variables.len());
        if let Some((prefix, parameters)) = self.under(&operation) {
            operation.parameters.extend(parameters);
            let template;
            // The parameters of the prefix come first. They are missing in paths without the prefix.
            (template, variables) = self.template(&operation, key, Some(prefix))?;
            templates.push(template);
        }
        split_segments(&mut operation, templates.last(), &variables);
        let operation = &operation;
        let mut compiler = self.compiler.clone();
        compiler.parameters = &operation.parameters;
        compiler.scope = self.scope(operation);
        let (switch, cases) = self.cases(&compiler, operation, node)?;
        let parameters = Parameters {
            list: operation.parameters.clone(),
            of_prefix: variables.len() - own,
            variables,
            query_names: PairNames::new(&operation.parameters, ParameterLocation::Query),
            cookie_names: PairNames::new(&operation.parameters, ParameterLocation::Cookie),
            ignore_unknown: self.ignore_unknown,
            first_of_repeated: self.first_of_repeated,
            checks: self.checks(operation),
        };
        let body = operation.body.clone().map(|body| RequestBody { types: self.body_types.clone(), drop_nulls: self.drop_nulls, ..body });
        Some((Endpoint { name: operation.name(), parameters, body, switch, cases }, templates))
    }

    /// Collects the schemas for validating requests.
    fn checks(&self, operation: &Operation) -> RequestSchemas {
        let contents = operation.body.iter().flat_map(|body| &body.contents);
        let bodies = contents.flat_map(|content| {
            let whole = content.schema.clone().map(|schema| (content.reading, schema));
            whole.into_iter().chain(content.item_schema.clone().map(|schema| (BodyFormat::Lines, schema)))
        });
        let parameters = operation.parameters.iter().map(|parameter| parameter.schema.clone()).collect();
        RequestSchemas::new(self.components.clone(), bodies.collect(), parameters)
    }

    /// Compiles the path to a template with plain variable names. Returns it with the parameter of each variable.
    fn template(&self, operation: &Operation, key: &Key, prefix: Option<&str>) -> Option<(PathTemplate, Vec<usize>)> {
        let file = self.compiler.file;
        let own = self.paths.iter().find(|(path, _)| path.name == operation.path).map(|(_, node)| node);
        let position = own.map_or(&key.position, |node| &node.position);
        let text = match own {
            Some(node) => file.text("the path", node)?,
            None => &operation.path,
        };
        let text = &match prefix {
            Some(prefix) => format!("{prefix}{}", if text == "/" { "" } else { text }),
            None => text.to_owned(),
        };
        // The templates of `paths` have the syntax of `google.api.http`; OpenAPI has its own.
        let parsed = if own.is_some() {
            let (plain, names) = plain(text);
            PathTemplate::parse(&plain).map(|template| (template, names))
        } else {
            PathTemplate::of_openapi(text)
        };
        let (template, names) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                file.problem(position, format!("the path `{text}` is not valid: {}", error.message));
                return None;
            }
        };
        let mut variables = Vec::with_capacity(names.len());
        for name in &names {
            let found = operation.parameters.iter().position(|known| known.location == ParameterLocation::Path && known.name == *name);
            if found.is_none() {
                let known =
                    operation.parameters.iter().filter(|known| known.location == ParameterLocation::Path).map(|known| known.name.as_str());
                file.problem(position, unknown_name("path parameter", name, known.collect::<Vec<_>>()));
            }
            variables.push(found?);
        }
        for (index, parameter) in operation.parameters.iter().enumerate().filter(|(_, known)| known.location == ParameterLocation::Path) {
            if !variables.contains(&index) {
                file.problem(position, format!("the path `{text}` does not have the parameter `{}` of the document", parameter.name));
            }
        }
        if let Some(name) = self.namespace.filter(|name| !names.iter().any(|known| known == name)) {
            file.problem(position, format!("the namespace is selected by `path.{name}`, which the path `{text}` does not have"));
        }
        Some((template, variables))
    }

    /// Returns the variables of an operation.
    fn scope(&self, operation: &Operation) -> Scope {
        let mut scope = self.compiler.scope.clone();
        for location in [ParameterLocation::Path, ParameterLocation::Query, ParameterLocation::Header, ParameterLocation::Cookie] {
            let mut object = Object::default();
            for parameter in operation.parameters.iter().filter(|parameter| parameter.location == location) {
                let required = parameter.required || parameter.default.is_some();
                let mut names = vec![parameter.name.clone()];
                if location == ParameterLocation::Header && parameter.name.contains('-') {
                    names.push(parameter.name.replace('-', "_"));
                }
                object.members.extend(names.into_iter().map(|name| Member { name, value: parameter.value.clone(), required }));
            }
            scope = scope.with(location.name(), Type::Object(object.into()));
        }
        let body = operation.body.as_ref().map_or(Type::Null, |body| {
            let types = body.contents.iter().map(|content| content.value.clone());
            types.reduce(|one, other| if one == other { one } else { Type::Dyn }).unwrap_or(Type::Dyn)
        });
        scope.with("body", body)
    }
}

fn line(operation: &Operation) -> u64 {
    if let prism_yaml::Position::File { line, .. } = operation.position { line } else { 0 }
}

/// Makes lists of the parameters that are arrays and match the rest of a path.
fn split_segments(operation: &mut Operation, template: Option<&PathTemplate>, variables: &[usize]) {
    let Some(template) = template else { return };
    for (variable, place) in template.variables().iter().zip(variables) {
        let is_rest = matches!(template.segments().get(variable.end - 1), Some(Segment::Rest));
        let parameter = &mut operation.parameters[*place];
        if let (true, ParameterFormat::Styled(format)) = (is_rest, &parameter.format)
            && let Some(item) = format.kind.list()
        {
            parameter.format = ParameterFormat::Segments(item.clone());
        }
    }
}

/// Returns why requests can't be forwarded to an operation; `None`: they can.
fn unfit_target(operation: &Operation, endpoint: &Endpoint) -> Option<&'static str> {
    let contents = operation.body.as_ref().map_or(&[][..], |body| &body.contents);
    if contents.first().is_none_or(|content| content.reading != BodyFormat::Json) {
        return Some("it has no JSON body");
    }
    if operation.parameters.iter().any(|parameter| parameter.location == ParameterLocation::Path) {
        return Some("its path has parameters");
    }
    let writes_json = |plan: &ResponsePlan| {
        plan.cases.iter().all(|case| match &case.outcome {
            Outcome::Answer(answer) => answer.body.is_some() && answer.content_types.first().is_some_and(is_json),
            Outcome::Error(_) => true,
        })
    };
    endpoint.cases.iter().find_map(|case| match &case.action {
        Action::Forward(_) => Some("it forwards requests itself"),
        Action::Call(call) if call.method.client_streaming || call.method.server_streaming && !call.gathers => Some("it has a stream"),
        Action::Call(call) if !writes_json(&call.response) => Some("its responses are not JSON"),
        Action::Answer(plan) if !writes_json(plan) => Some("its responses are not JSON"),
        _ => None,
    })
}

/// Returns the names of the RPCs that an operation may call, or `None` if it only refuses requests.
fn names(endpoint: &Endpoint, targets: &ForwardTargets<Endpoint>) -> Option<Vec<String>> {
    let (mut found, mut offered) = (Vec::new(), false);
    for case in &endpoint.cases {
        match &case.action {
            Action::Call(call) => found.push(call.method.label.clone()),
            Action::Refuse(_) => {}
            Action::Answer(_) => offered = true,
            Action::Forward(plan) => {
                found.extend(targets.get(&plan.to).and_then(|target| names(&target.endpoint, &HashMap::new())).unwrap_or_default());
            }
        }
    }
    let mut names: Vec<String> = Vec::with_capacity(found.len());
    for name in found {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (offered || !names.is_empty()).then_some(names)
}

/// Replaces the names of parameters, which may contain characters that are invalid in field paths. `/topics/{topic-name}/{rest=**}` becomes
/// `/topics/{p0}/{p1=**}`, with the names `topic-name` and `rest`.
fn plain(path: &str) -> (String, Vec<String>) {
    let (mut out, mut names, mut rest) = (String::with_capacity(path.len()), Vec::new(), path);
    while let Some((before, behind)) = rest.split_once('{') {
        let end = behind.find(['=', '}']).unwrap_or(behind.len());
        out.push_str(before);
        out.push_str("{p");
        out.push_str(&names.len().to_string());
        names.push(behind[..end].to_owned());
        rest = &behind[end..];
    }
    out.push_str(rest);
    (out, names)
}
