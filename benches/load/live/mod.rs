//! Measures many open connections: the memory of idle ones, and the deliveries of one topic to many subscribers.
//!
//! A delivery is one message for one subscriber. The next message is published when all subscribers have the last one, so nothing is batched, and
//! the time of the slowest delivery is seen. The subscribers run in this process, and only the CPU time of the servers counts.

pub mod bare;
mod subscriber;

use std::{
    env,
    fmt::Write as _,
    fs,
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{runtime::Runtime, task::JoinSet};

use self::subscriber::{Progress, Protocol};
use crate::{
    Result,
    measure::{cpu_seconds, median},
    server::{Server, request},
};

/// Connections that are opened at the same time.
const OPENING: usize = 128;
/// How long all subscribers may take for one message.
const PATIENCE: Duration = Duration::from_mins(1);
/// Bytes of a payload.
const PAYLOAD: usize = 100;

/// What to measure; environment variables set it.
struct Settings {
    idle: usize,
    subscribers: usize,
    messages: usize,
    rounds: usize,
}

impl Settings {
    fn read() -> Self {
        let number = |name: &str, default: usize| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        Self {
            idle: number("IDLE", 10_000).max(1),
            subscribers: number("SUBSCRIBERS", 5000).max(1),
            messages: number("MESSAGES", 50).max(1),
            rounds: number("ROUNDS", 3).max(1),
        }
    }
}

/// The deliveries of one round.
struct Deliveries {
    /// For each second of CPU time of the server.
    per_cpu_second: f64,
    /// From the publication to the subscriber, in milliseconds: the median, and the slowest of 100.
    typical: f64,
    slow: f64,
}

/// Measures all of it, and returns the tables.
pub fn measure(folder: &Path) -> Result<String> {
    let settings = Settings::read();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut text = format!("| {} idle connections | private memory for each |\n|---|---:|\n", settings.idle);
    for (name, protocol) in [
        ("server-sent events, subscribed to a topic", Protocol::Events),
        ("WebSocket, without a call", Protocol::WebSocketWithoutCall),
        ("WebSocket, subscribed to a topic", Protocol::WebSocket),
    ] {
        eprintln!("idle: {name}");
        writeln!(text, "| {name} | {:.1} KB |", idle_kilobytes(&runtime, folder, protocol, settings.idle)?)?;
    }
    let Settings { subscribers, messages, rounds, .. } = settings;
    writeln!(
        text,
        "\nOne topic, {subscribers} subscribers, {messages} messages of {PAYLOAD} bytes. The ratio compares with a program that writes ready frames from a \
         broadcast channel to sockets, in the same round. Medians of {rounds} rounds.\n\n| | deliveries / CPU second | ratio | delivery | slowest of 100 |\n\
         |---|---:|---:|---:|---:|"
    )?;
    for (name, protocol) in [("server-sent events", Protocol::Events), ("WebSocket, JSON", Protocol::WebSocket)] {
        let (mut bare, mut prism) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            eprintln!("round {} of {rounds}: {name}", round + 1);
            bare.push(deliver(&runtime, &bare_server()?, protocol, &settings)?);
            prism.push(deliver(&runtime, &gateway(folder)?, protocol, &settings)?);
        }
        let ratios = prism.iter().zip(&bare).map(|(prism, bare)| prism.per_cpu_second / bare.per_cpu_second);
        let ratio = median(ratios.collect());
        for (who, ratio, rounds) in [("bare broadcast", 1.0, bare), ("Prism", ratio, prism)] {
            let middle = |value: fn(&Deliveries) -> f64| median(rounds.iter().map(value).collect());
            let (rate, typical, slow) = (middle(|round| round.per_cpu_second), middle(|round| round.typical), middle(|round| round.slow));
            writeln!(text, "| {who}, {name} | {rate:.0} | {ratio:.2} | {typical:.1} ms | {slow:.1} ms |")?;
        }
    }
    Ok(text)
}

