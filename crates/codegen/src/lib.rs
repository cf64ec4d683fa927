//! Generates Rust from the services in `proto/`, for the build scripts of other crates.
//!
//! Turns a service into one object-safe trait without default bodies and one dispatch function, and collects the
//! interfaces of drivers into one struct. A driver that leaves out an RPC of an interface does not compile, and no
//! `match` on method names is written by hand. For layers around drivers, each interface also has a forwarding trait and a wrapper.

use std::{
    cell::RefCell,
    collections::HashMap,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use heck::ToSnakeCase as _;
use prost_build::{Comments, Method, Service, ServiceGenerator};
use prost_types::{
    FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

const INTERFACES: &str = "prism.interfaces.";
const PATTERNS: &str = "prism.patterns.";

/// Configures prost as all crates need it: payloads are `Bytes`, maps are ordered, and services go to `generator`.
pub fn prost(generator: Generator) -> prost_build::Config {
    let mut config = prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]).enable_type_names().service_generator(Box::new(generator));
    config
}

/// Returns the services of a descriptor set.
pub fn services(set: FileDescriptorSet) -> Result<Collected, Box<dyn Error>> {
    let collected = Collected::default();
    let modules = set.file.into_iter().map(|file| (prost_build::Module::from_protobuf_package_name(file.package()), file)).collect();
    prost(Generator::new(collected.clone())).generate(modules)?;
    Ok(collected)
}

