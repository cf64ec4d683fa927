//! `prism serve` as its users run it: a process of its own, on free ports, with a temporary folder as its working directory.
//!
//! ```ignore
//! let gateway = Gateway::start("").await;                              // on the embedded defaults
//! let gateway = Gateway::start("namespaces: [...]\nbackends: ...").await; // ports are taken care of
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

/// How long it may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// The path of the `prism` that Cargo built for this run of the tests.
fn executable() -> OsString {
    env::var_os("CARGO_BIN_EXE_prism").expect("CARGO_BIN_EXE_prism is not set; run the tests with cargo test")
}

/// A gateway that is to be started.
#[derive(Default)]
pub struct Setup<'a> {
    /// Text of its `prism.yaml`; empty: the embedded defaults.
    pub config: &'a str,
    /// More arguments of `prism serve`.
    pub args: &'a [&'a str],
    /// Environment variables.
    pub env: &'a [(&'a str, &'a str)],
}

impl Setup<'_> {
    fn command(&self, folder: &Path) -> Command {
        if !self.config.is_empty() {
            fs::write(folder.join("prism.yaml"), self.config).unwrap();
        }
        let mut command = Command::new(executable());
        // The defaults have a second port.
        if !folder.join("prism.yaml").exists() && !self.args.contains(&"--config") {
            command.env("PRISM_LISTENERS_REGISTRY_ADDRESS", "127.0.0.1:0");
        }
        command.arg("serve").args(self.args).current_dir(folder).envs(self.env.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Runs it in a folder where it can't start, and tells how it ended.
    pub fn refused(&self, folder: &Path) -> Output {
        self.command(folder).output().unwrap()
    }

    /// Starts it in a folder of its own, on free ports.
    pub fn launch(&self) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let command = self.command(folder.path());
        Gateway::run(folder, command, "127.0.0.1:0")
    }
}

/// A running gateway. It is killed when this is dropped.
pub struct Gateway {
    /// Where its listener `main` is.
    pub address: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub admin: SocketAddr,
    /// All listeners by name.
    pub listeners: BTreeMap<String, SocketAddr>,
    output: Arc<Mutex<String>>,
    folder: TempDir,
    process: Child,
}

impl Gateway {
    /// Starts one with the text of a `prism.yaml`, and waits until it is ready. Empty: on the embedded defaults.
    pub async fn start(config: &str) -> Self {
        let gateway = Self::launch(config);
        gateway.ready().await;
        gateway
    }

    /// Starts one that need not get ready.
    pub fn launch(config: &str) -> Self {
        Setup { config, ..Setup::default() }.launch()
    }

    /// Starts it again after its end, at the same address and with the same folder.
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
        // The lines come when all ports are taken; the last one that is needed is the one of the admin listener.
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
        // Read on, so that the gateway never waits for somebody to read.
        let text = gateway.output.clone();
        std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                text.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        gateway
    }

    /// Waits until `/readyz` answers 200.
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

    /// What it has written to standard output by now: what is reachable where.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("prism.log")).unwrap_or_default()
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        http::get(self.admin, "/metrics").await.unwrap().text().to_owned()
    }

    /// Asks it to end (SIGTERM), without waiting.
    pub fn signal(&self) {
        let status = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal();
        self.ended().await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let began = std::time::Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < END_TIMEOUT, "still there after {END_TIMEOUT:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it as a crash would (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended before; then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}
