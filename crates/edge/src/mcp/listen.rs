//! Subscriptions to resources (`subscriptions/listen`, since 2026-07-28): one response tells the changes of several resources, until its client
//! closes it. Each resource is a call of the RPC that watches it.

use std::sync::Arc;

use bytes::Bytes;
use futures::{
    Stream, StreamExt as _,
    stream::{self, SelectAll},
};
use http::HeaderMap;
use serde_json::{Value, json};

use super::response::{event, message, notification};
use prism_call::{Code, Error, Messages, Method, StreamMessage};
use prism_frontend::render::HEARTBEAT;
use prism_mcp::{McpRequest, RequestRevision, ResourceSet, ToolSet, check_revision, error_data, protocol::RequestId};

/// The method.
pub const METHOD: &str = "subscriptions/listen";
/// Maximum resources of a request.
const MAX_RESOURCES: usize = 64;
/// The entry of `_meta` that names the request to which a notification belongs.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The changes of the resources of a request.
pub struct Listening {
    tools: Arc<ToolSet>,
    /// The RPC that watches.
    pub method: Arc<Method>,
    /// The resources that exist in this namespace.
    uris: Vec<String>,
    watches: SelectAll<Watch>,
}

/// The messages of the watch of a resource, with its URI.
type Watch = std::pin::Pin<Box<dyn Stream<Item = (String, Result<StreamMessage, Error>)> + Send>>;

/// Tells whether a request asks for changes.
pub fn is_listen(request: &McpRequest, headers: &HeaderMap) -> bool {
    request.method == METHOD && check_revision(request, headers).is_ok_and(|revision| revision == RequestRevision::PerRequest)
}

impl Listening {
    /// Reads what a request asks for. Only changes of resources are reported.
    pub fn of(tools: Arc<ToolSet>, request: &McpRequest) -> Result<Self, Error> {
        let asked = request.params.get("notifications").and_then(|asked| asked.get("resourceSubscriptions"));
        let wrong = || Error::invalid("notifications.resourceSubscriptions", "must be a list of URIs");
        let uris = match asked {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(uris)) => {
                uris.iter().map(|uri| uri.as_str().map(str::to_owned).ok_or_else(wrong)).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(wrong()),
        };
        if uris.len() > MAX_RESOURCES {
            let message = format!("the request names {} resources; at most {MAX_RESOURCES} can be watched at once", uris.len());
            return Err(Error::new(Code::ResourceExhausted, "TOO_MANY_RESOURCES", message));
        }
        let method = watch(&tools).map(|(_, rpc)| rpc.method.clone());
        let method =
            method.ok_or_else(|| Error::new(Code::Unimplemented, "NO_SUBSCRIPTIONS", "resources of this namespace can't be watched"))?;
        Ok(Self { tools, method, uris, watches: SelectAll::new() })
    }

    /// Returns the requests of the watches, with the URIs of their resources. URIs that no resource can have are left out.
    pub fn requests(&mut self) -> Result<Vec<(String, Bytes)>, Error> {
        let Some((resources, rpc)) = watch(&self.tools) else { return Ok(Vec::new()) };
        let mut requests = Vec::with_capacity(self.uris.len());
        for uri in &self.uris {
            match resources.watch_request(rpc, uri) {
                Ok(message) => requests.push((uri.clone(), message)),
                Err(error) if error.code() == Code::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.uris = requests.iter().map(|(uri, _)| uri.clone()).collect();
        Ok(requests)
    }

    /// Adds the messages of a watch.
    pub fn add(&mut self, uri: String, messages: Messages<StreamMessage>) {
        self.watches.push(Box::pin(messages.map(move |message| (uri.clone(), message))));
    }

    /// Returns the events of the response: first what is watched, then each change, and at the end the answer.
    pub fn events(self, id: RequestId) -> impl Stream<Item = String> + Send + 'static {
        let meta = json!({SUBSCRIPTION: id.clone().into_json_value()});
        let accepted = if self.uris.is_empty() { json!({}) } else { json!({"resourceSubscriptions": self.uris}) };
        let started = notification("notifications/subscriptions/acknowledged", &json!({"notifications": accepted, "_meta": meta}));
        let rest = stream::unfold(Some((self, meta, id)), |state| async move {
            let (mut listening, meta, id) = state?;
            // Messages that are no changes are left out.
            loop {
                let Ok(next) = tokio::time::timeout(HEARTBEAT, listening.watches.next()).await else {
                    return Some((":\n\n".to_owned(), Some((listening, meta, id))));
                };
                let end = match next {
                    Some((uri, Ok(change))) => match listening.is_change(&change) {
                        Ok(false) => continue,
                        Ok(true) => {
                            let updated = notification("notifications/resources/updated", &json!({"uri": uri, "_meta": meta}));
                            return Some((event(&updated), Some((listening, meta, id))));
                        }
                        Err(error) => Err(error_data(&error.for_client())),
                    },
                    Some((_, Err(error))) => Err(error_data(&error.for_client())),
                    None => Ok(json!({"resultType": "complete", "_meta": meta})),
                };
                return Some((event(&message(Some(&id), end)), None));
            }
        });
        stream::iter([event(&started)]).chain(rest)
    }

    fn is_change(&self, message: &[u8]) -> Result<bool, Error> {
        watch(&self.tools).map_or(Ok(false), |(_, rpc)| ResourceSet::is_change(rpc, message))
    }
}

fn watch(tools: &ToolSet) -> Option<(&ResourceSet, &prism_mcp::ResourceRpc)> {
    let resources = tools.resources.as_ref()?;
    Some((resources, resources.watch_rpc()?))
}
