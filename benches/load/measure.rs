//! Runs h2load, and measures rate and CPU time.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use prism::proto::patterns::keyvalue::v1::{RetrieveRequest, StoreRequest};
use prost::Message;

use crate::Result;

/// Clock ticks per second in `/proc/PID/stat`, on every Linux.
const TICKS: f64 = 100.0;

/// Files with request bodies for h2load.
pub struct Files {
    pub kilobyte: PathBuf,
    pub retrieve: PathBuf,
    pub store: PathBuf,
    pub json: PathBuf,
    pub mapped_json: PathBuf,
}

impl Files {
    pub fn write(folder: &Path) -> Result<Self> {
        let kilobyte = vec![b'x'; 1024];
        let store = StoreRequest { key: "stored".into(), value: kilobyte.clone().into(), ttl: None, flags: 0 };
        let file = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, bytes)?;
            Ok(path)
        };
        Ok(Self {
            kilobyte: file("kilobyte", &kilobyte)?,
            retrieve: file("retrieve", &framed(&RetrieveRequest { key: "greeting".into() }))?,
            store: file("store", &framed(&store))?,
            // 768 bytes are 1 KiB of base64.
            json: file("json", format!("{{\"value\":\"{}\",\"flags\":7}}", "eHh4".repeat(256)).as_bytes())?,
            mapped_json: file("mapped-json", format!("{{\"data\":\"{}\",\"flags\":7}}", "eHh4".repeat(256)).as_bytes())?,
        })
    }
}

/// Encodes a message as a gRPC frame.
fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&[0][..], &size.to_be_bytes(), &bytes].concat()
}

/// The options of h2load for one row.
pub struct Load {
    url: String,
    http1: bool,
    connections: usize,
    streams: usize,
    headers: Vec<String>,
    method: Option<&'static str>,
    body: Option<PathBuf>,
    /// The divisor of the number of requests, for rows that wait for a disk.
    share: u32,
}

/// The result of one run.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Requests per second. The load generator uses the same cores.
    pub rate: f64,
    /// CPU time of the servers for each request, in microseconds.
    pub cpu: f64,
}

impl Load {
    pub fn http1(url: String) -> Self {
        Self { url, http1: true, connections: 32, streams: 1, headers: Vec::new(), method: None, body: None, share: 1 }
    }

    pub fn grpc(url: String, namespace: &str, body: &Path) -> Self {
        let headers = ["content-type: application/grpc", "te: trailers"].map(str::to_owned).to_vec();
        let load = Self { url, http1: false, connections: 8, streams: 32, headers, method: None, body: Some(body.into()), share: 1 };
        load.namespace(namespace)
    }

    pub fn namespace(mut self, name: &str) -> Self {
        self.headers.push(format!("x-prism-namespace: {name}"));
        self
    }

    pub fn put(mut self, body: &Path) -> Self {
        self.method = Some("PUT");
        self.body = Some(body.into());
        self
    }

    pub fn json(mut self) -> Self {
        self.headers.push("content-type: application/json".to_owned());
        self
    }

    /// Sends all requests on one connection.
    pub fn on_one_connection(mut self) -> Self {
        (self.connections, self.streams) = (1, 100);
        self
    }

    pub fn with_fewer_requests(mut self) -> Self {
        self.share = 6;
        self
    }

    /// Sends a few requests; all responses must have status 200.
    pub fn check(&self) -> Result<()> {
        self.h2load(200).map(|_| ())
    }

    pub fn run(&self, requests: u32, servers: &[u32]) -> Result<Sample> {
        let requests = requests / self.share;
        let before = cpu_seconds(servers)?;
        let rate = self.h2load(requests)?;
        let cpu = (cpu_seconds(servers)? - before) / f64::from(requests) * 1e6;
        Ok(Sample { rate, cpu })
    }

    fn h2load(&self, requests: u32) -> Result<f64> {
        let mut command = Command::new("h2load");
        command.args(["-n", &requests.to_string(), "-c", &self.connections.to_string(), "-m", &self.streams.to_string()]);
        if self.http1 {
            command.arg("--h1");
        }
        for header in self.headers.iter().cloned().chain(self.method.map(|method| format!(":method: {method}"))) {
            command.args(["-H", &header]);
        }
        if let Some(body) = &self.body {
            command.arg("-d").arg(body);
        }
        let output = command.arg(&self.url).output().map_err(|error| format!("h2load: {error}; scripts/bench installs it"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let good = text.lines().any(|line| line.starts_with(&format!("status codes: {requests} 2xx")));
        let rate =
            text.lines().find_map(|line| line.strip_prefix("finished in ")?.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok());
        match rate {
            Some(rate) if good => Ok(rate),
            _ => Err(format!("{} did not answer {requests} times with 200:\n{text}", self.url).into()),
        }
    }
}

/// Returns the CPU time of processes until now.
pub fn cpu_seconds(processes: &[u32]) -> Result<f64> {
    let mut ticks = 0.0;
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // Fields 14 and 15 of proc(5) are the CPU times. Field 2, the name, is in parentheses and may contain spaces.
        let fields: Vec<_> = stat.rsplit_once(')').ok_or("no stat")?.1.split_whitespace().collect();
        ticks += fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    }
    Ok(ticks / TICKS)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
