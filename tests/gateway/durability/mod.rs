//! SQLite survives repeated `kill -9` during writes without losing an acknowledged write.
//!
//! In each round, the test starts itself as a child process that writes through the driver and prints each acknowledgement. The test
//! kills the child at a random moment, opens the file, and checks that it contains everything that was ever acknowledged.

mod ledger;
mod writer;

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use ledger::Ledger;
use prism::{
    call::Context,
    driver::{Backend, BackendSettings, Keyspace, kind},
    proto::Interfaces,
};
use rand::Rng as _;
use serde_json::json;

/// Tells the child which file to write. Without this variable, the child's test does nothing.
const FILE: &str = "PRISM_DURABILITY_FILE";
const ROUNDS: u32 = 20;

/// Opens the file as a backend, and returns its interfaces.
async fn open(path: &Path) -> (Arc<dyn Backend>, Interfaces) {
    let values = json!({"path": path}).as_object().cloned().unwrap();
    let settings = BackendSettings { name: "killed".to_owned(), values };
    let backend = (kind("sqlite").unwrap().connect)(settings).await.unwrap();
    let interfaces = backend.keyspace(&Keyspace { namespace: "n".to_owned(), slot: "s".to_owned() });
    (backend, interfaces)
}

fn context() -> Context {
    Context::internal("n")
}

fn start_child(path: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "durability::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets a child write for a short time, kills it, and returns the complete lines of its output.
fn killed_in_the_middle(path: &Path) -> Vec<String> {
    let mut child = start_child(path);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    // Wait for the first line, then for a random time.
    while !lines.iter().any(|line: &String| line.starts_with(writer::MARK)) {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended by itself");
        lines.push(line);
    }
    let reader = thread::spawn(move || {
        let mut more = Vec::new();
        let mut line = String::new();
        while output.read_line(&mut line).unwrap_or(0) > 0 {
            more.push(std::mem::take(&mut line));
        }
        more
    });
    thread::sleep(Duration::from_micros(rand::rng().random_range(0..250_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    lines.extend(reader.join().unwrap());
    // The kill may have cut off the last line.
    lines.retain(|line| line.ends_with('\n') && line.starts_with(writer::MARK));
    lines
}

#[test]
fn every_acknowledged_write_survives_being_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut ledger = Ledger::default();
    for round in 0..ROUNDS {
        let lines = killed_in_the_middle(&path);
        for line in &lines {
            ledger.note(round, line);
        }
        runtime.block_on(async {
            let (backend, interfaces) = open(&path).await;
            ledger.check(&interfaces).await;
            // In every second round, the write-ahead log is left open as it is, and the next child finds it.
            if round % 2 == 0 {
                backend.close().await;
            }
        });
    }
    println!("{ledger}");
    assert!(ledger.len() > ROUNDS as usize, "the children wrote too little");
}

#[test]
#[ignore = "started by the other test as its child process"]
fn child() {
    let Some(path) = env::var_os(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_backend, interfaces) = open(Path::new(&path)).await;
        writer::write(interfaces).await;
    });
}
