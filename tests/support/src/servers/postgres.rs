//! Starts `postgres` of the Debian package.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpStream},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    certificate::Certificate,
    process::{Process, free_port},
};

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Options of a PostgreSQL server.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// The password of the user `prism`; without one, everybody is admitted.
    pub password: Option<String>,
    /// Whether the server admits only connections with TLS and a client certificate.
    pub tls: bool,
    /// More settings, such as `max_connections=5`.
    pub settings: Vec<String>,
}

/// A PostgreSQL server with its data in a temporary folder, so that it keeps them when it is killed and started again. Its superuser is
/// `prism`.
pub struct Postgres {
    options: PostgresOptions,
    folder: TempDir,
    port: u16,
    certificate: Option<Certificate>,
    /// The user that the server runs as, because it refuses to run as root.
    user: Option<(u32, u32)>,
    process: Option<Process>,
    /// How often it was started.
    starts: u32,
}

impl Postgres {
    /// Starts a server without password and TLS.
    pub fn start() -> Result<Self, String> {
        Self::start_with(PostgresOptions::default())
    }

    /// Starts a server.
    pub fn start_with(options: PostgresOptions) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let certificate = if options.tls { Some(Certificate::make(folder.path())?) } else { None };
        let user = server_user(folder.path())?;
        let mut postgres = Self { options, folder, port: 0, certificate, user, process: None, starts: 0 };
        postgres.create_data()?;
        let mut last = String::new();
        for _ in 0..3 {
            postgres.port = free_port()?;
            match postgres.resume() {
                Ok(()) => return Ok(postgres),
                Err(error) => last = error,
            }
            postgres.kill();
        }
        Err(last)
    }

    /// `postgresql://prism@127.0.0.1:PORT/postgres`
    pub fn url(&self) -> String {
        format!("postgresql://prism@127.0.0.1:{}/postgres", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the server, which is also the one that clients must have, and its key.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// Executes SQL as the superuser, and returns what it prints.
    pub fn sql(&self, text: &str) -> Result<String, String> {
        let mut command = Command::new(program("psql")?);
        command.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            "prism",
            "-d",
            "postgres",
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            text,
        ]);
        if let Some(password) = &self.options.password {
            command.env("PGPASSWORD", password);
        }
        output(&mut command).map(|text| text.trim().to_owned())
    }

    /// Kills all processes of the server, as a crash would.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            signal_all("KILL", process.id());
        }
    }

    /// Stops all processes of the server without ending them (SIGSTOP), or lets them continue. It still accepts connections.
    pub fn pause(&self, paused: bool) {
        if let Some(process) = &self.process {
            signal_all(if paused { "STOP" } else { "CONT" }, process.id());
        }
    }

    /// Starts it again after [`kill`](Self::kill), on the same port with the same data.
    pub fn resume(&mut self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            // Processes of a killed server may still write to the log before.
            self.starts += 1;
            let log = self.folder.path().join(format!("postgres-{}.log", self.starts));
            let (program, arguments) = self.command("postgres", &self.arguments())?;
            let process = Process::start(&program, &arguments, &log.to_string_lossy())?;
            let failed = loop {
                let text = fs::read_to_string(&log).unwrap_or_default();
                if text.contains("database system is ready to accept connections") && self.accepts() {
                    self.process = Some(process);
                    return Ok(());
                }
                if text.contains("FATAL:") && !text.contains("starting up") {
                    break text;
                }
                if began.elapsed() > START_TIMEOUT {
                    return Err(format!("postgres does not start within {START_TIMEOUT:?}: {}", tail(&text)));
                }
                thread::sleep(Duration::from_millis(20));
            };
            // Processes of a killed server need a moment to end.
            if !failed.contains("shared memory") && !failed.contains("lock file") {
                return Err(format!("postgres does not start: {}", tail(&failed)));
            }
            drop(process);
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn create_data(&self) -> Result<(), String> {
        let text = |error: std::io::Error| format!("the data of PostgreSQL can't be prepared: {error}");
        let password = self.folder.path().join("password");
        fs::write(&password, self.options.password.as_deref().unwrap_or("none")).map_err(text)?;
        for entry in fs::read_dir(self.folder.path()).map_err(text)? {
            self.give(&entry.map_err(text)?.path()).map_err(text)?;
        }
        self.give(self.folder.path()).map_err(text)?;
        let data = self.data();
        let mut arguments = vec!["-D", &data, "-U", "prism", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"];
        let password = password.to_string_lossy().into_owned();
        let method = if self.options.password.is_some() { "scram-sha-256" } else { "trust" };
        arguments.extend(["-A", method, "--pwfile", &password]);
        let (program, arguments) = self.command("initdb", &arguments.into_iter().map(str::to_owned).collect::<Vec<_>>())?;
        output(Command::new(program).args(arguments).current_dir(self.folder.path()))?;
        if self.options.tls {
            let admitted = "hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n";
            let file = Path::new(&data).join("pg_hba.conf");
            fs::File::create(file).and_then(|mut file| file.write_all(admitted.as_bytes())).map_err(text)?;
        }
        Ok(())
    }

    /// Gives a file or folder to the user of the server, for nobody else to read.
    fn give(&self, path: &Path) -> std::io::Result<()> {
        let mode = if path.is_dir() { 0o755 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        match self.user {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    fn data(&self) -> String {
        self.folder.path().join("data").to_string_lossy().into_owned()
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["-D".to_owned(), self.data()];
        // A killed server loses nothing without fsync; only a power failure would.
        let mut settings =
            vec!["listen_addresses=127.0.0.1".to_owned(), format!("port={}", self.port), "unix_socket_directories=".to_owned()];
        settings.extend(["fsync=off", "logging_collector=off", "log_min_messages=warning", "lc_messages=C"].map(str::to_owned));
        if let Some(Certificate { certificate, key }) = &self.certificate {
            settings.push("ssl=on".to_owned());
            for (name, file) in [("ssl_cert_file", certificate), ("ssl_key_file", key), ("ssl_ca_file", certificate)] {
                settings.push(format!("{name}={}", file.display()));
            }
        }
        settings.extend(self.options.settings.iter().cloned());
        arguments.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        arguments
    }

    /// A program and its arguments, run as the user of the server.
    fn command(&self, name: &str, arguments: &[String]) -> Result<(String, Vec<String>), String> {
        let program = program(name)?.to_string_lossy().into_owned();
        Ok(run_as(self.user, program, arguments))
    }

    fn accepts(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(process) = &self.process else { return };
        // A server that is killed leaves a shared memory segment behind, which nobody would ever use again.
        self.pause(false);
        signal("INT", process.id());
        let began = Instant::now();
        let lock = self.folder.path().join("data/postmaster.pid");
        while lock.exists() && began.elapsed() < STOP_TIMEOUT {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The user and group of a server with its files in a folder that this process has created; `None` if it is the user of this process.
pub(super) fn server_user(folder: &Path) -> Result<Option<(u32, u32)>, String> {
    let is_root = folder.metadata().is_ok_and(|metadata| metadata.uid() == 0);
    Ok(if is_root { Some((id("-u")?, id("-g")?)) } else { None })
}

/// A program and its arguments, run as another user.
pub(super) fn run_as(user: Option<(u32, u32)>, program: String, arguments: &[String]) -> (String, Vec<String>) {
    let Some((user, group)) = user else { return (program, arguments.to_vec()) };
    let switch = [format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned(), program];
    ("setpriv".to_owned(), switch.into_iter().chain(arguments.iter().cloned()).collect())
}

/// The id of the user `postgres` (`-u`) or of its group (`-g`), which the Debian package creates.
fn id(option: &str) -> Result<u32, String> {
    let text = output(Command::new("id").args([option, "postgres"]))?;
    text.trim().parse().map_err(|_| "there is no user postgres; run scripts/install-test-servers".to_owned())
}

/// Finds a program of PostgreSQL. Debian has them in a folder for each version, which is not in PATH.
fn program(name: &str) -> Result<PathBuf, String> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).collect();
    found.sort();
    let in_path = || {
        std::env::var_os("PATH").and_then(|path| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.exists()))
    };
    found.pop().or_else(in_path).ok_or_else(|| format!("{name} is not installed; run scripts/install-test-servers"))
}

fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("can't run {name} ({error}); run scripts/install-test-servers"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

fn signal(name: &str, process: u32) {
    let _ = Command::new("kill").args([format!("-{name}"), process.to_string()]).status();
}

/// Sends a signal to a process and its children.
fn signal_all(name: &str, process: u32) {
    signal(name, process);
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
        signal(name, child);
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
