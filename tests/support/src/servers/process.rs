//! Starts a child process that ends when the test process ends.

use std::{
    hash::{BuildHasher as _, RandomState},
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    process::{self, Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// A shell between the test process and the server. It kills the server when its standard input closes, which the kernel does even
/// if the test process is killed and can't clean up.
const KEEPER: &str =
    r#"log=$1; shift; "$@" >"$log" 2>&1 </dev/null & server=$!; echo $server; cat >/dev/null; kill -9 $server 2>/dev/null"#;

/// A running server.
pub struct Process {
    keeper: Child,
    /// The process id of the server.
    id: u32,
}

impl Process {
    /// Starts a program of a Debian package with its output in a log file.
    pub fn start(program: &str, arguments: &[String], log: &str) -> Result<Self, String> {
        let installed = Command::new("sh").args(["-c", "command -v \"$1\" >/dev/null", "sh", program]).status();
        if !installed.is_ok_and(|status| status.success()) {
            return Err(format!("{program} is not installed; run scripts/install-test-servers"));
        }
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh", log, program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("can't start {program}: {error}"))?;
        // The shell prints its first line when it is ready to kill the server on the end of its input.
        let mut line = String::new();
        let output = keeper.stdout.take().ok_or("the shell has no output")?;
        BufReader::new(output).read_line(&mut line).map_err(|error| format!("can't start {program}: {error}"))?;
        let id = line.trim().parse().map_err(|_| format!("can't start {program}: it has no process id"))?;
        Ok(Self { keeper, id })
    }

    /// The process id of the server.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Stops it without ending it (SIGSTOP), or lets it continue.
    pub fn pause(&self, paused: bool) {
        self.signal(if paused { "STOP" } else { "CONT" });
    }

    /// Sends a signal. A process that has ended needs none.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").args([&format!("-{name}"), &self.id.to_string()]).status();
    }

    /// Kills the server as a crash would (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.keeper.stdin.take());
        // The process has ended even if this fails.
        let _ = self.keeper.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ports that systems don't give to connections (those of Linux begin at 32768), so that nobody takes the port of a server between its kill
/// and its next start.
const PORTS: Range<u16> = 15_000..32_000;

/// Returns a port that is free now. Each call of a process returns another one. If another process takes it before the server does, the
/// caller retries with another port.
pub fn free_port() -> Result<u16, String> {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    static BEGIN: LazyLock<u16> =
        LazyLock::new(|| u16::try_from(RandomState::new().hash_one(process::id()) % u64::from(u16::MAX)).unwrap_or_default());
    for _ in 0..1000 {
        let number = BEGIN.wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + number % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port on 127.0.0.1".to_owned())
}
