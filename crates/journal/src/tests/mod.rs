//! Journals over a storage that fails on demand.

#![allow(clippy::unwrap_used, clippy::pedantic)]

mod disk;
mod faults;
mod gateways;
mod history;
mod ledger;
mod replica;

use std::{sync::Arc, time::Duration};

use self::{
    disk::Disk,
    ledger::{Change, Ledger, Operation, Removed, Stored},
};
use super::{AtomicWrite, JournalOptions, JournalState as _, Plan, Store};
use prism_call::{BackgroundTasks, Context, Error};

type Journal = super::Journal<Ledger>;

/// The interface of the storage that writes atomically.
#[derive(Clone, Copy, Debug)]
enum Step {
    Transactional,
    Cas,
}

const STEPS: [Step; 2] = [Step::Transactional, Step::Cas];

/// Sizes that are so small that snapshots and the like happen all the time.
const SMALL: JournalOptions = JournalOptions {
    inline_bytes: 150,
    snapshot_entries: 8,
    look_entries: 4,
    part_bytes: 300,
    touch_age: Duration::from_millis(500),
    max_age: Duration::from_secs(5),
};

/// Creates the journal of one gateway over the storage.
fn gateway(disk: &Arc<Disk>, step: Step, options: JournalOptions) -> Arc<Journal> {
    gateway_with_tasks(disk, step, options, BackgroundTasks::default())
}

fn gateway_with_tasks(disk: &Arc<Disk>, step: Step, options: JournalOptions, tasks: BackgroundTasks) -> Arc<Journal> {
    let swap = match step {
        Step::Transactional => AtomicWrite::Transactional(disk.clone()),
        Step::Cas => AtomicWrite::Cas(disk.clone()),
    };
    Journal::new(Store { basic: disk.clone(), scan: disk.clone(), swap }, options, tasks)
}

fn context() -> Context {
    Context::internal("test")
}

fn stored(subject: &str, version: u32, id: u32, text: &str) -> Operation {
    let (subject, text) = (subject.to_owned(), text.to_owned());
    Operation { change: Some(Change::Store(Stored { subject, version, id, text })) }
}

/// Plans a registration: version and id.
fn plan(ledger: &Ledger, subject: &str, text: &str) -> Plan<Ledger, (u32, u32)> {
    let known = ledger.id_of(text);
    let versions = ledger.subjects.get(subject);
    if let Some((number, id)) = versions.and_then(|versions| versions.iter().find(|(_, id)| Some(**id) == known)) {
        return (Vec::new(), (*number, *id));
    }
    let next = versions.and_then(|versions| versions.last_key_value()).map_or(0, |(number, _)| *number) + 1;
    let id = known.unwrap_or(ledger.last_id + 1);
    (vec![stored(subject, next, id, text)], (next, id))
}

async fn register(gateway: &Arc<Journal>, subject: &str, text: &str) -> Result<(u32, u32), Error> {
    gateway.change(&context(), |ledger| Ok(plan(ledger, subject, text))).await
}

/// Removes the latest version of a subject. Returns whether there was one.
async fn remove(gateway: &Arc<Journal>, subject: &str) -> Result<bool, Error> {
    let plan = |ledger: &Ledger| {
        let latest = ledger.subjects.get(subject).and_then(|versions| versions.last_key_value()).map(|(number, _)| *number);
        let gone = |version| Operation { change: Some(Change::Remove(Removed { subject: subject.to_owned(), version })) };
        let operations: Vec<_> = latest.map(gone).into_iter().collect();
        let done = !operations.is_empty();
        Ok((operations, done))
    };
    gateway.change(&context(), plan).await
}

/// Returns subject, version, id and text of all versions.
fn everything(ledger: &Ledger) -> Vec<(String, u32, u32, String)> {
    let all = ledger.subjects.iter().flat_map(|(subject, versions)| versions.iter().map(move |(version, id)| (subject, version, id)));
    all.map(|(subject, version, id)| (subject.clone(), *version, *id, ledger.texts[id].clone())).collect()
}

async fn read_all(gateway: &Arc<Journal>) -> Vec<(String, u32, u32, String)> {
    gateway.read_fresh(&context(), everything).await.unwrap()
}

/// Asserts that all gateways and a new one have the same state, and returns its content.
async fn assert_agreement(gateways: &[Arc<Journal>], disk: &Arc<Disk>) -> Vec<(String, u32, u32, String)> {
    let one = gateway(disk, Step::Transactional, SMALL);
    let expected = read_all(&one).await;
    for other in gateways {
        other.refresh(&context()).await.unwrap();
        one.read_known(|state| other.read_known(|theirs| assert!(state == theirs, "{state:#?}\n{theirs:#?}")));
    }
    expected
}

#[tokio::test]
async fn no_snapshot_is_written_after_the_shutdown() {
    let disk = Arc::new(Disk::default());
    let (running, ended) = (BackgroundTasks::default(), BackgroundTasks::default());
    ended.end().await;
    let (one, other) = (
        gateway_with_tasks(&disk, Step::Transactional, SMALL, ended),
        gateway_with_tasks(&disk, Step::Transactional, SMALL, running.clone()),
    );
    for number in 0..16 {
        register(&one, "a", &format!("{number}")).await.unwrap();
    }
    tokio::task::yield_now().await;
    assert_eq!(disk.keys("snapshot/"), Vec::<String>::new());
    other.refresh(&context()).await.unwrap();
    for number in 0..16 {
        register(&other, "b", &format!("{number}")).await.unwrap();
    }
    // The shutdown waits for the task, whether it was dropped or finished its snapshot.
    running.end().await;
    let keys = disk.keys("");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(disk.keys(""), keys);
    assert_eq!(assert_agreement(&[one, other], &disk).await.len(), 32);
}
