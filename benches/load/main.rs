//! Measures Prism, a bare axum route and Envoy's transcoder under load. `scripts/bench` installs what this needs, runs it, and writes
//! BENCHMARKS.md.
//!
//! Machines differ and are noisy. So each value is compared with the same value of a baseline in the same round, and the page shows the
//! medians of all rounds. h2load (nghttp2) generates the load. CPU time is what the operating system counts for the server processes.

mod bare;
mod envoy;
mod driver;
mod live;
mod loading;
mod measure;
mod namespaces;
mod registry;
mod report;
mod server;

use std::{env, error::Error};

use measure::{Load, Sample};
use server::Server;

/// The result of the benchmark; any error makes it fail.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One row of the table.
struct Row {
    name: &'static str,
    load: Load,
    /// The processes whose CPU time counts.
    servers: Vec<u32>,
    samples: Vec<Sample>,
    /// Index of the row for the second ratio; 0 means none.
    second_baseline: usize,
}

impl Row {
    fn second_baseline(mut self, row: usize) -> Self {
        self.second_baseline = row;
        self
    }
}

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().collect();
    if let Some(index) = arguments.iter().position(|argument| argument == "--bare") {
        return bare::serve(arguments.get(index + 1).map_or("", String::as_str));
    }
    if arguments.iter().any(|argument| argument == "--bare-fan-out") {
        return live::bare::serve();
    }
    if arguments.iter().any(|argument| argument == "--live") {
        println!("{}", live::measure(tempfile::tempdir()?.path())?);
        return Ok(());
    }
    let number = |name: &str, default: u32| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, requests) = (number("ROUNDS", 5), number("REQUESTS", 60_000));
    if arguments.iter().any(|argument| argument == "--namespaces") {
        let folder = tempfile::tempdir()?;
        let figures = namespaces::measure(folder.path(), &measure::Files::write(folder.path())?, rounds, requests)?;
        println!("{}", report::namespaces(&figures));
        return Ok(());
    }

    let folder = tempfile::tempdir()?;
    let first_answer = (0..5).map(|_| server::first_answer(folder.path())).collect::<Result<Vec<_>>>()?;
    let idle = Server::prism(&folder.path().join("data"))?.memory()?;
    let prism = Server::mapped(folder.path())?;
    let mut client = registry::Client::connect(prism.port)?;
    client.post("/registry/subjects/orders/versions", &registry::schema(1))?;
    let bare = Server::bare(&client.get("/registry/schemas/ids/1")?)?;
    let envoy = envoy::start(folder.path(), prism.port)?;
    for namespace in ["default", "scratch"] {
        prism.put(namespace, "greeting", &[b'x'; 100])?;
    }

    let files = measure::Files::write(folder.path())?;
    let value = |port: u16, namespace: &str| format!("http://127.0.0.1:{port}/{namespace}/v1/values/greeting");
    let json = |port: u16, path: &str| format!("http://127.0.0.1:{port}{path}/v1/keys/greeting");
    let mapped = |path: &str| format!("http://127.0.0.1:{}/mapped/{path}", prism.port);
    let rpc = |rpc: &str| format!("http://127.0.0.1:{}/prism.patterns.keyvalue.v1.KeyValueService/{rpc}", prism.port);
    let (own, both) = (vec![prism.pid()], vec![prism.pid(), envoy.pid()]);
    let row = |name, load, servers: &[u32]| Row { name, load, servers: servers.to_vec(), samples: Vec::new(), second_baseline: 0 };
    let mut rows = vec![
        row("bare axum route, GET 100 bytes", Load::http1(value(bare.port, "scratch")), &[bare.pid()]),
        row("Prism REST GET, raw value, memory", Load::http1(value(prism.port, "scratch")), &own),
        row("Prism REST GET, raw value, SQLite", Load::http1(value(prism.port, "default")), &own),
        row("Prism REST GET, JSON, memory", Load::http1(json(prism.port, "/scratch")), &own),
        row("Prism REST PUT 1 KiB, memory", Load::http1(value(prism.port, "scratch")).put(&files.kilobyte), &own),
        row("Prism REST PUT 1 KiB, SQLite", Load::http1(value(prism.port, "default")).put(&files.kilobyte).with_fewer_requests(), &own),
        row("Prism gRPC Retrieve, memory", Load::grpc(rpc("Retrieve"), "scratch", &files.retrieve), &own),
        row("Prism gRPC Retrieve, SQLite", Load::grpc(rpc("Retrieve"), "default", &files.retrieve), &own),
        row("Prism gRPC Store 1 KiB, memory", Load::grpc(rpc("Store"), "scratch", &files.store), &own),
        row(
            "Prism gRPC Retrieve, memory, one connection",
            Load::grpc(rpc("Retrieve"), "scratch", &files.retrieve).on_one_connection(),
            &own,
        ),
        row("mapped GET, raw value, memory", Load::http1(mapped("raw/greeting")), &own).second_baseline(1),
        row("mapped PUT 1 KiB, memory", Load::http1(mapped("raw/greeting")).put(&files.kilobyte), &own).second_baseline(4),
        row("mapped GET, JSON, memory", Load::http1(mapped("json/greeting")), &own).second_baseline(3),
        row("mapped GET, JSON with three expressions, memory", Load::http1(mapped("expression/greeting")), &own).second_baseline(3),
        row("Prism REST PUT 1 KiB in JSON, memory", Load::http1(json(prism.port, "/scratch")).put(&files.json).json(), &own),
        row("mapped PUT 1 KiB in JSON with a schema, memory", Load::http1(mapped("json/greeting")).put(&files.mapped_json).json(), &own)
            .second_baseline(14),
        row("Envoy transcoder to Prism gRPC, GET JSON, memory", Load::http1(json(envoy.port, "")).namespace("scratch"), &both),
    ];
    rows.push(row(
        "bare axum route, GET the answer of a schema",
        Load::http1(format!("http://127.0.0.1:{}/scratch/v1/values/answer", bare.port)),
        &[bare.pid()],
    ));
    let by_id = format!("http://127.0.0.1:{}/registry/schemas/ids/1", prism.port);
    rows.push(row("registry, GET a schema by its id", Load::http1(by_id), &own).second_baseline(rows.len() - 1));
    for row in &rows {
        row.load.check()?;
    }
    for round in 0..rounds {
        for row in &mut rows {
            eprintln!("round {} of {rounds}: {}", round + 1, row.name);
            row.samples.push(row.load.run(requests, &row.servers)?);
        }
    }
    let facts = report::Facts {
        idle,
        loaded: prism.memory()?,
        first_answer_milliseconds: measure::median(first_answer),
        driver: driver::measure()?,
        loading_milliseconds: loading::measure()?,
        registry: registry::measure(folder.path())?,
        namespaces: namespaces::measure(folder.path(), &files, rounds, requests)?,
        rounds,
        requests,
    };
    println!("{}", report::table(&rows.iter().map(|row| (row.name, &*row.samples, row.second_baseline)).collect::<Vec<_>>(), &facts));
    Ok(())
}
