//! Statements on the table `consumer_groups`.

use tokio_postgres::{Row, types::Type};

use super::log::Log;
use crate::{
    columns::request_time,
    database::{Parameters, Session},
    keyspace::KeyspaceHandle,
    notifications::Topic,
    sql::Sql,
};
use prism_call::{Context, Error};
use prism_driver::time::Millis;

static CREATE: Sql = Sql {
    text: "INSERT INTO {schema}.consumer_groups (stream, name, position)
           SELECT id, $4, CASE WHEN $5 IS NOT NULL THEN $5 WHEN $6 IS NOT NULL THEN {schema}.offset_at(id, $6) WHEN $7 THEN next_offset ELSE expired_to END
           FROM {schema}.streams WHERE keyspace = $1 AND kind = $2 AND name = $3
           ON CONFLICT DO NOTHING RETURNING 1",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TEXT, Type::INT8, Type::TIMESTAMPTZ, Type::BOOL],
};

/// Locks a group, and returns its id and the offset of the first record at the target or after it, or the next offset.
static LOCK: Sql = Sql {
    text: "SELECT grp.id, coalesce((SELECT min(position) FROM {schema}.records WHERE stream = log.id AND records.position >= target.position), log.next_offset)
           FROM {schema}.streams AS log JOIN {schema}.consumer_groups AS grp ON grp.stream = log.id
           CROSS JOIN LATERAL (SELECT coalesce($5, {schema}.offset_at(log.id, $6), 0) AS position) AS target
           WHERE log.keyspace = $1 AND log.kind = $2 AND log.name = $3 AND grp.name = $4
           FOR UPDATE OF grp",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TEXT, Type::INT8, Type::TIMESTAMPTZ],
};

/// Removes the deliveries of a group, in the order in which others lock them.
static CLEAR: Sql = Sql {
    text: "WITH locked AS MATERIALIZED (
               SELECT position FROM {schema}.deliveries WHERE consumer_group = $1 ORDER BY position FOR UPDATE)
           DELETE FROM {schema}.deliveries AS delivery USING locked
           WHERE delivery.consumer_group = $1 AND delivery.position = locked.position",
    types: &[Type::INT8],
};

static MOVE: Sql = Sql { text: "UPDATE {schema}.consumer_groups SET position = $2 WHERE id = $1", types: &[Type::INT8, Type::INT8] };
static DELETE_MEMBERS: Sql = Sql { text: "DELETE FROM {schema}.members WHERE consumer_group = $1", types: &[Type::INT8] };
static DELETE: Sql = Sql { text: "DELETE FROM {schema}.consumer_groups WHERE id = $1", types: &[Type::INT8] };

/// A position in a stream.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    Oldest,
    Offset(i64),
    Time(Millis),
    Latest,
}

/// The names of a group.
pub struct GroupName {
    pub log: Log,
    pub group: String,
}

impl GroupName {
    /// What changes when records can be delivered again, or the group is moved or deleted.
    pub fn topic(&self) -> Topic {
        topic(&self.log.name, &self.group)
    }

    /// Creates the group at a position. Returns false if it exists.
    pub async fn create(&self, handle: &KeyspaceHandle, context: &Context, target: Target) -> Result<bool, Error> {
        let Log { keyspace, kind, name, .. } = &self.log;
        self.log.open(handle, context).await?;
        let (offset, time) = parts(target);
        let is_latest = matches!(target, Target::Latest);
        let parameters: Parameters<'_> = &[keyspace, &(*kind as i16), name, &self.group, &offset, &time, &is_latest];
        Ok(handle.database.query_optional(context, &CREATE, parameters).await?.is_some())
    }

    /// Moves the group to the first record at a position or after it, or to the end, and returns its offset. `None`: there is no such group.
    pub async fn seek(&self, handle: &KeyspaceHandle, context: &Context, target: Target) -> Result<Option<i64>, Error> {
        let mut session = handle.database.session(context).await?;
        let Some((id, position)) = self.lock(&mut session, target).await? else {
            session.commit([]).await?;
            return Ok(None);
        };
        session.commit([(&CLEAR, &[&id]), (&MOVE, &[&id, &position])]).await?;
        handle.notifications.announce(self.log.keyspace, self.topic());
        Ok(Some(position))
    }

    /// Deletes the group. Returns false if there is none.
    pub async fn delete(&self, handle: &KeyspaceHandle, context: &Context) -> Result<bool, Error> {
        let mut session = handle.database.session(context).await?;
        let Some((id, _)) = self.lock(&mut session, Target::Oldest).await? else {
            session.commit([]).await?;
            return Ok(false);
        };
        session.commit([(&CLEAR, &[&id]), (&DELETE_MEMBERS, &[&id]), (&DELETE, &[&id])]).await?;
        handle.notifications.announce(self.log.keyspace, self.topic());
        Ok(true)
    }

    /// Begins a transaction and locks the group.
    async fn lock(&self, session: &mut Session<'_>, target: Target) -> Result<Option<(i64, i64)>, Error> {
        let Log { keyspace, kind, name, .. } = &self.log;
        let (offset, time) = parts(target);
        let [rows] = session.begin(None, [(&LOCK, &[keyspace, &(*kind as i16), name, &self.group, &offset, &time])]).await?;
        Ok(rows.first().map(|row: &Row| (row.get(0), row.get(1))))
    }
}

/// The topic of a group.
pub fn topic(stream: &str, group: &str) -> Topic {
    Topic::new("group", &[stream, group])
}

fn parts(target: Target) -> (Option<i64>, Option<std::time::SystemTime>) {
    match target {
        Target::Oldest | Target::Latest => (None, None),
        Target::Offset(offset) => (Some(offset), None),
        Target::Time(time) => (None, Some(request_time(time))),
    }
}
