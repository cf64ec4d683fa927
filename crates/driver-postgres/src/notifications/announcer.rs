//! Announces changes to other gateways: in the background, and many with one statement, so that writes don't wait for it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_postgres::types::Type;

use super::{
    Notifications,
    payload::{MAX_TOPICS, changes_text},
};
use crate::{database::Database, sql::Sql};
use prism_call::Context;
use prism_driver::lock::lock;

/// The pause between two announcements. All transactions that notify wait for each other when they commit.
const PAUSE: Duration = Duration::from_millis(5);

static NOTIFY: Sql = Sql {
    text: "SELECT pg_notify(channel, text) FROM unnest($1::text[], $2::text[]) AS announced (channel, text)",
    types: &[Type::TEXT_ARRAY, Type::TEXT_ARRAY],
};

/// Changes that were not announced yet: topics by keyspace.
#[derive(Default)]
pub struct PendingChanges {
    topics: Mutex<HashMap<i64, BTreeSet<u64>>>,
    added: Notify,
}

impl PendingChanges {
    /// Adds a change. Too many of one keyspace become a change of all its topics.
    pub fn add(&self, keyspace: i64, topic: u64) {
        let mut topics = lock(&self.topics);
        let changed = topics.entry(keyspace).or_default();
        if changed.len() <= MAX_TOPICS {
            changed.insert(topic);
        }
        drop(topics);
        self.added.notify_one();
    }

    fn take(&self) -> HashMap<i64, BTreeSet<u64>> {
        std::mem::take(&mut *lock(&self.topics))
    }
}

/// Announces changes until its task is aborted.
pub async fn announce_changes(notifications: Arc<Notifications>, database: Arc<Database>) {
    loop {
        notifications.pending.added.notified().await;
        let (mut channels, mut texts) = (Vec::new(), Vec::new());
        for (keyspace, topics) in notifications.pending.take() {
            channels.push(notifications.channel(keyspace));
            let are_all = topics.len() > MAX_TOPICS;
            texts.push(changes_text(notifications.gateway, topics.into_iter().filter(|_| !are_all)));
        }
        if channels.is_empty() {
            continue;
        }
        // Without the notification, other gateways notice the changes later.
        if let Err(error) = database.query(&Context::internal(""), &NOTIFY, &[&channels, &texts]).await {
            tracing::debug!(%error, "changes could not be announced to other gateways");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
