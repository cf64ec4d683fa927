//! Routes of a definition: an operation of the document, and the RPCs that it leads to.

use std::{collections::HashMap, sync::Arc};

use http::HeaderValue;
use serde_json::json;

use super::{
    document::{self, Body, Document, Location, Operation, Parameter, Reading},
    error_type,
    reader::{File, Section},
    template::{Compiler, report_unknown_name},
};
use crate::{
    expression::{Expression, Member, Object, Scope, Type},
    mapping::{Action, CallPlan, Checks, Components, Condition, Endpoint, EndpointCase, Parameters, Source, Template},
    router::Router,
    template::Template as PathTemplate,
};
use prism_call::Method;
use prism_yaml::{Key, Node, Value as Yaml, unknown_name};

/// What all routes of a definition share.
pub struct Context<'a> {
    /// Compiles values; without parameters, as outside of routes.
    pub compiler: Compiler<'a>,
    /// The document.
    pub document: &'a Document,
    /// The RPCs of the pattern.
    pub methods: &'a [Arc<Method>],
    /// Of responses for which the document has none.
    pub content_type: HeaderValue,
    /// Whether unknown query parameters are passed over.
    pub ignore_unknown: bool,
    /// The document's components, for its schemas.
    pub components: Arc<Components>,
    /// Whether a body is read as the document says, whatever its content type is.
    pub any_type: bool,
    /// Templates for paths that the document can't say.
    pub paths: &'a [(Key, Node)],
    /// The path parameter that chooses the namespace.
    pub namespace: Option<&'a str>,
    /// Where all paths are served too, as `/contexts/{context}`.
    pub also_under: Option<&'a str>,
}

/// The RPCs of an operation, by its place in the document; none: all that it does is refuse.
pub type Rpcs = Vec<(String, String, Option<Vec<String>>)>;

/// Values with names of their own.
type Names = Vec<(String, Template)>;

/// Writes into the document what is served of it beside what its author wrote: the RPCs of each operation, and that any of
/// them may answer with an error that every gateway knows. What an operation only refuses, it doesn't offer: it is left out.
/// `problems`: errors are problem documents.
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
            let mut error = json!({"description": "An error, as this API tells its errors."});
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
    if !item.keys().any(|key| document::is_method(key)) {
        paths.shift_remove(path);
    }
}

