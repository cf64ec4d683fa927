//! RemoveRange.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use prism::{
    call::Context,
    proto::{models::keyvalue::v1::SetRequest, patterns::keyvalue::v1::*},
};

use super::{Bench, keyvalue::store, reduced::no_batch, refusal};

fn range(prefix: &str, start_key: &str, end_key: &str) -> RemoveRangeRequest {
    RemoveRangeRequest { prefix: prefix.to_owned(), start_key: start_key.to_owned(), end_key: end_key.to_owned(), all: false }
}

fn everything() -> RemoveRangeRequest {
    RemoveRangeRequest { all: true, ..RemoveRangeRequest::default() }
}

impl Bench {
    async fn remove_range(&self, request: RemoveRangeRequest) -> u64 {
        self.call::<RemoveRangeResponse>("RemoveRange", request).await.unwrap().removed
    }

    async fn keys(&self) -> Vec<String> {
        let request = ScanRequest { keys_only: true, ..ScanRequest::default() };
        self.all::<ScanResponse>("Scan", request).await.unwrap().into_iter().map(|one| one.key).collect()
    }
}

#[tokio::test]
async fn removes_what_is_in_the_range() {
    for bench in [Bench::new().await, Bench::reduced(no_batch).await] {
        for (request, removed, left) in [
            (range("b/", "", ""), 3, &["a", "b", "b0", "c", "d"][..]),
            (range("", "b0", ""), 3, &["a", "b", "b/1", "b/2", "b/3"]),
            (range("", "", "b/2"), 3, &["b/2", "b/3", "b0", "c", "d"]),
            (range("", "b/2", "c"), 3, &["a", "b", "b/1", "c", "d"]),
            (range("b/", "b/2", "b/3"), 1, &["a", "b", "b/1", "b/3", "b0", "c", "d"]),
            (range("", "c", "b"), 0, &["a", "b", "b/1", "b/2", "b/3", "b0", "c", "d"]),
            (range("x", "", ""), 0, &["a", "b", "b/1", "b/2", "b/3", "b0", "c", "d"]),
            (everything(), 8, &[]),
        ] {
            for key in ["a", "b", "b/1", "b/2", "b/3", "b0", "c", "d"] {
                bench.store(store(key, "v")).await;
            }
            assert_eq!(bench.remove_range(request.clone()).await, removed, "{request:?}");
            assert_eq!(bench.keys().await, left, "{request:?}");
            assert_eq!(bench.remove_range(request).await, 0);
        }
    }
}

#[tokio::test]
async fn removing_everything_requires_the_all_flag() {
    let bench = Bench::new().await;
    bench.store(store("a", "v")).await;
    let long = "x".repeat(1025);
    for (request, expected) in [
        (range("", "", ""), "INVALID_FIELD all"),
        (RemoveRangeRequest { all: true, ..range("a", "", "") }, "INVALID_FIELD all"),
        (RemoveRangeRequest { all: true, ..range("", "", "z") }, "INVALID_FIELD all"),
        (range(&long, "", ""), "INVALID_KEY prefix"),
        (range("", &long, ""), "INVALID_KEY start_key"),
        (range("", "", &long), "INVALID_KEY end_key"),
    ] {
        let refused = refusal(bench.call::<RemoveRangeResponse>("RemoveRange", request).await);
        assert_eq!(refused, format!("INVALID_ARGUMENT {expected}"));
    }
    assert_eq!(bench.keys().await, ["a"]);
}

#[tokio::test]
async fn keys_that_are_not_utf8_are_not_removed() {
    let bench = Bench::new().await;
    let basic = bench.slot.interfaces.keyvalue_basic.clone().unwrap();
    for key in [&b"a"[..], b"a\xff", b"b", b"\xff"] {
        let request = SetRequest { key: bytes::Bytes::copy_from_slice(key), ..SetRequest::default() };
        basic.set(&Context::internal("test"), request).await.unwrap();
    }
    assert_eq!(bench.remove_range(everything()).await, 2);
    assert_eq!(bench.call::<CountResponse>("Count", CountRequest::default()).await.unwrap().count, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn many_pages_while_others_write() {
    let bench = Arc::new(Bench::new().await);
    for number in 0..2000 {
        bench.store(store(&format!("k/{number:04}"), "v")).await;
    }
    // Two calls remove the same range concurrently. A writer in the range disturbs neither of them.
    let (done, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = tokio::spawn({
        let (bench, done, written) = (bench.clone(), done.clone(), written.clone());
        async move {
            bench.store(store("other", "v")).await;
            while !done.load(Ordering::Relaxed) {
                let number = written.fetch_add(1, Ordering::Relaxed);
                bench.store(store(&format!("k/{:04}/new", number % 2000), "v")).await;
            }
        }
    });
    while written.load(Ordering::Relaxed) < 10 {
        tokio::task::yield_now().await;
    }
    let remove = || {
        let bench = bench.clone();
        tokio::spawn(async move { bench.remove_range(range("k/", "", "")).await })
    };
    let (one, other) = tokio::join!(remove(), remove());
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    let (removed, written) = (one.unwrap() + other.unwrap(), written.load(Ordering::Relaxed));
    assert!((2000..=2000 + written).contains(&removed), "{removed} of 2000 and {written}");
    let left = bench.keys().await;
    assert!(left.iter().all(|key| key == "other" || key.ends_with("/new")), "{left:?}");
    bench.remove_range(range("k/", "", "")).await;
    assert_eq!(bench.keys().await, ["other"]);
}
