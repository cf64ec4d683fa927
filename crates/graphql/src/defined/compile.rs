//! Compiles definitions of the type `graphql`.

use std::sync::Arc;

use async_graphql::{Positioned, parser::types::FieldDefinition};
use indexmap::IndexMap;

use super::{
    DefinedSchema, arguments,
    check::ResultChecker,
    mapping::{ARGUMENTS, FieldMapping},
    sdl::{KINDS, SchemaTypes, position},
};
use crate::model::OperationKind;
use prism_call::Method;
use prism_frontend::{
    definition::{self, DefinitionHeader, Section, SourceFile, Stages, Texts, ValueCompiler},
    expression::{Member, Scope, Type},
    message_types::MessageTypes,
};
use prism_yaml::{self as yaml, Node, Position, Problems, unknown_name};

/// Compiles a definition. `methods` returns the RPCs of a pattern.
pub fn compile(
    texts: &Texts,
    methods: &dyn Fn(&str) -> Option<Vec<Arc<Method>>>,
    patterns: &[&str],
) -> Result<(DefinitionHeader, DefinedSchema), Vec<Problems>> {
    let file = SourceFile::new(&texts.name);
    let (root, problems) = yaml::parse(&texts.text);
    file.add(problems);
    let schema_file = SourceFile::new(&texts.document_name);
    let section = Section::new(&file, "the definition", &root);
    let methods = definition::read_head(&section, "graphql", methods, patterns);
    section.required("schema", "notes.graphql");
    let mappings = KINDS.map(|kind| section.get(key(kind)).map_or(&[][..], |node| file.entries(&format!("`{}`", key(kind)), node)));
    section.finish();
    let types = match &texts.document {
        Ok(text) => SchemaTypes::read(&schema_file, text),
        Err(problem) => {
            let at = root.get("schema").map_or(&Position::WHOLE_FILE, |node| &node.position);
            if !texts.document_name.is_empty() {
                file.problem(at, format!("the schema {} can't be read: {problem}", texts.document_name));
            }
            None
        }
    };
    let compiled = types.zip(methods).map(|(types, methods)| {
        let messages = MessageTypes::of_methods(&methods);
        let compiler = FieldCompiler { file: &file, schema_file: &schema_file, types: &types, methods: &methods, messages };
        let [queries, mutations, subscriptions] = mappings;
        let fields = [
            compiler.fields(OperationKind::Query, queries),
            compiler.fields(OperationKind::Mutation, mutations),
            compiler.fields(OperationKind::Subscription, subscriptions),
        ];
        DefinedSchema { types, fields, messages }
    });
    match compiled {
        Some(defined) if file.is_fine() && schema_file.is_fine() => Ok((definition::header_of(&root), defined)),
        _ => Err([file.finish(), schema_file.finish()].into_iter().filter(|problems| !problems.list.is_empty()).collect()),
    }
}

/// The key of a definition with the mappings of operations of a kind.
const fn key(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Query => "queries",
        OperationKind::Mutation => "mutations",
        OperationKind::Subscription => "subscriptions",
    }
}

/// Compiles the mappings of root fields.
struct FieldCompiler<'c> {
    file: &'c SourceFile,
    schema_file: &'c SourceFile,
    types: &'c SchemaTypes,
    methods: &'c [Arc<Method>],
    messages: &'static MessageTypes,
}

