//! Runs `prism serve` as its users do: as a process, on free ports, with a temporary folder as its working directory.
//!
//! ```ignore
//! let gateway = Gateway::start("").await;                              // with the embedded configuration
//! let gateway = Gateway::start("namespaces: [...]\nbackends: ...").await; // its ports are replaced by free ones
//! gateway.url(); gateway.client("default"); gateway.terminate();
//! ```

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;

use crate::{client::Client, http, poll::until};

/// Longest time from SIGTERM to the end of the process.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// The path of the `prism` that Cargo built for this run of the tests.
pub fn program() -> OsString {
    env::var_os("CARGO_BIN_EXE_prism").expect("CARGO_BIN_EXE_prism is not set; run the tests with cargo test")
}

/// How to start a gateway.
#[derive(Default)]
pub struct Setup<'a> {
    /// Text of its `prism.yaml`. If it is empty, the gateway uses the embedded configuration.
    pub config: &'a str,
    /// More arguments of `prism serve`.
    pub args: &'a [&'a str],
    /// Environment variables.
    pub env: &'a [(&'a str, &'a str)],
    /// What is run instead of `prism`, with the same arguments.
    pub program: Option<&'a Path>,
}

impl Setup<'_> {
    fn command(&self, folder: &Path) -> Command {
        if !self.config.is_empty() {
            fs::write(folder.join("prism.yaml"), self.config).unwrap();
        }
        let mut command = Command::new(self.program.map_or_else(program, |program| program.into()));
        // The embedded configuration has a second listener.
        if !folder.join("prism.yaml").exists() && !self.args.contains(&"--config") {
            command.env("PRISM_LISTENERS_REGISTRY_ADDRESS", "127.0.0.1:0");
        }
        command.arg("serve").args(self.args).current_dir(folder).envs(self.env.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Runs it in a folder where it can't start, and returns its exit status and output.
    pub fn refused(&self, folder: &Path) -> Output {
        self.command(folder).output().unwrap()
    }

    /// Starts it in a new temporary folder, on free ports. Does not wait until it is ready.
    pub fn launch(&self) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let command = self.command(folder.path());
        Gateway::run(folder, command, "127.0.0.1:0")
    }
}

/// A running gateway, which is killed on drop.
pub struct Gateway {
    /// Address of the listener `main`.
    pub address: SocketAddr,
    /// Address of `/healthz`, `/readyz` and `/metrics`.
    pub admin: SocketAddr,
    /// Addresses of all listeners, by name.
    pub listeners: BTreeMap<String, SocketAddr>,
    output: Arc<Mutex<String>>,
    folder: TempDir,
    process: Child,
}

impl Gateway {
    /// Starts a gateway with the text of a `prism.yaml`, and waits until it is ready. An empty text means the embedded configuration.
    pub async fn start(config: &str) -> Self {
        let gateway = Self::launch(config);
        gateway.ready().await;
        gateway
    }

    /// Starts a gateway without waiting until it is ready.
    pub fn launch(config: &str) -> Self {
        Setup { config, ..Setup::default() }.launch()
    }

    /// Starts it again at the same address, with the same folder.
    pub async fn restart(mut self) -> Self {
        let address = self.address.to_string();
        self.kill();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let command = Setup::default().command(folder.path());
        let gateway = Self::run(folder, command, &address);
        gateway.ready().await;
        gateway
    }

    fn run(folder: TempDir, mut command: Command, listen: &str) -> Self {
        let log = File::options().create(true).append(true).open(folder.path().join("prism.log")).unwrap();
        let mut process = command.args(["--listen", listen, "--admin", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let unknown = SocketAddr::from(([0; 4], 0));
        let mut gateway = Self { address: unknown, admin: unknown, listeners: BTreeMap::new(), output: Arc::default(), folder, process };
        // The gateway prints its addresses after it has bound all ports, the one of the admin listener last.
        while gateway.admin.port() == 0 {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "prism serve ended at once:\n{}{}", gateway.output(), gateway.log());
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["listener", name, url] => {
                    gateway.listeners.insert(name.to_owned(), url.rsplit('/').next().unwrap().parse().unwrap());
                }
                ["admin", url, ..] => gateway.admin = url.rsplit('/').next().unwrap().parse().unwrap(),
                _ => {}
            }
            gateway.output.lock().unwrap().push_str(&line);
        }
        gateway.address = gateway.listeners["main"];
        // Keep reading, so that the gateway never blocks on a full pipe.
        let text = gateway.output.clone();
        std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                text.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        gateway
    }

    /// Waits until `/readyz` returns 200.
    pub async fn ready(&self) {
        let readiness = || async {
            match http::get(self.admin, "/readyz").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                other => Err(format!("{other:?}\n{}", self.log())),
            }
        };
        until("ready", readiness).await;
    }

    /// `http://127.0.0.1:PORT` of the listener `main`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A gRPC client of the KeyValue service of a namespace.
    pub fn client(&self, namespace: &str) -> Client {
        Client::new(&self.url(), namespace)
    }

    /// Its working directory: `prism.yaml`, `prism.log`, `prism-data`.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// What it has written to standard output so far: the addresses.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// What it has written to standard error: the log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("prism.log")).unwrap_or_default()
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        http::get(self.admin, "/metrics").await.unwrap().text().to_owned()
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends SIGTERM, and does not wait.
    pub fn signal(&self) {
        self.send_signal("-TERM");
    }

    /// Sends SIGHUP, so that it loads its configuration again.
    pub fn hang_up(&self) {
        self.send_signal("-HUP");
    }

    fn send_signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// The bytes of memory that only this process has.
    pub fn private_memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The most bytes of memory that the process has had so far.
    pub fn peak_memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends SIGTERM, and waits for the end of the process.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal();
        self.ended().await
    }

    /// Waits for the end of the process.
    pub async fn ended(&mut self) -> ExitStatus {
        let began = std::time::Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < END_TIMEOUT, "still running after {END_TIMEOUT:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills the process as a crash would (SIGKILL), and waits for its end.
    pub fn kill(&mut self) {
        // If it has already ended, there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}
