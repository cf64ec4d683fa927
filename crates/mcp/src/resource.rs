//! Resources: the entries of a namespace that have a name, as keys and subjects. Listing and reading them are calls of RPCs, like those of tools.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rmcp::model::{ErrorCode, ErrorData, ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Map, Value, json};

use crate::{McpSettings, ResultLimits, RpcMessages, names};
use prism_call::{Code, Error, Method, Output};

/// Resources in one page of a list.
const PAGE: usize = 100;
const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// What stays as it is in the URI of a resource (RFC 3986, section 3.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':').remove(b'@');

/// A kind of resources: which RPCs list and read them.
struct ResourceKind {
    service: &'static str,
    /// The first segment of the path, which is also the name of a list of them.
    collection: &'static str,
    /// What one of them is called.
    name: &'static str,
    description: &'static str,
    list: &'static str,
    read: &'static str,
    /// Arguments of the RPC that lists, from the position in the list.
    list_arguments: fn(&str) -> Map<String, Value>,
    /// The field with the name, in requests and in items of lists.
    name_field: &'static str,
    /// Further arguments of the RPC that reads.
    read_arguments: &'static [(&'static str, &'static str)],
    /// Where the content is in its reply.
    content: &'static str,
    /// The RPC that watches a resource, with an argument that leaves out what is there already.
    watch: Option<(&'static str, &'static str)>,
    /// Whether a list continues after the cursor of its last item, or after a number of items.
    has_cursors: bool,
}

const KINDS: [ResourceKind; 2] = [
    ResourceKind {
        service: "prism.patterns.keyvalue.v1.KeyValueService",
        collection: "keys",
        name: "key",
        description: "The value of a key.",
        list: "Scan",
        read: "Retrieve",
        list_arguments: |cursor| object([("keysOnly", true.into()), ("limit", (PAGE + 1).into()), ("cursor", cursor.into())]),
        name_field: "key",
        read_arguments: &[],
        content: "/value",
        watch: Some(("Watch", "changesOnly")),
        has_cursors: true,
    },
    ResourceKind {
        service: "prism.patterns.schema_registry.v1.SchemaRegistryService",
        collection: "subjects",
        name: "subject",
        description: "The latest schema of a subject.",
        list: "ListSubjects",
        read: "GetSchema",
        list_arguments: |offset| {
            let offset = offset.parse::<u32>().unwrap_or_default();
            object([("prefix", ":*:".into()), ("limit", (PAGE + 1).into()), ("offset", offset.into())])
        },
        name_field: "subject",
        read_arguments: &[("version", "latest")],
        content: "/schema/schema",
        watch: None,
        has_cursors: false,
    },
];

impl ResourceKind {
    /// Returns the kind that a namespace with these RPCs may have.
    fn of(methods: &[Arc<Method>]) -> Option<&'static Self> {
        let service = &methods.first()?.service;
        KINDS.iter().find(|kind| kind.service == service)
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The resources of a namespace.
pub struct ResourceSet {
    kind: &'static ResourceKind,
    namespace: String,
    /// `None`: the settings do not offer the RPC that lists.
    list: Option<ResourceRpc>,
    read: ResourceRpc,
    /// `None`: resources can't be watched here.
    watch: Option<ResourceRpc>,
}

/// An RPC that lists or reads resources.
pub struct ResourceRpc {
    /// The RPC.
    pub method: Arc<Method>,
    messages: RpcMessages,
}

impl ResourceRpc {
    fn find(methods: &[Arc<Method>], name: &str, settings: &McpSettings) -> Option<Self> {
        let method = methods.iter().find(|method| method.name == name)?;
        names::is_offered(settings, method).then_some(())?;
        Some(Self { method: method.clone(), messages: RpcMessages::of(methods, method)? })
    }
}

impl ResourceSet {
    /// Returns the resources of a namespace with these RPCs. `is_available` tells which of them its backends can do. Returns `None` if there
    /// are no resources, or if the settings do not offer the RPC that reads them.
    pub fn new(namespace: &str, methods: &[Arc<Method>], settings: &McpSettings, is_available: impl Fn(&Method) -> bool) -> Option<Self> {
        let kind = ResourceKind::of(methods)?;
        let find = |name| ResourceRpc::find(methods, name, settings).filter(|rpc| is_available(&rpc.method));
        Some(Self {
            kind,
            namespace: namespace.to_owned(),
            list: find(kind.list),
            read: find(kind.read)?,
            watch: kind.watch.and_then(|(rpc, _)| find(rpc)),
        })
    }

