//! Measures a gateway with many namespaces.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Result,
    measure::{Files, Load, median},
    server::Server,
};

/// Number of namespaces.
pub const NAMESPACES: u32 = 10_000;

/// The measured values.
pub struct Figures {
    /// From the start of the process to its first response.
    pub start_milliseconds: f64,
    /// From the signal to the end of the change of one namespace, as the gateway prints it, and as an observer sees it.
    pub change_milliseconds: (f64, f64),
    /// Private memory of one namespace that has not been called.
    pub kilobytes: f64,
    /// CPU time of a call of the last namespace compared with one of the first: REST, gRPC.
    pub last_to_first: (f64, f64),
    /// The same for mapped frontends, each on a base path of its own.
    pub mapped: f64,
}

/// Number of mapped frontends.
const MAPPED: u32 = 1000;

fn config(folder: &Path, namespaces: u32, mapped: u32, changed: bool) -> Result<String> {
    let mut text = format!(
        "backends:\n  memory: {{type: memory}}\nfrontends:\n  mapped: {{definition: {}, base_path: '/m/{{namespace}}'}}\nnamespaces:\n",
        concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/mapped.yaml")
    );
    for number in 0..namespaces {
        let frontends = if number < mapped { "grpc, rest, mapped" } else { "grpc, rest" };
        let limits = if changed && number == namespaces / 2 { ", limits: {max_streams: 7}" } else { "" };
        writeln!(text, "  - {{name: n{number}, pattern: keyvalue, slots: {{storage: memory}}, frontends: [{frontends}]{limits}}}")?;
    }
    let file = folder.join("many.yaml");
    fs::write(&file, text)?;
    Ok(file.display().to_string())
}

pub fn measure(folder: &Path, files: &Files, rounds: u32, requests: u32) -> Result<Figures> {
    let alone = Server::gateway(&["--config", &config(folder, 1, 0, false)?], "/n0/v1/count")?.memory()?;
    let file = config(folder, NAMESPACES, 0, false)?;
    let began = Instant::now();
    let many = Server::gateway_with(&["--config", &file], "/n0/v1/count", Stdio::piped())?;
    let start_milliseconds = began.elapsed().as_secs_f64() * 1000.0;
    let kilobytes = (many.memory()?.own - alone.own) * 1024.0 / f64::from(NAMESPACES);

    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for round in 0..rounds.max(3) {
        config(folder, NAMESPACES, 0, round % 2 == 0)?;
        let began = Instant::now();
        Command::new("kill").args(["-HUP", &many.pid().to_string()]).status()?;
        // The change of the file may have been noticed before the signal, and the signal then changes nothing.
        let mut line = many.next_line("generation ")?;
        while !line.contains("namespaces ~") {
            line = many.next_line("generation ")?;
        }
        outside.push(began.elapsed().as_secs_f64() * 1000.0);
        let took = line.rsplit_once('(').and_then(|(_, took)| took.trim().strip_suffix(" ms)")?.parse().ok());
        inside.push(took.ok_or_else(|| format!("no time in {line:?}"))?);
    }

    let last = NAMESPACES - 1;
    let rest = |number: u32| Load::http1(format!("http://127.0.0.1:{}/n{number}/v1/values/greeting", many.port));
    let retrieve = format!("http://127.0.0.1:{}/prism.patterns.keyvalue.v1.KeyValueService/Retrieve", many.port);
    let grpc = |number: u32| Load::grpc(retrieve.clone(), &format!("n{number}"), &files.retrieve);
    for number in [0, last] {
        many.put(&format!("n{number}"), "greeting", &[b'x'; 100])?;
    }
    let own = [many.pid()];
    let rest = compare(&rest(0), &rest(last), rounds, requests, &own)?;
    let grpc = compare(&grpc(0), &grpc(last), rounds, requests, &own)?;

    let mapped = Server::gateway(&["--config", &config(folder, MAPPED, MAPPED, false)?], "/n0/v1/count")?;
    let load = |number: u32| Load::http1(format!("http://127.0.0.1:{}/m/n{number}/raw/greeting", mapped.port));
    for number in [0, MAPPED - 1] {
        mapped.put(&format!("n{number}"), "greeting", &[b'x'; 100])?;
    }
    let mapped = compare(&load(0), &load(MAPPED - 1), rounds, requests, &[mapped.pid()])?;
    Ok(Figures {
        start_milliseconds,
        change_milliseconds: (median(inside), median(outside)),
        kilobytes,
        last_to_first: (rest, grpc),
        mapped,
    })
}

/// Returns the CPU time of the second load compared with the first one.
fn compare(first: &Load, last: &Load, rounds: u32, requests: u32, servers: &[u32]) -> Result<f64> {
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let first = first.run(requests, servers)?.cpu;
        ratios.push(last.run(requests, servers)?.cpu / first);
    }
    Ok(median(ratios))
}
