//! The methods of JSON-RPC.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    McpEndpoint, listen,
    response::{Answer, status, to_value},
};
use crate::{derived::CAPABILITIES_AGE, metadata};
use prism_call::{Admitted, Code, Error, Finished, Input, Method, Output, Reply};
use prism_mcp::{
    McpRequest, McpTool, RequestRevision, ResultLimits, SUPPORTED, ToolSet, check_revision, error_data, has_resources, has_subscriptions,
    initialize_revision, instructions,
    protocol::{
        CacheScope, CallToolResult, DiscoverResult, ErrorCode, ErrorData, Implementation, InitializeResult, ListToolsResult,
        ResourcesCapability, ServerCapabilities, Tool, ToolsCapability,
    },
    tool_error,
};

/// Tools in one page of a list. Only namespaces with all interfaces have more.
const PAGE: usize = 100;

/// The methods of an endpoint, for one request over HTTP.
pub struct Methods<'s> {
    pub endpoint: &'s McpEndpoint,
    pub headers: &'s HeaderMap,
}

/// A call of a tool whose result is a stream.
pub struct BegunTool {
    /// The tools of the namespace.
    pub tools: Arc<ToolSet>,
    /// The name of the tool.
    pub name: String,
    /// The position in its arguments.
    pub cursor: String,
    /// The bounds of the result.
    pub limits: ResultLimits,
    /// The revision of the request.
    pub revision: RequestRevision,
    /// The reply.
    pub output: Output,
    /// The metadata of the reply.
    pub headers: HeaderMap,
}

/// The answer to a request.
pub struct Handled {
    /// The status of the response.
    pub status: StatusCode,
    /// The answer.
    pub finished: Finished<Answer>,
    /// The metadata of the reply.
    pub headers: HeaderMap,
}

/// An answer that is not counted yet.
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// The error to count.
    pub error: Option<Error>,
    /// The metadata of the reply.
    pub headers: HeaderMap,
}

impl From<Value> for Answered {
    fn from(result: Value) -> Self {
        Self { answer: Ok(result), error: None, headers: HeaderMap::new() }
    }
}

impl From<ErrorData> for Answered {
    /// The answer to a request that is wrong.
    fn from(error: ErrorData) -> Self {
        let code = if error.code == ErrorCode::METHOD_NOT_FOUND { Code::Unimplemented } else { Code::InvalidArgument };
        let counted = Error::new(code, "MCP_REQUEST", error.message.to_string()).caused_by_client();
        Self { answer: Err(error), error: Some(counted), headers: HeaderMap::new() }
    }
}

impl Answered {
    /// The answer to a request whose call failed.
    pub fn failed(error: Error) -> Self {
        Self { answer: Err(error_data(&error.for_client())), error: Some(error), headers: HeaderMap::new() }
    }
}

