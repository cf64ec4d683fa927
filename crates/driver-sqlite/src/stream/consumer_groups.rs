//! `stream_consumer_groups`

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    PARTITION, Streams,
    group::{self, Group},
    log,
    member::{self, JoinOptions},
    signed, unsigned,
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        AckRequest, AckResponse, ConsumerGroupInfo, ConsumerInfo, CreateConsumerGroupRequest, CreateConsumerGroupResponse,
        DeleteConsumerGroupRequest, DeleteConsumerGroupResponse, GetConsumerGroupInfoRequest, GetConsumerGroupInfoResponse,
        JoinConsumerGroupRequest, JoinConsumerGroupResponse, PartitionOffset, StreamConsumerGroups, create_consumer_group_request::Start,
    },
};
use prism_driver::{
    check,
    stream::{MAX_LISTED_CONSUMERS, check_group_names},
    time,
};

fn create(tx: &Tx<'_>, keyspace: i64, request: &CreateConsumerGroupRequest) -> DatabaseResult<bool> {
    let stream = log::open(tx, keyspace, &request.stream)?;
    let position = match &request.start {
        Some(Start::FromOffset(offset)) => signed(*offset),
        Some(Start::FromTime(time)) => log::offset_at(tx.connection, &stream, time::millis_up(time))?,
        Some(Start::Latest(true)) => stream.next_offset,
        Some(Start::Latest(false)) | None => stream.expired_to,
    };
    let mut insert = tx
        .connection
        .prepare_cached("INSERT INTO consumer_groups (stream, name, position) VALUES (?1, ?2, ?3) ON CONFLICT (stream, name) DO NOTHING")?;
    Ok(insert.execute((stream.id, &request.group, position))? > 0)
}

fn ack(tx: &Tx<'_>, keyspace: i64, request: &AckRequest) -> DatabaseResult<u32> {
    let group = group::require(tx.connection, keyspace, &request.stream, &request.group)?;
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
        tx.signal(group::topic(keyspace, &request.stream, &request.group));
    }
    Ok(acknowledged)
}

fn delete(tx: &Tx<'_>, keyspace: i64, request: &DeleteConsumerGroupRequest) -> DatabaseResult<bool> {
    let Some(Group { id, .. }) = group::find(tx.connection, keyspace, &request.stream, &request.group)? else { return Ok(false) };
    for statement in [
        "DELETE FROM deliveries WHERE consumer_group = ?1",
        "DELETE FROM members WHERE consumer_group = ?1",
        "DELETE FROM consumer_groups WHERE id = ?1",
    ] {
        tx.connection.prepare_cached(statement)?.execute([id])?;
    }
    tx.signal(group::topic(keyspace, &request.stream, &request.group));
    Ok(true)
}

fn info(connection: &Connection, keyspace: i64, stream: &str, group: &str) -> DatabaseResult<Option<ConsumerGroupInfo>> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(Group { id, position, stream }) = group::find(&snapshot, keyspace, stream, group)? else { return Ok(None) };
    let mut select = snapshot.prepare_cached("SELECT min(offset), count(*) FROM deliveries WHERE consumer_group = ?1 AND attempt > 0")?;
    let (lowest, pending): (Option<i64>, i64) = select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let committed = lowest.map_or(position, |lowest| lowest.min(position));
    // This is exact unless compaction has left gaps.
    let lag = log::first_offset_from(&snapshot, stream.id, position)?.map_or(0, |first| stream.next_offset - first);
    let mut select = snapshot.prepare_cached(
        "SELECT name, (SELECT count(*) FROM deliveries WHERE member = members.id AND attempt > 0) FROM members
         WHERE consumer_group = ?1 AND expires > ?2 ORDER BY name, id LIMIT ?3",
    )?;
    let most = i64::try_from(MAX_LISTED_CONSUMERS).unwrap_or(i64::MAX);
    let consumers =
        select.query_map((id, time::now(), most), |row| Ok(ConsumerInfo { consumer: row.get(0)?, pending: unsigned(row.get(1)?) }))?;
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
        check_group_names(&request.stream, &request.group)?;
        let created = self.keyspace.write(move |tx, keyspace| create(tx, keyspace, &request)).await?;
        Ok(CreateConsumerGroupResponse { created })
    }

    async fn join_consumer_group(
        &self,
        _: &Context,
        request: JoinConsumerGroupRequest,
    ) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
        check_group_names(&request.stream, &request.group)?;
        check::optional_name("consumer", &request.consumer)?;
        member::join(&self.keyspace, JoinOptions::parse(request)?).await
    }

    async fn ack(&self, _: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        check::batch(self.keyspace.limits(), "offsets", request.offsets.len())?;
        let acknowledged = self.keyspace.write(move |tx, keyspace| ack(tx, keyspace, &request)).await?;
        Ok(AckResponse { acknowledged })
    }

    async fn get_consumer_group_info(
        &self,
        _: &Context,
        request: GetConsumerGroupInfoRequest,
    ) -> Result<GetConsumerGroupInfoResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        let info = self.keyspace.read(move |connection, keyspace| info(connection, keyspace, &request.stream, &request.group)).await?;
        Ok(GetConsumerGroupInfoResponse { info })
    }

    async fn delete_consumer_group(&self, _: &Context, request: DeleteConsumerGroupRequest) -> Result<DeleteConsumerGroupResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        let deleted = self.keyspace.write(move |tx, keyspace| delete(tx, keyspace, &request)).await?;
        Ok(DeleteConsumerGroupResponse { deleted })
    }
}
