//! `prism schema` against servers that are not Prism, are slow, or fail.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use test_support::{gateway::Gateway, servers::Certificate};

use super::prism;

/// Starts a server with scripted responses: status, headers and body. Also returns the heads of all requests so far.
fn fake(answer: impl Fn(usize, &str) -> (u16, &'static str, String) + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heads = asked.clone();
    // The thread ends with the test process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let number = heads.lock().unwrap().len();
            let (status, headers, body) = answer(number, head.lines().next().unwrap());
            heads.lock().unwrap().push(head);
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}").unwrap();
        }
    });
    (url, asked)
}

#[test]
fn busy_registry_is_retried_with_credentials() {
    let (url, asked) = fake(|number, _| match number {
        0 => (503, "retry-after: 0\r\n", String::new()),
        1 => (429, "", r#"{"error_code": 429, "message": "slower"}"#.to_owned()),
        _ => (200, "", r#"{"schema": "\"int\""}"#.to_owned()),
    });
    let run = prism(&format!("schema get --id 1 --url {url}/below --user me:secret"));
    assert_eq!((run.code, &*run.stdout), (Some(0), "\"int\"\n"), "{}", run.stderr);
    let heads = asked.lock().unwrap().clone();
    assert_eq!(heads.len(), 3);
    assert!(heads[2].starts_with("GET /below/schemas/ids/1?deleted=false HTTP/1.1\r\n"), "{}", heads[2]);
    assert!(heads[2].contains("authorization: Basic bWU6c2VjcmV0\r\n"), "{}", heads[2]);

    // A registration is not safe to repeat, so it is not retried.
    let (url, asked) = fake(|_, _| (503, "", String::new()));
    let file = tempfile::Builder::new().suffix(".avsc").tempfile().unwrap();
    fs::write(file.path(), "\"int\"").unwrap();
    let run = prism(&format!("schema register a {} --url {url} --token t", file.path().display()));
    assert_eq!(run.code, Some(1));
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert!(asked.lock().unwrap()[0].contains("authorization: Bearer t\r\n"));
}

#[test]
fn registry_errors_and_other_servers_are_distinguished() {
    let stderr_for = |status, headers: &'static str, body: &'static str| {
        let (url, _) = fake(move |_, _| (status, headers, body.to_owned()));
        prism(&format!("schema list --url {url}")).stderr
    };
    assert!(stderr_for(401, "", "").contains("Authenticate with --user NAME:PASSWORD or --token TOKEN."));
    assert!(stderr_for(403, "", r#"{"error_code": 40301, "message": "no"}"#).contains("(403): no\n"));
    assert!(stderr_for(307, "location: http://other/\r\n", "").contains("redirects to http://other/"));
    assert!(stderr_for(404, "", "<html>").contains("answers 404, and a schema registry would not. Check --url"));
    assert!(stderr_for(200, "", "<html>").contains("has an unexpected body"));
    assert!(stderr_for(500, "", r#"{"error_code": 50001, "message": "the store is away"}"#).contains("the store is away (50001)"));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let stderr = prism(&format!("schema list --timeout 200ms --url http://{}", silent.local_addr().unwrap())).stderr;
    assert!(stderr.contains("did not answer within 0.2s; --timeout allows more time"), "{stderr}");
}

/// An older registry has no list of schemas, no contexts, no modes and no keys, and does not say what is deleted.
#[test]
fn an_older_registry_is_exported() {
    let (url, _) = fake(|_, line| {
        let path = line.split(' ').nth(1).unwrap();
        let body = match path {
            "/subjects?deleted=true" => r#"["a", "b"]"#,
            "/subjects?deleted=false" => r#"["a"]"#,
            "/subjects/a/versions?deleted=true" => "[1, 2]",
            "/subjects/a/versions?deleted=false" => "[2]",
            "/subjects/b/versions?deleted=true" => "[1]",
            "/subjects/a/versions/1?deleted=true" => r#"{"subject": "a", "version": 1, "id": 1, "schema": "\"int\""}"#,
            "/subjects/a/versions/2?deleted=true" | "/subjects/a/versions/2?deleted=false" => {
                r#"{"subject": "a", "version": 2, "id": 3, "schema": "\"long\"", "references": null}"#
            }
            "/subjects/b/versions/1?deleted=true" => r#"{"subject": "b", "version": 1, "id": 2, "schemaType": "JSON", "schema": "{}"}"#,
            "/config" => r#"{"compatibilityLevel": "FULL"}"#,
            _ => return (404, "", r#"{"error_code": 404, "message": "HTTP 404 Not Found"}"#.to_owned()),
        };
        (200, "", body.to_owned())
    });
    let run = prism(&format!("schema export --url {url}"));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let schemas: Vec<_> = lines.iter().filter(|line| line["kind"] == "schema").collect();
    let summary =
        |line: &Value| format!("{} {} {} {} {}", line["subject"], line["version"], line["id"], line["schemaType"], line["deleted"]);
    assert_eq!(
        schemas.into_iter().map(summary).collect::<Vec<_>>(),
        [r#""a" 1 1 "AVRO" true"#, r#""a" 2 3 "AVRO" null"#, r#""b" 1 2 "JSON" true"#]
    );
    assert_eq!(lines.iter().filter(|line| line["kind"] == "config" && line["config"]["compatibilityLevel"] == "FULL").count(), 1);
    assert!(
        run.stderr.ends_with("exported 3 versions of 2 subjects (2 softly deleted), 1 configuration, 0 modes, 0 keys\n"),
        "{}",
        run.stderr
    );
}

/// A slow target for imports. It records the order of registrations, and the maximum number of concurrent ones.
#[derive(Default)]
struct Slow {
    schemas: Vec<Value>,
    /// `+` and a name at the start of a registration, `-` and the name at its end.
    log: Vec<String>,
    running: usize,
    most: usize,
    refused: Option<&'static str>,
}

impl Slow {
    fn start(refused: Option<&'static str>) -> (String, Arc<Mutex<Self>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let slow = Arc::new(Mutex::new(Self { refused, ..Self::default() }));
        let seen = slow.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let slow = slow.clone();
                std::thread::spawn(move || Self::answer(&slow, stream.unwrap()));
            }
        });
        (url, seen)
    }

    fn answer(slow: &Mutex<Self>, mut stream: TcpStream) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.to_lowercase().split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let (status, body) = if head.starts_with("POST ") {
            Self::register(slow, path, serde_json::from_slice(&body).unwrap())
        } else if path.starts_with("/schemas?") {
            (200, slow.lock().unwrap().schemas.clone().into())
        } else {
            (200, json!({"mode": "IMPORT"}))
        };
        let body = body.to_string();
        let length = body.len();
        write!(stream, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    }

    fn register(slow: &Mutex<Self>, path: &str, mut body: Value) -> (u16, Value) {
        let subject = path.split('/').nth(2).unwrap().to_owned();
        let name = format!("{subject} {}", body["version"]);
        {
            let mut slow = slow.lock().unwrap();
            slow.log.push(format!("+{name}"));
            slow.running += 1;
            slow.most = slow.most.max(slow.running);
        }
        // Wait for the maximum number of concurrent registrations.
        let late = Instant::now() + Duration::from_secs(5);
        while slow.lock().unwrap().most < 8 && Instant::now() < late {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(20));
        let mut slow = slow.lock().unwrap();
        slow.log.push(format!("-{name}"));
        slow.running -= 1;
        if slow.refused == Some(&name) {
            return (422, json!({"error_code": 42201, "message": "no"}));
        }
        body["subject"] = subject.into();
        slow.schemas.push(body.clone());
        (200, json!({"id": body["id"]}))
    }

    /// Whether one registration ended before the other began.
    fn before(&self, one: &str, other: &str) -> bool {
        let position = |event: String| self.log.iter().position(|known| *known == event).unwrap();
        position(format!("-{one}")) < position(format!("+{other}"))
    }
}

#[test]
fn import_is_concurrent_and_keeps_the_order_of_dependent_schemas() {
    let mut lines = vec![json!({"kind": "registry", "form": 1, "source": "x"})];
    let mut id = 0;
    for version in 1..=3 {
        for subject in 0..12 {
            id += 1;
            let text = json!({"type": "fixed", "name": format!("F{id}"), "size": 1}).to_string();
            let mut line = json!({"kind": "schema", "subject": format!("s{subject}"), "version": version, "id": id, "schema": text});
            // Its reference points to a schema with a higher id.
            if (subject, version) == (0, 1) {
                line["references"] = json!([{"name": "R", "subject": "s11", "version": 1}]);
            }
            lines.push(line);
        }
    }
    lines.push(json!({"kind": "end", "lines": lines.len()}));
    let file = tempfile::Builder::new().suffix(".ndjson").tempfile().unwrap();
    fs::write(file.path(), lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n").unwrap();

    let (url, slow) = Slow::start(None);
    let run = prism(&format!("schema import {} --url {url}", file.path().display()));
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("registered: 36 of 36\n"), "{}", run.stderr);
    let seen = slow.lock().unwrap();
    assert_eq!((seen.schemas.len(), seen.most), (36, 8));
    for subject in 0..12 {
        for version in 1..3 {
            let (one, next) = (format!("s{subject} {version}"), format!("s{subject} {}", version + 1));
            assert!(seen.before(&one, &next), "{one}, {next}: {:?}", seen.log);
        }
    }
    assert!(seen.before("s11 1", "s0 1"), "{:?}", seen.log);

    // A failure ends the import: registrations that have begun are completed, and no others begin.
    let (url, slow) = Slow::start(Some("s5 1"));
    let run = prism(&format!("schema import {} --url {url}", file.path().display()));
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert!(
        run.stderr.contains("subject s5 version 1 (id 6) can't be registered: no (42201)\nThe import is not complete."),
        "{}",
        run.stderr
    );
    let seen = slow.lock().unwrap();
    assert_eq!(seen.running, 0, "{:?}", seen.log);
    assert!(seen.schemas.len() < 24, "{:?}", seen.log);
}

#[test]
fn a_registry_behind_tls() {
    let folder = tempfile::tempdir().unwrap();
    let Certificate { certificate, key } = Certificate::make(folder.path()).unwrap();
    let config = format!(
        "
listeners:
  main: {{tls: {{certificate: '{}', key: '{}'}}}}
backends:
  ram: {{type: memory}}
namespaces:
  - name: schemas
    pattern: schema-registry
    slots: {{storage: ram}}
    frontends: [{{frontend: confluent-schema-registry, base_path: /}}]
",
        certificate.display(),
        key.display()
    );
    let gateway = Gateway::launch(&config);
    let list = |options: &str| prism(&format!("schema list --url https://{} {options}", gateway.address));
    let run = list(&format!("--ca-file {}", certificate.display()));
    assert_eq!((run.code, &*run.stdout), (Some(0), "SUBJECT    VERSION    TYPE    ID\n"), "{}", run.stderr);
    assert!(list("").stderr.contains("use --ca-file"), "{}", list("").stderr);
    assert!(list("--ca-file /no/such.pem").stderr.contains("the CA file /no/such.pem can't be read as PEM: "));
    assert!(list(&format!("--ca-file {}", gateway.folder().join("prism.yaml").display())).stderr.contains("has no certificate"));
}
