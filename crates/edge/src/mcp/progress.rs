//! The progress of tools whose results are streams: a client that gives a token and accepts events is told how many items there are.

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    methods::{BegunTool, remove_new_members},
    response::{self, event, message, notification, to_value},
};
use crate::{metadata, request::Response};
use prism_call::{Admitted, Error, Output};
use prism_mcp::{RequestRevision, protocol::RequestId, tool_error};

/// What is left of a call.
struct Running {
    result: BoxFuture<'static, Value>,
    /// The number of items.
    counts: watch::Receiver<usize>,
    /// The number that the client knows.
    reported: usize,
}

/// Returns the response to a call that has begun: its progress, and its result.
pub fn respond(admitted: Admitted<'_>, (writes, begun): (bool, Result<BegunTool, Error>), id: &RequestId, token: Value) -> Response {
    let request_id = admitted.request_id().clone();
    let one = |result: &Value| stream::iter([event(&message(Some(id), Ok(result.clone())))]);
    let BegunTool { tools, name, cursor, limits, revision, output, headers } = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let result = to_value(&tool_error(&error.for_client(), writes, &request_id));
            return admitted.finish(Some(&error), response::respond_events(&request_id, one(&result)));
        }
    };
    let Output::Stream(messages) = output else {
        let error = Error::internal("a stream was answered with one message");
        let result = to_value(&tool_error(&error, writes, &request_id));
        return admitted.finish(Some(&error), response::respond_events(&request_id, one(&result)));
    };
    let (messages, streaming) = admitted.stream(messages);
    let (counted, counts) = watch::channel(0);
    let (own_id, total) = (request_id.clone(), limits.items);
    let result = async move {
        let report = |count| {
            counted.send_replace(count);
        };
        let collected = match tools.find(&name) {
            Some(tool) => tool.items(Box::pin(messages), &cursor, &limits, report).await,
            None => Err(Error::internal("the tool of a call is gone")),
        };
        let mut result = match collected {
            Ok(result) => to_value(&result),
            Err(error) => to_value(&tool_error(&error.for_client(), writes, &own_id)),
        };
        if revision == RequestRevision::Negotiated {
            remove_new_members(&mut result);
        }
        result
    };
    let id = id.clone();
    let progress = move |count: usize| {
        let params = json!({"progressToken": token, "progress": count, "total": total});
        event(&notification("notifications/progress", &params))
    };
    let running = Running { result: result.boxed(), counts, reported: 0 };
    let events = stream::unfold(Some(running), move |running| {
        let (id, progress) = (id.clone(), progress.clone());
        async move {
            let mut running = running?;
            tokio::select! {
                result = &mut running.result => {
                    let count = *running.counts.borrow();
                    let last = if count > running.reported { progress(count) } else { String::new() };
                    Some((last + &event(&message(Some(&id), Ok(result))), None))
                }
                Ok(()) = running.counts.changed() => {
                    running.reported = *running.counts.borrow_and_update();
                    Some((progress(running.reported), Some(running)))
                }
            }
        }
    });
    let mut response = response::respond_events(&request_id, events.boxed());
    metadata::append(response.headers_mut(), headers);
    streaming.finish(response)
}
