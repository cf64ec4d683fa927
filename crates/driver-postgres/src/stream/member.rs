//! A member of a consumer group: takes records from the tables and delivers them to its client.
//!
//! When a member leaves, its records are delivered again. A member whose gateway was killed is no longer renewed, and another gateway removes
//! it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};
use tokio_postgres::types::Type;

use super::group::{self, GroupName};
use crate::{
    database::{Call, Database, Parameters},
    error,
    keyspace::KeyspaceHandle,
    members::RenewedMember,
    notifications::{Notifications, Topic, Waiter},
    sql::Sql,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{JoinConsumerGroupRequest, JoinConsumerGroupResponse, Record},
};
use prism_driver::stream::{ack_timeout, consumer_group_not_found, max_in_flight};

static JOIN: Sql = Sql {
    text: "WITH grp AS MATERIALIZED (
               SELECT grp.id FROM {schema}.streams AS log JOIN {schema}.consumer_groups AS grp ON grp.stream = log.id
               WHERE log.keyspace = $1 AND log.kind = $2 AND log.name = $3 AND grp.name = $4)
           INSERT INTO {schema}.members (consumer_group, name, expires)
           SELECT id, $5, clock_timestamp() + interval '30 seconds' FROM grp RETURNING consumer_group, id",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TEXT, Type::TEXT],
};

/// The longest pause of a member that found something but took nothing: another member was faster, an acknowledgement had locked it, or
/// retention had removed it, and there may be more behind it.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Whether a member may take something, and the milliseconds until the next delivery of the group expires. No row: the group was deleted.
/// `min` instead of `EXISTS`, for which the server may read the whole table of records.
static LOOK: Sql = Sql {
    text: "SELECT (SELECT count(*) FROM {schema}.deliveries WHERE consumer_group = $1 AND member = $2 AND expires > statement_timestamp()) < $3
               AND ((SELECT min(expires) FROM {schema}.deliveries WHERE consumer_group = $1 AND expires <= statement_timestamp()) IS NOT NULL
                    OR (SELECT min(position) FROM {schema}.records WHERE stream = grp.stream AND records.position >= grp.position) IS NOT NULL),
               (SELECT (extract(epoch FROM min(expires) - clock_timestamp()) * 1000)::float8
                FROM {schema}.deliveries WHERE consumer_group = $1 AND expires > statement_timestamp())
           FROM {schema}.consumer_groups AS grp WHERE id = $1",
    types: &[Type::INT8, Type::INT8, Type::INT8],
};

static LOCK: Sql = Sql { text: "SELECT 1 FROM {schema}.consumer_groups WHERE id = $1 FOR UPDATE", types: &[Type::INT8] };

/// Makes sure that the member exists. Another gateway may have removed it, for example after a pause of this machine.
static ENSURE: Sql = Sql {
    text: "INSERT INTO {schema}.members (id, consumer_group, name, expires)
           SELECT $2, id, $3, clock_timestamp() + interval '30 seconds' FROM {schema}.consumer_groups WHERE id = $1
           ON CONFLICT (id) DO UPDATE SET expires = EXCLUDED.expires",
    types: &[Type::INT8, Type::INT8, Type::TEXT],
};

/// The number of records that a member may take in one statement. Parameters: the group, the member, and the greatest number that may wait for
/// its acknowledgement.
macro_rules! room {
    () => {
        "(SELECT greatest(0, least(128, $3 - count(*))) FROM {schema}.deliveries
          WHERE consumer_group = $1 AND member = $2 AND expires > statement_timestamp())"
    };
}

