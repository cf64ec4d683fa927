//! The child process: writes in every way until it is killed, and prints a line for each acknowledged write.

use std::{
    fmt,
    io::{Write as _, stdout},
};

use prism::{
    proto::Interfaces,
    proto::models::{
        keyvalue::v1::{BatchSetItem, BatchSetRequest, CompareAndSwapRequest, DeleteRequest, SetRequest},
        queue::v1::EnqueueRequest,
        stream::v1::AppendRequest,
    },
};

use super::context;

/// The beginning of each line; it distinguishes them from the output of the test harness.
pub const MARK: &str = "acknowledged ";
/// Number of concurrent writers, so that one commit contains several writes.
const TASKS: u64 = 6;

/// Returns the value of a key. The sizes differ widely, so that pages overflow and the log grows.
pub fn value(key: &str) -> Vec<u8> {
    let hash = key.bytes().fold(5381u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
    let size = match hash % 10 {
        0 => 60_000,
        1..=3 => 3000,
        _ => 40,
    };
    key.bytes().cycle().take(size).collect()
}

fn print_line(line: fmt::Arguments<'_>) {
    let mut out = stdout().lock();
    writeln!(out, "{MARK}{line}").unwrap();
    out.flush().unwrap();
}

/// Starts the writers. Never returns.
pub async fn write(interfaces: Interfaces) {
    let tasks = (0..TASKS).map(|_| tokio::spawn(task(interfaces.clone(), rand::random())));
    futures::future::join_all(tasks).await;
}

async fn task(interfaces: Interfaces, id: u64) {
    for number in 0u64.. {
        let key = format!("{id:016x}-{number}");
        match number % 8 {
            0..=2 => set(&interfaces, key).await,
            3 => batch(&interfaces, key).await,
            4 => delete(&interfaces, key).await,
            5 => count(&interfaces).await,
            6 => append(&interfaces, key).await,
            _ => enqueue(&interfaces, key).await,
        }
    }
}

async fn set(interfaces: &Interfaces, key: String) {
    let request = SetRequest { key: key.clone().into(), value: value(&key).into(), ttl: None, flags: 0 };
    let answer = interfaces.keyvalue_basic.as_ref().unwrap().set(&context(), request).await.unwrap();
    print_line(format_args!("set {key} {}", answer.revision));
}

async fn batch(interfaces: &Interfaces, key: String) {
    let keys = ["a", "b", "c"].map(|part| format!("{key}-{part}"));
    let items = keys.iter().map(|key| BatchSetItem { key: key.clone().into(), value: value(key).into(), ttl: None, flags: 0 }).collect();
    let answer = interfaces.keyvalue_batch.as_ref().unwrap().batch_set(&context(), BatchSetRequest { items }).await.unwrap();
    for (key, result) in keys.iter().zip(answer.results) {
        print_line(format_args!("set {key} {}", result.revision));
    }
}

async fn delete(interfaces: &Interfaces, key: String) {
    set(interfaces, key.clone()).await;
    // From here on the key may be missing, whether the deletion is acknowledged or not.
    print_line(format_args!("deleting {key}"));
    interfaces.keyvalue_basic.as_ref().unwrap().delete(&context(), DeleteRequest { key: key.clone().into() }).await.unwrap();
    print_line(format_args!("deleted {key}"));
}

/// Adds one to a counter that all tasks share. No acknowledged swap may get lost.
async fn count(interfaces: &Interfaces) {
    let cas = interfaces.keyvalue_cas.as_ref().unwrap();
    let mut expected_revision = 0;
    let mut count = 0u64;
    loop {
        let value = (count + 1).to_be_bytes().to_vec().into();
        let request = CompareAndSwapRequest { key: "count".into(), expected_revision, value, ttl: None, flags: 0 };
        let answer = cas.compare_and_swap(&context(), request).await.unwrap();
        if answer.swapped {
            print_line(format_args!("counted {} {}", count + 1, answer.revision));
            return;
        }
        let request = prism::proto::models::keyvalue::v1::GetRequest { key: "count".into() };
        if let Some(entry) = interfaces.keyvalue_basic.as_ref().unwrap().get(&context(), request).await.unwrap().entry {
            expected_revision = entry.revision;
            count = u64::from_be_bytes(entry.value[..].try_into().unwrap());
        }
    }
}

async fn append(interfaces: &Interfaces, key: String) {
    let request = AppendRequest { stream: "log".into(), payload: value(&key).into(), key: key.clone().into(), ..Default::default() };
    let answer = interfaces.stream_basic.as_ref().unwrap().append(&context(), request).await.unwrap();
    print_line(format_args!("appended {key} {}", answer.offset));
}

async fn enqueue(interfaces: &Interfaces, key: String) {
    let request = EnqueueRequest { queue: "jobs".into(), payload: key.clone().into(), ..Default::default() };
    let answer = interfaces.queue_basic.as_ref().unwrap().enqueue(&context(), request).await.unwrap();
    print_line(format_args!("enqueued {key} {}", answer.message_id));
}
