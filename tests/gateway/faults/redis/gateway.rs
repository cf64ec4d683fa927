//! An outage of Redis as REST clients of `prism serve` see it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use test_support::servers::Redis;

use super::super::{IN_TIME, PATIENCE};

/// A running `prism serve`.
struct Gateway {
    process: Child,
    address: SocketAddr,
    admin: SocketAddr,
    /// Kept open, because the gateway may still print.
    _output: Lines<BufReader<ChildStdout>>,
    _folder: TempDir,
}

impl Gateway {
    fn start(redis: &Redis) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("prism.yaml");
        let configuration = format!(
            "listeners:\n  main: {{address: \"127.0.0.1:0\"}}\nadmin: {{address: \"127.0.0.1:0\"}}\n\
             backends:\n  cache: {{type: redis, url: \"{}\"}}\n\
             namespaces:\n  - {{name: shop, pattern: keyvalue, slots: {{storage: cache}}}}\n",
            redis.url()
        );
        fs::write(&file, configuration).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_prism"))
            .args(["serve", "--config"])
            .arg(&file)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            // The log has a line for each failed call.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (mut address, mut admin) = (None, None);
        for line in lines.by_ref() {
            let line = line.expect("a line of output");
            let found = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            if line.trim_start().starts_with("listener") {
                address = found;
            } else if line.trim_start().starts_with("admin") {
                admin = found;
                break;
            }
        }
        Self { process, address: address.expect("a listener"), admin: admin.expect("an admin listener"), _output: lines, _folder: folder }
    }

    /// Returns the status and the whole response in lower case.
    fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, answer)
    }

    fn store(&self, value: &str) -> (u16, String) {
        Self::ask(self.address, "PUT", "/shop/v1/values/greeting", value)
    }

    fn retrieve(&self) -> (u16, String) {
        Self::ask(self.address, "GET", "/shop/v1/values/greeting", "")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // If this fails, the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Repeats a request until the response has this status.
fn until(status: u16, ask: impl Fn() -> (u16, String)) -> String {
    let began = Instant::now();
    loop {
        let (found, answer) = ask();
        if found == status {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{found} instead of {status} after {PATIENCE:?}: {answer}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_gateway_survives_its_server() {
    let mut redis = Redis::start().unwrap();
    let gateway = Gateway::start(&redis);
    until(200, || gateway.store("hello"));
    for _ in 0..2 {
        redis.kill();
        let killed_at = Instant::now();
        while killed_at.elapsed() < Duration::from_millis(600) {
            for ask in [|gateway: &Gateway| gateway.retrieve(), |gateway: &Gateway| gateway.store("lost")] {
                let began = Instant::now();
                let (status, answer) = ask(&gateway);
                assert_eq!(status, 503, "{answer}");
                assert!(answer.contains("\r\nretry-after: "), "{answer}");
                assert!(answer.contains("backend_unavailable"), "{answer}");
                assert!(began.elapsed() < IN_TIME, "answered after {:?}", began.elapsed());
            }
        }
        assert_eq!(Gateway::ask(gateway.admin, "GET", "/healthz", "").0, 200, "the gateway itself is healthy");
        redis.resume().unwrap();
        assert!(until(200, || gateway.retrieve()).ends_with("hello"));
    }
    until(200, || Gateway::ask(gateway.admin, "GET", "/readyz", ""));
}
