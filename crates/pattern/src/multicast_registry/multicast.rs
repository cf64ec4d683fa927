//! Sends a message to all identities that match a filter.

use std::{future::ready, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    MulticastRegistry,
    delivery::{Delivery, OutgoingMessage},
    filter::Filter,
    registrations::ScannedRegistration,
};
use crate::messaging::{attributes, names};
use prism_call::{
    Context, Error, Messages,
    proto::patterns::multicast_registry::v1::{
        DeliveryResult, EnumerateRequest, EnumerateResponse, MulticastRequest, MulticastResponse, MulticastSummary,
        delivery_result::Status, multicast_response::Outcome,
    },
};
use prism_slot::{check, id};

pub async fn enumerate(
    registry: &MulticastRegistry,
    context: &Context,
    request: EnumerateRequest,
) -> Result<Messages<EnumerateResponse>, Error> {
    let EnumerateRequest { filter, limit, cursor } = request;
    let filter = Filter::compile(&filter)?;
    let found = registry.registrations.scan(&context.without_metadata(), cursor).await?;
    let matching = found.try_filter(move |found| ready(filter.matches(&found.identity, &found.record)));
    let identities = matching.and_then(async |mut found| {
        let cursor = std::mem::take(&mut found.cursor);
        Ok(EnumerateResponse { identity: Some(found.into_identity()?), cursor })
    });
    Ok(Box::pin(identities.take(check::limit_or_all(limit))))
}

pub async fn multicast(
    registry: &MulticastRegistry,
    context: &Context,
    request: MulticastRequest,
) -> Result<Messages<MulticastResponse>, Error> {
    let MulticastRequest { filter, payload, headers, id, failures_only } = request;
    let filter = Filter::compile(&filter)?;
    check::value(&registry.limits, "payload", &payload)?;
    attributes::check("headers", "INVALID_HEADERS", &headers)?;
    let id = if id.is_empty() { id::random_text() } else { names::id(&id).map(|()| id)? };
    let message = Arc::new(OutgoingMessage::new(id.clone(), payload, headers));
    let context = context.without_metadata();
    let found = registry.registrations.scan(&context, String::new()).await?;
    let matching = found.try_filter(move |found| ready(filter.matches(&found.identity, &found.record)));
    let delivery = registry.delivery.clone();
    // Registrations are read only as fast as messages are delivered and results are read.
    let results = matching
        .map_ok(move |found| send(delivery.clone(), context.clone(), found, message.clone()))
        .try_buffer_unordered(registry.settings.concurrency.to_usize());
    let mut counted = MulticastSummary { id, ..MulticastSummary::default() };
    let mut results = Box::pin(results);
    let mut ended = false;
    Ok(Box::pin(stream::poll_fn(move |task| {
        loop {
            if ended {
                return std::task::Poll::Ready(None);
            }
            let outcome = match std::task::ready!(results.poll_next_unpin(task)) {
                Some(Err(error)) => {
                    ended = true;
                    return std::task::Poll::Ready(Some(Err(error)));
                }
                Some(Ok(result)) => {
                    count(&mut counted, result.status());
                    if failures_only && !matches!(result.status(), Status::NotConnected | Status::Failed) {
                        continue;
                    }
                    Outcome::Result(result)
                }
                None => {
                    ended = true;
                    Outcome::Summary(std::mem::take(&mut counted))
                }
            };
            return std::task::Poll::Ready(Some(Ok(MulticastResponse { outcome: Some(outcome) })));
        }
    })))
}

/// Sends the message to one identity.
async fn send(
    delivery: Arc<Delivery>,
    context: Context,
    found: ScannedRegistration,
    message: Arc<OutgoingMessage>,
) -> Result<DeliveryResult, Error> {
    let identity = found.identity;
    Ok(match delivery.send(&context, &identity, &message).await {
        Ok(status) => DeliveryResult { identity, status: status.into(), ..DeliveryResult::default() },
        Err(error) => DeliveryResult {
            identity,
            status: Status::Failed.into(),
            reason: error.reason().to_owned(),
            detail: error.message().to_owned(),
        },
    })
}

fn count(summary: &mut MulticastSummary, status: Status) {
    summary.matched += 1;
    match status {
        Status::Delivered => summary.delivered += 1,
        Status::NotConnected => summary.not_connected += 1,
        Status::Sent => summary.sent += 1,
        Status::Stored => summary.stored += 1,
        Status::Failed | Status::Unspecified => summary.failed += 1,
    }
}
