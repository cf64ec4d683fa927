//! Sends requests to Kafka, within the time limit of each call.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, OnceLock, Weak},
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    config::FromClientConfigAndContext as _,
    consumer::Consumer as _,
    error::{KafkaError, KafkaResult},
    message::OwnedHeaders,
    producer::{FutureProducer, FutureRecord, Producer as _},
    types::RDKafkaErrorCode,
};
use tokio::{sync::Semaphore, task::AbortHandle};

use crate::{
    codec,
    connection::{Reports, Status},
    deadline::Deadline,
    error,
    pages::{Consumer, Page, Pages},
    settings::KafkaSettings,
    tails::{Follower, Tails},
};
use prism_call::{Context, Error};
use prism_driver::{lock::lock, time::Millis};

/// Requests of librdkafka that block a thread, at the same time.
const BLOCKING: usize = 32;
/// How often clients that nobody uses are looked at.
const TIDY: Duration = Duration::from_secs(1);
/// How long the admin client stays without use.
const ADMIN_IDLE: Duration = Duration::from_mins(1);
/// How long `close` waits for records that are on their way.
const FLUSH: Duration = Duration::from_secs(5);
/// Pause before the next request about a partition that has no leader yet, or that the producer does not know yet.
const UNKNOWN: Duration = Duration::from_millis(20);

/// A record that was stored.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    pub partition: u32,
    pub offset: u64,
    pub time: Millis,
}

/// A place in each partition.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// The oldest record.
    First,
    /// Behind the last record.
    End,
    /// The first record that was appended at this time or later; if there is none, behind the last one.
    Time(Millis),
}

/// What is known of a Kafka topic.
#[derive(Clone, Copy, Debug)]
pub struct KnownTopic {
    pub partitions: u32,
    /// When Kafka said so.
    pub at: Instant,
}

/// The clients of librdkafka.
pub struct Handles {
    producer: FutureProducer<Reports>,
    /// Made when it is used, and when.
    admin: Mutex<Option<(Arc<AdminClient<Reports>>, Instant)>>,
    reports: Reports,
    requests: Arc<Consumer>,
    pages: Pages,
    tails: Arc<Tails>,
    reading: AbortHandle,
    tidying: AbortHandle,
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.reading.abort();
        self.tidying.abort();
    }
}

/// Takes what clients report while nobody uses them, and ends the admin client after a while, because it has no way to take its reports.
async fn tidy(client: Weak<Client>, requests: Arc<Consumer>) {
    let mut ticks = tokio::time::interval(TIDY);
    loop {
        tokio::select! {
            // This consumer has no records, only reports.
            _ = requests.recv() => {}
            _ = ticks.tick() => {
                let Some(client) = client.upgrade() else { return };
                let Some(handles) = client.handles.get() else { continue };
                handles.pages.take_reports();
                let unused = lock(&handles.admin).take_if(|(_, used)| used.elapsed() > ADMIN_IDLE);
                if unused.is_some() {
                    // Ending it waits for its thread.
                    drop(tokio::task::spawn_blocking(move || drop(unused)));
                }
            }
        }
    }
}

/// Sends requests.
pub struct Client {
    pub settings: KafkaSettings,
    pub status: Arc<Status>,
    handles: OnceLock<Handles>,
    blocking: Arc<Semaphore>,
    pub known: Mutex<HashMap<String, KnownTopic>>,
    /// Number of Kafka topics that this gateway has created.
    pub created: tokio::sync::watch::Sender<u64>,
}

impl Client {
    /// Makes no clients yet.
    pub fn new(settings: KafkaSettings) -> Self {
        Self {
            settings,
            status: Arc::default(),
            handles: OnceLock::new(),
            blocking: Arc::new(Semaphore::new(BLOCKING)),
            known: Mutex::default(),
            created: tokio::sync::watch::Sender::new(0),
        }
    }

    /// Makes the clients. They connect in the background.
    pub fn start(self: &Arc<Self>) -> Result<(), Error> {
        let reports = Reports { status: self.status.clone(), token_file: self.settings.sasl.token_file.clone() };
        let failed = |error: KafkaError| error::no_client(&error);
        let (tails, reading) = Tails::start(&self.settings, reports.clone())?;
        let requests = Consumer::from_config_and_context(&self.settings.consumer_config(), reports.clone()).map_err(failed)?;
        let requests = Arc::new(requests);
        let tidying = tokio::spawn(tidy(Arc::downgrade(self), requests.clone())).abort_handle();
        let handles = Handles {
            producer: FutureProducer::from_config_and_context(&self.settings.producer_config(), reports.clone()).map_err(failed)?,
            admin: Mutex::default(),
            requests,
            pages: Pages::new(&self.settings, reports.clone()),
            reports,
            tails,
            reading,
            tidying,
        };
        drop(self.handles.set(handles));
        Ok(())
    }

