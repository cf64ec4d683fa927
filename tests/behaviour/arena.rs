//! Runs the cases. Each kind of backend is started when its first case runs.

use std::{
    any::Any,
    cell::RefCell,
    collections::HashMap,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use libtest_mimic::Failed;
use prism::driver::{Backend, BackendSettings, KINDS, Kind};
use serde_json::{Map, Value, json};
use test_support::servers::{Kafka, Nats, Postgres, Redis, S3};
use tokio::runtime::Runtime;

use crate::{
    subject::Subject,
    suite::{Case, Suite},
};

/// Maximum time of one case, so that a case that hangs fails with its name.
const CASE_TIMEOUT: Duration = Duration::from_mins(3);

/// A backend to connect to: its settings, and a server or folder that must live as long as the backend.
type BackendSetup = Result<(Value, Box<dyn Any + Send + Sync>), String>;

/// How to start a backend for tests.
pub struct Recipe {
    /// Name of the kind.
    pub kind: &'static str,
    /// Whether several gateways can work on the same data.
    pub shared: bool,
    /// Interfaces that the driver has only because of the settings here.
    pub by_settings: &'static [&'static str],
    make: fn() -> BackendSetup,
}

/// One line for each kind.
pub const RECIPES: &[Recipe] = &[
    Recipe { kind: "memory", shared: false, by_settings: &[], make: memory },
    Recipe { kind: "sqlite", shared: true, by_settings: &[], make: sqlite },
    Recipe { kind: "files", shared: true, by_settings: &[], make: files },
    Recipe { kind: "redis", shared: true, by_settings: &[], make: redis },
    Recipe { kind: "postgres", shared: true, by_settings: &[], make: postgres },
    Recipe { kind: "nats", shared: true, by_settings: &[], make: nats },
    Recipe { kind: "s3", shared: true, by_settings: &["keyvalue_scan"], make: s3 },
    Recipe { kind: "kafka", shared: true, by_settings: &[], make: kafka },
];

/// Returns the interfaces that the keyspaces of a kind have in these tests.
pub fn interfaces(kind: &Kind) -> Vec<&'static str> {
    let by_settings = recipe(kind.name).map_or(&[][..], |recipe| recipe.by_settings);
    (kind.interfaces)().into_iter().chain(by_settings.iter().copied()).collect()
}

/// Returns the recipe of a kind.
pub fn recipe(kind: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.kind == kind)
}

#[expect(clippy::unnecessary_wraps, reason = "all kinds have functions of one type")]
fn memory() -> BackendSetup {
    Ok((json!({}), Box::new(())))
}

fn sqlite() -> BackendSetup {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    // No case crashes the process, so waiting for the disk would take time and prove nothing.
    Ok((json!({"path": folder.path().join("prism.db"), "durability": "normal"}), Box::new(folder)))
}

fn files() -> BackendSetup {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    // No case crashes the process, so waiting for the disk would take time and prove nothing.
    Ok((json!({"path": folder.path().join("blobs"), "durability": "normal"}), Box::new(folder)))
}

fn redis() -> BackendSetup {
    let server = Redis::start()?;
    Ok((json!({"url": server.url()}), Box::new(server)))
}

fn postgres() -> BackendSetup {
    let server = Postgres::start()?;
    Ok((json!({"url": server.url(), "sweep_interval": "100ms"}), Box::new(server)))
}

fn nats() -> BackendSetup {
    let server = Nats::start()?;
    Ok((json!({"url": server.url()}), Box::new(server)))
}

fn s3() -> BackendSetup {
    let server = S3::start()?;
    let (key, secret) = server.credentials();
    // The objects of this server are files, so it does not have all keys that S3 has.
    let settings = json!({
        "url": server.url(), "endpoint": server.endpoint(), "access_key_id": key, "secret_access_key": secret, "escape_keys": true,
        "request_timeout": "60s", "emulate_scan": true,
    });
    Ok((settings, Box::new(server)))
}

fn kafka() -> BackendSetup {
    let server = Kafka::start()?;
    Ok((json!({"url": server.url()}), Box::new(server)))
}

struct Running {
    backend: Arc<dyn Backend>,
    /// A second connection to the same data, as another gateway has it.
    second: Option<Arc<dyn Backend>>,
    _server: Box<dyn Any + Send + Sync>,
}

/// Runs cases.
pub struct Arena {
    // Fields are dropped in order: first the tasks, then the servers that they use.
    runtime: Runtime,
    backends: HashMap<&'static str, OnceLock<Result<Running, String>>>,
    starting: Mutex<()>,
}

thread_local! {
    /// Message and position of the last panic in this thread.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Arena {
    /// Starts no backend yet.
    pub fn new() -> Self {
        panic::set_hook(Box::new(|info| {
            let position = info.location().map(ToString::to_string).unwrap_or_default();
            LAST_PANIC.set(format!("{}\n   at {position}", info.payload_as_str().unwrap_or("a panic without a message")));
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let backends = KINDS.iter().map(|kind| (kind.name, OnceLock::new())).collect();
        Self { runtime, backends, starting: Mutex::new(()) }
    }

    /// Runs one case in a new keyspace.
    pub fn run(&self, kind: &'static Kind, suite: &'static Suite, case: &'static Case) -> Result<(), Failed> {
        let subject = self.subject(kind, &format!("{}-{}", suite.interface, case.name))?;
        self.complete((case.run)(subject))
    }

    /// Runs the work of a case to its end. A panic is its failure.
    pub fn complete(&self, work: impl Future<Output = ()>) -> Result<(), Failed> {
        let work =
            panic::catch_unwind(AssertUnwindSafe(|| self.runtime.block_on(async { tokio::time::timeout(CASE_TIMEOUT, work).await })));
        match work {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(format!("took more than {CASE_TIMEOUT:?}").into()),
            Err(_) => Err(LAST_PANIC.take().into()),
        }
    }

    /// Returns a new keyspace in the kind's backend.
    pub fn subject(&self, kind: &'static Kind, name: &str) -> Result<Subject, Failed> {
        let cell = &self.backends[kind.name];
        let running = {
            // Only one case starts the backend; the others wait for it.
            let _guard = self.starting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            cell.get_or_init(|| self.start(kind))
        };
        let running = running.as_ref().map_err(|error| Failed::from(error.as_str()))?;
        Ok(self.runtime.block_on(async { Subject::new(kind, &running.backend, running.second.as_ref(), name) }))
    }

    fn start(&self, kind: &'static Kind) -> Result<Running, String> {
        let recipe = recipe(kind.name).ok_or_else(|| format!("tests/behaviour/arena.rs has no line for the kind {}", kind.name))?;
        let (values, server) = (recipe.make)()?;
        let connect = async || {
            let values: Map<String, Value> = values.as_object().cloned().unwrap_or_default();
            let backend = (kind.connect)(BackendSettings { name: format!("{}-under-test", kind.name), values }).await?;
            backend.health().await?;
            Ok::<_, prism::call::Error>(backend)
        };
        let backends = self.runtime.block_on(async {
            let backend = connect().await?;
            Ok::<_, prism::call::Error>((backend, if recipe.shared { Some(connect().await?) } else { None }))
        });
        let (backend, second) = backends.map_err(|error| format!("{} does not connect: {error}", kind.name))?;
        Ok(Running { backend, second, _server: server })
    }
}