impl Context<'_> {
    /// Compiles all routes into the router.
    pub fn routes(&self, node: &Node, document: &File, router: &mut Router<Arc<Endpoint>>) -> Rpcs {
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
            if let Some(id) = &operation.id
                && by_name.insert(id.clone(), position).is_some()
            {
                document.problem(&operation.position, format!("the operationId `{id}` stands twice"));
            }
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
            let message = format!("the operation {} of {} (line {}) has no route", operation.name(), document.name(), line(operation));
            file.problem(&node.position, message);
        }
        rpcs
    }

    /// The parameters of `also_under` that an operation gets; none: it is not served there, since it has one of that name itself, or
    /// is that of the root, which would be at the path of the prefix itself.
    fn under(&self, operation: &Operation) -> Option<(&str, Vec<Parameter>)> {
        let prefix = self.also_under.filter(|_| operation.path != "/")?;
        let (_, names) = plain(prefix);
        let taken = |name: &String| operation.parameters.iter().any(|own| own.location == Location::Path && own.name == *name);
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
            // Those of the prefix come first; where it is not in the path, they are passed over.
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
            // What the conditions before have made sure of need not be asked again.
            let (case, denied) = self.case(&compiler, operation, case).unzip();
            compiler.scope = compiler.scope.with_present(denied.unwrap_or_default());
            compiled.push(case);
        }
        let conditions: Vec<Option<bool>> = compiled.iter().map(|case| case.as_ref().map(|case| case.when.is_some())).collect();
        if single && conditions == [Some(true)] {
            file.problem(&node.position, "the only case can't have `when`; make the route a list whose last item has none");
        } else {
            compiler.check_order("case", cases, &conditions);
        }
        let cases: Vec<EndpointCase> = compiled.into_iter().collect::<Option<_>>()?;
        let parameters = Parameters {
            list: operation.parameters.clone(),
            of_prefix: variables.len() - own,
            variables,
            ignore_unknown: self.ignore_unknown,
            checks: self.checks(operation),
        };
        let body = operation.body.clone().map(|body| Body { any_type: self.any_type, ..body });
        Some((Endpoint { name: operation.name(), parameters, body, cases }, templates))
    }

    /// The schemas that requests are held against.
    fn checks(&self, operation: &Operation) -> Checks {
        let contents = operation.body.iter().flat_map(|body| &body.contents);
        let bodies = contents.filter_map(|content| Some((content.reading, content.schema.clone()?))).collect();
        let parameters = operation.parameters.iter().map(|parameter| parameter.schema.clone()).collect();
        Checks::new(self.components.clone(), bodies, parameters)
    }

    /// The path as a template whose variables have plain names, and the parameter that each of them is.
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
        let (plain, names) = plain(text);
        let Ok(template) = PathTemplate::parse(&plain) else {
            file.problem(position, format!("the path `{text}` can't be a template; a parameter is a whole segment, as /notes/{{id}}"));
            return None;
        };
        let mut variables = Vec::with_capacity(names.len());
        for name in &names {
            let found = operation.parameters.iter().position(|known| known.location == Location::Path && known.name == *name);
            if found.is_none() {
                let known = operation.parameters.iter().filter(|known| known.location == Location::Path).map(|known| known.name.as_str());
                file.problem(position, unknown_name("path parameter", name, known.collect::<Vec<_>>()));
            }
            variables.push(found?);
        }
        for (index, parameter) in operation.parameters.iter().enumerate().filter(|(_, known)| known.location == Location::Path) {
            if !variables.contains(&index) {
                file.problem(position, format!("the path `{text}` does not have the parameter `{}` of the document", parameter.name));
            }
        }
        if let Some(name) = self.namespace.filter(|name| !names.iter().any(|known| known == name)) {
            file.problem(position, format!("the namespace is chosen by `path.{name}`, which the path `{text}` does not have"));
        }
        Some((template, variables))
    }

    /// The variables of an operation.
    fn scope(&self, operation: &Operation) -> Scope {
        let mut scope = self.compiler.scope.clone();
        for location in [Location::Path, Location::Query, Location::Header, Location::Cookie] {
            let mut object = Object::default();
            for parameter in operation.parameters.iter().filter(|parameter| parameter.location == location) {
                let required = parameter.required || parameter.default.is_some();
                let mut names = vec![parameter.name.clone()];
                if location == Location::Header && parameter.name.contains('-') {
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

    fn case(&self, compiler: &Compiler<'_>, operation: &Operation, node: &Node) -> Option<(EndpointCase, Vec<String>)> {
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
            self.call(&compiler, &replying, operation, &section).map(|call| Action::Call(Box::new(call)))
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

    /// Values with names of their own. Those that speak of the reply are there for the response only.
    fn named<'c>(compiler: &Compiler<'c>, mut replying: Compiler<'c>, node: Option<&Node>) -> Option<(Compiler<'c>, Compiler<'c>, Names)> {
        const TAKEN: [&str; 11] = ["path", "query", "header", "cookie", "body", "request", "settings", "reply", "replies", "item", "index"];
        let file = compiler.file;
        let (mut requesting, mut named) = (compiler.clone(), Vec::new());
        for (key, node) in node.map_or(&[][..], |node| file.entries("`let`", node)) {
            let identifier = key.name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && key.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !identifier || TAKEN.contains(&key.name.as_str()) || key.name == "error" {
                file.problem(
                    &key.position,
                    format!("`{}` can't be the name of a value: letters, digits and `_`, and none of {}", key.name, TAKEN.join(", ")),
                );
                return None;
            }
            // Tried without the reply first; what is wrong then is told only if it is wrong with the reply too.
            let quiet = File::new(file.name());
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

    /// A condition; `has(query.x)` of a parameter needs no expression to be run.
    fn condition(compiler: &Compiler<'_>, node: &Node) -> Option<(Option<Condition>, Expression)> {
        let expression = compiler.condition(node)?;
        let text = node.text().unwrap_or_default().trim();
        let inner = text.strip_prefix("has(").and_then(|rest| rest.strip_suffix(')'));
        if let Some(inner) = inner
            && let Ok(path) = Expression::compile(inner, compiler.schema, &compiler.scope)
            && let Some(path) = path.as_path()
            && let Some(Source::Parameter(position)) = compiler.source(path)
            && operation_has_no_default(compiler.parameters, position)
        {
            return Some((Some(Condition::Given(position)), expression));
        }
        Some((None, expression))
    }

    fn call(&self, compiler: &Compiler<'_>, replying: &Compiler<'_>, operation: &Operation, section: &Section<'_, '_>) -> Option<CallPlan> {
        let file = compiler.file;
        let method = self.method(section);
        // Everything is asked for, also if the RPC isn't known, so that keys are not told as unknown.
        let (request, response, errors) = (section.get("request"), section.get("response"), section.get("errors"));
        let method = method?;
        let input = compiler.schema.find(method.descriptor.input().full_name())?;
        let output = compiler.schema.find(method.descriptor.output().full_name())?;
        let json = operation.body.as_ref().and_then(|body| body.contents.first()).is_some_and(|content| content.reading == Reading::Json);
        let request = compiler.request(request, input, method.client_streaming, json);
        let plan = replying.response(response, operation, Some(output), &self.content_type);
        let mut telling = compiler.clone();
        telling.scope = telling.scope.with("error", error_type());
        let errors = telling.error_cases(errors);
        let (request, plan) = (request?, plan?);
        if method.server_streaming && operation.success() == 204 {
            file.problem(&section.position, format!("{} answers with a stream, which 204 can't hold", method.name));
        }
        let gathers = plan.gathers();
        Some(CallPlan { method, output, request, response: plan, errors, gathers })
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

/// What is known where a reply is.
fn replying<'c>(compiler: &Compiler<'c>, method: &Method) -> Compiler<'c> {
    let mut inner = compiler.clone();
    let Some(output) = compiler.schema.find(method.descriptor.output().full_name()) else { return inner };
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

/// The names of the RPCs that an operation may lead to; none if it refuses everything.
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

/// `/topics/{topic-name}/{rest=**}` as `/topics/{p0}/{p1=**}`, `topic-name` and `rest`: names of parameters may have
/// characters that field paths don't.
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
