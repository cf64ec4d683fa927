//! A member of a consumer group: takes records from the file and delivers them to its client.
//!
//! The state of the group is only in the file, so members on several gateways share it. When a member leaves, its records are
//! delivered again. A member whose gateway has crashed is no longer renewed, and the sweeper of another gateway removes it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use rusqlite::OptionalExtension as _;
use tokio::{runtime::Handle, time::sleep};

use super::{group, log, signed};
use crate::{
    database::Database,
    error::DatabaseResult,
    keyspace::KeyspaceHandle,
    members::MemberPermit,
    signals::{Topic, Waiter},
    writer::Tx,
};
use prism_call::{
    Error, Messages,
    proto::models::stream::v1::{JoinConsumerGroupRequest, JoinConsumerGroupResponse, Record},
};
use prism_driver::{
    stream::{ack_timeout, consumer_group_not_found, max_in_flight},
    time::{self, Millis},
};

/// Most records that a member takes in one write.
const PAGE_ROWS: u32 = 128;
/// A member takes no more records after this number of bytes.
const PAGE_BYTES: usize = 64 << 10;
/// How long a member exists without being renewed.
const LIFETIME: Millis = 30_000;
/// How often members are renewed.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(8);

/// The options of a member that joins.
pub struct JoinOptions {
    stream: Arc<str>,
    group: Arc<str>,
    consumer: String,
    max_in_flight: u32,
    ack_timeout: Millis,
}

impl JoinOptions {
    /// Checks the other fields of a request whose names were checked.
    pub fn parse(request: JoinConsumerGroupRequest) -> Result<Self, Error> {
        let max_in_flight = max_in_flight(request.max_in_flight)?;
        let ack_timeout = ack_timeout(request.ack_timeout.as_ref())?;
        let consumer = if request.consumer.is_empty() { format!("consumer-{:016x}", rand::random::<u64>()) } else { request.consumer };
        Ok(Self {
            stream: request.stream.into(),
            group: request.group.into(),
            consumer,
            max_in_flight,
            ack_timeout: time::ceil_millis(ack_timeout),
        })
    }
}

/// A record that this member has taken.
struct Delivery {
    record: Record,
    attempt: u32,
    expires: Millis,
}

/// The result of [`take`].
struct TakenRecords {
    deliveries: Vec<Delivery>,
    /// When the next delivery of the group expires.
    next_expiry: Option<Millis>,
}

/// The stream of a member. The member leaves the group when it is dropped.
struct Member {
    keyspace: Arc<KeyspaceHandle>,
    options: Arc<JoinOptions>,
    ids: Ids,
    taken: VecDeque<Delivery>,
    new_records: Waiter,
    group_changes: Waiter,
    runtime: Handle,
    _permit: MemberPermit,
}

/// The ids of a group and a member in the database.
#[derive(Clone, Copy)]
struct Ids {
    group: i64,
    member: i64,
}

/// Joins a group, and returns the stream of the new member.
pub async fn join(keyspace: &Arc<KeyspaceHandle>, options: JoinOptions) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
    let mut permit = keyspace.members().permit()?;
    let options = Arc::new(options);
    let joining = options.clone();
    let ids = keyspace.write(move |tx, keyspace| insert_member(tx, keyspace, &joining)).await?;
    permit.renew(ids.member);
    let member = Member {
        keyspace: keyspace.clone(),
        new_records: keyspace.wait(|keyspace| Topic::Stream(keyspace, options.stream.clone())).await?,
        group_changes: keyspace.wait(|keyspace| group::topic(keyspace, &options.stream, &options.group)).await?,
        options,
        ids,
        taken: VecDeque::new(),
        runtime: Handle::current(),
        _permit: permit,
    };
    Ok(stream::try_unfold(member, |mut member| async move { Ok(Some((member.next().await?, member))) }).boxed())
}

