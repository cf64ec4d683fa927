//! Checks events, and appends them.

use super::{EventSourcing, check_aggregate, log::Append};
use crate::messaging::{attributes, names};
use prism_call::{
    Context, Error,
    proto::{
        event_sourcing::v1::CommittedEvent,
        patterns::event_sourcing::v1::{AppendRequest, AppendResponse, NewEvent},
    },
};
use prism_slot::{check, id};

/// Most events of one call. The proto states it.
const MAX_EVENTS: u32 = 100;
/// Greatest length of a type in bytes. The proto states it.
const MAX_TYPE_BYTES: usize = 128;

pub async fn append(pattern: &EventSourcing, context: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
    let AppendRequest { aggregate, events, expected_version } = request;
    check_aggregate(&aggregate)?;
    check::count("events", events.len(), MAX_EVENTS)?;
    let first_id = events.first().map(|event| event.id.clone()).unwrap_or_default();
    let events = events.into_iter().enumerate().map(|(index, event)| {
        checked(event).map_err(|error| {
            let Some(violation) = error.violations().first() else { return error };
            let field = format!("events[{index}].{}", violation.field);
            Error::invalid(field, violation.description.clone()).with_reason(error.reason().to_owned())
        })
    });
    let events = events.collect::<Result<_, _>>()?;
    pattern.log.append(context, Append { aggregate, expected_version, events, first_id }).await
}

fn checked(event: NewEvent) -> Result<CommittedEvent, Error> {
    let NewEvent { r#type, payload, headers, id } = event;
    check::name("type", &r#type)?;
    if r#type.len() > MAX_TYPE_BYTES {
        return Err(Error::invalid("type", format!("must have at most {MAX_TYPE_BYTES} bytes")).with_reason("INVALID_NAME"));
    }
    attributes::check("headers", "INVALID_HEADERS", &headers)?;
    let id = if id.is_empty() { id::random_text() } else { names::id(&id).map(|()| id)? };
    Ok(CommittedEvent { id, r#type, payload, headers })
}
