//! Measures the schema registry: rates of registrations and checks, memory for schemas, and listing subjects.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Instant,
};

use crate::{
    Result,
    measure::median,
    server::{Memory, Server},
};

/// Number of concurrent clients.
const CLIENTS: u32 = 8;
/// Number of subjects for the list.
pub const SUBJECTS: u32 = 20_000;

/// The measured values.
pub struct Figures {
    pub memory: Rates,
    pub sqlite: Rates,
    /// Memory of a gateway that starts with 100 stored schemas.
    pub hundred: Memory,
    /// Memory for 1,000 more schemas of 400 bytes each.
    pub thousand_megabytes: f64,
    pub list_milliseconds: f64,
}

/// Calls per second of all [`CLIENTS`] together.
pub struct Rates {
    pub registrations: f64,
    pub same: f64,
    pub checks: f64,
}

/// Returns the request body for a schema: a record with five fields and a number in its name.
pub fn schema(number: u32) -> String {
    let fields: Vec<_> =
        (0..5).map(|field| format!(r#"{{\"name\":\"field_{field}\",\"type\":\"string\",\"doc\":\"what it is for\"}}"#)).collect();
    format!(r#"{{"schema":"{{\"type\":\"record\",\"name\":\"Order{number}\",\"fields\":[{}]}}"}}"#, fields.join(","))
}

pub fn measure(folder: &Path) -> Result<Figures> {
    let memory = rates(&Server::registry(folder, "{type: memory}")?)?;
    let database = folder.join("registry.db");
    let sqlite = rates(&Server::registry(folder, &format!("{{type: sqlite, path: {}}}", database.display()))?)?;

    let stored = folder.join("sizes.db");
    let backend = format!("{{type: sqlite, path: {}}}", stored.display());
    let fill = |from: u32, to: u32| -> Result<Memory> {
        let server = Server::registry(folder, &backend)?;
        let mut client = Client::connect(server.port)?;
        (from..to).try_for_each(|number| client.post(&format!("/subjects/subject-{number}/versions"), &schema(number)).map(drop))?;
        drop(server);
        // Measure a new gateway that loads the stored schemas.
        let server = Server::registry(folder, &backend)?;
        Client::connect(server.port)?.get("/subjects")?;
        server.memory()
    };
    let hundred = fill(0, 100)?;
    let more = fill(100, 2_100)?;

    let server = Server::registry(folder, "{type: memory}")?;
    let schema_body = schema(0);
    calls_per_second(
        server.port,
        |client, number| client.post(&format!("/subjects/subject-{number}/versions"), &schema_body),
        SUBJECTS / CLIENTS,
    )?;
    let mut client = Client::connect(server.port)?;
    let mut times = Vec::new();
    for _ in 0..9 {
        let began = Instant::now();
        let list = client.get("/subjects")?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        if list.matches("subject-").count() != SUBJECTS as usize {
            return Err("the list is incomplete".into());
        }
    }
    let thousand_megabytes = (more.own - hundred.own) / 2.0;
    Ok(Figures { memory, sqlite, hundred, thousand_megabytes, list_milliseconds: median(times) })
}

fn rates(server: &Server) -> Result<Rates> {
    let each = 250;
    let registrations =
        calls_per_second(server.port, |client, number| client.post(&format!("/subjects/s-{number}/versions"), &schema(number)), each)?;
    let same =
        calls_per_second(server.port, |client, number| client.post(&format!("/subjects/s-{number}/versions"), &schema(number)), each)?;
    let check = |client: &mut Client, number| client.post(&format!("/compatibility/subjects/s-{number}/versions/latest"), &schema(number));
    Ok(Rates { registrations, same, checks: calls_per_second(server.port, check, each)? })
}

/// Runs `each` calls with different numbers in each client, and returns the calls per second of all clients together.
fn calls_per_second(port: u16, call: impl Fn(&mut Client, u32) -> Result<String> + Sync, each: u32) -> Result<f64> {
    let began = Instant::now();
    let done = std::thread::scope(|scope| {
        let run = |client: u32| {
            let call = &call;
            scope.spawn(move || -> std::result::Result<(), String> {
                let mut connection = Client::connect(port).map_err(|error| error.to_string())?;
                (0..each).try_for_each(|number| call(&mut connection, client * each + number).map(drop)).map_err(|error| error.to_string())
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(run).collect();
        clients
            .into_iter()
            .map(|client| client.join().map_err(|_| "a client panicked".to_owned())?)
            .collect::<std::result::Result<Vec<_>, _>>()
    });
    done?;
    Ok(f64::from(each * CLIENTS) / began.elapsed().as_secs_f64())
}

/// A connection that is kept open.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub fn get(&mut self, path: &str) -> Result<String> {
        self.send("GET", path, "")
    }

    pub fn post(&mut self, path: &str, body: &str) -> Result<String> {
        self.send("POST", path, body)
    }

    /// Returns the body of a response with status 200.
    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<String> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let (mut status, mut length) = (String::new(), 0);
        self.0.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        let answer = String::from_utf8(answer)?;
        if status.contains(" 200 ") { Ok(answer) } else { Err(format!("{method} {path}: {status} {answer}").into()) }
    }
}

/// Writes the configuration of a gateway with one schema registry.
pub fn config(folder: &Path, backend: &str) -> Result<String> {
    let text = format!(
        "backends:\n  store: {backend}\nnamespaces:\n  - name: registry\n    pattern: schema-registry\n    slots: {{storage: store}}\n    \
         frontends: [{{frontend: confluent-schema-registry, base_path: /}}]\n"
    );
    let file = folder.join("registry.yaml");
    fs::write(&file, text)?;
    Ok(file.display().to_string())
}
