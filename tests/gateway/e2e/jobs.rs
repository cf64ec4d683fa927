//! Jobs over REST, gRPC, Connect and `prism call`: each protocol continues what another one began.

use std::{process::Command, str::FromStr as _};

use ::http::uri::PathAndQuery;
use prism::proto::patterns::work_queue::v1::{CompleteRequest, CompleteResponse, TakeRequest, TakeResponse};
use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
};
use tonic::{Request, client::Grpc, transport::Endpoint};
use tonic_prost::ProstCodec;

const CONFIG: &str = "
backends:
  local: {type: sqlite, path: jobs.db}
  ram: {type: memory}
namespaces:
  - {name: jobs, pattern: work-queue, slots: {jobs: local, results: ram}, settings: {max_attempts: 2, retry_delay: 10ms}}
  - {name: plain, pattern: work-queue, slots: {jobs: ram}}
";
const SERVICE: &str = "/prism.patterns.work_queue.v1.WorkQueueService";
const JSON: (&str, &str) = ("content-type", "application/json");

async fn ask(gateway: &Gateway, line: &str, body: impl ToString) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    http::send(gateway.address, method, path, &[JSON], body.to_string()).await.unwrap()
}

#[tokio::test]
async fn a_job_is_submitted_taken_and_completed_over_rest() {
    let gateway = Gateway::start(CONFIG).await;
    let put = http::send(gateway.address, "PUT", "/jobs/v1/queues/photos/jobs/7", &[], "raw bytes").await.unwrap();
    assert_eq!((put.status, put.json()), (200, json!({"id": "7", "duplicate": false})));
    let again = ask(&gateway, "PUT /jobs/v1/queues/photos/jobs/7", "other").await;
    assert_eq!(again.json(), json!({"id": "7", "duplicate": true}));
    let taken = ask(&gateway, "POST /jobs/v1/queues/photos:take", json!({"limit": 10, "wait": "5s"})).await.json();
    let job = &taken["jobs"][0];
    assert_eq!((&job["id"], &job["attempt"], &job["payload"]), (&json!("7"), &json!(1), &json!("cmF3IGJ5dGVz")), "{taken}");
    let failed = ask(&gateway, "POST /jobs/v1/queues/photos:fail", json!({"lease": job["lease"], "failure": "no memory"})).await;
    assert_eq!((failed.status, &failed.json()["dead"]), (200, &json!(false)));
    let taken = ask(&gateway, "POST /jobs/v1/queues/photos:take", json!({"wait": "5s"})).await.json();
    let lease = &taken["jobs"][0]["lease"];
    let extended = ask(&gateway, "POST /jobs/v1/queues/photos:extend", json!({"lease": lease, "progress": "40 %"})).await;
    assert!(extended.json()["leaseExpireTime"].is_string(), "{}", extended.text());
    let counts = ask(&gateway, "GET /jobs/v1/queues/photos", "").await.json();
    assert_eq!(counts, json!({"ready": "0", "leased": "1", "scheduled": "0", "dead": "0"}));
    let done = ask(&gateway, "POST /jobs/v1/queues/photos:complete", json!({"lease": lease, "result": "b2s="})).await;
    assert_eq!((done.status, done.json()), (200, json!({})));
    let job = ask(&gateway, "GET /jobs/v1/queues/photos/jobs/7", "").await.json();
    assert_eq!((&job["completed"], &job["result"], &job["progress"]), (&json!(true), &json!("b2s="), &json!("40 %")));
    assert_eq!((&job["failure"], &job["failedAttempt"]), (&json!("no memory"), &json!(1)));
    let lost = ask(&gateway, "POST /jobs/v1/queues/photos:complete", json!({"lease": lease})).await;
    assert_eq!((lost.status, lost.json()["reason"].clone()), (400, json!("LEASE_LOST")), "{}", lost.text());
    let unknown = ask(&gateway, "GET /jobs/v1/queues/photos/jobs/8", "").await;
    assert_eq!((unknown.status, unknown.json()["reason"].clone()), (404, json!("JOB_NOT_FOUND")));
    let refused = ask(&gateway, "PUT /plain/v1/queues/photos/jobs/7", "x").await;
    assert_eq!((refused.status, refused.json()["reason"].clone()), (501, json!("CAPABILITY_UNAVAILABLE")));
}

