//! `stream_consumer_groups`, and the statements on `consumer_groups`; members are in `member`.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    PARTITION, Streams,
    log::{self, Head},
    member::{self, Join},
    replay::ceil_millis,
    signed, unsigned,
};
use crate::{error::DatabaseResult, signals::Topic, writer::Tx};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::stream::v1::{
        AckRequest, AckResponse, ConsumerGroupInfo, ConsumerInfo, CreateConsumerGroupRequest, CreateConsumerGroupResponse,
        DeleteConsumerGroupRequest, DeleteConsumerGroupResponse, GetConsumerGroupInfoRequest, GetConsumerGroupInfoResponse,
        JoinConsumerGroupRequest, JoinConsumerGroupResponse, PartitionOffset, StreamConsumerGroups, create_consumer_group_request::Start,
    },
};
use prism_driver::{check, time};

/// Members that GetConsumerGroupInfo lists.
const MOST_LISTED: i64 = 1000;

/// A consumer group.
pub struct Group {
    pub id: i64,
    /// The first offset that no member got yet.
    pub position: i64,
    /// Its stream.
    pub head: Head,
}

/// A group, if it is there.
pub fn find(connection: &Connection, space: i64, stream: &str, group: &str) -> DatabaseResult<Option<Group>> {
    let Some(head) = log::find(connection, space, stream)? else { return Ok(None) };
    let mut select = connection.prepare_cached("SELECT id, position FROM consumer_groups WHERE stream = ?1 AND name = ?2")?;
    Ok(select.query_row((head.id, group), |row| Ok(Group { id: row.get(0)?, position: row.get(1)?, head })).optional()?)
}

/// `NOT_FOUND CONSUMER_GROUP_NOT_FOUND`
pub fn not_found(group: &str) -> Error {
    Error::new(
        Code::NotFound,
        "CONSUMER_GROUP_NOT_FOUND",
        format!("there is no consumer group {group:?} on this stream; make it with CreateConsumerGroup"),
    )
}

/// Wakes the members of a group.
pub fn topic(space: i64, stream: &str, group: &str) -> Topic {
    Topic::Group(space, stream.into(), group.into())
}

/// Puts a group at a place, as if it had never been elsewhere.
pub fn move_to(tx: &Tx<'_>, group: i64, position: i64) -> DatabaseResult<()> {
    tx.connection.prepare_cached("DELETE FROM deliveries WHERE consumer_group = ?1")?.execute([group])?;
    tx.connection.prepare_cached("UPDATE consumer_groups SET position = ?2 WHERE id = ?1")?.execute((group, position))?;
    Ok(())
}

fn names(stream: &str, group: &str) -> Result<(), Error> {
    check::name("stream", stream)?;
    check::name("group", group)
}

fn create(tx: &Tx<'_>, space: i64, request: &CreateConsumerGroupRequest) -> DatabaseResult<bool> {
    let head = log::open(tx, space, &request.stream)?;
    let position = match &request.start {
        Some(Start::FromOffset(offset)) => signed(*offset),
        Some(Start::FromTime(time)) => log::from_time(tx.connection, &head, ceil_millis(time))?,
        Some(Start::Latest(true)) => head.next_offset,
        Some(Start::Latest(false)) | None => head.expired_to,
    };
    let mut insert = tx
        .connection
        .prepare_cached("INSERT INTO consumer_groups (stream, name, position) VALUES (?1, ?2, ?3) ON CONFLICT (stream, name) DO NOTHING")?;
    Ok(insert.execute((head.id, &request.group, position))? > 0)
}

fn ack(tx: &Tx<'_>, space: i64, request: &AckRequest) -> DatabaseResult<u32> {
    let group = find(tx.connection, space, &request.stream, &request.group)?.ok_or_else(|| not_found(&request.group))?;
    if request.partition != PARTITION {
        return Ok(0);
    }
    let mut delete =
        tx.connection.prepare_cached("DELETE FROM deliveries WHERE consumer_group = ?1 AND offset = ?2 RETURNING attempt > 0")?;
    let mut acknowledged = 0;
    for offset in &request.offsets {
        let was_delivered = delete.query_row((group.id, signed(*offset)), |row| row.get::<_, bool>(0)).optional()?;
        acknowledged += u32::from(was_delivered == Some(true));
    }
    if acknowledged > 0 {
        tx.signal(topic(space, &request.stream, &request.group));
    }
    Ok(acknowledged)
}

