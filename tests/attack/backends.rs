//! Backends that are full or damaged: clients get the right error, and operators are told.

use std::fs;

use test_support::{gateway::Gateway, http, poll::until};

const CONFIG: &str = "
backends: {file: {type: sqlite, path: store.db, max_bytes: 1MiB}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: file}}
";

async fn put(gateway: &Gateway, key: &str, size: usize) -> http::Answer {
    http::send(gateway.address, "PUT", &format!("/store/v1/values/{key}"), &[], vec![b'x'; size]).await.unwrap()
}

fn warnings(gateway: &Gateway) -> Vec<String> {
    gateway.log().lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_full_backend_is_told_and_can_be_emptied() {
    let gateway = Gateway::start(CONFIG).await;
    assert_eq!(put(&gateway, "large", 700_000).await.status, 200);
    for _ in 0..3 {
        let refused = put(&gateway, "another", 700_000).await;
        assert_eq!((refused.status, &refused.json()["reason"]), (429, &"BACKEND_FULL".into()));
        assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
        assert!(
            refused.json()["detail"].as_str().unwrap().contains("remove data, raise max_bytes or free disk space"),
            "{}",
            refused.text()
        );
    }
    let warnings = warnings(&gateway);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("BACKEND_FULL") && warnings[0].contains("backend=file"), "{warnings:?}");
    assert_eq!(http::send(gateway.address, "DELETE", "/store/v1/values/large", &[], "").await.unwrap().status, 200);
    assert_eq!(put(&gateway, "another", 700_000).await.status, 200);
}

#[tokio::test]
async fn a_damaged_backend_is_not_ready() {
    let mut gateway = Gateway::start(CONFIG).await;
    for number in 0..8 {
        assert_eq!(put(&gateway, &number.to_string(), 50_000).await.status, 200);
    }
    // So that everything is in the file, and nothing in its log.
    gateway.terminate().await;
    let path = gateway.folder().join("store.db");
    let mut file = fs::read(&path).unwrap();
    // The first pages have the tables, the last ones the values.
    let half = file.len() / 2;
    file[half..].fill(0xff);
    fs::write(&path, file).unwrap();
    let gateway = gateway.restart().await;
    let mut answers = Vec::new();
    for number in 0..8 {
        answers.push(http::get(gateway.address, &format!("/store/v1/values/{number}")).await.unwrap());
    }
    assert!(answers.iter().any(|answer| answer.status == 500 && answer.json()["reason"] == "DATABASE_DAMAGED"), "{answers:?}");
    let ready = until("not ready", || async {
        let ready = http::get(gateway.admin, "/readyz").await.unwrap();
        if ready.status == 503 { Ok(ready.text().to_owned()) } else { Err(ready.text().to_owned()) }
    })
    .await;
    assert_eq!(ready, "backend file: the database file is damaged; restore it from a backup\n");
    let told = warnings(&gateway).into_iter().filter(|line| line.contains("prism::backend")).collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{told:?}");
}
