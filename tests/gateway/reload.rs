//! Changes of the configuration while the gateway serves.

use std::{
    fmt::Write as _,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt as _;
use test_support::{
    gateway::Gateway,
    http,
    poll::{until, until_true},
    servers::free_port,
};
use tokio::io::AsyncWriteExt as _;

const BACKENDS: &str = "backends:\n  ram: {type: memory}\n";

fn namespace(name: &str, more: &str) -> String {
    format!("  - {{name: {name}, pattern: keyvalue, slots: {{storage: ram}}{more}}}\n")
}

fn config(namespaces: &[String]) -> String {
    format!("{BACKENDS}namespaces:\n{}", namespaces.concat())
}

/// Replaces the configuration, as editors do: with a new file of the same name.
fn write(gateway: &Gateway, text: &str) {
    let folder = gateway.folder();
    fs::write(folder.join("next"), text).unwrap();
    fs::rename(folder.join("next"), folder.join("prism.yaml")).unwrap();
}

/// Replaces the configuration, and waits until this generation is served.
async fn reload(gateway: &Gateway, text: &str, generation: usize) {
    write(gateway, text);
    gateway.hang_up();
    let line = format!("generation {generation}:");
    until_true(&line, || gateway.output().contains(&line)).await;
}

async fn status(gateway: &Gateway, path: &str) -> u16 {
    http::get(gateway.address, path).await.unwrap().status
}

#[tokio::test]
async fn changed_files_are_served_without_a_signal() {
    let steady = namespace("steady", "");
    let gateway = Gateway::start(&config(std::slice::from_ref(&steady))).await;
    assert_eq!(status(&gateway, "/more/v1/keys").await, 404);
    write(&gateway, &config(&[steady.clone(), namespace("more", "")]));
    until("added", || async { if status(&gateway, "/more/v1/keys").await == 200 { Ok(()) } else { Err(gateway.log()) } }).await;
    until_true("printed", || gateway.output().contains("generation 2: namespaces +more (")).await;

    // A mistake changes nothing, and is reported as `prism validate` reports it.
    write(&gateway, &config(&[steady.clone(), namespace("more", ", limits: {max_streams: 0}")]));
    until_true("reported", || gateway.log().contains("`max_streams` must be a whole number greater than 0")).await;
    assert!(gateway.log().contains("the previous configuration is still served"), "{}", gateway.log());
    assert_eq!(status(&gateway, "/more/v1/keys").await, 200);
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("prism_config_generation 2\n"), "{metrics}");
    assert!(!metrics.contains("prism_config_last_failure_timestamp_seconds 0\n"), "{metrics}");

    write(&gateway, &config(&[steady]));
    until("removed", || async { if status(&gateway, "/more/v1/keys").await == 404 { Ok(()) } else { Err(gateway.log()) } }).await;
    until_true("printed", || gateway.output().contains("generation 3: namespaces -more (")).await;
    until("forgotten", || async {
        let metrics = gateway.metrics().await;
        if metrics.contains("namespace=\"more\"") { Err(metrics) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn listeners_are_added_and_removed() {
    let listeners = |more: &str| format!("listeners:\n  main: {{address: 127.0.0.1:8980}}\n{more}{}", config(&[namespace("one", "")]));
    let gateway = Gateway::start(&listeners("")).await;
    let port = free_port().unwrap();
    reload(&gateway, &listeners(&format!("  second: {{address: 127.0.0.1:{port}}}\n")), 2).await;
    let second = ([127, 0, 0, 1], port).into();
    assert_eq!(http::get(second, "/one/v1/keys").await.unwrap().status, 200);
    until_true("printed", || gateway.output().contains("generation 2: listeners +second (")).await;
    reload(&gateway, &listeners(""), 3).await;
    until("closed", || async { http::get(second, "/one/v1/keys").await.err().map(drop).ok_or("still open") }).await;
    assert_eq!(status(&gateway, "/one/v1/keys").await, 200);

    // A port that is in use is a problem, and the generation before stays.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    write(&gateway, &listeners(&format!("  second: {{address: {}}}\n", taken.local_addr().unwrap())));
    gateway.hang_up();
    until_true("reported", || gateway.log().contains("listener second: port")).await;
    assert_eq!(status(&gateway, "/one/v1/keys").await, 200);
}

#[tokio::test]
async fn correcting_a_definition_is_enough() {
    let gateway = Gateway::start(&config(&[namespace("steady", "")])).await;
    let definition = |rpc: &str| {
        format!(
            "frontend: notes\nopenapi: notes-api.yaml\npattern: keyvalue\nroutes:\n  read: {{rpc: {rpc}, request: {{key: path.id}}, response: {{body: reply.value}}}}\n"
        )
    };
    let document = "openapi: 3.1.0\ninfo: {title: Notes, version: '1'}\npaths:\n  /notes/{id}:\n    get:\n      operationId: read\n      \
        parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n      responses: {'200': {description: It.}}\n";
    let folder = gateway.folder();
    fs::write(folder.join("notes.yaml"), definition("Retreive")).unwrap();
    fs::write(folder.join("notes-api.yaml"), document).unwrap();
    let file = folder.join("notes.yaml");
    write(
        &gateway,
        &config(&[namespace("steady", ", frontends: [rest, {frontend: notes, base_path: /api}]")])
            .replace("namespaces:", &format!("frontends:\n  notes: {{definition: {}}}\nnamespaces:", file.display())),
    );
    until_true("refused", || gateway.log().contains("Retreive")).await;
    fs::write(&file, definition("Retrieve")).unwrap();
    until_true("served", || gateway.output().contains("generation 2:")).await;
    http::send(gateway.address, "PUT", "/steady/v1/values/a", &[], "text").await.unwrap();
    assert_eq!(status(&gateway, "/api/notes/a").await, 200);
}

/// Reads and writes a namespace, and counts what fails.
async fn load(address: std::net::SocketAddr, task: usize, ends: Arc<AtomicBool>, failures: Arc<AtomicUsize>, calls: Arc<AtomicUsize>) {
    let mut number = 0_u64;
    while !ends.load(Ordering::Relaxed) {
        number += 1;
        let key = format!("/steady/v1/values/k{}", number % 50);
        let once = format!("\"{task}-{number}\"");
        let written = http::send(address, "PUT", &key, &[("idempotency-key", &once)], "value").await;
        let read = http::get(address, &key).await;
        for answer in [written, read] {
            calls.fetch_add(1, Ordering::Relaxed);
            if !answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                eprintln!("{answer:?}");
                failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_namespaces_are_not_disturbed() {
    const GENERATIONS: usize = 200;
    let steady = namespace("steady", "");
    let gateway = Gateway::start(&config(&[steady.clone(), namespace("shaky", "")])).await;
    // Together more than the buffers of a connection, so that both streams are still open when the configuration changes.
    let value = "x".repeat(64 << 10);
    for name in ["steady", "shaky"] {
        for number in 0..300 {
            let path = format!("/{name}/v1/values/large-{number:03}");
            assert_eq!(http::send(gateway.address, "PUT", &path, &[], value.clone()).await.unwrap().status, 200);
        }
    }
    let mut open = http::open(gateway.address, "/steady/v1/keys?prefix=large-").await;
    let mut ended = http::open(gateway.address, "/shaky/v1/keys?prefix=large-").await;
    open.body_mut().frame().await.unwrap().unwrap();
    ended.body_mut().frame().await.unwrap().unwrap();

    let (ends, failures, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let running: Vec<_> =
        (0..2).map(|task| tokio::spawn(load(gateway.address, task, ends.clone(), failures.clone(), calls.clone()))).collect();

    let mut memory = 0;
    for generation in 2..=GENERATIONS {
        let mut namespaces = vec![steady.clone()];
        // Changes `shaky`, adds and removes others.
        namespaces.push(namespace("shaky", &format!(", limits: {{max_concurrent_calls: {}}}", 100 + generation)));
        namespaces.extend((0..generation % 5).map(|number| namespace(&format!("extra-{number}"), "")));
        if generation % 10 == 0 {
            write(&gateway, &config(&[namespace("broken", ", nonsense: 1")]));
            gateway.hang_up();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        reload(&gateway, &config(&namespaces), generation).await;
        if generation == GENERATIONS / 2 {
            memory = gateway.private_memory();
        }
    }
    ends.store(true, Ordering::Relaxed);
    for task in running {
        task.await.unwrap();
    }
    assert_eq!(failures.load(Ordering::Relaxed), 0, "of {} calls", calls.load(Ordering::Relaxed));

    let rest = open.into_body().collect().await.expect("the stream of an unchanged namespace goes on").to_bytes();
    assert!(rest.len() > 300 * value.len() - (1 << 20), "{} bytes", rest.len());
    let text = String::from_utf8(ended.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(text.trim_end().ends_with('}') && text.contains("NAMESPACE_CHANGED"), "{}", &text[text.len().saturating_sub(500)..]);
    let grown = gateway.private_memory().saturating_sub(memory);
    assert!(grown < 8 << 20, "a hundred more generations took {grown} bytes");
}

#[tokio::test]
async fn many_namespaces_are_reached_alike() {
    let mut text = format!("{BACKENDS}namespaces:\n");
    for number in 0..2000 {
        let _ = write!(text, "{}", namespace(&format!("n{number}"), ""));
    }
    let gateway = Gateway::start(&text).await;
    for name in ["n0", "n1999"] {
        assert_eq!(status(&gateway, &format!("/{name}/v1/keys")).await, 200);
    }
    let unknown = http::get(gateway.address, "/n2000/v1/keys").await.unwrap();
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().len() < 500, "an error does not list all namespaces: {}", unknown.text());
}

#[tokio::test]
async fn a_new_namespace_publishes_its_outbox_while_a_call_of_the_old_one_goes_on() {
    let config = |max_backlog: u32| {
        format!(
            "{BACKENDS}shutdown: {{drain_timeout: 5m}}\nnamespaces:\n  - name: shop\n    pattern: keyvalue\n    slots: {{storage: ram, messaging: ram}}\n    \
             settings: {{outbox: {{lease: 5m, max_backlog: {max_backlog}}}}}\n"
        )
    };
    let gateway = Gateway::start(&config(200)).await;
    let publish = async |published: usize| {
        let body = r#"{"thenOperations": [{"publish": {"topic": "orders", "payload": "bmV3"}}]}"#;
        let headers = [("content-type", "application/json")];
        let done = http::send(gateway.address, "POST", "/shop/v1/transactions", &headers, body.to_owned()).await.unwrap();
        assert_eq!(done.status, 200, "{}", done.text());
        let line = format!("prism_outbox_published_total{{namespace=\"shop\"}} {published}");
        until(&line, || async {
            let metrics = gateway.metrics().await;
            if metrics.lines().any(|found| found == line) { Ok(()) } else { Err(metrics) }
        })
        .await;
    };
    publish(1).await;
    // A call whose body does not end.
    let mut call = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /shop/v1/transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    call.write_all(head.as_bytes()).await.unwrap();
    reload(&gateway, &config(300), 2).await;
    publish(2).await;
    drop(call);
}
