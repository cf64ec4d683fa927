//! Events of sessions: messages that are stored in the same step as the change, and that an outbox publishes.

use std::sync::Arc;

use bytes::Bytes;
use prism_call::{
    Context, Error,
    proto::{
        messaging::v1::OutboxEntry,
        models::keyvalue::v1::{
            Condition, DeleteOperation, KeyValueTransactional, Operation, SetOperation, SetRequest, TransactRequest, TransactResponse,
            condition::Predicate, operation::Action,
        },
    },
};

use super::{settings::SessionStoreSettings, token::SessionId};
use crate::{
    PatternEnvironment, Slots,
    outbox::{Outbox, TransactionStamp},
    required_interface,
};
use prism_slot::Slot;

/// The topic of the events.
const TOPIC: &str = "sessions";

/// What has happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Created,
    Updated,
    Extended,
    Rotated,
    Ended,
}

impl Event {
    const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Extended => "extended",
            Self::Rotated => "rotated",
            Self::Ended => "ended",
        }
    }
}

/// Changes sessions together with their events.
pub struct Events {
    outbox: Outbox,
    transactional: Arc<dyn KeyValueTransactional>,
}

impl Events {
    /// Opens the outbox of the namespace, if its slot `messaging` is filled.
    pub fn open(
        slots: &mut Slots<'_>,
        sessions: &Slot,
        settings: &SessionStoreSettings,
        environment: &PatternEnvironment,
    ) -> Result<Option<Self>, Error> {
        let Some(outbox) = Outbox::open(slots, sessions, settings.outbox, environment)? else { return Ok(None) };
        let transactional = required_interface(sessions, "keyvalue_transactional", sessions.interfaces.keyvalue_transactional.clone())?;
        Ok(Some(Self { outbox, transactional }))
    }

    /// Stores a session, if its key has the expected revision; without one, in any case. Returns the new revision, or `None` if it has another one.
    pub async fn store(
        &self,
        context: &Context,
        about: About<'_>,
        request: SetRequest,
        expected_revision: Option<u64>,
    ) -> Result<Option<u64>, Error> {
        let SetRequest { key, value, ttl, flags } = request;
        let condition =
            expected_revision.map(|revision| Condition { key: key.clone(), predicate: Some(Predicate::RevisionEquals(revision)) });
        let action = Action::Set(SetOperation { key, value, ttl, flags });
        let _reservation = self.outbox.reserve(context, 1).await?;
        let done = self.change(context, Some(about), condition, action).await?;
        Ok(done.succeeded.then_some(done.revision))
    }

    /// Removes a session. Returns whether it was there; otherwise nothing is published.
    ///
    /// A session ends even if the outbox has no room for the event: who logs out, or is locked out, must not stay because of a broker.
    pub async fn remove(&self, context: &Context, about: About<'_>, key: Bytes) -> Result<bool, Error> {
        let condition = Condition { key: key.clone(), predicate: Some(Predicate::Exists(true)) };
        let reservation = self.outbox.reserve_or_drop(context).await?;
        let published = reservation.is_some().then_some(about);
        let done = self.change(context, published, Some(condition), Action::Delete(DeleteOperation { key })).await?;
        Ok(done.succeeded)
    }

    /// Does an operation, and stores its event, for which there must be room.
    async fn change(
        &self,
        context: &Context,
        about: Option<About<'_>>,
        condition: Option<Condition>,
        action: Action,
    ) -> Result<TransactResponse, Error> {
        let message = about.map(|about| self.outbox.store("", &TransactionStamp::new(), 0, about.into_message())).transpose()?;
        let message = message.map(|(message, _)| Action::Set(message));
        let operations = [action].into_iter().chain(message).map(|action| Operation { action: Some(action) });
        let request = TransactRequest {
            conditions: condition.into_iter().collect(),
            then_operations: operations.collect(),
            else_operations: Vec::new(),
        };
        self.transactional.transact(context, request).await
    }
}

/// What an event is about.
#[derive(Clone, Copy)]
pub struct About<'a> {
    pub event: Event,
    pub user: &'a str,
    pub id: &'a SessionId,
}

impl About<'_> {
    /// The message: its key is the user, and its payload is JSON. It has neither the token nor the data of the session.
    fn into_message(self) -> OutboxEntry {
        let Self { event, user, id } = self;
        let payload = serde_json::json!({"event": event.name(), "user": user, "id": id.to_string()}).to_string();
        OutboxEntry { topic: TOPIC.to_owned(), key: user.to_owned(), payload: payload.into(), ..OutboxEntry::default() }
    }
}