    pub fn handles(&self) -> Result<&Handles, Error> {
        if self.status.is_closed() {
            return Err(error::backend_closed());
        }
        self.handles.get().ok_or_else(error::backend_closed)
    }

    /// The client of requests that change topics.
    pub async fn admin(&self) -> Result<Arc<AdminClient<Reports>>, Error> {
        let handles = self.handles()?;
        let made = lock(&handles.admin).as_mut().map(|(client, used)| {
            *used = Instant::now();
            client.clone()
        });
        if let Some(client) = made {
            return Ok(client);
        }
        // Making one starts its threads and reads the trust roots.
        let (config, reports) = (self.settings.client_config(), handles.reports.clone());
        let making = tokio::task::spawn_blocking(move || AdminClient::from_config_and_context(&config, reports)).await;
        let client = Arc::new(making.unwrap_or(Err(KafkaError::Canceled)).map_err(|error| error::no_client(&error))?);
        *lock(&handles.admin) = Some((client.clone(), Instant::now()));
        Ok(client)
    }

    /// When a request of this call must have its response: after the setting `request_timeout`, or at the deadline of the caller.
    pub fn deadline(&self, context: &Context) -> Deadline {
        Deadline::new(context, *self.settings.request_timeout)
    }

    /// Maps an error of a request. If Kafka did not respond, the reason may be known from elsewhere.
    pub fn map(&self, deadline: &Deadline, cause: &KafkaError) -> Error {
        let mapped = error::map(cause, *self.settings.max_value_bytes);
        if mapped.code() == prism_call::Code::Unavailable {
            deadline.no_response(&self.status).with_source(cause.to_string())
        } else {
            mapped
        }
    }

    /// Waits for a result until the deadline.
    pub async fn within<T>(&self, deadline: &Deadline, work: impl Future<Output = KafkaResult<T>>) -> Result<T, Error> {
        match tokio::time::timeout(deadline.remaining(), work).await {
            Ok(Ok(result)) => {
                self.status.responded();
                Ok(result)
            }
            Ok(Err(cause)) => Err(self.map(deadline, &cause)),
            Err(_) => Err(deadline.no_response(&self.status)),
        }
    }

    /// Makes a request that blocks its thread until the given time has passed.
    pub async fn request<T: Send + 'static>(
        &self,
        deadline: &Deadline,
        work: impl FnOnce(&Consumer, Duration) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, Error> {
        let result = self.try_request(deadline, work).await?;
        self.within(deadline, std::future::ready(result)).await
    }

