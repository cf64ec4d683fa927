//! One reader of a stream for all receivers on this gateway.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use prism_call::{
    BackgroundTasks, Context, Error, Messages,
    proto::models::stream::v1::{ReadRequest, Record, StreamBasic, read_request::Start},
};

/// Records that wait for one receiver. While they are so many, further ones are lost for it, and it gets a gap.
const BUFFER: usize = 256;
/// How often the reader removes receivers that have ended, and looks whether there are others.
const IDLE_CHECK: Duration = Duration::from_secs(30);
/// The pauses after errors of the backend: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What a receiver gets.
pub enum HubEvent {
    Record(Arc<Record>),
    /// Records were lost: how many, 0: unknown.
    Gap(u64),
}

/// Reads a stream once, and gives each record to the receivers of its key.
pub struct Hub {
    stream: Arc<dyn StreamBasic>,
    name: &'static str,
    context: Context,
    tasks: BackgroundTasks,
    receivers: Mutex<Receivers>,
    /// Whether there is a reader. Held while a reader begins and ends.
    reading: AsyncMutex<bool>,
}

type Receivers = HashMap<String, Vec<Receiver>>;

/// The sending end of one receiver.
struct Receiver {
    events: mpsc::Sender<HubEvent>,
    /// Records that it has missed since the last one that it got.
    missed: u64,
    /// Whether it must be told of records that nobody has counted.
    has_gap: bool,
}

impl Hub {
    pub fn new(stream: Arc<dyn StreamBasic>, name: &'static str, namespace: Arc<str>, tasks: BackgroundTasks) -> Arc<Self> {
        Arc::new(Self {
            stream,
            name,
            context: Context::internal(namespace),
            tasks,
            receivers: Mutex::default(),
            reading: AsyncMutex::new(false),
        })
    }

    /// Receives the records with a key that are appended from now on.
    pub async fn subscribe(self: &Arc<Self>, key: &str) -> Result<mpsc::Receiver<HubEvent>, Error> {
        let (events, receiver) = mpsc::channel(BUFFER);
        let mut reading = self.reading.lock().await;
        if !*reading {
            let records = self.read(Start::Latest(true)).await?;
            *reading = true;
            let hub = self.clone();
            self.tasks.spawn(async move { hub.run(records).await });
        }
        let receiver_entry = Receiver { events, missed: 0, has_gap: false };
        self.receivers().entry(key.to_owned()).or_default().push(receiver_entry);
        Ok(receiver)
    }

    /// Opens the stream for all receivers. So the deadline of the call that is the first one does not end it.
    async fn read(&self, start: Start) -> Result<Messages<Record>, Error> {
        open(&*self.stream, &self.context, self.name, start).await
    }

    /// Reads until nobody receives.
    async fn run(&self, mut records: Messages<Record>) {
        let (mut cursor, mut pause) = (String::new(), PAUSES.0);
        let mut idle_check = tokio::time::interval(IDLE_CHECK);
        loop {
            tokio::select! {
                // The check comes first, so that a stream that always has records does not put it off.
                biased;
                _ = idle_check.tick() => {
                    if self.end_if_idle().await {
                        return;
                    }
                }
                next = records.next() => match next {
                    Some(Ok(record)) => {
                        pause = PAUSES.0;
                        cursor.clone_from(&record.cursor);
                        self.give(record);
                    }
                    failed => {
                        let error = failed.and_then(Result::err);
                        tracing::warn!(namespace = %self.context.namespace, ?error, "the stream of messages can't be read; trying again");
                        let Some(again) = self.read_again(&mut cursor, &mut pause).await else { return };
                        records = again;
                    }
                },
            }
        }
    }

    /// Opens the stream again behind the last record, as soon as the backend is there. Returns nothing if nobody receives any longer.
    async fn read_again(&self, cursor: &mut String, pause: &mut Duration) -> Option<Messages<Record>> {
        loop {
            tokio::time::sleep(*pause).await;
            *pause = (*pause * 2).min(PAUSES.1);
            if self.end_if_idle().await {
                return None;
            }
            let start = if cursor.is_empty() { Start::Latest(true) } else { Start::Cursor(cursor.clone()) };
            let from_now = cursor.is_empty();
            match self.read(start).await {
                Ok(records) => {
                    if from_now {
                        self.note_gap();
                    }
                    return Some(records);
                }
                Err(error) if error.reason() == "OFFSET_EXPIRED" => cursor.clear(),
                Err(error) => tracing::debug!(namespace = %self.context.namespace, %error, "the stream of messages still can't be read"),
            }
        }
    }

    /// Ends the reader if nobody receives. A receiver that comes later begins a new one.
    async fn end_if_idle(&self) -> bool {
        let mut reading = self.reading.lock().await;
        let mut receivers = self.receivers();
        receivers.retain(|_, receivers| {
            receivers.retain(|receiver| !receiver.events.is_closed());
            !receivers.is_empty()
        });
        if receivers.is_empty() {
            *reading = false;
        }
        !*reading
    }

    /// Gives a record to the receivers of its key.
    fn give(&self, record: Record) {
        let Ok(key) = std::str::from_utf8(&record.key) else { return };
        let mut receivers = self.receivers();
        let Some(own) = receivers.get_mut(key) else { return };
        let key = key.to_owned();
        let record = Arc::new(record);
        own.retain_mut(|receiver| receiver.give(&record));
        if own.is_empty() {
            receivers.remove(&key);
        }
    }

    /// Tells all receivers before their next record that they may have missed some.
    fn note_gap(&self) {
        for receiver in self.receivers().values_mut().flatten() {
            receiver.has_gap = true;
        }
    }

    fn receivers(&self) -> MutexGuard<'_, Receivers> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// Gives a record. Returns whether the receiver is still there.
    fn give(&mut self, record: &Arc<Record>) -> bool {
        if self.missed > 0 || self.has_gap {
            let missed = if self.has_gap { 0 } else { self.missed };
            // A gap and the record behind it, or none of them.
            if self.events.capacity() < 2 {
                self.missed += 1;
                return !self.events.is_closed();
            }
            if self.events.try_send(HubEvent::Gap(missed)).is_err() {
                return false;
            }
            (self.missed, self.has_gap) = (0, false);
        }
        match self.events.try_send(HubEvent::Record(record.clone())) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.missed += 1;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

/// Reads a stream, and follows it.
pub async fn open(stream: &dyn StreamBasic, context: &Context, name: &str, start: Start) -> Result<Messages<Record>, Error> {
    let request = ReadRequest { stream: name.to_owned(), start: Some(start), limit: 0, follow: true };
    let records = stream.read(context, request).await?;
    Ok(Box::pin(records.map(|record| Ok(record?.record.unwrap_or_default()))))
}