/// Takes records whose deliveries have expired, up to 64 KiB or one larger record. Deliveries of records that retention has removed are deleted.
static TAKE_EXPIRED: Sql = Sql {
    text: concat!(
        "WITH due AS MATERIALIZED (
             SELECT delivery.position FROM {schema}.deliveries AS delivery
             WHERE consumer_group = $1 AND expires <= statement_timestamp() ORDER BY expires, position LIMIT ",
        room!(),
        " FOR UPDATE SKIP LOCKED),
         gone AS (
             DELETE FROM {schema}.deliveries AS delivery USING due WHERE delivery.consumer_group = $1 AND delivery.position = due.position
                 AND NOT EXISTS (SELECT 1 FROM {schema}.consumer_groups AS grp JOIN {schema}.records AS record ON record.stream = grp.stream
                                 WHERE grp.id = $1 AND record.position = due.position)),
         sized AS (
             SELECT position, sum(size) OVER (ORDER BY position) - size AS before FROM (
                 SELECT record.position, octet_length(record.key) + octet_length(record.payload) AS size
                 FROM due JOIN {schema}.consumer_groups AS grp ON grp.id = $1
                     JOIN {schema}.records AS record ON record.stream = grp.stream AND record.position = due.position) AS existing),
         taken AS (
             UPDATE {schema}.deliveries AS delivery SET member = $2, attempt = attempt + 1, expires = clock_timestamp() + $4 * interval '1 millisecond'
             FROM sized WHERE delivery.consumer_group = $1 AND delivery.position = sized.position AND sized.before < 65536
             RETURNING delivery.position, delivery.attempt)
         SELECT taken.attempt, record.position, record.time, record.key, record.attributes, record.payload
         FROM taken JOIN {schema}.consumer_groups AS grp ON grp.id = $1
             JOIN {schema}.records AS record ON record.stream = grp.stream AND record.position = taken.position
         ORDER BY record.position"
    ),
    types: &[Type::INT8, Type::INT8, Type::INT8, Type::FLOAT8],
};

/// Takes new records, up to 64 KiB or one larger record. The subquery of `page` is lateral, and has a limit of its own, so that the server reads
/// only these records in the index, whatever the number of those that follow.
static TAKE_NEW: Sql = Sql {
    text: concat!(
        "WITH page AS MATERIALIZED (
             SELECT record.position, octet_length(record.key) + octet_length(record.payload) AS size
             FROM {schema}.consumer_groups AS grp CROSS JOIN LATERAL (
                 SELECT position, key, payload FROM {schema}.records
                 WHERE stream = grp.stream AND records.position >= grp.position ORDER BY position LIMIT 128) AS record
             WHERE grp.id = $1),
         sized AS MATERIALIZED (
             SELECT position FROM (SELECT position, sum(size) OVER (ORDER BY position) - size AS before FROM page) AS sizes WHERE before < 65536
             ORDER BY position LIMIT ",
        room!(),
        "),
         taken AS (
             INSERT INTO {schema}.deliveries (consumer_group, position, member, attempt, expires)
             SELECT $1, position, $2, 1, clock_timestamp() + $4 * interval '1 millisecond' FROM sized RETURNING position, attempt),
         moved AS (
             UPDATE {schema}.consumer_groups SET position = last.position + 1 FROM (SELECT max(position) AS position FROM sized) AS last
             WHERE id = $1 AND last.position IS NOT NULL)
         SELECT taken.attempt, record.position, record.time, record.key, record.attributes, record.payload
         FROM taken JOIN {schema}.consumer_groups AS grp ON grp.id = $1
             JOIN {schema}.records AS record ON record.stream = grp.stream AND record.position = taken.position
         ORDER BY record.position"
    ),
    types: &[Type::INT8, Type::INT8, Type::INT8, Type::FLOAT8],
};

/// Removes a member. Waits for a transaction in which it takes records.
static LEAVE: Sql = Sql { text: "DELETE FROM {schema}.members WHERE id = $1", types: &[Type::INT8] };

/// Lets the records of a member be delivered again at once; those in the list don't count as delivered. A delivery that is locked is being
/// acknowledged, or taken by another member.
static FREE: Sql = Sql {
    text: "WITH free AS MATERIALIZED (
               SELECT position FROM {schema}.deliveries WHERE consumer_group = $1 AND member = $2 FOR UPDATE SKIP LOCKED)
           UPDATE {schema}.deliveries AS delivery SET expires = '-infinity',
               attempt = attempt - CASE WHEN delivery.position = ANY ($3) THEN 1 ELSE 0 END
           FROM free WHERE delivery.consumer_group = $1 AND delivery.position = free.position",
    types: &[Type::INT8, Type::INT8, Type::INT8_ARRAY],
};

