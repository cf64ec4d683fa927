//! `stream_consumer_groups`

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{
    PARTITION, Streams,
    group::{GroupName, Target},
    member::{self, JoinOptions},
    signed,
};
use crate::{columns::unsigned, database::Parameters, sql::Sql};
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
    stream::{MAX_LISTED_CONSUMERS, check_group_names, consumer_group_not_found},
    time,
};

/// Removes deliveries. Returns how many of them had been delivered, and the ids of their members; no row if there is no such group.
static ACK: Sql = Sql {
    text: "WITH grp AS MATERIALIZED (
               SELECT grp.id FROM {schema}.streams AS log JOIN {schema}.consumer_groups AS grp ON grp.stream = log.id
               WHERE log.keyspace = $1 AND log.kind = $2 AND log.name = $3 AND grp.name = $4),
           locked AS MATERIALIZED (
               SELECT delivery.consumer_group, delivery.position FROM {schema}.deliveries AS delivery JOIN grp ON grp.id = delivery.consumer_group
               WHERE delivery.position = ANY ($5) ORDER BY delivery.position FOR UPDATE OF delivery),
           removed AS (
               DELETE FROM {schema}.deliveries AS delivery USING locked
               WHERE delivery.consumer_group = locked.consumer_group AND delivery.position = locked.position
               RETURNING delivery.attempt, delivery.member)
           SELECT (SELECT count(*) FROM removed WHERE attempt > 0), (SELECT array_agg(DISTINCT member) FROM removed WHERE attempt > 0) FROM grp",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TEXT, Type::INT8_ARRAY],
};

/// The id of a group, its lowest offset that may still be delivered, the number of records that were delivered, and of those that were not.
/// The last one is exact unless compaction has left gaps.
static INFO: Sql = Sql {
    text: "SELECT grp.id, least(grp.position, waiting.lowest), waiting.delivered,
               waiting.unseen + coalesce(log.next_offset - (
                   SELECT min(position) FROM {schema}.records WHERE stream = log.id AND records.position >= grp.position), 0)
           FROM {schema}.streams AS log JOIN {schema}.consumer_groups AS grp ON grp.stream = log.id
           CROSS JOIN LATERAL (
               SELECT min(position) AS lowest, count(*) FILTER (WHERE attempt > 0) AS delivered, count(*) FILTER (WHERE attempt = 0) AS unseen
               FROM {schema}.deliveries WHERE consumer_group = grp.id) AS waiting
           WHERE log.keyspace = $1 AND log.kind = $2 AND log.name = $3 AND grp.name = $4",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TEXT],
};

static MEMBERS: Sql = Sql {
    text: "SELECT name, (SELECT count(*) FROM {schema}.deliveries WHERE member = members.id AND attempt > 0)
           FROM {schema}.members WHERE consumer_group = $1 AND expires > statement_timestamp() ORDER BY name, id LIMIT $2",
    types: &[Type::INT8, Type::INT8],
};

impl Streams {
    /// A group whose names are valid.
    pub(super) async fn group(&self, context: &Context, stream: String, group: String) -> Result<GroupName, Error> {
        check_group_names(&stream, &group)?;
        Ok(GroupName { log: self.log(context, stream).await?, group })
    }
}

#[async_trait]
impl StreamConsumerGroups for Streams {
    async fn create_consumer_group(
        &self,
        context: &Context,
        request: CreateConsumerGroupRequest,
    ) -> Result<CreateConsumerGroupResponse, Error> {
        let target = match &request.start {
            Some(Start::FromOffset(offset)) => Target::Offset(signed(*offset)),
            Some(Start::FromTime(time)) => Target::Time(time::millis_up(time)),
            Some(Start::Latest(true)) => Target::Latest,
            Some(Start::Latest(false)) | None => Target::Oldest,
        };
        let group = self.group(context, request.stream, request.group).await?;
        Ok(CreateConsumerGroupResponse { created: group.create(&self.keyspace, context, target).await? })
    }

    async fn join_consumer_group(
        &self,
        context: &Context,
        request: JoinConsumerGroupRequest,
    ) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
        check::optional_name("consumer", &request.consumer)?;
        let options = JoinOptions::parse(&request)?;
        let group = self.group(context, request.stream, request.group).await?;
        member::join(&self.keyspace, context, group, options).await
    }

    async fn ack(&self, context: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        let AckRequest { stream, group, partition, offsets } = request;
        check_group_names(&stream, &group)?;
        check::batch(&self.keyspace.limits, "offsets", offsets.len())?;
        let GroupName { log, group } = self.group(context, stream, group).await?;
        let positions: Vec<i64> = if partition == PARTITION { offsets.into_iter().map(signed).collect() } else { Vec::new() };
        let parameters: Parameters<'_> = &[&log.keyspace, &(log.kind as i16), &log.name, &group, &positions];
        let row = self.keyspace.database.query_optional(context, &ACK, parameters).await?;
        let Some(row) = row else { return Err(consumer_group_not_found(&log.name, &group)) };
        let acknowledged = u32::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        for id in row.get::<_, Option<Vec<i64>>>(1).unwrap_or_default() {
            self.keyspace.notifications.announce(log.keyspace, member::topic(id));
        }
        Ok(AckResponse { acknowledged })
    }

    async fn get_consumer_group_info(
        &self,
        context: &Context,
        request: GetConsumerGroupInfoRequest,
    ) -> Result<GetConsumerGroupInfoResponse, Error> {
        let GroupName { log, group } = self.group(context, request.stream, request.group).await?;
        let parameters: Parameters<'_> = &[&log.keyspace, &(log.kind as i16), &log.name, &group];
        let Some(row) = self.keyspace.database.query_optional(context, &INFO, parameters).await? else {
            return Ok(GetConsumerGroupInfoResponse { info: None });
        };
        let most = i64::try_from(MAX_LISTED_CONSUMERS).unwrap_or(i64::MAX);
        let members = self.keyspace.database.query(context, &MEMBERS, &[&row.get::<_, i64>(0), &most]).await?;
        let consumers = members.iter().map(|row| ConsumerInfo { consumer: row.get(0), pending: unsigned(row.get(1)) });
        let info = ConsumerGroupInfo {
            committed: vec![PartitionOffset { partition: PARTITION, offset: unsigned(row.get(1)) }],
            pending: unsigned(row.get(2)),
            lag: unsigned(row.get(3)),
            consumers: consumers.collect(),
        };
        Ok(GetConsumerGroupInfoResponse { info: Some(info) })
    }

    async fn delete_consumer_group(
        &self,
        context: &Context,
        request: DeleteConsumerGroupRequest,
    ) -> Result<DeleteConsumerGroupResponse, Error> {
        let group = self.group(context, request.stream, request.group).await?;
        Ok(DeleteConsumerGroupResponse { deleted: group.delete(&self.keyspace, context).await? })
    }
}