#[tokio::test]
async fn dead_jobs_are_redriven_and_discarded_over_rest() {
    let gateway = Gateway::start(CONFIG).await;
    for payload in ["b25l", "dHdv"] {
        assert_eq!(ask(&gateway, "POST /jobs/v1/queues/q/jobs", json!({"payload": payload})).await.status, 200);
        for _ in 0..2 {
            let taken = ask(&gateway, "POST /jobs/v1/queues/q:take", json!({"wait": "5s"})).await.json();
            ask(&gateway, "POST /jobs/v1/queues/q:fail", json!({"lease": taken["jobs"][0]["lease"]})).await;
        }
    }
    let dead = ask(&gateway, "GET /jobs/v1/queues/q/dead?limit=10", "").await.json();
    assert_eq!((&dead["jobs"][0]["payload"], &dead["jobs"][1]["payload"]), (&json!("b25l"), &json!("dHdv")), "{dead}");
    assert_eq!(ask(&gateway, "POST /jobs/v1/queues/q:redrive", json!({"limit": 1})).await.json(), json!({"moved": "1"}));
    assert_eq!(ask(&gateway, "DELETE /jobs/v1/queues/q/dead?limit=10", "").await.json(), json!({"discarded": "1"}));
    let counts = ask(&gateway, "GET /jobs/v1/queues/q", "").await.json();
    assert_eq!(counts, json!({"ready": "1", "leased": "0", "scheduled": "0", "dead": "0"}));
}

#[tokio::test]
async fn each_protocol_continues_the_job_of_another() {
    let gateway = Gateway::start(CONFIG).await;
    // prism call submits,
    let request = json!({"queue": "q", "id": "a", "payload": "aGVsbG8="}).to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_prism"))
        .args(["call", "jobs", "Submit", &request])
        .env("PRISM_ADDRESS", gateway.address.to_string())
        .output()
        .unwrap();
    let submitted: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(submitted["id"], "a", "{output:?}");
    // gRPC takes,
    let mut grpc = Grpc::new(Endpoint::from_shared(gateway.url()).unwrap().connect_lazy());
    grpc.ready().await.unwrap();
    let mut request = Request::new(TakeRequest { queue: "q".to_owned(), ..TakeRequest::default() });
    request.metadata_mut().insert("x-prism-namespace", "jobs".parse().unwrap());
    let path = |rpc: &str| PathAndQuery::from_str(&format!("{SERVICE}/{rpc}")).unwrap();
    let taken = grpc.unary(request, path("Take"), ProstCodec::<_, TakeResponse>::default()).await.unwrap().into_inner();
    assert_eq!(taken.jobs[0].payload, "hello");
    let lease = &taken.jobs[0].lease;
    // Connect extends,
    let extended = ask(&gateway, &format!("POST /jobs{SERVICE}/Extend"), json!({"queue": "q", "lease": lease, "progress": "half"})).await;
    assert_eq!(extended.status, 200, "{}", extended.text());
    // gRPC completes,
    grpc.ready().await.unwrap();
    let request = CompleteRequest { queue: "q".to_owned(), lease: lease.clone(), result: "done".into() };
    let mut request = Request::new(request);
    request.metadata_mut().insert("x-prism-namespace", "jobs".parse().unwrap());
    grpc.unary(request, path("Complete"), ProstCodec::<_, CompleteResponse>::default()).await.unwrap();
    // and REST reads the result.
    let job = ask(&gateway, "GET /jobs/v1/queues/q/jobs/a", "").await.json();
    assert_eq!((&job["completed"], &job["progress"], &job["result"]), (&json!(true), &json!("half"), &json!("ZG9uZQ==")));
}

#[tokio::test]
async fn jobs_survive_a_killed_gateway() {
    let mut gateway = Gateway::start(CONFIG).await;
    for number in 0..10 {
        assert_eq!(ask(&gateway, "POST /jobs/v1/queues/q/jobs", json!({"attributes": {"n": number.to_string()}})).await.status, 200);
    }
    let take = json!({"limit": 5, "leaseDuration": "1s"});
    assert_eq!(ask(&gateway, "POST /jobs/v1/queues/q:take", &take).await.json()["jobs"].as_array().unwrap().len(), 5);
    gateway.kill();
    let gateway = gateway.restart().await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 10 {
        let taken = ask(&gateway, "POST /jobs/v1/queues/q:take", json!({"limit": 10, "wait": "10s"})).await.json();
        let jobs = taken["jobs"].as_array().unwrap().clone();
        assert!(!jobs.is_empty(), "jobs are missing; these came: {seen:?}");
        for job in jobs {
            assert_eq!(ask(&gateway, "POST /jobs/v1/queues/q:complete", json!({"lease": job["lease"]})).await.status, 200);
            seen.insert(job["attributes"]["n"].as_str().unwrap().to_owned());
        }
    }
}
