//! Which faults are tested with which server: the table in `docs/backends/README.md`.
//!
//! A fault is tested with a server if there is a test with the name of the fault in its module.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

const WRITE: &str = "PRISM_WRITE_TABLE";
const DRIVERS: &[&str] = &["redis", "postgres", "nats", "kafka", "s3"];
const BEGIN: &str = "<!-- faults: begin -->\n";
const END: &str = "<!-- faults: end -->";

/// A fault: the name of its tests, the interface of the driver that it needs, and what happens and must hold.
const FAULTS: &[(&str, &str, &str)] = &[
    ("killed_and_started_again_under_load", "", "The server is killed under load and starts again. No acknowledged write is lost."),
    ("a_server_that_is_not_there_yet", "", "The server starts after the gateway."),
    ("a_server_that_hangs", "", "The server stops without closing its connections (SIGSTOP), and continues."),
    ("connections_that_are_cut", "", "Connections are closed again and again, and new ones fail for a while."),
    ("connections_that_stall", "", "Nothing goes through the connections, neither data nor their end."),
    ("credentials_that_are_changed", "", "The server refuses the credentials that it accepted before."),
    ("full_server_refuses_writes_and_serves_reads", "", "The server has no memory or disk left."),
    (
        "the_gateway_survives_its_server",
        "",
        "REST calls of a gateway while its server is killed and starts again; the gateway becomes ready again.",
    ),
    (
        "connections_are_in_the_metrics",
        "",
        "`/metrics` counts the connections, the attempts that fail while the server is killed, and the connections after it has started again.",
    ),
    ("a_watch_outlives_the_server", "keyvalue.watch", "A watch is open while the server is killed; it continues at its position."),
    (
        "a_subscription_continues_after_a_reported_gap",
        "pubsub.basic",
        "A subscription without a store reports that it may have missed messages, and continues.",
    ),
    ("a_durable_subscription_goes_on_where_it_was", "pubsub.persistent", "A durable subscription misses nothing."),
    ("readers_and_members_go_on_where_they_were", "stream.basic", "Readers of streams and members of consumer groups miss nothing."),
    (
        "streams_end_when_the_outage_exceeds_their_patience",
        "stream.basic",
        "Streams end with UNAVAILABLE if the outage lasts longer than `subscriptions.patience`.",
    ),
    (
        "a_killed_gateway_leaves_its_records_to_another",
        "stream.consumer_groups",
        "Two gateways share a consumer group, and one is killed: its records go to the other.",
    ),
    (
        "a_killed_gateway_leaves_its_messages_to_another",
        "queue.visibility",
        "Two gateways share a queue, and one is killed: its messages go to the other.",
    ),
];

/// Returns the names of the tests in a folder.
fn tests(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            if pair[0].starts_with("#[tokio::test") {
                names.extend(pair[1].strip_prefix("async fn ").and_then(|rest| rest.split('(').next()).map(str::to_owned));
            }
        }
    }
    names
}

fn table(root: &Path) -> String {
    let (matrix, _) = prism::yaml::parse(&fs::read_to_string(root.join("registry/matrix.yaml")).unwrap());
    let matrix = matrix.to_json();
    let mut text = format!("| | {} |\n|---|{}\n", DRIVERS.join(" | "), "---|".repeat(DRIVERS.len()));
    let tests: Vec<_> = DRIVERS.iter().map(|driver| tests(&root.join("tests/gateway/faults").join(driver))).collect();
    for (name, interface, what) in FAULTS {
        assert!(tests.iter().any(|tests| tests.contains(*name)), "there is no test {name}");
        let cells = DRIVERS.iter().zip(&tests).map(|(driver, tests)| {
            let (model, part) = interface.split_once('.').unwrap_or_default();
            let is_missing = !interface.is_empty() && matrix["backends"][driver]["interfaces"][model][part] != "implemented";
            match (tests.contains(*name), is_missing) {
                (true, _) => "✓",
                (false, true) => "–",
                (false, false) => "not tested",
            }
        });
        writeln!(text, "| {what} `{name}` | {} |", cells.collect::<Vec<_>>().join(" | ")).unwrap();
    }
    text
}

#[test]
fn the_published_table_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("docs/backends/README.md");
    let published = fs::read_to_string(&path).unwrap();
    let (head, rest) = published.split_once(BEGIN).unwrap();
    let (old, tail) = rest.split_once(END).unwrap();
    let new = format!("\n{}\n", table(root));
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, [head, BEGIN, &new, END, tail].concat()).unwrap();
    } else {
        assert!(old == new, "the table has changed; set {WRITE}=1 to write it");
    }
}
