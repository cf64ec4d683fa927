//! Compiles `routes`: the operations of the document with the RPCs that they call.

use std::{collections::HashMap, sync::Arc};

use http::HeaderValue;
use serde_json::json;

use super::{
    document::{Document, Operation, is_method},
    error_type,
    reader::{Section, SourceFile},
    template::{ValueCompiler, report_unknown_name},
};
use crate::{
    bind::Cursor,
    conditional::ConditionalRpc,
    expression::{Expression, Member, Object, Scope, Type},
    mapping::{
        Action, BodyFormat, BodyTypes, CallPlan, Condition, Endpoint, EndpointCase, PairNames, Parameter, ParameterLocation, Parameters,
        RequestBody, RequestSchemas, SchemaComponents, ValueSource, ValueTemplate,
    },
    render::EventFields,
    router::Router,
    template::PathTemplate,
};
use prism_call::Method;
use prism_yaml::{Key, Node, Value as Yaml, unknown_name};

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

/// Named values (`let`).
type Names = Vec<(String, ValueTemplate)>;

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
    pub fn routes(&self, node: &Node, document: &str, router: &mut Router<Arc<Endpoint>>) -> Rpcs {
        let file = self.compiler.file;
        let entries = file.entries("`routes`", node);
        if entries.len() > super::MAX_ROUTES {
            file.problem(&node.position, format!("a definition has at most {} routes, not {}", super::MAX_ROUTES, entries.len()));
            return Vec::new();
        }
        let mut routed: Vec<bool> = vec![false; self.document.operations.len()];
        let mut rpcs = Vec::with_capacity(entries.len());
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
            rpcs.push((operation.path.clone(), operation.method.as_str().to_ascii_lowercase(), names(&endpoint)));
            let endpoint = Arc::new(endpoint);
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
        rpcs
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
        let file = self.compiler.file;
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
        let operation = &operation;
        let (cases, single): (&[Node], bool) = match &node.value {
            Yaml::List(items) if items.is_empty() => {
                file.problem(&node.position, "the route has no case");
                return None;
            }
            Yaml::List(items) => (items, false),
            _ => (std::slice::from_ref(node), true),
        };
        let mut compiler = self.compiler.clone();
        compiler.parameters = &operation.parameters;
        compiler.scope = self.scope(operation);
        let mut compiled: Vec<Option<EndpointCase>> = Vec::with_capacity(cases.len());
        for case in cases {
            // What the earlier conditions have excluded is known in later cases.
            let (case, denied) = self.case(&compiler, operation, case).unzip();
            compiler.scope = compiler.scope.with_present(denied.unwrap_or_default());
            compiled.push(case);
        }
        let conditions: Vec<Option<bool>> = compiled.iter().map(|case| case.as_ref().map(|case| case.when.is_some())).collect();
        if single && conditions == [Some(true)] {
            file.problem(&node.position, "the only case can't have `when`; make the route a list whose last item has no `when`");
        } else {
            compiler.check_order("case", cases, &conditions);
        }
        let cases: Vec<EndpointCase> = compiled.into_iter().collect::<Option<_>>()?;
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
        Some((Endpoint { name: operation.name(), parameters, body, cases }, templates))
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

    fn case(&self, compiler: &ValueCompiler<'_>, operation: &Operation, node: &Node) -> Option<(EndpointCase, Vec<String>)> {
        let file = compiler.file;
        let section = Section::new(file, "the route", node);
        let name = section.get("rpc").and_then(Node::text);
        let method = self.methods.iter().find(|method| Some(method.name.as_str()) == name);
        let replying = method.map_or_else(|| compiler.clone(), |method| replying(compiler, method));
        let (mut compiler, mut replying, named) = Self::named(compiler, replying, section.get("let"))?;
        let when = section.get("when").map(|node| Self::condition(&compiler, node));
        let mut denied = Vec::new();
        if let Some(Some((_, expression))) = &when {
            for compiler in [&mut compiler, &mut replying] {
                compiler.scope = compiler.scope.with_present(expression.present_if(true).iter().cloned());
            }
            denied.extend_from_slice(expression.present_if(false));
        }
        let action = if let Some(error) = section.get("error") {
            compiler.refusal(error).map(Action::Refuse)
        } else if let (None, Some(response)) = (section.get("rpc"), section.get("response")) {
            compiler.response(Some(response), operation, None, &self.content_type).map(Action::Answer)
        } else {
            self.call(&compiler, &replying, operation, &section).map(|mut call| {
                call.reads_items &= !named.iter().any(|(_, template)| template.reads_body());
                Action::Call(Box::new(call))
            })
        };
        section.finish();
        let when = match when {
            None => None,
            Some(compiled) => {
                let (given, expression) = compiled?;
                let text = expression.text().to_owned();
                Some(given.unwrap_or_else(|| Condition::Expression(Box::new(expression), text)))
            }
        };
        Some((EndpointCase { when, named, action: action? }, denied))
    }

    /// Named values (`let`). Those that speak of the reply are there for the response only.
    fn named<'c>(
        compiler: &ValueCompiler<'c>,
        mut replying: ValueCompiler<'c>,
        node: Option<&Node>,
    ) -> Option<(ValueCompiler<'c>, ValueCompiler<'c>, Names)> {
        const TAKEN: [&str; 11] = ["path", "query", "header", "cookie", "body", "request", "settings", "reply", "replies", "item", "index"];
        let file = compiler.file;
        let (mut requesting, mut named) = (compiler.clone(), Vec::new());
        for (key, node) in node.map_or(&[][..], |node| file.entries("`let`", node)) {
            let identifier = key.name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && key.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !identifier || TAKEN.contains(&key.name.as_str()) || key.name == "error" {
                file.problem(
                    &key.position,
                    format!("`{}` is not a valid name of a value: use letters, digits and `_`, and none of {}", key.name, TAKEN.join(", ")),
                );
                return None;
            }
            // First without the reply. If that fails, with the reply, whose problems are reported.
            let quiet = SourceFile::new(file.name());
            let mut trial = requesting.clone();
            trial.file = &quiet;
            let (template, kind) = if let (Some(typed), true) = (trial.value(node), quiet.is_fine()) {
                requesting.scope = requesting.scope.with(key.name.as_str(), typed.1.clone());
                typed
            } else {
                replying.value(node)?
            };
            replying.scope = replying.scope.with(key.name.as_str(), kind);
            named.push((key.name.clone(), template));
        }
        Some((requesting, replying, named))
    }

    /// Compiles a condition. `has(query.x)` of a parameter needs no expression.
    fn condition(compiler: &ValueCompiler<'_>, node: &Node) -> Option<(Option<Condition>, Expression)> {
        let expression = compiler.condition(node)?;
        let text = node.text().unwrap_or_default().trim();
        let inner = text.strip_prefix("has(").and_then(|rest| rest.strip_suffix(')'));
        if let Some(inner) = inner
            && let Ok(path) = Expression::compile(inner, compiler.types, &compiler.scope)
            && let Some(path) = path.as_path()
            && let Some(ValueSource::Parameter(position)) = compiler.source(path)
            && operation_has_no_default(compiler.parameters, position)
        {
            return Some((Some(Condition::Given(position)), expression));
        }
        Some((None, expression))
    }

    fn call(
        &self,
        compiler: &ValueCompiler<'_>,
        replying: &ValueCompiler<'_>,
        operation: &Operation,
        section: &Section<'_, '_>,
    ) -> Option<CallPlan> {
        let file = compiler.file;
        let method = self.method(section);
        // All keys are read, also if the RPC is unknown, so that they are not reported as unknown.
        let (request, response, errors) = (section.get("request"), section.get("response"), section.get("errors"));
        let method = method?;
        let input = compiler.types.find(method.descriptor.input().full_name())?;
        let output = compiler.types.find(method.descriptor.output().full_name())?;
        let contents = operation.body.as_ref().map_or(&[][..], |body| &body.contents);
        let request = compiler.request(request, input, method.client_streaming, contents.first());
        let plan = replying.response(response, operation, Some(output), &self.content_type);
        let mut telling = compiler.clone();
        telling.scope = telling.scope.with("error", error_type());
        let errors = telling.error_cases(errors);
        let (request, plan) = (request?, plan?);
        if method.server_streaming && operation.success() == 204 {
            file.problem(&section.position, format!("{} returns a stream, and a response with the status 204 has no body", method.name));
        }
        let conditional =
            ConditionalRpc::compile(compiler.types, &method).map_err(|problem| file.problem(&section.position, problem)).ok()?;
        let lists = !contents.is_empty() && contents.iter().all(|content| matches!(content.value, Type::List(_)));
        let reads_items = method.client_streaming && lists && request.is_each_of_body() && !plan.reads_body();
        let (gathers, cursor) = (plan.gathers(), Cursor::find(compiler.types, input));
        let event = EventFields::of(compiler.types, output);
        Some(CallPlan { method, output, request, response: plan, errors, gathers, reads_items, conditional, cursor, event })
    }

    fn method(&self, section: &Section<'_, '_>) -> Option<Arc<Method>> {
        let name = section.required("rpc", "Retrieve")?;
        let found = self.methods.iter().find(|method| method.name == name).cloned();
        if found.is_none() {
            let known = self.methods.iter().map(|method| method.name.as_str());
            report_unknown_name(self.compiler.file, section.get("rpc")?, "RPC", name, known);
        }
        found
    }
}

