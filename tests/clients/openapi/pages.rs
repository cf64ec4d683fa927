//! The documents and pages below a base path.

use serde_json::Value;
use test_support::{gateway::Gateway, http};

use super::{BINDINGS, config};

async fn document(gateway: &Gateway, base: &str) -> Value {
    let answer = http::get(gateway.address, &format!("{base}/openapi.json")).await.unwrap();
    assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (200, "application/json"));
    answer.json()
}

#[tokio::test]
async fn json_and_yaml_say_the_same() {
    let gateway = Gateway::start(&config()).await;
    for base in BINDINGS {
        let yaml = http::get(gateway.address, &format!("{base}/openapi.yaml")).await.unwrap();
        assert_eq!(yaml.headers["content-type"], "application/yaml");
        let yaml: Value = serde_saphyr::from_str(yaml.text()).unwrap();
        assert_eq!(yaml, document(&gateway, base).await, "{base}");
    }
}

#[tokio::test]
async fn document_describes_its_own_namespace() {
    let gateway = Gateway::start(&config()).await;
    let (disk, ram) = (document(&gateway, "/disk").await, document(&gateway, "/ram").await);
    assert_eq!((&disk["info"]["title"], &disk["servers"][0]["url"]), (&"KeyValue: disk".into(), &"/disk".into()));
    let most = |document: &Value| document["paths"]["/v1/keys/{key}"]["get"]["parameters"][0]["schema"]["maxLength"].clone();
    assert_eq!((most(&disk), most(&ram)), (1024.into(), 100.into()));
    // The document contains exactly the operations that the namespace supports.
    for (base, document) in [("/disk", &disk), ("/ram", &ram)] {
        let capabilities = http::get(gateway.address, &format!("{base}/v1/capabilities")).await.unwrap().json();
        for operation in capabilities["capabilities"]["operations"].as_array().unwrap() {
            let unavailable = operation["support"] == "SUPPORT_UNAVAILABLE";
            let is_documented = document.to_string().contains(&format!("\"operationId\":{}", operation["rpc"]));
            assert_ne!(is_documented, unavailable, "{base}: {operation}");
        }
    }
}

#[tokio::test]
async fn cached_document_is_answered_with_304() {
    let gateway = Gateway::start(&config()).await;
    for path in ["/disk/openapi.json", "/disk/openapi.yaml", "/disk/docs/", "/disk/docs/swagger-ui-bundle.js"] {
        let first = http::get(gateway.address, path).await.unwrap();
        let tag = first.headers["etag"].to_str().unwrap();
        let again = http::send(gateway.address, "GET", path, &[("if-none-match", tag)], "").await.unwrap();
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let head = http::send(gateway.address, "HEAD", path, &[], "").await.unwrap();
        assert_eq!(head.headers["content-length"].to_str().unwrap(), first.body.len().to_string(), "{path}");
        let post = http::send(gateway.address, "POST", path, &[], "").await.unwrap();
        assert_eq!((post.status, post.headers["allow"].to_str().unwrap()), (405, "GET, HEAD, OPTIONS"), "{path}");
    }
}

/// Returns the values of `src` and `href`.
fn links(html: &str) -> Vec<&str> {
    let parts = html.split(['<', '>']).flat_map(|tag| tag.split(' '));
    parts.filter_map(|part| part.strip_prefix("src=\"").or_else(|| part.strip_prefix("href=\""))?.split('"').next()).collect()
}

#[tokio::test]
async fn documentation_page_loads_no_external_resources() {
    let gateway = Gateway::start(&config()).await;
    let moved = http::get(gateway.address, "/disk/docs").await.unwrap();
    assert_eq!((moved.status, moved.headers["location"].to_str().unwrap()), (308, "docs/"));
    let page = http::get(gateway.address, "/disk/docs/").await.unwrap();
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'; script-src 'self';"));
    let links = links(page.text());
    assert!(links.iter().any(|link| link.ends_with(".js")) && links.iter().any(|link| link.ends_with(".css")), "{links:?}");
    for link in links {
        assert!(!link.contains("//") && !link.starts_with('/'), "{link} points outside of the folder");
        let path = format!("/disk/docs/{}", link.trim_start_matches("./"));
        let file = http::get(gateway.address, &path).await.unwrap();
        assert_eq!((file.status, file.body.is_empty()), (200, false), "{path}");
    }
    // The page has no inline scripts.
    assert!(!page.text().split("<script").skip(1).any(|script| script.starts_with('>')), "{}", page.text());
    let script = http::get(gateway.address, "/disk/docs/swagger-initializer.js").await.unwrap();
    assert!(script.text().contains("../openapi.json"), "{}", script.text());
}

#[tokio::test]
async fn documentation_can_be_left_out() {
    let gateway = Gateway::start(&config()).await;
    for path in ["/silent/openapi.json", "/silent/docs", "/silent/docs/"] {
        assert_eq!(http::get(gateway.address, path).await.unwrap().status, 404, "{path}");
    }
    assert_eq!(http::get(gateway.address, "/silent/v1/keys").await.unwrap().status, 200);
}
