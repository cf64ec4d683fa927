//! Compiles the cases of a route.

use std::{collections::HashMap, sync::Arc};

use super::{
    document::Operation,
    error_type,
    operation::RouteCompiler,
    reader::{Section, SourceFile},
    template::{ValueCompiler, report_unknown_name},
};
use crate::{
    bind::Cursor,
    conditional::ConditionalRpc,
    expression::{Expression, Type},
    mapping::{
        Action, CallPlan, Condition, EndpointCase, ForwardPlan, Parameter, Step, StepAction, StepCall, Switch, ValueSource, ValueTemplate,
    },
    render::EventFields,
};
use prism_call::Method;
use prism_yaml::{Key, Node, Value as Yaml};

/// Named values (`let`).
type Names = Vec<(String, ValueTemplate)>;

/// Names that no value and no step can have.
const TAKEN: [&str; 12] =
    ["path", "query", "header", "cookie", "body", "request", "settings", "reply", "replies", "item", "index", "error"];

/// What values can use in the parts of a case.
pub struct Stages<'c> {
    /// Before anything is called.
    pub requesting: ValueCompiler<'c>,
    /// After the steps.
    pub calling: ValueCompiler<'c>,
    /// After the call.
    pub replying: ValueCompiler<'c>,
}

impl<'c> Stages<'c> {
    /// Returns the stages of a call without steps.
    pub fn new(requesting: ValueCompiler<'c>, replying: ValueCompiler<'c>) -> Self {
        Self { calling: requesting.clone(), requesting, replying }
    }

    /// Adds a variable to a stage and those after it.
    fn declare(&mut self, from: usize, name: &str, kind: &Type) {
        for stage in self.all().into_iter().skip(from) {
            stage.scope = stage.scope.with(name, kind.clone());
        }
    }

    fn all(&mut self) -> [&mut ValueCompiler<'c>; 3] {
        [&mut self.requesting, &mut self.calling, &mut self.replying]
    }

    /// Compiles named values. Each is available from the first stage that has all that it uses.
    pub fn named(&mut self, entries: &[(Key, Node)]) -> Option<Names> {
        let file = self.requesting.file;
        let mut named = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            check_name(file, key)?;
            let mut found = None;
            for (index, stage) in self.all().into_iter().enumerate() {
                let quiet = SourceFile::new(file.name());
                let mut trial = stage.clone();
                trial.file = if index == 2 { file } else { &quiet };
                let typed = trial.value(node);
                if let (Some(typed), true) = (typed, index == 2 || quiet.is_fine()) {
                    found = Some((index, typed));
                    break;
                }
            }
            let (stage, (template, kind)) = found?;
            self.declare(stage, &key.name, &kind);
            named.push((key.name.clone(), template));
        }
        Some(named)
    }
}

fn check_name(file: &SourceFile, key: &Key) -> Option<()> {
    let identifier = key.name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && key.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if identifier && !TAKEN.contains(&key.name.as_str()) {
        return Some(());
    }
    let taken = &TAKEN[..TAKEN.len() - 1];
    file.problem(
        &key.position,
        format!("`{}` is not a valid name of a value: use letters, digits and `_`, and none of {}", key.name, taken.join(", ")),
    );
    None
}

