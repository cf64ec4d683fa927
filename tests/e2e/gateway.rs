//! `prism serve` as its users run it: a process of its own, on free ports, with a temporary folder as its working directory.
//!
//! ```ignore
//! let gateway = Gateway::start("").await;                              // on the embedded defaults
//! let gateway = Gateway::start("namespaces: [...]\nbackends: ...").await; // ports are taken care of
//! gateway.url(); gateway.client("default"); gateway.terminate();
//! ```

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{client::Client, http};

/// How long a gateway may take to be ready, on a machine that is busy with other tests.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// A running gateway. It is killed when this is dropped.
pub struct Gateway {
    /// Where its listener `main` is.
    pub address: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub admin: SocketAddr,
    /// Its standard output, which tells what is reachable where.
    pub banner: String,
    folder: TempDir,
    process: Child,
}

impl Gateway {
    /// Starts one with the text of a `prism.yaml`, and waits until it is ready. Empty: on the embedded defaults.
    pub async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if !config.is_empty() {
            fs::write(folder.path().join("prism.yaml"), config).unwrap();
        }
        let gateway = Self::run(folder, "127.0.0.1:0");
        gateway.ready().await;
        gateway
    }

    /// Starts it again after its end, at the same address and with the same folder.
    pub async fn restart(mut self) -> Self {
        let address = self.address.to_string();
        self.kill();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let gateway = Self::run(folder, &address);
        gateway.ready().await;
        gateway
    }

    fn run(folder: TempDir, listen: &str) -> Self {
        let log = File::options().create(true).append(true).open(folder.path().join("prism.log")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_prism"))
            .args(["serve", "--listen", listen, "--admin", "127.0.0.1:0"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut gateway = Self { address: ([0; 4], 0).into(), admin: ([0; 4], 0).into(), banner: String::new(), folder, process };
        // The lines come when all ports are taken; the last one that is needed is the one of the admin listener.
        while gateway.admin.port() == 0 {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "prism serve ended at once:\n{}{}", gateway.banner, gateway.log());
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["listener", "main", url] => gateway.address = url.rsplit('/').next().unwrap().parse().unwrap(),
                ["admin", url, ..] => gateway.admin = url.rsplit('/').next().unwrap().parse().unwrap(),
                _ => {}
            }
            gateway.banner.push_str(&line);
        }
        // Read on, so that the gateway never waits for somebody to read.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        gateway
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&self) {
        let began = Instant::now();
        loop {
            let answer = http::get(self.admin, "/readyz").await;
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return;
            }
            assert!(began.elapsed() < START_TIMEOUT, "not ready after {START_TIMEOUT:?}: {answer:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("prism.log")).unwrap_or_default()
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
        let began = Instant::now();
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