    /// As `request`, but returns the error of Kafka as it is.
    async fn try_request<T: Send + 'static>(
        &self,
        deadline: &Deadline,
        work: impl FnOnce(&Consumer, Duration) -> KafkaResult<T> + Send + 'static,
    ) -> Result<KafkaResult<T>, Error> {
        let consumer = self.handles()?.requests.clone();
        let permit = tokio::time::timeout(deadline.remaining(), self.blocking.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| deadline.no_response(&self.status))?;
        let remaining = deadline.remaining().max(Duration::from_millis(1));
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&consumer, remaining)
        });
        let result = tokio::time::timeout(deadline.remaining(), task).await.map_err(|_| deadline.no_response(&self.status))?;
        Ok(result.unwrap_or(Err(KafkaError::Canceled)))
    }

    /// Options of a request of the admin client.
    pub fn admin_options(deadline: &Deadline) -> AdminOptions {
        let remaining = deadline.remaining().max(Duration::from_millis(1));
        AdminOptions::new().request_timeout(Some(remaining)).operation_timeout(Some(remaining))
    }

    /// Appends a record to a partition of a Kafka topic that exists. Returns when the copies that the topic asks for have it.
    pub async fn append(
        &self,
        deadline: &Deadline,
        topic: &str,
        partition: u32,
        key: &[u8],
        payload: &[u8],
        headers: OwnedHeaders,
    ) -> Result<Appended, Error> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        loop {
            let mut record = FutureRecord::to(topic).partition(number).payload(payload).headers(headers.clone());
            if !key.is_empty() {
                record = record.key(key);
            }
            let producer = &self.handles()?.producer;
            let sent = producer.send_result(record).map_err(|(cause, _)| cause);
            let delivery = match sent {
                Ok(delivery) => match tokio::time::timeout(deadline.remaining(), delivery).await {
                    Ok(Ok(delivered)) => delivered.map_err(|(cause, _)| cause),
                    Ok(Err(_)) => Err(KafkaError::Canceled),
                    Err(_) => return Err(deadline.no_response(&self.status)),
                },
                Err(cause) => Err(cause),
            };
            match delivery {
                Ok(delivery) => {
                    self.status.responded();
                    let offset = u64::try_from(delivery.offset).map_err(|_| Error::internal("Kafka returned no offset for a record"))?;
                    return Ok(Appended { partition, offset, time: codec::millis(delivery.timestamp) });
                }
                // The producer has not heard of the partition yet.
                Err(cause) if is_unknown(&cause) && !deadline.remaining().is_zero() => {
                    let (producer, topic, remaining) = (producer.clone(), topic.to_owned(), deadline.remaining());
                    let refresh = tokio::task::spawn_blocking(move || producer.client().fetch_metadata(Some(&topic), remaining).map(drop));
                    self.within(deadline, async { refresh.await.unwrap_or(Err(KafkaError::Canceled)) }).await?;
                    tokio::time::sleep(UNKNOWN.min(deadline.remaining())).await;
                }
                Err(cause) => return Err(self.map(deadline, &cause)),
            }
        }
    }

    /// Returns an offset of each partition, in their order.
    pub async fn offsets(&self, deadline: &Deadline, topic: &str, partitions: &[u32], place: Place) -> Result<Vec<u64>, Error> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let raw = match place {
            Place::First => Offset::Beginning,
            Place::End => Offset::End,
            Place::Time(millis) => Offset::Offset(millis.max(0)),
        };
        for partition in partitions {
            let number = i32::try_from(*partition).unwrap_or(i32::MAX);
            list.add_partition_offset(topic, number, raw).map_err(|cause| self.map(deadline, &cause))?;
        }
        let list = self.list_offsets(deadline, &list).await?;
        let mut offsets = Vec::with_capacity(partitions.len());
        let mut without = Vec::new();
        for element in list.elements() {
            if let Offset::Offset(offset) = element.offset() {
                offsets.push(u64::try_from(offset).unwrap_or(0));
            } else {
                without.push(offsets.len());
                offsets.push(0);
            }
        }
        if !without.is_empty() && matches!(place, Place::Time(_)) {
            let missing: Vec<u32> = without.iter().filter_map(|index| partitions.get(*index).copied()).collect();
            let ends = Box::pin(self.offsets(deadline, topic, &missing, Place::End)).await?;
            for (index, end) in without.into_iter().zip(ends) {
                offsets[index] = end;
            }
        }
        Ok(offsets)
    }

    /// Asks for offsets until all partitions have one. New partitions have no leader for a moment.
    async fn list_offsets(&self, deadline: &Deadline, list: &TopicPartitionList) -> Result<TopicPartitionList, Error> {
        loop {
            let asked = list.clone();
            // librdkafka takes these offsets for times, and -1 and -2 are the end and the beginning for Kafka, too.
            let result = self
                .try_request(deadline, move |consumer, timeout| {
                    let list = consumer.offsets_for_times(asked, timeout)?;
                    let failed = list.elements().iter().find_map(|element| element.error().err());
                    failed.map_or(Ok(list), Err)
                })
                .await?;
            match result {
                Ok(list) => {
                    self.status.responded();
                    return Ok(list);
                }
                Err(cause) if error::is_temporary(&cause) && deadline.remaining() > UNKNOWN => tokio::time::sleep(UNKNOWN).await,
                Err(cause) => return Err(self.map(deadline, &cause)),
            }
        }
    }

    /// Reads a page of records.
    pub async fn page(&self, deadline: &Deadline, topic: &str, from: &[(u32, u64)], most: usize) -> Result<Page, Error> {
        self.handles()?.pages.read(deadline, topic, from, most).await
    }

    /// Begins to follow a Kafka topic.
    pub fn follow(&self, topic: &str) -> Result<Follower, Error> {
        Ok(self.handles()?.tails.follow(topic))
    }

    /// Removes the records before these offsets.
    pub async fn delete_before(&self, deadline: &Deadline, topic: &str, before: &[(u32, u64)]) -> Result<(), Error> {
        let list = crate::pages::assignment(topic, before).map_err(|cause| self.map(deadline, &cause))?;
        let options = Self::admin_options(deadline);
        let removed = self.within(deadline, self.admin().await?.delete_records(&list, &options)).await?;
        for element in removed.elements() {
            element.error().map_err(|cause| self.map(deadline, &cause))?;
        }
        Ok(())
    }

    /// Sends what is on its way, and refuses further calls.
    pub async fn close(&self) {
        self.status.close();
        let Some(handles) = self.handles.get() else { return };
        handles.reading.abort();
        handles.tidying.abort();
        let (producer, idle) = (handles.producer.clone(), handles.pages.take_idle());
        let flushed = tokio::task::spawn_blocking(move || {
            drop(idle);
            producer.flush(FLUSH)
        });
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "records were on their way to Kafka when the backend was closed");
        }
    }
}

fn is_unknown(cause: &KafkaError) -> bool {
    matches!(
        error::code(cause),
        Some(RDKafkaErrorCode::UnknownPartition | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)
    )
}
