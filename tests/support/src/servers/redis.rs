//! Starts `redis-server` of the Debian package.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    certificate::Certificate,
    process::{Process, free_port},
};

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Options of a Redis server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The password that clients must send.
    pub password: Option<String>,
    /// Whether the server listens with TLS on a second port.
    pub tls: bool,
    /// More arguments, such as `--maxmemory` and `10mb`.
    pub arguments: Vec<String>,
}

/// A Redis server with an append-only file in a temporary folder, so that it keeps its data when it is killed and started
/// again.
pub struct Redis {
    options: Options,
    folder: TempDir,
    port: u16,
    tls_port: u16,
    certificate: Option<Certificate>,
    process: Option<Process>,
}

impl Redis {
    /// Starts a server without password and TLS.
    pub fn start() -> Result<Self, String> {
        Self::start_with(Options::default())
    }

    /// Starts a server.
    pub fn start_with(options: Options) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let certificate = if options.tls { Some(Certificate::make(folder.path())?) } else { None };
        let mut redis = Self { options, folder, port: 0, tls_port: 0, certificate, process: None };
        let mut last = String::new();
        for _ in 0..3 {
            (redis.port, redis.tls_port) = (free_port()?, free_port()?);
            match redis.resume() {
                Ok(()) => return Ok(redis),
                Err(error) => last = error,
            }
            redis.kill();
        }
        Err(last)
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `rediss://localhost:PORT`
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.tls_port)
    }

    /// The certificate to trust for [`tls_url`](Self::tls_url).
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.certificate.as_ref().map(|certificate| certificate.certificate.clone())
    }

    /// The plain port.
    pub fn port(&self) -> u16 {
        self.port
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

    /// Starts it again after [`kill`](Self::kill), on the same ports with the same data.
    pub fn resume(&mut self) -> Result<(), String> {
        let log = self.folder.path().join("redis.log");
        self.process = Some(Process::start("redis-server", &self.arguments(), &log.to_string_lossy())?);
        let began = Instant::now();
        while began.elapsed() < START_TIMEOUT {
            if self.answers() {
                return Ok(());
            }
            let text = fs::read_to_string(&log).unwrap_or_default();
            if text.contains("Failed listening") || text.contains("FATAL") || text.contains("Bad directive") {
                return Err(format!("redis-server does not start: {}", tail(&text)));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!("redis-server does not answer within {START_TIMEOUT:?}: {}", tail(&fs::read_to_string(&log).unwrap_or_default())))
    }

    fn arguments(&self) -> Vec<String> {
        let folder = self.folder.path().to_string_lossy().into_owned();
        let port = self.port.to_string();
        let mut arguments = vec!["--port", &port, "--bind", "127.0.0.1", "--dir", &folder, "--save", "", "--appendonly", "yes"];
        // Acknowledged writes survive a kill, but not a power failure.
        arguments.extend(["--appendfsync", "everysec", "--databases", "16"]);
        let mut arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        if let Some(password) = &self.options.password {
            arguments.extend(["--requirepass".to_owned(), password.clone()]);
        }
        if let Some(certificate) = &self.certificate {
            let files = [("--tls-cert-file", &certificate.certificate), ("--tls-key-file", &certificate.key)];
            arguments.extend(["--tls-port".to_owned(), self.tls_port.to_string(), "--tls-auth-clients".to_owned(), "no".to_owned()]);
            for (name, file) in files.into_iter().chain([("--tls-ca-cert-file", &certificate.certificate)]) {
                arguments.extend([name.to_owned(), file.to_string_lossy().into_owned()]);
            }
        }
        arguments.extend(self.options.arguments.iter().cloned());
        arguments
    }

    /// Whether it answers PING with PONG or with a request for the password. While it loads its data, it does not.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(matches!(&answer, b"+PONG" | b"-NOAU"))
        };
        ask().unwrap_or(false)
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
