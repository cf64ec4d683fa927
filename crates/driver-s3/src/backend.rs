//! The backend: one bucket.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_s3::Client;

use crate::{
    blob::{self, Blobs},
    bucket::Bucket,
    client::{Clients, connect as create_clients},
    error::{Meaning, bucket_missing, map_error, meaning},
    keys::{self, BlobKeys, MAX_ESCAPED_KEY, MAX_PLAIN_KEY},
    keyvalue::{self, KeyValue},
    settings::S3Settings,
};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{Backend, BackendSettings, Connecting, ConnectionStats, Emulation, Keyspace, Limits, parse_settings};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);
/// Greatest value of KeyValue. Values are held in memory.
const MAX_VALUE_BYTES: u64 = 4 << 20;

/// One bucket.
pub struct S3 {
    bucket: Arc<Bucket>,
    prefix: String,
    escape: bool,
    emulate_scan: bool,
}

/// Parses the settings and creates the client. A service that is not reachable is not an error.
pub fn connect(settings: BackendSettings) -> Connecting {
    Box::pin(async move {
        let settings: S3Settings = parse_settings(&settings)?;
        let clients = create_clients(&settings).await?;
        Ok(Arc::new(S3::new(&settings, clients)?) as Arc<dyn Backend>)
    })
}

/// The names of the interfaces that every keyspace has, whatever the settings are.
pub fn interfaces() -> Vec<&'static str> {
    let config = aws_sdk_s3::Config::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
    let client = Client::from_conf(config);
    let clients = Clients { repeating: client.clone(), careful: client, connections: Arc::default() };
    let bucket = Bucket::new(clients, String::new(), 0, Limits::default());
    let backend = S3 { bucket: Arc::new(bucket), prefix: String::new(), escape: false, emulate_scan: false };
    backend.keyspace(&Keyspace { namespace: String::new(), slot: String::new() }).names()
}

impl S3 {
    fn new(settings: &S3Settings, clients: Clients) -> Result<Self, Error> {
        let (name, prefix) = settings.location().ok_or_else(|| Error::invalid("url", "must be s3://BUCKET or s3://BUCKET/PREFIX"))?;
        let max_key_bytes = if settings.escape_keys { MAX_ESCAPED_KEY } else { MAX_PLAIN_KEY };
        let limits = Limits { max_key_bytes, max_value_bytes: MAX_VALUE_BYTES, max_batch_items: 1000 };
        let bucket = Bucket::new(clients, name.to_owned(), settings.part_size.to_usize(), limits);
        Ok(Self { bucket: Arc::new(bucket), prefix, escape: settings.escape_keys, emulate_scan: settings.emulate_scan })
    }
}

#[async_trait]
impl Backend for S3 {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        let mut interfaces = Interfaces::default();
        let blobs = Blobs::new(self.bucket.clone(), BlobKeys::new(&self.prefix, keyspace, self.escape));
        blob::add(&Arc::new(blobs), &mut interfaces);
        let values = KeyValue::new(self.bucket.clone(), keys::values_folder(&self.prefix, keyspace));
        keyvalue::add(&Arc::new(values), self.emulate_scan, &mut interfaces);
        interfaces
    }

    fn emulations(&self) -> Vec<Emulation> {
        let scan = Emulation { interface: "keyvalue_scan", cost: keyvalue::SCAN_COST };
        self.emulate_scan.then_some(scan).into_iter().collect()
    }

    fn limits(&self) -> Limits {
        self.bucket.limits
    }

    fn connections(&self) -> Option<ConnectionStats> {
        Some(self.bucket.connections.stats())
    }

    async fn health(&self) -> Result<(), Error> {
        self.bucket.check_open()?;
        let check = self.bucket.client.head_bucket().bucket(&self.bucket.name).send();
        match tokio::time::timeout(HEALTH_TIMEOUT, check).await {
            Ok(Err(error)) if meaning(&error) == Meaning::Missing => Err(bucket_missing()),
            Ok(answer) => answer.map(drop).map_err(map_error),
            Err(_) => Err(Error::backend_unavailable("S3 does not respond", Duration::from_secs(1))),
        }
    }

    async fn close(&self) {
        self.bucket.close();
    }
}
