//! An outage of a server as REST clients of `prism serve` see it.

use std::time::{Duration, Instant};

use test_support::{
    gateway::Gateway,
    http::{self, Answer},
    poll::until,
};

use super::{IN_TIME, Server};

const PATH: &str = "/shop/v1/values/greeting";

async fn store(gateway: &Gateway, value: &'static str) -> Answer {
    http::send(gateway.address, "PUT", PATH, &[], value).await.unwrap()
}

async fn retrieve(gateway: &Gateway) -> Answer {
    http::get(gateway.address, PATH).await.unwrap()
}

/// Repeats a request until the response has the status 200.
async fn until_ok(request: impl AsyncFn() -> Answer) -> Answer {
    let request = &request;
    until("200 OK", || async move {
        let answer = request().await;
        if answer.status == 200 { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await
}

#[track_caller]
fn assert_unavailable(answer: &Answer, began: Instant) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
    assert!(answer.text().contains("BACKEND_UNAVAILABLE"), "{}", answer.text());
    assert!(began.elapsed() < IN_TIME, "answered after {:?}", began.elapsed());
}

/// The server is killed and started again twice. The gateway stays healthy, and recovers without a restart.
pub async fn the_gateway_survives_its_server(server: &mut impl Server) {
    let gateway = Gateway::launch(&format!(
        "backends:\n  cache: {{type: {}, {}}}\n\
         namespaces:\n  - {{name: shop, pattern: keyvalue, slots: {{storage: cache}}}}\n",
        server.kind(),
        server.settings().to_string().trim_matches(['{', '}'])
    ));
    until_ok(async || store(&gateway, "hello").await).await;
    for _ in 0..2 {
        server.kill();
        let killed_at = Instant::now();
        while killed_at.elapsed() < Duration::from_millis(600) {
            let began = Instant::now();
            assert_unavailable(&retrieve(&gateway).await, began);
            let began = Instant::now();
            assert_unavailable(&store(&gateway, "lost").await, began);
        }
        assert_eq!(http::get(gateway.admin, "/healthz").await.unwrap().status, 200, "the gateway itself is healthy");
        server.resume();
        assert_eq!(until_ok(async || retrieve(&gateway).await).await.text(), "hello");
    }
    gateway.ready().await;
}
