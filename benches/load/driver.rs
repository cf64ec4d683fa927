//! Measures the memory driver alone, through the interface that patterns use.

use std::time::Instant;

use bytes::Bytes;
use prism::{
    call::Context,
    driver::{self, BackendSettings, Keyspace},
    proto::models::keyvalue::v1::{GetRequest, SetRequest},
};

use crate::Result;

const OPERATIONS: u32 = 300_000;

/// Nanoseconds for one operation.
pub struct Costs {
    pub get: f64,
    pub set: f64,
}

pub fn measure() -> Result<Costs> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kind = driver::kind("memory").ok_or("no memory driver in this build")?;
        let backend = (kind.connect)(BackendSettings { name: "bench".into(), values: serde_json::Map::new() }).await?;
        let interfaces = backend.keyspace(&Keyspace { namespace: "bench".into(), slot: "storage".into() });
        let basic = interfaces.keyvalue_basic.ok_or("no keyvalue_basic")?;
        let context = Context::internal("bench");
        let keys: Vec<Bytes> = (0..1000).map(|number| format!("key-{number:04}").into()).collect();
        let value = Bytes::from_static(&[b'x'; 100]);
        let began = Instant::now();
        for key in keys.iter().cycle().take(OPERATIONS as usize) {
            basic.set(&context, SetRequest { key: key.clone(), value: value.clone(), ttl: None, flags: 0 }).await?;
        }
        let set = began.elapsed().as_secs_f64() * 1e9 / f64::from(OPERATIONS);
        let began = Instant::now();
        for key in keys.iter().cycle().take(OPERATIONS as usize) {
            basic.get(&context, GetRequest { key: key.clone() }).await?;
        }
        Ok(Costs { get: began.elapsed().as_secs_f64() * 1e9 / f64::from(OPERATIONS), set })
    })
}