    /// Returns the RPC that lists resources.
    pub fn list_rpc(&self) -> Option<&ResourceRpc> {
        self.list.as_ref()
    }

    /// Returns the RPC that reads a resource.
    pub fn read_rpc(&self) -> &ResourceRpc {
        &self.read
    }

    /// Returns the RPC that watches a resource.
    pub fn watch_rpc(&self) -> Option<&ResourceRpc> {
        self.watch.as_ref()
    }

    /// The error of a URI that no resource has.
    pub fn unknown(uri: &str) -> Error {
        Error::new(
            Code::NotFound,
            "RESOURCE_NOT_FOUND",
            format!("there is no resource {uri}; resources/templates/list has the form of URIs"),
        )
    }

    fn prefix(&self) -> String {
        format!("prism://{}/{}/", self.namespace, self.kind.collection)
    }

    /// Returns the template of the URIs of resources.
    pub fn template(&self) -> ResourceTemplate {
        let ResourceKind { name, description, .. } = self.kind;
        ResourceTemplate::new(format!("{}{{+{name}}}", self.prefix()), self.kind.collection).with_description(*description)
    }

    /// Encodes the request for a page of the list.
    pub fn list_request(&self, rpc: &ResourceRpc, cursor: &str) -> Result<Bytes, Error> {
        if !self.kind.has_cursors && !cursor.is_empty() && cursor.parse::<u32>().is_err() {
            return Err(Error::invalid("cursor", "must be the `nextCursor` of a list of resources"));
        }
        rpc.messages.encode((self.kind.list_arguments)(cursor))
    }

    /// Returns a page of the list.
    pub async fn page(&self, rpc: &ResourceRpc, output: Output, cursor: &str, limits: &ResultLimits) -> Result<ListResourcesResult, Error> {
        let Output::Stream(messages) = output else { return Err(Error::internal("a list was answered with one message")) };
        let limits = ResultLimits { items: PAGE, ..*limits };
        let collected = rpc.messages.collect(messages, cursor, &limits).await?;
        let names = collected.items.iter().filter_map(|item| item.get(self.kind.name_field)?.as_str());
        let resources: Vec<Resource> = names.map(|name| Resource::new(self.uri(name), name)).collect();
        let next = match (collected.truncated, self.kind.has_cursors) {
            (false, _) => None,
            (true, true) => Some(collected.cursor),
            (true, false) => Some(cursor.parse::<usize>().unwrap_or_default().saturating_add(resources.len()).to_string()),
        };
        let mut result = ListResourcesResult::with_all_items(resources);
        result.next_cursor = next.filter(|next| !next.is_empty());
        Ok(result)
    }

    /// Returns the URI of a resource.
    fn uri(&self, name: &str) -> String {
        format!("{}{}", self.prefix(), utf8_percent_encode(name, PLAIN))
    }

    /// Returns the arguments with the name of a resource.
    fn name_arguments(&self, uri: &str) -> Result<Map<String, Value>, Error> {
        let unknown = || Self::unknown(uri);
        let rest = uri.strip_prefix(&self.prefix()).filter(|rest| !rest.is_empty()).ok_or_else(unknown)?;
        let name = percent_decode_str(rest).decode_utf8().map_err(|_| unknown())?;
        Ok(object([(self.kind.name_field, name.into_owned().into())]))
    }

