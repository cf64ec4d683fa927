//! Tools: one for each RPC of a namespace that its backends can do.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use indexmap::IndexMap;
use rmcp::model::{Tool, ToolAnnotations};

use crate::{McpSettings, ResourceSet, ResultLimits, RpcMessages, names, schema};
use prism_call::{
    Method,
    proto::{
        self,
        patterns::slots::v1::{Capabilities, Support},
    },
};

/// The tools of a namespace, by name, in the order of the contract.
pub struct ToolSet {
    tools: IndexMap<String, McpTool>,
    /// The resources of the namespace.
    pub resources: Option<ResourceSet>,
}

/// A tool.
pub struct McpTool {
    /// The RPC that it calls.
    pub method: Arc<Method>,
    /// How clients see it.
    pub tool: Tool,
    /// The messages of the RPC.
    pub messages: RpcMessages,
}

impl ToolSet {
    /// Builds the tools of these RPCs. Leaves out those that are not available, and those with a stream of requests.
    pub fn new(namespace: &str, methods: &[Arc<Method>], capabilities: &Capabilities, settings: &McpSettings) -> Self {
        let support: BTreeMap<&str, _> = capabilities.operations.iter().map(|operation| (operation.rpc.as_str(), operation)).collect();
        let mut tools = IndexMap::new();
        for method in methods.iter().filter(|method| names::is_offered(settings, method)) {
            let operation = support.get(method.label.as_str());
            let emulation = match operation.map(|operation| operation.support()) {
                Some(Support::Unavailable) => continue,
                Some(Support::Emulated) => operation.map(|operation| operation.note.as_str()),
                _ => None,
            };
            if let Some(messages) = RpcMessages::of(methods, method) {
                let tool = McpTool::new(messages, method, emulation, capabilities, settings);
                tools.entry(tool.tool.name.to_string()).or_insert(tool);
            }
        }
        let is_available =
            |method: &Method| support.get(method.label.as_str()).is_none_or(|operation| operation.support() != Support::Unavailable);
        let resources = ResourceSet::new(namespace, methods, settings, is_available);
        Self { tools, resources }
    }

    /// Returns the tool with this name.
    pub fn find(&self, name: &str) -> Option<&McpTool> {
        self.tools.get(name)
    }

    /// Returns all tools.
    pub fn iter(&self) -> impl Iterator<Item = &McpTool> {
        self.tools.values()
    }
}

impl McpTool {
    fn new(
        messages: RpcMessages,
        method: &Arc<Method>,
        emulation: Option<&str>,
        capabilities: &Capabilities,
        settings: &McpSettings,
    ) -> Self {
        let (request, reply) = (method.descriptor.input(), method.descriptor.output());
        let is_resumable = messages.is_resumable;
        let own = settings.tools.get(&method.label);
        let description = match own.and_then(|own| own.description.clone()) {
            Some(own) => own,
            None => describe(method, emulation, is_resumable, &settings.limits()),
        };
        let result = if method.server_streaming { schema::items(&reply, is_resumable) } else { schema::message(&reply) };
        let arguments = schema::arguments(&request, capabilities.limits.as_ref());
        let title = own.and_then(|own| own.title.clone()).unwrap_or_else(|| names::title(method));
        let tool = Tool::new(names::given_name(settings, method), description, arguments)
            .with_title(title)
            .with_raw_output_schema(Arc::new(result))
            .with_annotations(annotations(method));
        Self { method: method.clone(), tool, messages }
    }
}

fn describe(method: &Method, emulation: Option<&str>, is_resumable: bool, limits: &ResultLimits) -> String {
    let mut text = proto::comment(method.descriptor.full_name()).unwrap_or(&method.name).to_owned();
    if method.server_streaming {
        let _ = write!(text, "\n\nReturns up to {} items.", limits.items);
        if is_resumable {
            text.push_str(" If `truncated` is true, call again with `nextCursor` as `cursor` for the next ones.");
        } else if !method.read_only {
            text.push_str(" If `truncated` is true, the call was cancelled after these items, and may have had only a part of its effect.");
        }
    }
    if let Some(note) = emulation {
        let _ = write!(text, "\n\nEmulated in this namespace: {note}.");
    }
    text
}

fn annotations(method: &Method) -> ToolAnnotations {
    let hints = ToolAnnotations::new().read_only(method.read_only).open_world(false);
    if method.read_only {
        return hints.destructive(false).idempotent(true);
    }
    // 2 is IDEMPOTENT in google.protobuf.MethodOptions.IdempotencyLevel.
    let level = method.descriptor.method_descriptor_proto().options.as_ref().and_then(|options| options.idempotency_level);
    hints.destructive(!is_additive(method)).idempotent(level == Some(2))
}

/// Reads the option `prism.options.v1.additive`.
fn is_additive(method: &Method) -> bool {
    let Some(extension) = method.descriptor.parent_pool().get_extension_by_name("prism.options.v1.additive") else { return false };
    method.descriptor.options().get_extension(&extension).as_bool().unwrap_or(false)
}
