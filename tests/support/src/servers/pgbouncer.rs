//! Starts `pgbouncer` of the Debian package.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    postgres::{Postgres, run_as, server_user},
    process::{Process, free_port},
};

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A PgBouncer with `pool_mode = transaction` and two connections to a server.
pub struct PgBouncer {
    port: u16,
    _folder: TempDir,
    _process: Process,
}

impl PgBouncer {
    /// Starts one in front of a server that needs no password.
    pub fn start(server: &Postgres) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("pgbouncer can't be prepared: {error}");
        let folder = TempDir::new().map_err(text)?;
        let user = server_user(folder.path())?;
        let port = free_port()?;
        let configuration = folder.path().join("pgbouncer.ini");
        let lines = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user=prism\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n",
            server.port()
        );
        fs::write(&configuration, lines).map_err(text)?;
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).map_err(text)?;
        }
        let log = folder.path().join("pgbouncer.log");
        let (program, arguments) = run_as(user, "/usr/sbin/pgbouncer".to_owned(), &[configuration.to_string_lossy().into_owned()]);
        let process = Process::start(&program, &arguments, &log.to_string_lossy())?;
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if began.elapsed() > START_TIMEOUT {
                return Err(format!("pgbouncer does not start: {}", fs::read_to_string(&log).unwrap_or_default()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { port, _folder: folder, _process: process })
    }

    /// `postgresql://prism@127.0.0.1:PORT/postgres`
    pub fn url(&self) -> String {
        format!("postgresql://prism@127.0.0.1:{}/postgres", self.port)
    }
}