/// Removes members that have expired, and returns their groups.
static SWEEP: Sql = Sql {
    text: "WITH expired AS MATERIALIZED (
               SELECT id FROM {schema}.members WHERE expires <= statement_timestamp() ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED),
           gone AS (DELETE FROM {schema}.members AS member USING expired WHERE member.id = expired.id RETURNING member.id, member.consumer_group),
           free AS MATERIALIZED (
               SELECT delivery.consumer_group, delivery.position FROM {schema}.deliveries AS delivery JOIN expired ON expired.id = delivery.member
               FOR UPDATE OF delivery SKIP LOCKED),
           freed AS (
               UPDATE {schema}.deliveries AS delivery SET expires = '-infinity' FROM free
               WHERE delivery.consumer_group = free.consumer_group AND delivery.position = free.position)
           SELECT DISTINCT log.keyspace, log.name, grp.name FROM gone
           JOIN {schema}.consumer_groups AS grp ON grp.id = gone.consumer_group JOIN {schema}.streams AS log ON log.id = grp.stream",
    types: &[],
};

/// The options of a member that joins.
pub struct JoinOptions {
    consumer: String,
    max_in_flight: u32,
    ack_timeout: Duration,
}

impl JoinOptions {
    /// Checks the fields of a request that are not names.
    pub fn parse(request: &JoinConsumerGroupRequest) -> Result<Self, Error> {
        let (max_in_flight, ack_timeout) = (max_in_flight(request.max_in_flight)?, ack_timeout(request.ack_timeout.as_ref())?);
        let consumer =
            if request.consumer.is_empty() { format!("consumer-{:016x}", rand::random::<u64>()) } else { request.consumer.clone() };
        Ok(Self { consumer, max_in_flight, ack_timeout })
    }
}

/// A record that this member has taken.
struct Delivery {
    record: Record,
    attempt: u32,
    expires: Instant,
}

/// The stream of a member. The member leaves the group when it is dropped.
struct Member {
    handle: Arc<KeyspaceHandle>,
    context: Context,
    name: GroupName,
    options: JoinOptions,
    ids: Ids,
    taken: VecDeque<Delivery>,
    waiter: Waiter,
    runtime: Handle,
    _renewed: RenewedMember,
    _permit: OwnedSemaphorePermit,
}

/// The ids of a group and a member in the database.
#[derive(Clone, Copy)]
struct Ids {
    group: i64,
    member: i64,
}

/// What changes when records of a member were acknowledged, so that it may take more.
pub fn topic(member: i64) -> Topic {
    Topic::new("member", &[&member.to_string()])
}

/// Joins a group, and returns the stream of the new member.
pub async fn join(
    handle: &Arc<KeyspaceHandle>,
    context: &Context,
    name: GroupName,
    options: JoinOptions,
) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
    let permit = handle.notifications.limits.permit()?;
    let log = &name.log;
    let parameters: Parameters<'_> = &[&log.keyspace, &(log.kind as i16), &log.name, &name.group, &options.consumer];
    let row = handle.database.query_optional(context, &JOIN, parameters).await?;
    let row = row.ok_or_else(|| consumer_group_not_found(&log.name, &name.group))?;
    let ids = Ids { group: row.get(0), member: row.get(1) };
    let member = Member {
        handle: handle.clone(),
        context: context.clone(),
        waiter: handle.notifications.wait(log.keyspace, &[log.topic(), name.topic(), topic(ids.member)]),
        name,
        options,
        ids,
        taken: VecDeque::new(),
        runtime: Handle::current(),
        _renewed: handle.members.add(ids.member),
        _permit: permit,
    };
    Ok(stream::try_unfold(member, |mut member| async move { Ok(Some((member.next().await?, member))) }).boxed())
}