impl RouteCompiler<'_> {
    /// Compiles the cases of an operation, and what chooses among them.
    pub fn cases(&self, compiler: &ValueCompiler<'_>, operation: &Operation, node: &Node) -> Option<(Option<Switch>, Vec<EndpointCase>)> {
        let file = compiler.file;
        if node.get("switch").is_none() {
            return self.group(compiler, operation, node, &[]).map(|cases| (None, cases));
        }
        let section = Section::new(file, "the route", node);
        let shared = section.get("let").map_or(&[][..], |node| file.entries("`let`", node));
        let mut stages = self.stages(compiler, None, &[]);
        let named = stages.named(shared);
        let on = section.get("switch").and_then(|node| {
            let (template, kind) = stages.requesting.value(node)?;
            if !matches!(kind, Type::String | Type::Dyn) {
                let kind = kind.describe(compiler.types);
                file.problem(&node.position, format!("`switch` must be a text, but it is {kind}"));
            }
            Some(template)
        });
        let entries = section.get("cases").map_or(&[][..], |node| file.entries("`cases`", node));
        let otherwise = section.get("else");
        if entries.is_empty() || otherwise.is_none() {
            file.problem(&section.position, "`switch` needs `cases`, by their texts, and `else`: the case for all other texts");
        }
        section.finish();
        let (mut cases, mut groups, mut whole) = (Vec::new(), HashMap::with_capacity(entries.len()), true);
        for (key, node) in entries {
            match self.group(compiler, operation, node, shared) {
                Some(group) => {
                    groups.insert(key.name.clone(), cases.len()..cases.len() + group.len());
                    cases.extend(group);
                }
                None => whole = false,
            }
        }
        let group = self.group(compiler, operation, otherwise?, shared)?;
        let otherwise = cases.len()..cases.len() + group.len();
        cases.extend(group);
        let switch = Switch { named: named?, on: on?, groups, otherwise };
        whole.then_some((Some(switch), cases))
    }

    /// Compiles one case, or a list of cases of which the first that matches is used.
    fn group(&self, compiler: &ValueCompiler<'_>, operation: &Operation, node: &Node, shared: &[(Key, Node)]) -> Option<Vec<EndpointCase>> {
        let file = compiler.file;
        let (cases, single): (&[Node], bool) = match &node.value {
            Yaml::List(items) if items.is_empty() => {
                file.problem(&node.position, "the route has no case");
                return None;
            }
            Yaml::List(items) => (items, false),
            _ => (std::slice::from_ref(node), true),
        };
        let mut compiler = compiler.clone();
        let mut compiled: Vec<Option<EndpointCase>> = Vec::with_capacity(cases.len());
        for case in cases {
            // What the earlier conditions have excluded is known in later cases.
            let (case, denied) = self.case(&compiler, operation, case, shared).unzip();
            compiler.scope = compiler.scope.with_present(denied.unwrap_or_default());
            compiled.push(case);
        }
        let conditions: Vec<Option<bool>> = compiled.iter().map(|case| case.as_ref().map(|case| case.when.is_some())).collect();
        if single && conditions == [Some(true)] {
            file.problem(&node.position, "the only case can't have `when`; make the route a list whose last item has no `when`");
        } else {
            compiler.check_order("case", cases, &conditions);
        }
        compiled.into_iter().collect()
    }

    /// Compiles a case. `shared` are named values of the whole route. Returns it with the paths that are absent if its condition is true.
    fn case(
        &self,
        compiler: &ValueCompiler<'_>,
        operation: &Operation,
        node: &Node,
        shared: &[(Key, Node)],
    ) -> Option<(EndpointCase, Vec<String>)> {
        let file = compiler.file;
        let section = Section::new(file, "the route", node);
        let method = section.get("rpc").and_then(Node::text).and_then(|name| self.find_method(name));
        let steps = section.get("first").map_or(&[][..], |node| file.entries("`first`", node));
        let mut stages = self.stages(compiler, method, steps);
        let own = section.get("let").map_or(&[][..], |node| file.entries("`let`", node));
        let mut named = stages.named(shared)?;
        named.extend(stages.named(own)?);
        let when = section.get("when").map(|node| Self::condition(&stages.requesting, node));
        let mut denied = Vec::new();
        if let Some(Some((_, expression))) = &when {
            for stage in stages.all() {
                stage.scope = stage.scope.with_present(expression.present_if(true).iter().cloned());
            }
            denied.extend_from_slice(expression.present_if(false));
        }
        let action = if let Some(error) = section.get("error") {
            stages.requesting.refusal(error).map(Action::Refuse)
        } else if let Some(forward) = section.get("forward") {
            Self::forward(&stages.requesting, forward).map(|plan| Action::Forward(Box::new(plan)))
        } else if let (None, Some(response)) = (section.get("rpc"), section.get("response")) {
            stages.requesting.response(Some(response), operation, None, &self.content_type).map(Action::Answer)
        } else {
            self.call(&stages, operation, &section, (steps, &named)).map(|mut call| {
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

    fn stages<'c>(&self, compiler: &ValueCompiler<'c>, method: Option<&Arc<Method>>, steps: &[(Key, Node)]) -> Stages<'c> {
        let requesting = compiler.clone();
        let mut calling = compiler.clone();
        for (key, node) in steps {
            if let Some(kind) = self.step_type(compiler, node) {
                calling.scope = calling.scope.with(key.name.as_str(), kind);
            }
        }
        let replying = method.map_or_else(|| calling.clone(), |method| replying(&calling, method));
        Stages { requesting, calling, replying }
    }

    /// Returns the type of a step's result; `None`: it has none.
    fn step_type(&self, compiler: &ValueCompiler<'_>, node: &Node) -> Option<Type> {
        let method = self.find_method(node.get("rpc")?.text()?)?;
        let message = Type::Message(compiler.types.find(method.descriptor.output().full_name())?);
        let reply = if method.server_streaming { Type::list(message) } else { message };
        Some(if node.get("each").is_some() { Type::list(reply) } else { reply })
    }

    /// Compiles the steps before a call. Each can use the results of those before it.
    fn steps(&self, requesting: &ValueCompiler<'_>, entries: &[(Key, Node)], main: &Method) -> Option<Vec<Step>> {
        let file = requesting.file;
        let mut compiler = requesting.clone();
        let mut steps: Vec<Option<Step>> = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            steps.push(self.step(&compiler, key, node, main));
            if let Some(kind) = self.step_type(&compiler, node) {
                if compiler.scope.get(&key.name).is_some() {
                    file.problem(&key.position, format!("there is a value `{}` already; name the step differently", key.name));
                }
                compiler.scope = compiler.scope.with(key.name.as_str(), kind);
            }
        }
        steps.into_iter().collect()
    }

    fn step(&self, compiler: &ValueCompiler<'_>, key: &Key, node: &Node, main: &Method) -> Option<Step> {
        let file = compiler.file;
        check_name(file, key)?;
        let section = Section::new(file, "the step", node);
        let each = section.get("each").map(|node| (compiler.list(node), node.text().unwrap_or_default().to_owned()));
        let mut inner = compiler.clone();
        let each = match each {
            None => None,
            Some((listed, text)) => {
                let (source, items) = listed?;
                inner = items;
                Some((source, text))
            }
        };
        let when = section.get("when").map(|node| inner.condition(node));
        if let Some(Some(when)) = &when {
            inner.scope = inner.scope.with_present(when.present_if(true).iter().cloned());
        }
        let action = if let Some(error) = section.get("error") {
            inner.refusal(error).map(StepAction::Refuse)
        } else {
            self.step_call(&inner, &section, main).map(|call| StepAction::Call(Box::new(call)))
        };
        section.finish();
        let when = match when {
            None => None,
            Some(compiled) => Some(compiled?),
        };
        Some(Step { name: key.name.clone(), each, when, action: action? })
    }

    fn step_call(&self, compiler: &ValueCompiler<'_>, section: &Section<'_, '_>, main: &Method) -> Option<StepCall> {
        let method = self.method(section);
        let request = section.get("request");
        let method = method?;
        if method.client_streaming {
            compiler.file.problem(&section.position, format!("a step can't call {}, which takes a stream", method.label));
        }
        // The call of the case decides whether a request counts as a write, for example of a foreign page.
        if !method.read_only && main.read_only {
            let message = format!("the step calls {}, which writes, but {} only reads; call it last", method.label, main.label);
            compiler.file.problem(&section.position, message);
        }
        let input = compiler.types.find(method.descriptor.input().full_name())?;
        let output = compiler.types.find(method.descriptor.output().full_name())?;
        let request = request.map_or_else(|| Some(compiler.by_name(input, None)), |node| compiler.message(node, input))?;
        Some(StepCall { method, output, request })
    }

    fn forward(compiler: &ValueCompiler<'_>, node: &Node) -> Option<ForwardPlan> {
        let section = Section::new(compiler.file, "`forward`", node);
        let to = section.required("to", "readNote").map(str::to_owned);
        let mut inner = compiler.clone();
        let each = match section.get("each") {
            None => None,
            Some(node) => {
                let (source, items) = compiler.list(node)?;
                inner = items;
                Some((source, node.text().unwrap_or_default().to_owned()))
            }
        };
        let body = section.get("body");
        if body.is_none() {
            compiler.file.problem(&section.position, "`forward` needs `body`: the body of the request to the other operation");
        }
        let body = body.and_then(|node| inner.value(node));
        section.finish();
        Some(ForwardPlan { to: to?, each, body: body?.0 })
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
        stages: &Stages<'_>,
        operation: &Operation,
        section: &Section<'_, '_>,
        (steps, named): (&[(Key, Node)], &Names),
    ) -> Option<CallPlan> {
        let Stages { requesting, calling, replying } = stages;
        let file = requesting.file;
        let method = self.method(section);
        // All keys are read, also if the RPC is unknown, so that they are not reported as unknown.
        let (request, response, errors) = (section.get("request"), section.get("response"), section.get("errors"));
        let again = section.get("again");
        let method = method?;
        let input = calling.types.find(method.descriptor.input().full_name())?;
        let output = calling.types.find(method.descriptor.output().full_name())?;
        let contents = operation.body.as_ref().map_or(&[][..], |body| &body.contents);
        let first = self.steps(requesting, steps, &method);
        let request = calling.request(request, input, method.client_streaming, contents.first());
        let plan = replying.response(response, operation, Some(output), &self.content_type);
        let mut telling = requesting.clone();
        telling.scope = telling.scope.with("error", error_type());
        let errors = telling.error_cases(errors);
        let again = again.map(|node| replying.condition(node));
        let (first, request, plan) = (first?, request?, plan?);
        let again = match again {
            None => None,
            Some(compiled) => Some(compiled?),
        };
        if method.server_streaming && operation.success() == 204 {
            file.problem(&section.position, format!("{} returns a stream, and a response with the status 204 has no body", method.name));
        }
        // A named value that uses `replies` gathers them, too.
        let (gathers, several) =
            (plan.gathers() || named.iter().any(|(_, template)| template.gathers()), !first.is_empty() || again.is_some());
        if several && (method.client_streaming || method.server_streaming && !gathers) {
            let message = format!("`first` and `again` need one message in both directions; {} has a stream", method.label);
            file.problem(&section.position, message);
        }
        if again.is_some() && method.server_streaming {
            file.problem(&section.position, format!("`again` needs one reply; {} returns a stream", method.label));
        }
        let conditional =
            ConditionalRpc::compile(calling.types, &method).map_err(|problem| file.problem(&section.position, problem)).ok()?;
        let lists = !contents.is_empty() && contents.iter().all(|content| matches!(content.value, Type::List(_)));
        let reads_items = method.client_streaming && lists && request.is_each_of_body() && !plan.reads_body();
        let (conditional, cursor) = (conditional.filter(|_| !several), Cursor::find(calling.types, input));
        let event = EventFields::of(calling.types, output);
        Some(CallPlan { first, again, method, output, request, response: plan, errors, gathers, reads_items, conditional, cursor, event })
    }

    fn find_method(&self, name: &str) -> Option<&Arc<Method>> {
        self.methods.iter().find(|method| method.label == name)
    }

    fn method(&self, section: &Section<'_, '_>) -> Option<Arc<Method>> {
        let name = section.required("rpc", "Retrieve")?;
        let found = self.find_method(name).cloned();
        if found.is_none() {
            let known = self.methods.iter().map(|method| method.label.as_str());
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
