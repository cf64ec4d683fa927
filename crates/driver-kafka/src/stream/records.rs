//! Streams of records, as Read, ReadPartition and ReplayRange return them.

use std::collections::BTreeMap;

use futures::stream;

use super::{Streams, record};
use crate::{
    client::Place,
    deadline::Deadline,
    reader::{Item, Position, Reader, Removed},
};
use prism_call::{Context, Error, Messages, proto::models::stream::v1::Record};
use prism_driver::{
    cursor,
    stream::{offset_expired, partition_not_found},
    time::Millis,
};

/// Where a read starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// With the first record whose offset is this one or greater, in each partition.
    Offset(u64),
    /// With the first record that was appended at this time or later.
    Time(Millis),
    /// Behind the record that came with the cursor.
    Cursor(BTreeMap<u32, u64>),
    /// With the first record that is appended from now on.
    Latest,
}

/// Where a read ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// At the present ends of the partitions.
    Present,
    /// Before this offset, and at the present ends.
    Offset(u64),
    /// Before the first record that was appended at this time or later, and at the present ends.
    Time(Millis),
    /// Never: the read waits for new records.
    Never,
}

/// What a read returns.
pub struct Reading {
    pub stream: String,
    /// Only this partition; `None` = all.
    pub partition: Option<u32>,
    pub start: Start,
    pub end: End,
    /// Most records; 0 = no limit.
    pub limit: u32,
}

impl Streams {
    /// Returns the records of a stream. `wrap` puts each into the message of the RPC.
    pub async fn records<T: Send + 'static>(
        &self,
        context: &Context,
        reading: Reading,
        wrap: fn(Record) -> T,
    ) -> Result<Messages<T>, Error> {
        let deadline = self.client.deadline(context);
        let topic = self.names.stream(&reading.stream);
        if let Some(partition) = reading.partition {
            self.check_partition(&deadline, &topic, partition).await?;
        }
        let follow = matches!(reading.end, End::Never);
        let positions = self.positions(&deadline, &topic, &reading).await?;
        let reader = Reader::new(self.client.clone(), context.clone(), topic, positions, Removed::Fail);
        let reader = if reading.partition.is_none() { reader.with_new_partitions() } else { reader };
        let remaining = if reading.limit == 0 { u64::MAX } else { u64::from(reading.limit) };
        let stream = reading.stream;
        let records = stream::try_unfold((reader, remaining, stream), move |(mut reader, remaining, stream)| async move {
            if remaining == 0 {
                return Ok::<_, Error>(None);
            }
            loop {
                match reader.next(follow).await? {
                    Some(Item::Record(stored)) => {
                        let cursor = record::encode_cursor(&stream, reader.positions());
                        let record = record::decode(stored, cursor)?;
                        return Ok(Some((wrap(record), (reader, remaining - 1, stream))));
                    }
                    // Readers of streams fail instead.
                    Some(Item::Gap(_)) => {}
                    None => return Ok(None),
                }
            }
        });
        Ok(Box::pin(records))
    }

    /// The places where a read begins and ends.
    async fn positions(&self, deadline: &Deadline, topic: &str, reading: &Reading) -> Result<BTreeMap<u32, Position>, Error> {
        let count = self.client.partitions(deadline, topic).await?;
        let partitions: Vec<u32> = match (reading.partition, count) {
            (Some(partition), _) => vec![partition],
            (None, Some(count)) => (0..count).collect(),
            (None, None) => vec![0],
        };
        if let (Start::Cursor(cursor), Some(partition)) = (&reading.start, reading.partition)
            && !cursor.contains_key(&partition)
        {
            return Err(cursor::invalid());
        }
        let Some(count) = count else { return Ok(Self::positions_of_nothing(&partitions, reading)) };
        if let Some(partition) = partitions.iter().find(|partition| **partition >= count) {
            return Err(partition_not_found(*partition, count as usize));
        }
        let first = self.client.offsets(deadline, topic, &partitions, Place::First).await?;
        let ends = self.client.offsets(deadline, topic, &partitions, Place::End).await?;
        let from = match reading.start {
            Start::Time(time) => self.client.offsets(deadline, topic, &partitions, Place::Time(time)).await?,
            Start::Latest => ends.clone(),
            Start::Offset(offset) => vec![offset; partitions.len()],
            Start::Cursor(ref cursor) => partitions.iter().map(|partition| cursor.get(partition).copied().unwrap_or(0)).collect(),
        };
        let to = match reading.end {
            End::Present | End::Never => ends.clone(),
            End::Offset(offset) => vec![offset; partitions.len()],
            End::Time(time) => self.client.offsets(deadline, topic, &partitions, Place::Time(time)).await?,
        };
        let mut positions = BTreeMap::new();
        for (index, partition) in partitions.iter().enumerate() {
            let (first, end, from, to) = (first[index], ends[index], from[index], to[index]);
            if let Start::Cursor(cursor) = &reading.start
                && cursor.contains_key(partition)
                && from < first
            {
                return Err(offset_expired(first));
            }
            let wanted = from.max(first);
            let end_of_read = if matches!(reading.end, End::Never) { None } else { Some(to.min(end)) };
            // Nobody has reached the position yet, so that reading begins at the end.
            let strict = matches!(&reading.start, Start::Cursor(cursor) if cursor.contains_key(partition));
            positions.insert(*partition, Position { next: wanted.min(end), skip: wanted, end: end_of_read, strict });
        }
        Ok(positions)
    }

    /// The places in a stream that does not exist yet.
    fn positions_of_nothing(partitions: &[u32], reading: &Reading) -> BTreeMap<u32, Position> {
        let end = if matches!(reading.end, End::Never) { None } else { Some(0) };
        let skip = |partition: &u32| match &reading.start {
            Start::Offset(offset) => *offset,
            Start::Cursor(cursor) => cursor.get(partition).copied().unwrap_or(0),
            Start::Time(_) | Start::Latest => 0,
        };
        partitions.iter().map(|partition| (*partition, Position { next: 0, skip: skip(partition), end, strict: false })).collect()
    }
}
