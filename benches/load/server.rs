//! Starts the processes under load on free ports, and stops them on drop.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use crate::Result;

/// Maximum time until a server responds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Memory in megabytes.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Resident memory, including pages of the program and of libraries, which the system shares between processes.
    pub resident: f64,
    /// Anonymous memory, which only this process uses.
    pub own: f64,
}

pub struct Server {
    child: Child,
    pub port: u16,
    /// The lines of standard output, if it is a pipe.
    lines: Option<Receiver<String>>,
}

impl Server {
    /// Starts this program as the bare route, which also returns `answer` at `/scratch/v1/values/answer`.
    pub fn bare(answer: &str) -> Result<Self> {
        Self::itself(&["--bare", answer])
    }

    /// Starts this program with other arguments. It prints its port.
    pub fn itself(arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let port = line.trim().strip_prefix("port ").ok_or("the baseline printed no port")?.parse()?;
        Ok(Self { child, port, lines: None })
    }

    /// Starts a gateway with one schema registry.
    pub fn registry(folder: &Path, backend: &str) -> Result<Self> {
        Self::gateway(&["--config", &crate::registry::config(folder, backend)?], "/subjects")
    }

    /// Starts a gateway with the embedded configuration.
    pub fn prism(data: &Path) -> Result<Self> {
        Self::gateway(&["--data", &data.display().to_string()], "/default/v1/count")
    }

    /// Starts a gateway with the namespaces of the embedded configuration, a mapped API and a schema registry.
    pub fn mapped(folder: &Path) -> Result<Self> {
        let config = format!(
            "backends:\n  local: {{type: sqlite, path: {}}}\n  memory: {{type: memory}}\nfrontends:\n  mapped: {{definition: {}}}\nnamespaces:\n  \
             - {{name: default, pattern: keyvalue, slots: {{storage: local}}, frontends: [grpc, rest]}}\n  \
             - {{name: scratch, pattern: keyvalue, slots: {{storage: memory}}, frontends: [grpc, rest, mapped]}}\n  \
             - {{name: registry, pattern: schema-registry, slots: {{storage: memory}}, frontends: [{{frontend: confluent-schema-registry, base_path: /registry}}]}}\n",
            folder.join("mapped.db").display(),
            concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/mapped.yaml"),
        );
        let file = folder.join("prism.yaml");
        fs::write(&file, config)?;
        Self::gateway(&["--config", &file.display().to_string()], "/default/v1/count")
    }

    /// Starts a gateway with these arguments, and waits until this path is served.
    pub fn gateway(arguments: &[&str], path: &str) -> Result<Self> {
        Self::gateway_with(arguments, path, Stdio::null())
    }

    /// Starts a gateway whose standard output goes there.
    pub fn gateway_with(arguments: &[&str], path: &str, output: Stdio) -> Result<Self> {
        let (port, admin) = (free_port()?, free_port()?);
        let mut command = Command::new(env::var_os("PRISM").unwrap_or_else(|| env!("CARGO_BIN_EXE_prism").into()));
        if !arguments.contains(&"--config") {
            command.env("PRISM_LISTENERS_REGISTRY_ADDRESS", "127.0.0.1:0");
        }
        let mut child = command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--admin", &format!("127.0.0.1:{admin}")])
            .args(arguments)
            .stdout(output)
            .spawn()?;
        // Read from the start, so that the gateway never blocks on a full pipe.
        let lines = child.stdout.take().map(read_lines);
        let server = Self { child, port, lines };
        server.wait(path)?;
        Ok(server)
    }

    /// Wraps another program, and waits until it listens on `port`.
    pub fn external(child: Child, port: u16, path: &str) -> Result<Self> {
        let server = Self { child, port, lines: None };
        server.wait(path)?;
        Ok(server)
    }

    /// Waits for the next line on standard output that starts with a text. The output must be a pipe.
    pub fn next_line(&self, start: &str) -> Result<String> {
        let lines = self.lines.as_ref().ok_or("the output is not a pipe")?;
        loop {
            let line = lines.recv_timeout(PATIENCE)?;
            if line.starts_with(start) {
                return Ok(line);
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&self, path: &str) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if matches!(request(self.port, "GET", path, b""), Ok(status) if status < 500) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err(format!("nothing answers on port {}", self.port).into())
    }

    pub fn put(&self, namespace: &str, key: &str, value: &[u8]) -> Result<()> {
        match request(self.port, "PUT", &format!("/{namespace}/v1/values/{key}"), value)? {
            200 => Ok(()),
            status => Err(format!("PUT answered {status}").into()),
        }
    }

    /// Returns the memory after one idle second.
    pub fn memory(&self) -> Result<Memory> {
        std::thread::sleep(Duration::from_secs(1));
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let megabytes = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("no {name}"))?;
            Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
        };
        Ok(Memory { resident: megabytes("VmRSS:")?, own: megabytes("RssAnon:")? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Returns the milliseconds from the start of a gateway with an empty data folder to the end of its first response.
pub fn first_answer(folder: &Path) -> Result<f64> {
    let data = tempfile::tempdir_in(folder)?;
    let began = Instant::now();
    let server = Server::prism(data.path())?;
    let took = began.elapsed();
    drop(server);
    Ok(took.as_secs_f64() * 1000.0)
}

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Sends a request, and returns the status.
pub fn request(port: u16, method: &str, path: &str, body: &[u8]) -> Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.split_whitespace().nth(1).ok_or("no answer")?.parse()?)
}