/// Lists all files with an extension in a folder and its subfolders, sorted.
pub fn files_in(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Collects the services that the generator has seen, for the files about all services at once.
#[derive(Clone, Default)]
pub struct Collected(Rc<RefCell<Vec<InterfaceService>>>);

/// The service of an interface.
struct InterfaceService {
    /// `prism.interfaces.keyvalue.v1`
    package: String,
    /// `KeyValueBasic`
    name: String,
    methods: Vec<Method>,
}

/// Writes the trait and the dispatch function of each service.
pub struct Generator {
    collected: Collected,
    /// The bytes field of each message that has one, by the name of the message: name and number. A reply shares it instead of copying it.
    bytes_fields: HashMap<String, (String, i32)>,
}

impl Generator {
    /// Records what it sees in `collected`.
    pub fn new(collected: Collected) -> Self {
        Self { collected, bytes_fields: HashMap::new() }
    }

    /// Lets replies share the bytes field of these messages, instead of copying it.
    #[must_use]
    pub fn sharing_bytes(mut self, set: &FileDescriptorSet) -> Self {
        for file in &set.file {
            for message in &file.message_type {
                let single = |field: &&FieldDescriptorProto| {
                    field.r#type() == Type::Bytes && field.label() != Label::Repeated && field.oneof_index.is_none()
                };
                if let Some(field) = message.field.iter().find(single) {
                    let name = format!(".{}.{}", file.package(), message.name());
                    self.bytes_fields.insert(name, (field.name().to_snake_case(), field.number()));
                }
            }
        }
        self
    }
}

impl ServiceGenerator for Generator {
    fn generate(&mut self, service: Service, out: &mut String) {
        if !service.package.starts_with(INTERFACES) && !service.package.starts_with(PATTERNS) {
            return;
        }
        let name = trait_name(&service.name);
        write_trait(&name, &service, out);
        write_dispatch(&name, &service, &self.bytes_fields, out);
        if service.package.starts_with(INTERFACES) {
            write_forward(&name, &service, out);
            self.collected.0.borrow_mut().push(InterfaceService { package: service.package, name, methods: service.methods });
        }
    }
}

/// `KeyValueBasicService` → `KeyValueBasic`
fn trait_name(service: &str) -> String {
    service.strip_suffix("Service").unwrap_or(service).to_owned()
}

fn write_docs(comments: &Comments, indent: &str, out: &mut String) {
    for line in &comments.leading {
        let _ = writeln!(out, "{indent}///{}{line}", if line.starts_with(' ') || line.is_empty() { "" } else { " " });
    }
}

/// Returns the types of a method's request and response. `call` is the path of the crate that defines `Messages`.
fn signature(method: &Method, call: &str, prefix: &str) -> (String, String) {
    let input = format!("{prefix}{}", method.input_type);
    let output = format!("{prefix}{}", method.output_type);
    (
        if method.client_streaming { format!("{call}::Messages<{input}>") } else { input },
        if method.server_streaming { format!("{call}::Messages<{output}>") } else { output },
    )
}

fn write_trait(name: &str, service: &Service, out: &mut String) {
    write_docs(&service.comments, "", out);
    let _ = writeln!(out, "#[::async_trait::async_trait]\npub trait {name}: Send + Sync + 'static {{");
    for method in &service.methods {
        write_docs(&method.comments, "    ", out);
        let (input, output) = signature(method, "crate", "");
        let _ = writeln!(
            out,
            "    async fn {}(&self, context: &crate::Context, request: {input}) -> Result<{output}, crate::Error>;",
            method.name
        );
    }
    out.push_str("}\n");
}

/// Writes a trait whose default bodies forward each RPC to another implementation, and implements the interface for all of its types.
///
/// The signatures are those that `async_trait` generates. So a forwarded RPC returns the future of the inner implementation, without an
/// allocation of its own.
fn write_forward(name: &str, service: &Service, out: &mut String) {
    let mut defaults = String::new();
    let mut methods = String::new();
    for method in &service.methods {
        let (input, output) = signature(method, "crate", "");
        let head = format!(
            "    fn {}<'life0, 'life1, 'async_trait>(&'life0 self, context: &'life1 crate::Context, request: {input}) \
             -> ::core::pin::Pin<Box<dyn Future<Output = Result<{output}, crate::Error>> + Send + 'async_trait>>\n    \
             where 'life0: 'async_trait, 'life1: 'async_trait, Self: 'async_trait {{\n",
            method.name
        );
        let _ = writeln!(defaults, "{head}        {name}::{}(self.inner(), context, request)\n    }}", method.name);
        let _ = writeln!(methods, "{head}        Forward{name}::{}(self, context, request)\n    }}", method.name);
    }
    let _ = writeln!(
        out,
        "/// [`{name}`] over another implementation: forwards each RPC that the type does not override.\n\
         pub trait Forward{name}: Send + Sync + 'static {{\n    \
         /// Returns the implementation that RPCs are forwarded to.\n    fn inner(&self) -> &dyn {name};\n{defaults}}}\n\
         impl<T: Forward{name}> {name} for T {{\n{methods}}}"
    );
}

fn write_dispatch(name: &str, service: &Service, bytes_fields: &HashMap<String, (String, i32)>, out: &mut String) {
    let function = format!("dispatch_{}", name.to_snake_case());
    let _ = writeln!(
        out,
        "/// Decodes the request of an RPC of [`{name}`] by the RPC's name, calls it, and encodes the answer.\n\
         pub async fn {function}(service: &dyn {name}, context: &crate::Context, rpc: &str, input: crate::Input) \
         -> Result<crate::Output, crate::Error> {{\n    match rpc {{"
    );
    for method in &service.methods {
        let read = if method.client_streaming { "messages" } else { "one().await?" };
        let wrap = if method.server_streaming { "messages" } else { "one" };
        let read = if method.client_streaming { format!("{read}()") } else { read.to_owned() };
        let share = match bytes_fields.get(&method.output_proto_type) {
            Some((field, number)) if !method.server_streaming => format!("_sharing({number}, |reply| &mut reply.{field}, "),
            _ => "(".to_owned(),
        };
        let _ = writeln!(
            out,
            "        \"{}\" => Ok(crate::Output::{wrap}{share}service.{}(context, input.{read}).await?)),",
            method.proto_name, method.name
        );
    }
    let _ = writeln!(out, "        _ => Err(crate::Error::unknown_rpc(\"{}.{}\", rpc)),\n    }}\n}}", service.package, service.proto_name);
}

impl Collected {
    /// Returns the services sorted by model and name.
    fn sorted(&self) -> std::cell::RefMut<'_, Vec<InterfaceService>> {
        let mut seen = self.0.borrow_mut();
        seen.sort_by(|a, b| (&a.package, &a.name).cmp(&(&b.package, &b.name)));
        seen
    }

    /// Renders `struct Interfaces` with one field for each interface, and the list of their names.
    pub fn interfaces(&self) -> String {
        let seen = self.sorted();
        let mut out = String::from(
            "/// The interfaces of one keyspace, from its driver or from layers around it. An absent field is an absent capability.\n\
             #[derive(Clone, Default)]\npub struct Interfaces {\n",
        );
        for one in seen.iter() {
            let _ = writeln!(
                out,
                "    /// `{}`\n    pub {}: Option<std::sync::Arc<dyn {}>>,",
                one.interface(),
                one.interface(),
                one.path("messages::")
            );
        }
        out.push_str("}\n\n/// Names of all interfaces, by model and name.\npub const INTERFACE_NAMES: &[&str] = &[\n");
        for one in seen.iter() {
            let _ = writeln!(out, "    \"{}\",", one.interface());
        }
        out.push_str("];\n\n/// Full names of the services of all interfaces, in the order of [`INTERFACE_NAMES`].\npub const INTERFACE_SERVICES: &[&str] = &[\n");
        for one in seen.iter() {
            let _ = writeln!(out, "    \"{}\",", one.service());
        }
        out.push_str("];\n\nimpl Interfaces {\n    /// Names of the interfaces that are present.\n    #[expect(clippy::too_many_lines, reason = \"one line or two for each interface\")]\n    pub fn names(&self) -> Vec<&'static str> {\n        let mut names = Vec::new();\n");
        for one in seen.iter() {
            let _ = writeln!(out, "        if self.{0}.is_some() {{\n            names.push(\"{0}\");\n        }}", one.interface());
        }
        out.push_str("        names\n    }\n\n    /// Calls an RPC of the service of an interface. `backend` is the name of the backend, for the error\n    /// `UNIMPLEMENTED CAPABILITY_UNAVAILABLE` if the interface is absent.\n    #[expect(clippy::too_many_lines, reason = \"a few lines for each interface\")]\n    pub async fn dispatch(&self, context: &crate::Context, service: &str, rpc: &str, input: crate::Input, backend: &str) -> Result<crate::Output, crate::Error> {\n        match service {\n");
        for one in seen.iter() {
            let path = one.path("messages::");
            let module = path.rsplit_once("::").map_or("", |(module, _)| module);
            let _ = writeln!(
                out,
                "            \"{0}\" => match &self.{1} {{\n                \
                 Some(interface) => {module}::dispatch_{2}(&**interface, context, rpc, input).await,\n                \
                 None => Err(crate::Error::capability_unavailable(rpc, \"{1}\", backend)),\n            }},",
                one.service(),
                one.interface(),
                one.name.to_snake_case()
            );
        }
        out.push_str("            _ => Err(crate::Error::unknown_rpc(service, rpc)),\n        }\n    }\n}\n");
        out
    }

    /// Renders an implementation of every interface for `Intercepted`, which calls an interceptor around each operation.
    pub fn intercepted(&self) -> String {
        let seen = self.sorted();
        let mut out = String::new();
        for one in seen.iter() {
            let path = one.path("prism_call::proto::messages::");
            let module = path.rsplit_once("::").map_or("", |(module, _)| module);
            let _ = writeln!(out, "#[async_trait::async_trait]\nimpl<I: Interceptor> {path} for Intercepted<dyn {path}, I> {{");
            for method in &one.methods {
                let (input, output) = signature(method, "prism_call", &format!("{module}::"));
                let input = correct_path(&input, module);
                let output = correct_path(&output, module);
                let hook = if method.server_streaming { "stream" } else { "one" };
                let _ = writeln!(
                    out,
                    "    async fn {0}(&self, context: &Context, request: {input}) -> Result<{output}, Error> {{\n        \
                     let operation = Operation {{ interface: \"{1}\", rpc: \"{2}\" }};\n        \
                     self.interceptor.{hook}(context, operation, self.inner.{0}(context, request)).await\n    }}",
                    method.name,
                    one.interface(),
                    method.proto_name
                );
            }
            out.push_str("}\n");
        }
        out.push_str(
            "\n/// Wraps every interface that is present, so that the interceptor is called around each operation.\n\
             pub fn intercept<I: Interceptor>(interfaces: Interfaces, interceptor: &Arc<I>) -> Interfaces {\n    Interfaces {\n",
        );
        for one in seen.iter() {
            let _ = writeln!(
                out,
                "        {0}: interfaces.{0}.map(|inner| Arc::new(Intercepted {{ inner, interceptor: interceptor.clone() }}) as Arc<dyn {1}>),",
                one.interface(),
                one.path("prism_call::proto::messages::")
            );
        }
        out.push_str("    }\n}\n");
        out
    }
}

