//! A member of a consumer group: takes records on lease from the file and hands them to its client.
//!
//! The group's state is in the file alone, so members on several gateways share it. A member that leaves gives back what it
//! has; one whose gateway crashed is no longer renewed, and the sweeper of another one lets it leave.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use rusqlite::OptionalExtension as _;
use tokio::{runtime::Handle, time::sleep};

use super::{groups, log, signed};
use crate::{
    error::DatabaseResult,
    members::Place,
    signals::{Topic, Waiter},
    space::{Database, Space},
    writer::Tx,
};
use prism_call::{
    Error, Messages,
    proto::models::stream::v1::{JoinConsumerGroupRequest, JoinConsumerGroupResponse, Record},
};
use prism_driver::time::{self, Millis};

/// Most records that a member takes at once.
const PAGE_ROWS: u32 = 128;
/// A page ends with the record that takes it over this many bytes.
const PAGE_BYTES: usize = 1 << 20;
/// How long a member counts as there without being renewed.
const ALIVE: Millis = 30_000;
/// How often members are renewed.
pub const RENEW: Duration = Duration::from_secs(8);

/// How to join.
pub struct Join {
    stream: Arc<str>,
    group: Arc<str>,
    consumer: String,
    max_in_flight: u32,
    ack_timeout: Millis,
}

impl Join {
    /// Checks a request whose names have been checked.
    pub fn read(request: JoinConsumerGroupRequest) -> Result<Self, Error> {
        let max_in_flight = match request.max_in_flight {
            0 => 100,
            most @ 1..=10_000 => most,
            _ => return Err(Error::invalid("max_in_flight", "must be at most 10000")),
        };
        let ack_timeout = match &request.ack_timeout {
            Some(timeout) => time::between("ack_timeout", timeout, Duration::from_secs(1), Duration::from_hours(12))?,
            None => Duration::from_secs(30),
        };
        let consumer = if request.consumer.is_empty() { format!("consumer-{:016x}", rand::random::<u64>()) } else { request.consumer };
        Ok(Self {
            stream: request.stream.into(),
            group: request.group.into(),
            consumer,
            max_in_flight,
            ack_timeout: i64::try_from(ack_timeout.as_millis()).unwrap_or(i64::MAX),
        })
    }
}

/// A record that this member has taken.
struct Delivery {
    record: Record,
    attempt: u32,
    expires: Millis,
}

/// What a look at the group has given.
struct Taken {
    deliveries: Vec<Delivery>,
    /// When a record that somebody has taken is delivered again.
    next_due: Option<Millis>,
}

struct Member {
    space: Arc<Space>,
    join: Arc<Join>,
    ids: Ids,
    taken: VecDeque<Delivery>,
    records: Waiter,
    changes: Waiter,
    runtime: Handle,
    _place: Place,
}

#[derive(Clone, Copy)]
struct Ids {
    group: i64,
    member: i64,
}

/// Joins a group.
pub async fn join(space: &Arc<Space>, join: Join) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
    let mut place = space.members().enter()?;
    let join = Arc::new(join);
    let joining = join.clone();
    let ids = space.write(move |tx, space| enter(tx, space, &joining)).await?;
    place.renew(ids.member);
    let member = Member {
        space: space.clone(),
        records: space.wait(|space| Topic::Stream(space, join.stream.clone())).await?,
        changes: space.wait(|space| groups::topic(space, &join.stream, &join.group)).await?,
        join,
        ids,
        taken: VecDeque::new(),
        runtime: Handle::current(),
        _place: place,
    };
    Ok(stream::try_unfold(member, |mut member| async move { Ok(Some((member.next().await?, member))) }).boxed())
}