fn delete(tx: &Tx<'_>, space: i64, request: &DeleteConsumerGroupRequest) -> DatabaseResult<bool> {
    let Some(group) = find(tx.connection, space, &request.stream, &request.group)? else { return Ok(false) };
    for statement in [
        "DELETE FROM deliveries WHERE consumer_group = ?1",
        "DELETE FROM members WHERE consumer_group = ?1",
        "DELETE FROM consumer_groups WHERE id = ?1",
    ] {
        tx.connection.prepare_cached(statement)?.execute([group.id])?;
    }
    tx.signal(topic(space, &request.stream, &request.group));
    Ok(true)
}

fn info(connection: &Connection, space: i64, stream: &str, group: &str) -> DatabaseResult<Option<ConsumerGroupInfo>> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(Group { id, position, head }) = find(&snapshot, space, stream, group)? else { return Ok(None) };
    let mut select = snapshot.prepare_cached("SELECT min(offset), count(*) FROM deliveries WHERE consumer_group = ?1 AND attempt > 0")?;
    let (lowest, pending): (Option<i64>, i64) = select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let committed = lowest.map_or(position, |lowest| lowest.min(position));
    // Offsets have gaps only after compaction.
    let lag = log::first_from(&snapshot, head.id, position)?.map_or(0, |first| head.next_offset - first);
    let mut select = snapshot.prepare_cached(
        "SELECT name, (SELECT count(*) FROM deliveries WHERE member = members.id AND attempt > 0) FROM members
         WHERE consumer_group = ?1 AND expires > ?2 ORDER BY name, id LIMIT ?3",
    )?;
    let consumers = select
        .query_map((id, time::now(), MOST_LISTED), |row| Ok(ConsumerInfo { consumer: row.get(0)?, pending: unsigned(row.get(1)?) }))?;
    Ok(Some(ConsumerGroupInfo {
        committed: vec![PartitionOffset { partition: PARTITION, offset: unsigned(committed) }],
        pending: unsigned(pending),
        lag: unsigned(lag),
        consumers: consumers.collect::<Result<_, _>>()?,
    }))
}

#[async_trait]
impl StreamConsumerGroups for Streams {
    async fn create_consumer_group(&self, _: &Context, request: CreateConsumerGroupRequest) -> Result<CreateConsumerGroupResponse, Error> {
        names(&request.stream, &request.group)?;
        let created = self.space.write(move |tx, space| create(tx, space, &request)).await?;
        Ok(CreateConsumerGroupResponse { created })
    }

    async fn join_consumer_group(
        &self,
        _: &Context,
        request: JoinConsumerGroupRequest,
    ) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
        names(&request.stream, &request.group)?;
        check::optional_name("consumer", &request.consumer)?;
        member::join(&self.space, Join::read(request)?).await
    }

    async fn ack(&self, _: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        names(&request.stream, &request.group)?;
        check::batch(self.space.limits(), "offsets", request.offsets.len())?;
        let acknowledged = self.space.write(move |tx, space| ack(tx, space, &request)).await?;
        Ok(AckResponse { acknowledged })
    }

    async fn get_consumer_group_info(
        &self,
        _: &Context,
        request: GetConsumerGroupInfoRequest,
    ) -> Result<GetConsumerGroupInfoResponse, Error> {
        names(&request.stream, &request.group)?;
        let info = self.space.read(move |connection, space| info(connection, space, &request.stream, &request.group)).await?;
        Ok(GetConsumerGroupInfoResponse { info })
    }

    async fn delete_consumer_group(&self, _: &Context, request: DeleteConsumerGroupRequest) -> Result<DeleteConsumerGroupResponse, Error> {
        names(&request.stream, &request.group)?;
        let deleted = self.space.write(move |tx, space| delete(tx, space, &request)).await?;
        Ok(DeleteConsumerGroupResponse { deleted })
    }
}