/// A server under load, and where it is.
pub struct Target {
    server: Server,
    /// Where messages are published.
    publish: &'static str,
}

/// Starts a gateway with one topic.
fn gateway(folder: &Path) -> Result<Target> {
    const CONFIG: &str = "
listeners:
  main: {address: '127.0.0.1:0', max_connections: 100000}
backends: {ram: {type: memory}}
namespaces:
  - {name: orders, pattern: producer, slots: {messaging: ram}, settings: {model: stream}}
  - name: billing
    pattern: consumer
    slots: {messaging: {backend: ram, keyspace: orders}}
    settings: {model: stream}
    limits: {max_streams: 100000, max_concurrent_calls: 100000}
";
    let file = folder.join("live.yaml");
    fs::write(&file, CONFIG)?;
    let server = Server::gateway(&["--config", &file.display().to_string()], "/orders/v1/capabilities")?;
    let target = Target { server, publish: "/orders/v1/topics/eu:publish" };
    // Subscribers over WebSocket know by this message that they have subscribed.
    target.publish()?;
    Ok(target)
}

/// Starts the baseline.
fn bare_server() -> Result<Target> {
    Ok(Target { server: Server::itself(&["--bare-fan-out"])?, publish: "/publish" })
}

impl Target {
    fn publish(&self) -> Result<()> {
        match request(self.server.port, "POST", self.publish, &[b'x'; PAYLOAD])? {
            200 => Ok(()),
            status => Err(format!("publishing was answered with {status}").into()),
        }
    }

    /// Opens connections. They live as long as the result.
    async fn connect(&self, protocol: Protocol, count: usize, progress: &Arc<Progress>) -> Result<JoinSet<()>> {
        let port = self.server.port;
        let opening = stream::iter(0..count).map(|_| subscriber::open(port, protocol)).buffer_unordered(OPENING);
        let tasks = JoinSet::new();
        opening
            .try_fold(tasks, async |mut tasks, subscriber| {
                tasks.spawn(subscriber.run(progress.clone()));
                Ok(tasks)
            })
            .await
    }
}

/// Returns the private memory of a gateway for each idle connection.
fn idle_kilobytes(runtime: &Runtime, folder: &Path, protocol: Protocol, count: usize) -> Result<f64> {
    let target = gateway(folder)?;
    // What the first connections load or allocate for all is not theirs.
    let progress = Arc::default();
    let first = runtime.block_on(target.connect(protocol, 10, &progress))?;
    let before = target.server.memory()?.own;
    let connections = runtime.block_on(target.connect(protocol, count, &progress))?;
    let after = target.server.memory()?.own;
    drop((first, connections));
    Ok((after - before) * 1024.0 / f64::from(u32::try_from(count)?))
}

/// Delivers all messages to all subscribers.
fn deliver(runtime: &Runtime, target: &Target, protocol: Protocol, settings: &Settings) -> Result<Deliveries> {
    let progress = Arc::new(Progress::default());
    let subscribers = runtime.block_on(target.connect(protocol, settings.subscribers, &progress))?;
    let servers = [target.server.pid()];
    let before = cpu_seconds(&servers)?;
    for number in 1..=settings.messages {
        progress.begin(Instant::now());
        target.publish()?;
        let wanted = number * settings.subscribers;
        let complete = runtime.block_on(async { tokio::time::timeout(PATIENCE, progress.reached(wanted)).await });
        complete.map_err(|_| format!("{} of {wanted} deliveries came in time", progress.delivered()))?;
    }
    let cpu = cpu_seconds(&servers)? - before;
    drop(subscribers);
    let mut times = std::mem::take(&mut *progress.times.lock().unwrap_or_else(PoisonError::into_inner));
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(f64::NAN);
    // The operating system counts in hundredths of a second.
    let per_cpu_second = f64::from(u32::try_from(settings.messages * settings.subscribers)?) / cpu.max(0.01);
    Ok(Deliveries { per_cpu_second, typical: at(50), slow: at(99) })
}