impl Member {
    async fn next(&mut self) -> Result<JoinConsumerGroupResponse, Error> {
        loop {
            while let Some(Delivery { record, attempt, expires }) = self.taken.pop_front() {
                // The client was so slow that somebody else may have it by now.
                if expires > time::now() {
                    return Ok(JoinConsumerGroupResponse { record: Some(record), delivery_attempt: attempt });
                }
            }
            let (join, ids) = (self.join.clone(), self.ids);
            let taken = self.space.write(move |tx, space| take(tx, space, &join, ids)).await?;
            if !taken.deliveries.is_empty() {
                self.taken = taken.deliveries.into();
                continue;
            }
            let pause = taken.next_due.map_or(RENEW, |due| until(due).min(RENEW));
            tokio::select! {
                () = self.records.changed() => {}
                () = self.changes.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // What the client never saw was not delivered.
        let unseen: Vec<i64> = self.taken.iter().map(|delivery| signed(delivery.record.offset)).collect();
        let (space, join, ids) = (self.space.clone(), self.join.clone(), self.ids);
        self.runtime.spawn(async move {
            let left = space.write(move |tx, space| {
                let mut forget = tx.connection.prepare_cached(
                    "UPDATE deliveries SET attempt = attempt - 1 WHERE consumer_group = ?1 AND offset = ?2 AND member = ?3",
                )?;
                for offset in &unseen {
                    forget.execute((ids.group, offset, ids.member))?;
                }
                leave(tx, ids.member)?;
                tx.signal(groups::topic(space, &join.stream, &join.group));
                Ok(())
            });
            if let Err(error) = left.await {
                tracing::debug!(%error, "a member of a consumer group could not say that it leaves; it will expire");
            }
        });
    }
}

fn until(due: Millis) -> Duration {
    Duration::from_millis(u64::try_from(due - time::now()).unwrap_or(0).max(1))
}

fn enter(tx: &Tx<'_>, space: i64, join: &Join) -> DatabaseResult<Ids> {
    let group = groups::find(tx.connection, space, &join.stream, &join.group)?.ok_or_else(|| groups::not_found(&join.group))?;
    let mut insert =
        tx.connection.prepare_cached("INSERT INTO members (consumer_group, name, expires) VALUES (?1, ?2, ?3) RETURNING id")?;
    let member = insert.query_row((group.id, &join.consumer, time::now() + ALIVE), |row| row.get(0))?;
    Ok(Ids { group: group.id, member })
}

/// Takes what there is for a member: first what is to be delivered again, then new records.
fn take(tx: &Tx<'_>, space: i64, join: &Join, ids: Ids) -> DatabaseResult<Taken> {
    let group = groups::find(tx.connection, space, &join.stream, &join.group)?;
    let group = group.filter(|group| group.id == ids.group).ok_or_else(|| groups::not_found(&join.group))?;
    let now = time::now();
    stay(tx, join, ids, now)?;
    let mut select = tx.connection.prepare_cached("SELECT count(*) FROM deliveries WHERE member = ?1 AND expires > ?2")?;
    let waiting: u32 = select.query_row((ids.member, now), |row| row.get(0))?;
    let room = join.max_in_flight.saturating_sub(waiting).min(PAGE_ROWS) as usize;
    let expires = now + join.ack_timeout;

    let mut deliveries = Vec::new();
    again(tx, join, ids, &group.head, room, expires, &mut deliveries)?;
    let left = room - deliveries.len();
    if left > 0 && group.position < group.head.next_offset {
        let page = log::page(tx.connection, &group.head, &join.stream, group.position, i64::MAX, left)?;
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
    let next_due = select.query_row((ids.group, now), |row| row.get(0))?;
    Ok(Taken { deliveries, next_due })
}

/// Takes records that were not acknowledged in time.
fn again(
    tx: &Tx<'_>,
    join: &Join,
    ids: Ids,
    head: &log::Head,
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
        let Some(record) = log::one(tx.connection, head, &join.stream, offset)? else {
            let mut forget = tx.connection.prepare_cached("DELETE FROM deliveries WHERE consumer_group = ?1 AND offset = ?2")?;
            forget.execute((ids.group, offset))?;
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

/// Makes sure that a member counts as there: it may have been taken for gone, as after a pause of the whole machine.
fn stay(tx: &Tx<'_>, join: &Join, ids: Ids, now: Millis) -> DatabaseResult<()> {
    let mut select = tx.connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM members WHERE id = ?1)")?;
    if !select.query_row([ids.member], |row| row.get::<_, bool>(0))? {
        let mut insert = tx.connection.prepare_cached("INSERT INTO members (id, consumer_group, name, expires) VALUES (?1, ?2, ?3, ?4)")?;
        insert.execute((ids.member, ids.group, &join.consumer, now + ALIVE))?;
    }
    Ok(())
}

/// Renews the members of this process, whether their clients read or not.
pub async fn renew(database: &Database) -> Result<(), Error> {
    let here: Vec<i64> = database.members.all();
    if here.is_empty() {
        return Ok(());
    }
    let write = database.writer.write(move |tx| {
        let mut update = tx.connection.prepare_cached("UPDATE members SET expires = ?2 WHERE id = ?1")?;
        for member in &here {
            update.execute((member, time::now() + ALIVE))?;
        }
        Ok(())
    });
    write.await
}

/// Lets a member leave: what waits for its acknowledgement is delivered again at once.
fn leave(tx: &Tx<'_>, member: i64) -> DatabaseResult<()> {
    tx.connection.prepare_cached("UPDATE deliveries SET expires = 0 WHERE member = ?1")?.execute([member])?;
    tx.connection.prepare_cached("DELETE FROM members WHERE id = ?1")?.execute([member])?;
    Ok(())
}

/// Lets members leave whose gateway is gone.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    let gone = database.readers.quick(|connection| {
        let mut select = connection.prepare_cached("SELECT id FROM members WHERE expires <= ?1 LIMIT 100")?;
        let members = select.query_map([time::now()], |row| row.get(0))?;
        Ok(members.collect::<Result<Vec<i64>, _>>()?)
    });
    for member in gone.await? {
        let write = database.writer.write(move |tx| {
            let mut select = tx.connection.prepare_cached(
                "SELECT streams.keyspace, streams.name, consumer_groups.name FROM members
                 JOIN consumer_groups ON consumer_groups.id = members.consumer_group JOIN streams ON streams.id = consumer_groups.stream
                 WHERE members.id = ?1 AND members.expires <= ?2",
            )?;
            let names =
                select.query_row((member, time::now()), |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)));
            if let Some((space, stream, group)) = names.optional()? {
                leave(tx, member)?;
                tx.signal(groups::topic(space, &stream, &group));
            }
            Ok(())
        });
        write.await?;
    }
    Ok(())
}