/// Returns the context in which the reply is available.
fn replying<'c>(compiler: &ValueCompiler<'c>, method: &Method) -> ValueCompiler<'c> {
    let mut inner = compiler.clone();
    let Some(output) = compiler.types.find(method.descriptor.output().full_name()) else { return inner };
    inner.reply = Some(output);
    inner.scope = inner.scope.with("reply", Type::Message(output));
    if method.server_streaming {
        inner.scope = inner.scope.with("replies", Type::list(Type::Message(output)));
    }
    inner
}

fn operation_has_no_default(parameters: &[Parameter], position: usize) -> bool {
    parameters.get(position).is_some_and(|parameter| parameter.default.is_none())
}

fn line(operation: &Operation) -> u64 {
    if let prism_yaml::Position::File { line, .. } = operation.position { line } else { 0 }
}

/// Returns the names of the RPCs that an operation may call, or `None` if it only refuses requests.
fn names(endpoint: &Endpoint) -> Option<Vec<String>> {
    let (mut names, mut offered) = (Vec::new(), false);
    for case in &endpoint.cases {
        match &case.action {
            Action::Call(call) if !names.contains(&call.method.name) => names.push(call.method.name.clone()),
            Action::Call(_) | Action::Refuse(_) => {}
            Action::Answer(_) => offered = true,
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
