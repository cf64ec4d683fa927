//! Compiles the contracts of the patterns into messages, and a typed client for each service.

use std::{collections::BTreeSet, error::Error, fmt::Write as _};

use heck::ToShoutySnakeCase as _;
use prost_build::{Service, ServiceGenerator};
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};

const PROTO: &str = "../../proto";

/// The patterns that have a client.
const PATTERNS: [&str; 8] =
    ["consumer", "event_sourcing", "keyvalue", "multicast_registry", "object_store", "producer", "session_store", "work_queue"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let patterns = PATTERNS.iter().map(|name| format!("{PROTO}/prism/patterns/{name}/v1/{name}.proto"));
    let files: Vec<String> = patterns.chain(["status", "error_details"].map(|name| format!("{PROTO}/google/rpc/{name}.proto"))).collect();
    let mut compiler = protox::Compiler::new([PROTO])?;
    compiler.include_source_info(true).include_imports(true).open_files(files)?;
    let mut described = compiler.file_descriptor_set();
    // The messages of options annotate the contracts only.
    described.file.retain(|file| !matches!(file.package(), "google.api" | "prism.options.v1"));
    let generator = ClientGenerator { described: described.clone(), resumable: BTreeSet::new() };
    let mut config = prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]).service_generator(Box::new(generator));
    config.include_file("contracts.rs").compile_fds(described)?;
    Ok(())
}

/// Writes a client for each service.
struct ClientGenerator {
    described: FileDescriptorSet,
    /// The messages that have the trait for resumed streams already.
    resumable: BTreeSet<String>,
}

impl ClientGenerator {
    fn message(&self, package: &str, name: &str) -> Option<&DescriptorProto> {
        let file = self.described.file.iter().filter(|file| file.package() == package);
        file.flat_map(|file| &file.message_type).find(|message| message.name() == name)
    }

    fn has(&self, package: &str, message: &str, field: &str, kind: Type) -> bool {
        let fields = self.message(package, message).map(|message| message.field.as_slice()).unwrap_or_default();
        fields.iter().any(|known| known.name() == field && known.r#type() == kind)
    }

    /// Writes the traits by which a stream resumes. Returns whether it can.
    fn resume(&mut self, package: &str, request: &str, response: &str, out: &mut String) -> Result<bool, std::fmt::Error> {
        if !self.has(package, request, "cursor", Type::String) || !self.has(package, response, "cursor", Type::String) {
            return Ok(false);
        }
        if self.resumable.insert(format!("{package}.{request}")) {
            let limit = if self.has(package, request, "limit", Type::Uint32) {
                "\n    fn lower_limit(&mut self, received: u32) -> bool {\n        let limited = self.limit > 0;\n        self.limit = self.limit.saturating_sub(received);\n        !limited || self.limit > 0\n    }\n"
            } else {
                ""
            };
            writeln!(
                out,
                "impl crate::resume::ResumableRequest for {request} {{\n    fn set_cursor(&mut self, cursor: &str) {{\n        self.cursor = cursor.to_owned();\n    }}\n{limit}}}\n"
            )?;
        }
        if self.resumable.insert(format!("{package}.{response}")) {
            writeln!(
                out,
                "impl crate::resume::ResumableReply for {response} {{\n    fn cursor(&self) -> &str {{\n        &self.cursor\n    }}\n}}\n"
            )?;
        }
        Ok(true)
    }

    fn service(&mut self, service: &Service, out: &mut String) -> std::fmt::Result {
        let (base, package) = (service.name.trim_end_matches("Service"), &service.package);
        let client = format!("{base}Client");
        let pattern = package.split('.').nth(2).unwrap_or_default().replace('_', "-");
        for method in &service.methods {
            let effect = match method.options.idempotency_level {
                Some(1) => "Reads",
                Some(2) => "Idempotent",
                _ => "Writes",
            };
            writeln!(
                out,
                "const {}: crate::Rpc = crate::Rpc {{ path: \"/{package}.{}/{name}\", name: \"{name}\", effect: crate::Effect::{effect} }};",
                method.proto_name.to_shouty_snake_case(),
                service.proto_name,
                name = method.proto_name,
            )?;
        }
        service.comments.append_with_indent(0, out);
        writeln!(out, "#[derive(Clone, Debug)]\npub struct {client} {{\n    caller: crate::Caller,\n}}\n")?;
        writeln!(out, "impl {client} {{")?;
        writeln!(
            out,
            "    /// Opens a namespace: reads its capabilities, and checks that it has the pattern `{pattern}`.\n    pub async fn open(connection: &crate::Connection, namespace: &str) -> Result<Self, crate::Error> {{\n        let caller = crate::Caller::new(connection, namespace);\n        let reply: GetCapabilitiesResponse = caller.unary(&GET_CAPABILITIES, GetCapabilitiesRequest {{}}).await?;\n        Ok(Self {{ caller: caller.with_capabilities(\"{pattern}\", reply.capabilities)? }})\n    }}\n\n    /// Returns a client whose calls have these options.\n    pub fn with(&self, options: crate::CallOptions) -> Self {{\n        Self {{ caller: self.caller.with(options) }}\n    }}\n\n    /// Returns what the namespace supports, as read when the client was opened.\n    pub fn capabilities(&self) -> &crate::Capabilities {{\n        self.caller.capabilities()\n    }}\n\n    /// Returns how the namespace supports an RPC, such as `Store`.\n    pub fn support(&self, rpc: &str) -> crate::Support {{\n        self.caller.support(rpc)\n    }}\n"
        )?;
        let mut traits = String::new();
        for method in service.methods.iter().filter(|method| method.proto_name != "GetCapabilities") {
            method.comments.append_with_indent(1, out);
            let (name, rpc) = (&method.name, method.proto_name.to_shouty_snake_case());
            let (input, output) = (&method.input_type, &method.output_type);
            let requests = format!("requests: impl futures::Stream<Item = {input}> + Send + 'static");
            match (method.client_streaming, method.server_streaming) {
                (false, false) => writeln!(
                    out,
                    "    pub async fn {name}(&self, request: {input}) -> Result<{output}, crate::Error> {{\n        self.caller.unary(&{rpc}, request).await\n    }}\n"
                )?,
                (false, true) => {
                    let call = if self.resume(package, input, output, &mut traits)? { "resumable" } else { "server_stream" };
                    writeln!(
                        out,
                        "    pub async fn {name}(&self, request: {input}) -> Result<crate::Replies<{output}>, crate::Error> {{\n        self.caller.{call}(&{rpc}, request).await\n    }}\n"
                    )?;
                }
                (true, false) => writeln!(
                    out,
                    "    pub async fn {name}(&self, {requests}) -> Result<{output}, crate::Error> {{\n        self.caller.client_stream(&{rpc}, requests).await\n    }}\n"
                )?,
                (true, true) => writeln!(
                    out,
                    "    pub async fn {name}(&self, {requests}) -> Result<crate::Replies<{output}>, crate::Error> {{\n        self.caller.duplex(&{rpc}, requests).await\n    }}\n"
                )?,
            }
        }
        out.push_str("}\n\n");
        out.push_str(&traits);
        Ok(())
    }
}

impl ServiceGenerator for ClientGenerator {
    fn generate(&mut self, service: Service, buffer: &mut String) {
        // Writing into a String can't fail.
        let _ = self.service(&service, buffer);
    }
}