impl Member {
    async fn next(&mut self) -> Result<JoinConsumerGroupResponse, Error> {
        loop {
            while let Some(Delivery { record, attempt, expires }) = self.taken.pop_front() {
                // If the client was too slow, the delivery has expired, and another member may have the record.
                if expires > time::now() {
                    return Ok(JoinConsumerGroupResponse { record: Some(record), delivery_attempt: attempt });
                }
            }
            let (options, ids) = (self.options.clone(), self.ids);
            let taken = self.keyspace.write(move |tx, keyspace| take(tx, keyspace, &options, ids)).await?;
            if !taken.deliveries.is_empty() {
                self.taken = taken.deliveries.into();
                continue;
            }
            let pause = taken.next_expiry.map_or(RENEW_INTERVAL, |expiry| time_until(expiry).min(RENEW_INTERVAL));
            tokio::select! {
                () = self.new_records.changed() => {}
                () = self.group_changes.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Records that the client did not get don't count as delivered.
        let unseen: Vec<i64> = self.taken.iter().map(|delivery| signed(delivery.record.offset)).collect();
        let (keyspace, options, ids) = (self.keyspace.clone(), self.options.clone(), self.ids);
        self.runtime.spawn(async move {
            let left = keyspace.write(move |tx, keyspace| {
                let mut update = tx.connection.prepare_cached(
                    "UPDATE deliveries SET attempt = attempt - 1 WHERE consumer_group = ?1 AND offset = ?2 AND member = ?3",
                )?;
                for offset in &unseen {
                    update.execute((ids.group, offset, ids.member))?;
                }
                leave(tx, ids.member)?;
                tx.signal(group::topic(keyspace, &options.stream, &options.group));
                Ok(())
            });
            if let Err(error) = left.await {
                tracing::debug!(%error, "a member could not leave its consumer group; it will expire");
            }
        });
    }
}

fn time_until(due: Millis) -> Duration {
    Duration::from_millis(u64::try_from(due - time::now()).unwrap_or(0).max(1))
}

fn insert_member(tx: &Tx<'_>, keyspace: i64, options: &JoinOptions) -> DatabaseResult<Ids> {
    let group = group::require(tx.connection, keyspace, &options.stream, &options.group)?;
    let mut insert =
        tx.connection.prepare_cached("INSERT INTO members (consumer_group, name, expires) VALUES (?1, ?2, ?3) RETURNING id")?;
    let member = insert.query_row((group.id, &options.consumer, time::now() + LIFETIME), |row| row.get(0))?;
    Ok(Ids { group: group.id, member })
}

/// Takes the next records for a member: first redeliveries, then new records.
fn take(tx: &Tx<'_>, keyspace: i64, options: &JoinOptions, ids: Ids) -> DatabaseResult<TakenRecords> {
    let group = group::require(tx.connection, keyspace, &options.stream, &options.group)?;
    if group.id != ids.group {
        return Err(consumer_group_not_found(&options.stream, &options.group).into());
    }
    let now = time::now();
    ensure_member(tx, options, ids, now)?;
    let mut select = tx.connection.prepare_cached("SELECT count(*) FROM deliveries WHERE member = ?1 AND expires > ?2")?;
    let pending: u32 = select.query_row((ids.member, now), |row| row.get(0))?;
    let room = options.max_in_flight.saturating_sub(pending).min(PAGE_ROWS) as usize;
    let expires = now + options.ack_timeout;

    let mut deliveries = Vec::new();
    take_redeliveries(tx, options, ids, &group.stream, room, expires, &mut deliveries)?;
    let room = room - deliveries.len();
    if room > 0 && group.position < group.stream.next_offset {
        let page = log::page(tx.connection, &group.stream, &options.stream, group.position, i64::MAX, room)?;
        let mut insert = tx
            .connection
            .prepare_cached("INSERT INTO deliveries (consumer_group, offset, member, attempt, expires) VALUES (?1, ?2, ?3, 1, ?4)")?;
        for record in &page {
            insert.execute((ids.group, signed(record.offset), ids.member, expires))?;
        }
        if let Some(last) = page.last() {
            let mut update = tx.connection.prepare_cached("UPDATE consumer_groups SET position = ?2 WHERE id = ?1")?;
            update.execute((ids.group, signed(last.offset) + 1))?;
        }
        deliveries.extend(page.into_iter().map(|record| Delivery { record, attempt: 1, expires }));
    }
    let mut select = tx.connection.prepare_cached("SELECT min(expires) FROM deliveries WHERE consumer_group = ?1 AND expires > ?2")?;
    let next_expiry = select.query_row((ids.group, now), |row| row.get(0))?;
    Ok(TakenRecords { deliveries, next_expiry })
}

/// Takes records whose deliveries have expired.
fn take_redeliveries(
    tx: &Tx<'_>,
    options: &JoinOptions,
    ids: Ids,
    stream: &log::StreamRow,
    room: usize,
    expires: Millis,
    deliveries: &mut Vec<Delivery>,
) -> DatabaseResult<()> {
    let mut select = tx.connection.prepare_cached(
        "SELECT offset, attempt FROM deliveries WHERE consumer_group = ?1 AND expires <= ?2 ORDER BY expires, offset LIMIT ?3",
    )?;
    let due = select.query_map((ids.group, time::now(), i64::try_from(room).unwrap_or(0)), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut bytes = 0;
    for (offset, attempt) in due.collect::<Result<Vec<(i64, u32)>, _>>()? {
        if bytes >= PAGE_BYTES {
            break;
        }
        let Some(record) = log::record(tx.connection, stream, &options.stream, offset)? else {
            let mut delete = tx.connection.prepare_cached("DELETE FROM deliveries WHERE consumer_group = ?1 AND offset = ?2")?;
            delete.execute((ids.group, offset))?;
            continue;
        };
        let mut update = tx
            .connection
            .prepare_cached("UPDATE deliveries SET member = ?3, attempt = ?4, expires = ?5 WHERE consumer_group = ?1 AND offset = ?2")?;
        update.execute((ids.group, offset, ids.member, attempt + 1, expires))?;
        bytes += record.key.len() + record.payload.len();
        deliveries.push(Delivery { record, attempt: attempt + 1, expires });
    }
    Ok(())
}

/// Makes sure that the member exists. Another gateway may have removed it, for example after a pause of this machine.
fn ensure_member(tx: &Tx<'_>, options: &JoinOptions, ids: Ids, now: Millis) -> DatabaseResult<()> {
    let mut select = tx.connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM members WHERE id = ?1)")?;
    if !select.query_row([ids.member], |row| row.get::<_, bool>(0))? {
        let mut insert = tx.connection.prepare_cached("INSERT INTO members (id, consumer_group, name, expires) VALUES (?1, ?2, ?3, ?4)")?;
        insert.execute((ids.member, ids.group, &options.consumer, now + LIFETIME))?;
    }
    Ok(())
}

/// Renews the members in this process, even if their clients don't read.
pub async fn renew(database: &Database) -> Result<(), Error> {
    let members: Vec<i64> = database.members.all();
    if members.is_empty() {
        return Ok(());
    }
    let write = database.writer.write(move |tx| {
        let mut update = tx.connection.prepare_cached("UPDATE members SET expires = ?2 WHERE id = ?1")?;
        for member in &members {
            update.execute((member, time::now() + LIFETIME))?;
        }
        Ok(())
    });
    write.await
}

/// Removes a member. Its records are delivered again at once.
fn leave(tx: &Tx<'_>, member: i64) -> DatabaseResult<()> {
    tx.connection.prepare_cached("UPDATE deliveries SET expires = 0 WHERE member = ?1")?.execute([member])?;
    tx.connection.prepare_cached("DELETE FROM members WHERE id = ?1")?.execute([member])?;
    Ok(())
}

/// Removes members that have expired, because their gateway has crashed.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    let expired = database.readers.quick(|connection| {
        let mut select = connection.prepare_cached("SELECT id FROM members WHERE expires <= ?1 LIMIT 100")?;
        let members = select.query_map([time::now()], |row| row.get(0))?;
        Ok(members.collect::<Result<Vec<i64>, _>>()?)
    });
    for member in expired.await? {
        let write = database.writer.write(move |tx| {
            let mut select = tx.connection.prepare_cached(
                "SELECT streams.keyspace, streams.name, consumer_groups.name FROM members
                 JOIN consumer_groups ON consumer_groups.id = members.consumer_group JOIN streams ON streams.id = consumer_groups.stream
                 WHERE members.id = ?1 AND members.expires <= ?2",
            )?;
            let names =
                select.query_row((member, time::now()), |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)));
            if let Some((keyspace, stream, group)) = names.optional()? {
                leave(tx, member)?;
                tx.signal(group::topic(keyspace, &stream, &group));
            }
            Ok(())
        });
        write.await?;
    }
    Ok(())
}
