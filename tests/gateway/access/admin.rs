//! Who may read the pages of the admin listener.

use std::fs;

use test_support::{gateway::Gateway, http, poll::until};

use super::caller::create_key;

#[tokio::test]
async fn pages_need_credentials_and_health_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key = create_key(&file, &["--subject", "operator"]);
    let open = "backends: {ram: {type: memory}}\nnamespaces: [{name: store, pattern: keyvalue, slots: {storage: ram}}]\n";
    let closed =
        format!("{open}authenticators: {{keys: {{type: api-key, file: '{}'}}}}\nadmin: {{authentication: [keys]}}\n", file.display());
    let gateway = Gateway::start(&closed).await;
    let get = async |path: &str, key: Option<&str>| {
        let headers: Vec<_> = key.map(|key| ("x-api-key", key)).into_iter().collect();
        http::send(gateway.admin, "GET", path, &headers, "").await.unwrap()
    };
    for (path, without, with, wrong) in
        [("/healthz", 200, 200, 200), ("/readyz", 200, 200, 401), ("/metrics", 401, 200, 401), ("/other", 401, 404, 401)]
    {
        let answer = get(path, None).await;
        assert_eq!(answer.status, without, "{path}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), without == 401, "{path}");
        assert_eq!(get(path, Some(&key)).await.status, with, "{path}");
        assert_eq!(get(path, Some("prism_x_y")).await.status, wrong, "{path}");
    }
    assert!(!get("/metrics", None).await.text().contains("prism_"));
    // A reload changes who may read them.
    fs::write(gateway.folder().join("prism.yaml"), open).unwrap();
    until("open", || async {
        match http::get(gateway.admin, "/metrics").await.unwrap().status {
            200 => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

#[tokio::test]
async fn problems_of_backends_are_for_those_who_may_see_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let key = create_key(&file, &["--subject", "operator"]);
    let config = format!(
        "
authenticators: {{keys: {{type: api-key, file: '{}'}}}}
admin: {{authentication: [keys]}}
namespaces: [{{name: away, pattern: keyvalue, remote: {{url: 'http://127.0.0.1:9'}}}}]
",
        file.display()
    );
    let gateway = Gateway::launch(&config);
    let bare = http::get(gateway.admin, "/readyz").await.unwrap();
    assert_eq!((bare.status, bare.text()), (503, "not ready\n"));
    let full = http::send(gateway.admin, "GET", "/readyz", &[("x-api-key", &key)], "").await.unwrap();
    assert!(full.status == 503 && full.text().contains("away"), "{}", full.text());
}