impl Member {
    async fn next(&mut self) -> Result<JoinConsumerGroupResponse, Error> {
        let mut outage = self.handle.notifications.limits.outage();
        loop {
            while let Some(Delivery { record, attempt, expires }) = self.taken.pop_front() {
                // If the client was too slow, the delivery has expired, and another member may have the record.
                if expires > Instant::now() {
                    return Ok(JoinConsumerGroupResponse { record: Some(record), delivery_attempt: attempt });
                }
            }
            match self.take_or_wait().await {
                Ok(()) => outage.ended(),
                Err(error) => outage.wait(error, self.handle.database.is_closed()).await?,
            }
        }
    }

    /// Takes records; if there are none, waits for a change.
    async fn take_or_wait(&mut self) -> Result<(), Error> {
        let most = i64::from(self.options.max_in_flight);
        let row = self.handle.database.query_optional(&self.context, &LOOK, &[&self.ids.group, &self.ids.member, &most]).await?;
        let row = row.ok_or_else(|| self.not_found())?;
        let may_take: bool = row.get(0);
        if may_take {
            self.take(most).await?;
            if !self.taken.is_empty() {
                return Ok(());
            }
        }
        let longest = if may_take { RETRY_PAUSE } else { Duration::MAX };
        let next_expiry = row.get::<_, Option<f64>>(1).map_or(longest, |millis| Duration::from_secs_f64((millis.max(0.0) + 1.0) / 1000.0));
        self.waiter.changed(next_expiry.min(longest)).await;
        Ok(())
    }

    /// Takes the next records: first those whose deliveries have expired, then new ones.
    async fn take(&mut self, most: i64) -> Result<(), Error> {
        let Ids { group, member } = self.ids;
        let timeout = self.options.ack_timeout.as_secs_f64() * 1000.0;
        // The server counts from a later time.
        let expires = Instant::now() + self.options.ack_timeout;
        let parameters: Parameters<'_> = &[&group, &member, &most, &timeout];
        let mut session = self.handle.database.session(&self.context).await?;
        let statements: [Call<'_>; 4] = [
            (&LOCK, &[&group]),
            (&ENSURE, &[&group, &member, &self.options.consumer]),
            (&TAKE_EXPIRED, parameters),
            (&TAKE_NEW, parameters),
        ];
        let [locked, _, expired, new] = session.begin(None, statements).await?;
        session.commit([]).await?;
        if locked.is_empty() {
            return Err(self.not_found());
        }
        for row in expired.iter().chain(&new) {
            let attempt = u32::try_from(row.get::<_, i32>(0)).map_err(|_| error::unexpected_reply())?;
            self.taken.push_back(Delivery { record: self.name.log.read_record(row, 1)?, attempt, expires });
        }
        Ok(())
    }

    fn not_found(&self) -> Error {
        consumer_group_not_found(&self.name.log.name, &self.name.group)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Records that the client did not get don't count as delivered.
        let unseen: Vec<i64> = self.taken.iter().map(|delivery| super::signed(delivery.record.offset)).collect();
        let (handle, keyspace, topic, ids) = (self.handle.clone(), self.name.log.keyspace, self.name.topic(), self.ids);
        let context = Context::internal(self.context.namespace.clone());
        self.runtime.spawn(async move {
            let free: Parameters<'_> = &[&ids.group, &ids.member, &unseen];
            match handle.database.query_two(&context, (&LEAVE, &[&ids.member]), (&FREE, free)).await {
                Ok(_) => handle.notifications.announce(keyspace, topic),
                Err(error) => tracing::debug!(%error, "a member could not leave its consumer group; it will expire"),
            }
        });
    }
}

/// Removes members that have expired, because their gateway was killed.
pub async fn sweep(database: &Database, notifications: &Notifications, context: &Context) -> Result<(), Error> {
    for row in database.query(context, &SWEEP, &[]).await? {
        let (keyspace, stream, group): (i64, String, String) = (row.get(0), row.get(1), row.get(2));
        notifications.announce(keyspace, group::topic(&stream, &group));
    }
    Ok(())
}