impl Methods<'_> {
    /// Answers a request.
    pub async fn handle(&self, mut admitted: Admitted<'_>, request: &mut McpRequest) -> Handled {
        let (answered, status) = match check_revision(request, self.headers) {
            Ok(revision) => {
                let mut answered = self.answer(&mut admitted, request, revision).await;
                if let (RequestRevision::Negotiated, Ok(result)) = (revision, &mut answered.answer) {
                    remove_new_members(result);
                }
                let status = status(revision, &answered.answer);
                (answered, status)
            }
            Err(error) => (error.into(), StatusCode::BAD_REQUEST),
        };
        let Answered { answer, error, headers } = answered;
        Handled { status, finished: admitted.finish(error.as_ref(), answer), headers }
    }

    async fn answer(&self, admitted: &mut Admitted<'_>, request: &mut McpRequest, revision: RequestRevision) -> Answered {
        let answered = match (request.method.as_str(), revision) {
            ("initialize", RequestRevision::Negotiated) => self.initialize(request).map(Answered::from),
            ("ping", RequestRevision::Negotiated) => Ok(json!({}).into()),
            ("server/discover", RequestRevision::PerRequest) => Ok(self.discover().into()),
            (listen::METHOD, RequestRevision::PerRequest) if self.has_subscriptions() => {
                Err(invalid("the answer is `text/event-stream`; accept it"))
            }
            ("tools/list", _) => self.list(admitted, request).await,
            ("tools/call", _) => self.call(admitted, request).await,
            ("resources/list", _) if self.has_resources() => self.list_resources(admitted, request).await,
            ("resources/templates/list", _) if self.has_resources() => self.list_templates(admitted).await,
            ("resources/read", _) if self.has_resources() => self.read_resource(admitted, request, revision).await,
            (method, _) => Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("there is no method {method}"), None)),
        };
        answered.unwrap_or_else(Answered::from)
    }

    /// Begins the call of a tool whose result is a stream, so that its progress can be reported. Returns whether the tool writes,
    /// and the call. `None`: the request asks for something else, or is wrong, and nothing of it was begun.
    pub async fn begin_stream(&self, admitted: &mut Admitted<'_>, request: &mut McpRequest) -> Option<(bool, Result<BegunTool, Error>)> {
        let revision = check_revision(request, self.headers).ok().filter(|_| request.method == "tools/call")?;
        let tools = self.endpoint.frontend.tools(admitted).await.ok()?;
        let name = request.text("name").ok()?.to_owned();
        let tool = tools.find(&name).filter(|tool| tool.method.server_streaming)?;
        if !matches!(request.params.get("arguments"), None | Some(Value::Null | Value::Object(_))) {
            return None;
        }
        let arguments = match request.params.shift_remove("arguments") {
            Some(Value::Object(arguments)) => arguments,
            _ => Map::new(),
        };
        let cursor = arguments.get("cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
        let reply = self.call_rpc(admitted, &tool.method, || tool.messages.encode(arguments)).await;
        let limits = self.limits(admitted);
        let begun = reply.map(|reply| {
            let (output, headers) = (reply.output, reply.headers);
            BegunTool { tools: tools.clone(), name, cursor, limits, revision, output, headers }
        });
        Some((!tool.method.read_only, begun))
    }

    fn initialize(&self, request: &McpRequest) -> Result<Value, ErrorData> {
        let result = InitializeResult::new(self.capabilities())
            .with_protocol_version(initialize_revision(request)?)
            .with_server_info(self.implementation())
            .with_instructions(self.instructions());
        Ok(to_value(&result))
    }

    fn discover(&self) -> Value {
        let mut capabilities = self.capabilities();
        if let Some(resources) = capabilities.resources.as_mut().filter(|_| self.has_subscriptions()) {
            resources.subscribe = Some(true);
        }
        let mut result = DiscoverResult::new(SUPPORTED.to_vec(), capabilities)
            .with_server_info(self.implementation())
            .with_ttl_ms(milliseconds(CAPABILITIES_AGE));
        result.instructions = Some(self.instructions());
        to_value(&result)
    }

    fn capabilities(&self) -> ServerCapabilities {
        let mut capabilities = ServerCapabilities::default();
        capabilities.tools = Some(ToolsCapability::default());
        capabilities.resources = self.has_resources().then(ResourcesCapability::default);
        capabilities
    }

    fn has_resources(&self) -> bool {
        has_resources(&self.endpoint.namespace.methods, &self.endpoint.frontend.settings)
    }

    fn has_subscriptions(&self) -> bool {
        has_subscriptions(&self.endpoint.namespace.methods, &self.endpoint.frontend.settings)
    }

    fn implementation(&self) -> Implementation {
        Implementation::new("prism", env!("CARGO_PKG_VERSION")).with_title(format!("Prism: {}", self.endpoint.namespace.name))
    }

    fn instructions(&self) -> String {
        instructions(&self.endpoint.namespace, &self.endpoint.frontend.settings)
    }

    /// Lists the tools that the caller may call.
    async fn list(&self, admitted: &Admitted<'_>, request: &McpRequest) -> Result<Answered, ErrorData> {
        let tools = match self.endpoint.frontend.tools(admitted).await {
            Ok(tools) => tools,
            Err(error) => return Ok(Answered::failed(error)),
        };
        let start = match Self::cursor(request)? {
            "" => 0,
            cursor => cursor.parse().map_err(|_| invalid("`params.cursor` is not one of a list of tools"))?,
        };
        let allowed: Vec<&McpTool> = tools.iter().filter(|tool| admitted.may_call(&tool.method)).collect();
        let page: Vec<Tool> = allowed.iter().skip(start).take(PAGE).map(|tool| tool.tool.clone()).collect();
        let mut result = ListToolsResult::with_all_items(page).with_ttl_ms(milliseconds(CAPABILITIES_AGE));
        result.cache_scope = Some(CacheScope::Private);
        result.next_cursor = start.checked_add(PAGE).filter(|next| *next < allowed.len()).map(|next| next.to_string());
        Ok(to_value(&result).into())
    }

    /// Calls a tool.
    async fn call(&self, admitted: &mut Admitted<'_>, request: &mut McpRequest) -> Result<Answered, ErrorData> {
        let tools = match self.endpoint.frontend.tools(admitted).await {
            Ok(tools) => tools,
            Err(error) => return Ok(tool_failed(admitted, error, false)),
        };
        let name = request.text("name")?;
        let tool = tools.find(name).ok_or_else(|| invalid(format!("there is no tool {name:?}; tools/list has all of them")))?;
        let arguments = match request.params.shift_remove("arguments") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(invalid("`params.arguments` must be a JSON object")),
        };
        Ok(match self.run(admitted, tool, arguments).await {
            Ok((result, headers)) => Answered { headers, ..to_value(&result).into() },
            Err(error) => tool_failed(admitted, error, !tool.method.read_only),
        })
    }

    async fn run(
        &self,
        admitted: &mut Admitted<'_>,
        tool: &McpTool,
        arguments: Map<String, Value>,
    ) -> Result<(CallToolResult, HeaderMap), Error> {
        let cursor = arguments.get("cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
        let reply = self.call_rpc(admitted, &tool.method, || tool.messages.encode(arguments)).await?;
        let result = tool.result(reply.output, &cursor, &self.limits(admitted)).await?;
        Ok((result, reply.headers))
    }

    /// Calls an RPC with one message. A stream has no deadline unless the client sets one, but has to open within the time of a unary call.
    pub(super) async fn call_rpc(
        &self,
        admitted: &mut Admitted<'_>,
        method: &Arc<Method>,
        encode: impl FnOnce() -> Result<Bytes, Error> + Send,
    ) -> Result<Reply, Error> {
        let read = pin!(async move { Ok(Input::One(encode()?)) });
        let call = admitted.call(method, self.metadata(), read);
        if !method.server_streaming {
            return call.await;
        }
        tokio::time::timeout(self.endpoint.namespace.limits.timeout, call).await.unwrap_or_else(|_| Err(Error::deadline_exceeded()))
    }

    /// Returns the bounds of the result of a call that has begun. Items are collected until its deadline at most.
    pub(super) fn limits(&self, admitted: &Admitted<'_>) -> ResultLimits {
        let mut limits = self.endpoint.frontend.limits;
        if let Some(deadline) = admitted.context().deadline {
            limits.wait = limits.wait.min(deadline.saturating_duration_since(Instant::now()));
        }
        limits
    }

    /// Returns the position in a list that a request asks for; empty: the start.
    pub(super) fn cursor(request: &McpRequest) -> Result<&str, ErrorData> {
        match request.params.get("cursor") {
            None | Some(Value::Null) => Ok(""),
            Some(cursor) => cursor.as_str().ok_or_else(|| invalid("`params.cursor` must be text")),
        }
    }

    /// Returns the metadata of a call: the headers of the request, without those of the protocol.
    pub(super) fn metadata(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        metadata::remove_hop_by_hop(&mut headers);
        headers.remove(header::ACCEPT);
        headers.remove(header::CONTENT_TYPE);
        let own: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("mcp-")).cloned().collect();
        for name in own {
            headers.remove(name);
        }
        headers
    }
}

/// The error of a request that is wrong.
fn invalid(message: impl Into<String>) -> ErrorData {
    ErrorData::new(ErrorCode::INVALID_PARAMS, message.into(), None)
}

/// The answer to a call of a tool that failed.
fn tool_failed(admitted: &Admitted<'_>, error: Error, writes: bool) -> Answered {
    let result = to_value(&tool_error(&error.for_client(), writes, admitted.request_id()));
    Answered { error: Some(error), ..result.into() }
}

/// Removes the members that older revisions do not have.
pub(super) fn remove_new_members(result: &mut Value) {
    if let Value::Object(result) = result {
        for name in ["resultType", "ttlMs", "cacheScope"] {
            result.shift_remove(name);
        }
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