/// Corrects the path of a well-known type: prost writes these as absolute paths, all others relative to the package.
fn correct_path(kind: &str, module: &str) -> String {
    kind.replace(&format!("{module}::::prost_types"), "::prost_types")
}

impl InterfaceService {
    /// Returns the name of the interface, as `keyvalue_basic`: the model from the package, and the flavour from the rest of the
    /// service's name.
    fn interface(&self) -> String {
        let model = self.package.trim_start_matches(INTERFACES).trim_end_matches(".v1");
        let flavour = self.name.to_snake_case().replace('_', " ");
        let mut skipped = 0;
        let rest = flavour
            .char_indices()
            .find(|&(_, letter)| {
                let done = skipped == model.len();
                if !done && letter != ' ' {
                    skipped += 1;
                }
                done
            })
            .map_or("", |(at, _)| flavour[at..].trim());
        format!("{model}_{}", rest.replace(' ', "_"))
    }

    /// Returns the full name of the service, as `prism.interfaces.keyvalue.v1.KeyValueBasicService`.
    fn service(&self) -> String {
        format!("{}.{}Service", self.package, self.name)
    }

    fn path(&self, root: &str) -> String {
        let modules = self.package.replace('.', "::");
        format!("{root}{modules}::{}", self.name)
    }
}
