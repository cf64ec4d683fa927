//! Starts a child process that ends when the test process ends.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
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

/// Returns a port that is free now. If another process takes it before the server does, the caller retries with another port.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| format!("no free port on 127.0.0.1: {error}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
