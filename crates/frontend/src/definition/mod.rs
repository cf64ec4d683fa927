//! Frontend definitions: YAML that maps the operations of an OpenAPI document to RPCs. `docs/frontends.md` describes the language.
//!
//! A definition is compiled for one binding, because a binding may set its settings. Every error that can be found without a request is
//! reported with file, line and column. All errors are reported at once.

#[cfg(test)]
mod calls_tests;
mod case;
mod document;
mod editor;
mod editor_graphql;
mod editor_parts;
mod embedded;
mod head;
mod message;
mod operation;
mod reader;
mod response;
mod template;
#[cfg(test)]
mod tests;
mod text_types;
mod types;

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderValue;

pub use document::{Document, DocumentFolders, Operation};
pub use editor::schema;
pub use embedded::{names, read};

pub use self::{
    case::Stages,
    head::{DefinitionHeader, header, header_of, read as read_head},
    reader::{Section, SourceFile},
    template::ValueCompiler,
};

use self::document::{DocumentFiles, Thoroughness};
use super::{
    expression::{self, Member, Object, Type, Value},
    json::{self, ZeroValues},
    mapping::{Api, BodyTypes, Errors},
    message_types::MessageTypes,
    router::Router,
};
use prism_call::Method;
use prism_yaml::{self as yaml, Node, Position, Problems, Value as Yaml, unknown_name};

/// Maximum number of routes in a definition.
const MAX_ROUTES: usize = 2000;
/// Maximum size of a definition, or of one file of a document, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// The texts of a definition and of its OpenAPI document.
#[derive(Clone, Debug)]
pub struct Texts {
    /// The file of the definition, as shown in problems.
    pub name: String,
    /// The definition.
    pub text: String,
    /// The file of the document; empty: the definition does not name one.
    pub document_name: String,
    /// The document, or why it can't be read.
    pub document: Result<String, String>,
    /// The folders whose files the document may refer to.
    pub folders: DocumentFolders,
}

/// A definition, compiled for a binding.
#[derive(Debug)]
pub struct Definition {
    /// Its header.
    pub header: DefinitionHeader,
    /// The compiled API.
    pub api: Arc<Api>,
    /// The document as JSON, with the RPCs of each operation in `x-prism-rpc`.
    pub document: Arc<str>,
    /// The names of the document's files.
    pub files: Vec<String>,
}

/// Reads an OpenAPI document without a definition.
pub fn document(name: &str, text: &str, folders: &DocumentFolders) -> Result<Document, Vec<Problems>> {
    let files = DocumentFiles::parse(name, text, folders);
    Document::read(&files, Thoroughness::Serve).ok_or_else(|| problems_of(files))
}

/// Checks the OpenAPI document of a definition thoroughly. Returns it with its warnings.
pub fn check_document(texts: &Texts) -> Result<Document, Vec<Problems>> {
    let files = DocumentFiles::parse(&texts.document_name, texts.document.as_deref().unwrap_or_default(), &texts.folders);
    Document::read(&files, Thoroughness::Lint).ok_or_else(|| problems_of(files))
}

fn problems_of(files: DocumentFiles) -> Vec<Problems> {
    files.list.into_iter().map(|file| file.source.finish()).filter(|problems| !problems.list.is_empty()).collect()
}

/// Compiles a definition. `methods` returns the RPCs of a pattern; `decided` contains the settings of the binding.
pub fn compile(
    texts: &Texts,
    methods: &dyn Fn(&str) -> Option<Vec<Arc<Method>>>,
    patterns: &[&str],
    decided: &BTreeMap<String, serde_json::Value>,
) -> Result<Definition, Vec<Problems>> {
    let file = SourceFile::new(&texts.name);
    // Parsing YAML takes most of the time for a large definition, so the two files are parsed in parallel.
    let ((root, problems), document) = std::thread::scope(|scope| {
        let parse = |text: &String| DocumentFiles::parse(&texts.document_name, text, &texts.folders);
        let document = texts.document.as_ref().ok().map(|text| scope.spawn(move || parse(text)));
        (yaml::parse(&texts.text), document.map(std::thread::ScopedJoinHandle::join))
    });
    file.add(problems);
    let files = document.and_then(Result::ok);
    let builder = DefinitionBuilder { file: &file, methods, patterns, decided, files: files.as_ref() };
    let found = builder.definition(&root, texts);
    match found {
        Some(definition) if file.is_fine() => Ok(definition),
        _ => {
            let own = Some(file.finish()).filter(|problems| !problems.list.is_empty());
            Err(own.into_iter().chain(files.into_iter().flat_map(problems_of)).collect())
        }
    }
}

