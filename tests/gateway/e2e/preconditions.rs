//! `If-Match`, `If-None-Match`, 304 and 412, over every driver that keeps values.
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
    servers::Redis,
};

const NAMESPACES: [&str; 3] = ["ram", "disk", "far"];

async fn gateway(redis: &Redis) -> Gateway {
    let backends = format!(
        "backends:\n  ram: {{type: memory}}\n  disk: {{type: sqlite, path: prism-data/p.db}}\n  far: {{type: redis, url: '{}'}}\n",
        redis.url()
    );
    let namespaces = NAMESPACES.map(|name| format!("  - {{name: {name}, pattern: keyvalue, slots: {{storage: {name}}}}}\n")).concat();
    Gateway::start(&format!("{backends}namespaces:\n{namespaces}")).await
}

async fn ask(gateway: &Gateway, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    http::send(gateway.address, method, path, headers, body.to_owned()).await.unwrap()
}

fn tag(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn if_match_replaces_only_the_revision_that_the_client_has_seen() {
    let redis = Redis::start().unwrap();
    let gateway = gateway(&redis).await;
    for namespace in NAMESPACES {
        let path = format!("/{namespace}/v1/values/cart/7");
        let refused = ask(&gateway, "PUT", &path, &[("if-match", "*")], "0").await;
        assert_eq!((refused.status, refused.json()["metadata"]["current_revision"].clone()), (412, "0".into()), "{namespace}");
        let first = tag(&ask(&gateway, "PUT", &path, &[("if-none-match", "*")], "1").await);
        assert_eq!(ask(&gateway, "PUT", &path, &[("if-none-match", "*")], "2").await.status, 412);
        let second = tag(&ask(&gateway, "PUT", &path, &[("if-match", &first)], "2").await);
        let stale = ask(&gateway, "PUT", &path, &[("if-match", &first)], "3").await;
        assert_eq!((stale.status, stale.json()["reason"].clone()), (412, "REVISION_MISMATCH".into()));
        assert_eq!(format!("\"{}\"", stale.json()["metadata"]["current_revision"].as_str().unwrap()), second);
        let third = tag(&ask(&gateway, "PUT", &path, &[("if-match", &format!("{first}, {second}"))], "3").await);
        let fourth = tag(&ask(&gateway, "PUT", &path, &[("if-match", "*")], "4").await);
        assert_ne!(third, fourth);

        let read = ask(&gateway, "GET", &path, &[("if-match", &fourth)], "").await;
        assert_eq!((tag(&read), read.text()), (fourth.clone(), "4"));
        assert_eq!(ask(&gateway, "GET", &path, &[("if-match", &third)], "").await.status, 412);
        assert_eq!(ask(&gateway, "HEAD", &path, &[("if-match", &third)], "").await.status, 412);
        assert_eq!(ask(&gateway, "GET", &path, &[("if-none-match", &fourth)], "").await.status, 304);

        assert_eq!(ask(&gateway, "DELETE", &path, &[("if-match", &third)], "").await.status, 412);
        assert_eq!(ask(&gateway, "DELETE", &path, &[("if-match", &format!("W/{fourth}"))], "").await.status, 412);
        let gone = ask(&gateway, "DELETE", &path, &[("if-match", &fourth)], "").await;
        assert_eq!((gone.status, gone.json()), (200, serde_json::json!({"removed": true})));
        assert_eq!(ask(&gateway, "DELETE", &path, &[("if-match", "*")], "").await.status, 412);
    }
}

#[tokio::test]
async fn one_of_many_concurrent_if_match_writes_succeeds() {
    let redis = Redis::start().unwrap();
    let gateway = gateway(&redis).await;
    for namespace in NAMESPACES {
        let path = format!("/{namespace}/v1/values/counter");
        let seen = tag(&ask(&gateway, "PUT", &path, &[], "0").await);
        for header in [("if-match", seen.as_str()), ("if-none-match", "*")] {
            if header.0 == "if-none-match" {
                assert_eq!(ask(&gateway, "DELETE", &path, &[], "").await.status, 200);
            }
            let headers = [header];
            let writers = (0..16).map(|_| ask(&gateway, "PUT", &path, &headers, "x"));
            let mut statuses: Vec<_> = futures::future::join_all(writers).await.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            assert_eq!((statuses[0], &statuses[1..]), (200, [412; 15].as_slice()), "{namespace} {header:?}");
        }
    }
}