    /// Encodes the request to watch the changes of a resource.
    pub fn watch_request(&self, rpc: &ResourceRpc, uri: &str) -> Result<Bytes, Error> {
        let mut arguments = self.name_arguments(uri)?;
        arguments.extend(self.kind.watch.map(|(_, changes_only)| (changes_only.to_owned(), true.into())));
        rpc.messages.encode(arguments)
    }

    /// Tells whether a message of a watch says that the resource may have changed.
    pub fn is_change(rpc: &ResourceRpc, message: &[u8]) -> Result<bool, Error> {
        let (event, _) = rpc.messages.decode(message)?;
        Ok(["stored", "removed", "gap"].iter().any(|change| event.contains_key(*change)))
    }

    /// Encodes the request to read a resource.
    pub fn read_request(&self, uri: &str) -> Result<Bytes, Error> {
        let mut arguments = self.name_arguments(uri)?;
        for (field, value) in self.kind.read_arguments {
            arguments.insert((*field).to_owned(), (*value).into());
        }
        self.read.messages.encode(arguments)
    }

    /// Returns the content of a resource.
    pub fn content(&self, uri: &str, output: Output) -> Result<ReadResourceResult, Error> {
        let Output::One(message) = output else { return Err(Error::internal("a resource was answered with a stream")) };
        let (reply, size) = self.read.messages.decode(&message.to_bytes())?;
        if size > MAX_CONTENT {
            let message = format!("the resource has {size} bytes as JSON, more than the {MAX_CONTENT} that can be read at once");
            return Err(Error::new(Code::ResourceExhausted, "RESULT_TOO_LARGE", message));
        }
        let content = match Value::Object(reply).pointer(self.kind.content) {
            Some(Value::String(text)) => {
                let is_json = text.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
                ResourceContents::text(text.clone(), uri).with_mime_type(if is_json { JSON } else { TEXT })
            }
            Some(Value::Object(bytes)) => {
                let encoded = bytes.get("base64").and_then(Value::as_str).unwrap_or_default();
                ResourceContents::blob(encoded, uri).with_mime_type(BYTES)
            }
            _ => return Err(Error::internal("a resource was answered without its content")),
        };
        Ok(ReadResourceResult::new(vec![content]))
    }
}

/// Maximum bytes of a resource. Clients show resources to people, or give them to models by choice, so they may be larger than results of tools.
const MAX_CONTENT: usize = 4 << 20;

/// Returns the error of a resource that does not exist. The code depends on the revision.
pub fn resource_error(error: &Error, uri: &str, is_newest: bool) -> ErrorData {
    let known = crate::error_data(error);
    if error.code() != Code::NotFound {
        return known;
    }
    let code = if is_newest { ErrorCode::INVALID_PARAMS } else { ErrorCode::RESOURCE_NOT_FOUND };
    ErrorData::new(code, known.message, Some(json!({"uri": uri, "reason": error.reason()})))
}

/// Tells whether a namespace with these RPCs may have resources. Its backends may lack the RPCs.
pub fn has_resources(methods: &[Arc<Method>], settings: &McpSettings) -> bool {
    let Some(kind) = ResourceKind::of(methods) else { return false };
    methods.iter().any(|method| method.name == kind.read && names::is_offered(settings, method))
}

/// Tells whether resources of a namespace with these RPCs may be watched. Its backends may lack the RPCs.
pub fn has_subscriptions(methods: &[Arc<Method>], settings: &McpSettings) -> bool {
    let watch = ResourceKind::of(methods).and_then(|kind| kind.watch);
    let is_watch = |method: &Method| watch.is_some_and(|(rpc, _)| method.name == rpc) && names::is_offered(settings, method);
    has_resources(methods, settings) && methods.iter().any(|method| is_watch(method))
}