struct DefinitionBuilder<'a> {
    file: &'a SourceFile,
    methods: &'a dyn Fn(&str) -> Option<Vec<Arc<Method>>>,
    patterns: &'a [&'a str],
    decided: &'a BTreeMap<String, serde_json::Value>,
    /// The files of the document; `None`: it could not be read.
    files: Option<&'a DocumentFiles>,
}

impl DefinitionBuilder<'_> {
    fn definition(&self, root: &Node, texts: &Texts) -> Option<Definition> {
        if !matches!(root.value, Yaml::Map(_)) {
            if self.file.is_fine() {
                self.file.problem(
                    &Position::WHOLE_FILE,
                    "this is not a frontend definition: `frontend`, `openapi`, `pattern` and `routes` are missing",
                );
            }
            return None;
        }
        let section = Section::new(self.file, "the definition", root);
        let methods = head::read(&section, "rest", self.methods, self.patterns);
        let document = self.document(&section, texts);
        let style = self.style(&section);
        let ignore_unknown = section.choice("unknown_parameters", &[("refuse", false), ("ignore", true)]).unwrap_or(false);
        let strict_accept = section.choice("accept", &[("strict", true), ("ignore", false)]).unwrap_or(true);
        let ignore_slash = section.choice("trailing_slash", &[("refuse", false), ("ignore", true)]).unwrap_or(false);
        let max_gathered = section.get("max_gathered").and_then(|node| self.file.number("`max_gathered`", node, 1..=1_000_000));
        let content_type = section.text("content_type").and_then(|text| HeaderValue::try_from(text).ok());
        let (settings, settings_type) = self.settings(&section);
        let types = methods.as_deref().map_or(MessageTypes::all(), MessageTypes::of_methods);
        let scope = expression::Scope::new()
            .with("request", text_object(["method", "path", "id", "namespace", "content_type"]))
            .with_constant("settings", settings.clone(), settings_type);
        let compiler = ValueCompiler { file: self.file, types, scope, parameters: &[], reply: None, item: None };
        let errors = self.errors(&section, &compiler);
        let body_types = self.body_types(&section);
        let drop_nulls = section.choice("null_members", &[("keep", false), ("drop", true)]).unwrap_or(false);
        let first_of_repeated = section.choice("repeated_parameters", &[("refuse", false), ("first", true)]).unwrap_or(false);
        let paths = section.get("paths").map_or(&[][..], |node| self.file.entries("`paths`", node));
        let also_under = self.also_under(&section);
        let namespace = section.text("namespace").and_then(|text| {
            let name = text.strip_prefix("path.");
            if name.is_none() {
                self.file.problem(&section.get("namespace")?.position, "`namespace` must be a path parameter, such as path.tenant");
            }
            name.map(str::to_owned)
        });
        let routes = section.get("routes");
        if routes.is_none() {
            self.file.problem(&section.position, "the definition needs `routes`");
        }
        section.finish();
        let (methods, mut document) = (methods?, document?);
        let mut router = Router::default();
        let components = Arc::new(std::mem::take(&mut document.components));
        let context = operation::RouteCompiler {
            compiler,
            document: &document,
            methods: &methods,
            content_type: content_type.unwrap_or(HeaderValue::from_static("application/json")),
            ignore_unknown,
            components,
            body_types,
            first_of_repeated,
            drop_nulls,
            paths,
            namespace: namespace.as_deref(),
            also_under: also_under.as_deref(),
        };
        let compiled = context.routes(routes?, &texts.document_name, &mut router);
        operation::annotate(&mut document.value, &compiled.rpcs, errors.are_problems());
        if let Some(prefix) = &also_under {
            document.value["x-prism-also-under"] = prefix.as_str().into();
        }
        let header = header_of(root);
        let api = Api {
            name: header.name.clone(),
            types,
            routes: router,
            errors,
            style,
            strict_accept,
            ignore_slash,
            max_gathered: max_gathered.and_then(|most| usize::try_from(most).ok()).unwrap_or(10_000),
            settings,
            namespace,
            targets: compiled.targets,
        };
        Some(Definition { header, api: Arc::new(api), document: document.value.to_string().into(), files: document.files })
    }

    fn also_under(&self, section: &Section<'_, '_>) -> Option<String> {
        let node = section.get("also_under")?;
        let text = self.file.text("`also_under`", node)?;
        let parameters = text.matches('{').count();
        if !text.starts_with('/') || text.ends_with('/') || parameters == 0 || text.contains(['*', '=']) {
            self.file.problem(&node.position, "`also_under` must be a path with a parameter, such as /contexts/{context}");
            return None;
        }
        Some(text.to_owned())
    }

    /// Reads `request_content_type`: `check`, `ignore`, or a list of content types.
    fn body_types(&self, section: &Section<'_, '_>) -> BodyTypes {
        let Some(node) = section.get("request_content_type") else { return BodyTypes::Documented };
        if let Yaml::List(items) = &node.value {
            return BodyTypes::Listed(
                items.iter().filter_map(|item| self.file.text("the content type", item)).map(str::to_owned).collect(),
            );
        }
        let any = self.file.choice("request_content_type", node, &[("check", false), ("ignore", true)]).unwrap_or(false);
        if any { BodyTypes::Any } else { BodyTypes::Documented }
    }

    fn document(&self, section: &Section<'_, '_>, texts: &Texts) -> Option<Document> {
        section.required("openapi", "../openapi/notes.yaml")?;
        if let Err(problem) = &texts.document {
            let position = section.get("openapi").map_or(&section.position, |node| &node.position);
            self.file.problem(position, format!("the OpenAPI document {} can't be read: {problem}", texts.document_name));
        }
        Document::read(self.files?, Thoroughness::Serve)
    }

    fn style(&self, section: &Section<'_, '_>) -> json::JsonStyle {
        let mut style = json::JsonStyle { numbers: true, ..json::JsonStyle::default() };
        let Some(node) = section.get("json") else { return style };
        let section = Section::new(self.file, "`json`", node);
        style.numbers = section.choice("integers", &[("numbers", true), ("strings", false)]).unwrap_or(true);
        style.proto_names = section.choice("names", &[("camel", false), ("proto", true)]).unwrap_or(false);
        let zeros = [("keep", ZeroValues::Keep), ("omit", ZeroValues::Omit), ("omit_copied", ZeroValues::OmitCopied)];
        style.zeros = section.choice("zeros", &zeros).unwrap_or_default();
        section.finish();
        style
    }

    /// Returns the settings of the binding, or their defaults. They are constants in expressions.
    fn settings(&self, section: &Section<'_, '_>) -> (Value, Type) {
        let (mut values, mut object) = (serde_json::Map::new(), Object::default());
        let entries = section.get("settings").map_or(&[][..], |node| self.file.entries("`settings`", node));
        for (key, node) in entries {
            let section = Section::new(self.file, "the setting", node);
            let default = section.given("default");
            section.text("description");
            if default.is_none() {
                self.file.problem(&key.position, format!("the setting `{}` needs a `default`", key.name));
            }
            let default = default.map_or(serde_json::Value::Null, Node::to_json);
            let value = self.decided.get(&key.name).unwrap_or(&default).clone();
            if std::mem::discriminant(&value) != std::mem::discriminant(&default) {
                let message = format!(
                    "the binding sets the setting `{}` to {value}, which does not have the type of the default {default}",
                    key.name
                );
                self.file.problem(&key.position, message);
            }
            let kind = match &value {
                serde_json::Value::Bool(_) => Type::Bool,
                serde_json::Value::Number(number) if number.is_f64() => Type::Double,
                serde_json::Value::Number(_) => Type::Int,
                serde_json::Value::String(_) => Type::String,
                _ => Type::Dyn,
            };
            object.members.push(Member { name: key.name.clone(), value: kind, required: true });
            values.insert(key.name.clone(), value);
            section.finish();
        }
        for name in self.decided.keys().filter(|name| !values.contains_key(*name)) {
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            let message = if known.is_empty() { "this frontend has no settings".to_owned() } else { unknown_name("setting", name, known) };
            self.file.problem(&section.position, format!("a binding sets `{name}`: {message}"));
        }
        (expression::value::from_json(&values.into()), Type::Object(object.into()))
    }

    fn errors(&self, section: &Section<'_, '_>, compiler: &ValueCompiler<'_>) -> Errors {
        let Some(node) = section.get("errors") else { return Errors::default() };
        let section = Section::new(self.file, "`errors`", node);
        let mut compiler = compiler.clone();
        compiler.scope = compiler.scope.with("error", error_type());
        let errors = Errors { form: compiler.error_form(&section), cases: compiler.error_cases(section.get("cases")) };
        section.finish();
        errors
    }
}

fn text_object<const N: usize>(names: [&str; N]) -> Type {
    Type::object(names.map(|name| Member { name: name.to_owned(), value: Type::String, required: true }))
}

/// The type of `error`.
fn error_type() -> Type {
    let members = [
        ("status", Type::Int),
        // The value in the matching case, of any type.
        ("code", Type::Dyn),
        ("message", Type::Dyn),
        ("reason", Type::String),
        ("grpc_code", Type::String),
        ("grpc_number", Type::Int),
        ("metadata", Type::map(Type::String)),
        ("violations", Type::list(text_object(["field", "description"]))),
    ];
    Type::object(members.map(|(name, value)| Member { name: name.to_owned(), value, required: true }))
}