impl FieldCompiler<'_> {
    fn fields(&self, kind: OperationKind, entries: &[(yaml::Key, Node)]) -> IndexMap<String, Arc<FieldMapping>> {
        let defined = self.types.root_fields(kind);
        let type_name = self.types.root(kind).unwrap_or(kind.type_name());
        let mut mapped = IndexMap::new();
        for (key, node) in entries {
            let Some(field) = defined.iter().find(|field| field.node.name.node == key.name) else {
                let names: Vec<&str> = defined.iter().map(|field| field.node.name.node.as_str()).collect();
                let problem = if names.is_empty() {
                    format!("the schema has no type {type_name}")
                } else {
                    unknown_name(&format!("field of {type_name}"), &key.name, names)
                };
                self.file.problem(&key.position, problem);
                continue;
            };
            if let Some(mapping) = self.field(kind, &format!("{type_name}.{}", key.name), field, node) {
                mapped.insert(key.name.clone(), Arc::new(mapping));
            }
        }
        for field in defined.iter().filter(|field| !entries.iter().any(|(key, _)| field.node.name.node == key.name)) {
            let name = &field.node.name.node;
            let message =
                format!("the field {type_name}.{name} has no mapping; add `{name}` to `{}` of {}", self::key(kind), self.file.name());
            self.schema_file.problem(&position(field.pos), message);
        }
        mapped
    }

    fn field(&self, kind: OperationKind, name: &str, field: &Positioned<FieldDefinition>, node: &Node) -> Option<FieldMapping> {
        let at = |key: &str| node.get(key).map_or(&node.position, |node| &node.position);
        let section = Section::new(self.file, "the field", node);
        let (rpc, request, named) = (section.required("rpc", "Retrieve"), section.get("request"), section.get("let"));
        let (when, result, null_if) = (section.get("when"), section.given("result"), section.get("null_if"));
        section.finish();
        let method = self.method(kind, at("rpc"), rpc?)?;
        let input = self.messages.find(method.descriptor.input().full_name())?;
        let output = self.messages.find(method.descriptor.output().full_name())?;
        let requesting = ValueCompiler {
            file: self.file,
            types: self.messages,
            scope: Scope::new().with("request", request_type()).with(ARGUMENTS, arguments::object_type(self.types, &field.node.arguments)),
            parameters: &[],
            reply: None,
            item: None,
        };
        let mut replying = requesting.clone();
        replying.reply = Some(output);
        let message = Type::Message(output);
        let gathers = method.server_streaming && kind != OperationKind::Subscription;
        replying.scope = if gathers { replying.scope.with("replies", Type::list(message)) } else { replying.scope.with("reply", message) };
        let mut stages = Stages::new(requesting, replying);
        let when = when.map(|node| {
            if kind != OperationKind::Subscription {
                self.file.problem(&node.position, "only subscriptions can have `when`: it chooses the messages that are results");
            }
            stages.replying.condition(node)
        });
        if let Some(Some(when)) = &when {
            stages.replying.scope = stages.replying.scope.with_present(when.present_if(true).iter().cloned());
        }
        let named = named.map_or(&[][..], |node| self.file.entries("`let`", node));
        if let Some((key, _)) = named.iter().find(|(key, _)| key.name == ARGUMENTS) {
            self.file.problem(&key.position, format!("`{ARGUMENTS}` are the arguments of the field; choose another name"));
        }
        let named = stages.named(named);
        let request = match request {
            Some(node) => stages.calling.message(node, input),
            None => Some(stages.calling.by_name(input, None)),
        };
        let Some(node) = result else {
            self.file.problem(&node.position, format!("the field {name} needs `result`: its value"));
            return None;
        };
        let (result, result_type) = stages.replying.value(node)?;
        let checker = ResultChecker { file: self.file, types: self.types, messages: self.messages };
        checker.check(name, node, &result_type, &field.node.ty.node);
        let null_if = null_if.map_or_else(Vec::new, |node| self.null_if(name, field, node));
        let when = match when {
            None => None,
            Some(compiled) => Some(compiled?),
        };
        let (defined, messages) = (field.node.clone(), self.messages);
        Some(FieldMapping { defined, method, output, request: request?, named: named?, when, result, null_if, messages })
    }

    /// Finds an RPC that a field of this kind can call.
    fn method(&self, kind: OperationKind, at: &Position, name: &str) -> Option<Arc<Method>> {
        let Some(method) = self.methods.iter().find(|method| method.label == name) else {
            self.file.problem(at, unknown_name("RPC", name, self.methods.iter().map(|method| method.label.as_str())));
            return None;
        };
        let problem = match kind {
            _ if method.client_streaming => format!("a field can't call {name}, which takes a stream"),
            OperationKind::Query if !method.read_only => format!("a query can't call {name}, which writes; make the field a mutation"),
            OperationKind::Subscription if !method.server_streaming => {
                format!("a subscription can't call {name}, which has one reply; it needs an RPC with a stream of replies")
            }
            _ => return Some(method.clone()),
        };
        self.file.problem(at, problem);
        None
    }

    fn null_if(&self, name: &str, field: &Positioned<FieldDefinition>, node: &Node) -> Vec<String> {
        if !field.node.ty.node.nullable {
            let message = format!("{name} can't be null: its type is {}; remove `null_if`, or the `!` in the schema", field.node.ty.node);
            self.file.problem(&node.position, message);
        }
        let items = self.file.items("`null_if`", node);
        items.iter().filter_map(|item| self.file.text("a reason in `null_if`", item)).map(str::to_owned).collect()
    }
}

fn request_type() -> Type {
    Type::object(["id", "namespace"].map(|name| Member { name: name.to_owned(), value: Type::String, required: true }))
}
