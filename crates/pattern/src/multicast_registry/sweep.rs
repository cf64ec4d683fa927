//! Sets aside the messages of identities that are no longer registered.

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt as _;

use super::{
    identity::{MAILBOXES, REGISTRATIONS},
    mailboxes::Mailboxes,
    registrations::Registrations,
};
use prism_call::{Context, Error};

/// Sweeps after each interval. Several gateways may do it at the same time: a message on lease belongs to one of them.
pub async fn run(registrations: Arc<Registrations>, mailboxes: Arc<Mailboxes>, context: Context, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if let Err(error) = sweep(&registrations, &mailboxes, &context).await {
            tracing::warn!(namespace = %context.namespace, %error, "messages of identities that are no longer registered could not be set aside; trying again");
        }
    }
}

/// Compares the identities that may have queues with those that are registered. Both come in the order of their bytes, one page at a time.
async fn sweep(registrations: &Registrations, mailboxes: &Mailboxes, context: &Context) -> Result<(), Error> {
    let mut with_mailbox = registrations.identities(context, MAILBOXES).await?;
    let mut registered = registrations.identities(context, REGISTRATIONS).await?;
    let mut next = registered.try_next().await?;
    while let Some(identity) = with_mailbox.try_next().await? {
        while next.as_ref().is_some_and(|registered| *registered < identity) {
            next = registered.try_next().await?;
        }
        // It may have been registered since its page was read.
        if next.as_ref() != Some(&identity) && !registrations.contains(context, &identity).await? {
            close(registrations, mailboxes, context, &identity).await?;
        }
    }
    Ok(())
}

/// Sets the messages of an identity aside, and forgets its queue if there were none. A queue that had some is looked at again by the next sweep,
/// because a Multicast that has read the registration before its end may still send one.
async fn close(registrations: &Registrations, mailboxes: &Mailboxes, context: &Context, identity: &str) -> Result<(), Error> {
    if set_aside_all(registrations, mailboxes, context, identity).await? == 0 && mailboxes.is_empty(context, identity).await? {
        registrations.unmark_mailbox(context, identity).await?;
    }
    Ok(())
}

/// Sets the messages of an identity aside, as long as it is not registered again. Returns how many there were.
pub async fn set_aside_all(registrations: &Registrations, mailboxes: &Mailboxes, context: &Context, identity: &str) -> Result<u64, Error> {
    let mut dead = 0;
    while !registrations.contains(context, identity).await? {
        match mailboxes.set_aside_page(context, identity).await? {
            0 => break,
            page => dead += page,
        }
    }
    Ok(dead)
}
