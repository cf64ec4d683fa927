use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{printed, prism, refused};

#[test]
fn draft_of_a_planned_pattern_is_generated() {
    let text =
        printed("generate config --draft --pattern=multicast-registry --slot=registry:redis --slot=messaging:nats --namespace=iot-devices");
    assert!(text.contains("namespaces:\n  - name: iot-devices\n    pattern: multicast-registry\n    pattern_version: v1\n"), "{text}");
    assert!(text.contains("      registry:\n        backend: redis\n"), "{text}");
}

#[test]
fn configuration_that_cannot_run_is_refused_with_every_reason() {
    let complaint = refused("generate config --pattern=multicast-registry --slot=registry:redis --slot=mesaging:nats");
    assert!(complaint.contains("pattern `multicast-registry` is planned"), "{complaint}");
    assert!(complaint.contains("unknown slot `mesaging`; did you mean `messaging`?"), "{complaint}");
    assert!(complaint.contains("slot `messaging` is empty"), "{complaint}");
    let complaint = refused("generate config --pattern=keyvalue --slot=storage:postgres");
    assert!(complaint.contains("there is no driver for postgres yet"), "{complaint}");
    let complaint = refused("generate config --pattern=keyvalue --slot=storage:neptune");
    assert!(complaint.contains("slot `storage` needs keyvalue_basic, which the neptune driver does not implement"), "{complaint}");
    assert_eq!(prism("generate config --pattern=keyvalue --slot=storage").code, Some(2));
    assert_eq!(prism("generate config --pattern=keyvalue --slot=storage:memory --namespace=Upper").code, Some(2));
}

#[test]
fn generated_configuration_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    for backend in ["memory", "redis", "sqlite"] {
        let path = folder.path().join(format!("{backend}.yaml"));
        fs::write(&path, printed(&format!("generate config --pattern=keyvalue --slot=storage:{backend}"))).unwrap();
        let text = printed(&format!("validate {}", path.display()));
        assert!(text.contains(&format!("keyvalue_basic           ({backend} implements)")), "{text}");
    }
}

#[test]
fn generated_configuration_runs() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed("generate config --pattern=keyvalue --slot=storage:sqlite --namespace=iot-devices");
    fs::write(folder.path().join("prism.yaml"), text).unwrap();
    let (_gateway, address) = serve(folder.path());
    let put = request(&address, "PUT /iot-devices/v1/values/greeting HTTP/1.1", "hello");
    assert!(put.starts_with("HTTP/1.1 200"), "{put}");
    let get = request(&address, "GET /iot-devices/v1/values/greeting HTTP/1.1", "");
    assert!(get.starts_with("HTTP/1.1 200") && get.ends_with("hello"), "{get}");
}

/// A running gateway, which is killed on drop.
pub struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        // If this fails, the process has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `prism serve` in a folder, and returns the address of its listener.
pub fn serve(folder: &Path) -> (Gateway, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prism"));
    command.args(["serve", "--config", "prism.yaml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut child = command.current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let gateway = Gateway(child);
    let line = out.lines().map(Result::unwrap).find(|line| line.trim_start().starts_with("listener main")).unwrap();
    (gateway, line.rsplit("//").next().unwrap().to_owned())
}

pub fn request(address: &str, line: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    write!(stream, "{line}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
