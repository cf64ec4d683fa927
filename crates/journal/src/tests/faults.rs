//! Writers that fail or stop at each of their steps.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context as Wakes, Poll, Waker},
};

use prost::Message as _;

use super::{disk::Fault, *};
use prism_call::proto::journal::v1::{Entry, Head};

const LARGE: &str =
    "a text that is so long that the operations of its entry are stored aside, since they would make the head too large for its readers";

async fn prepared(step: Step) -> (Arc<Disk>, Arc<Journal>, Arc<Journal>) {
    let disk = Arc::new(Disk::default());
    let (one, other) = (gateway(&disk, step, SMALL), gateway(&disk, step, SMALL));
    register(&one, "a", "first").await.unwrap();
    register(&other, "a", "second").await.unwrap();
    (disk, one, other)
}

/// Asserts that a text is, or can now be, registered with version 3 and id 3, and only once.
async fn assert_registered_once(one: &Arc<Journal>, other: &Arc<Journal>, disk: &Arc<Disk>, text: &str) {
    let before = read_all(other).await;
    let (version, id) = register(other, "a", text).await.unwrap();
    assert_eq!((version, id), (3, 3), "{before:?}");
    assert_eq!(register(one, "a", text).await.unwrap(), (3, 3));
    assert_eq!(register(one, "b", "fourth").await.unwrap(), (1, 4));
    assert_eq!(assert_agreement(&[one.clone(), other.clone()], disk).await.len(), 4);
}

#[tokio::test]
async fn a_write_fails_or_its_response_is_lost() {
    let mut failed = 0;
    for step in STEPS {
        for text in ["third", LARGE] {
            for fault in [Fault::Before, Fault::After] {
                for writes in 0..4 {
                    let (disk, one, other) = prepared(step).await;
                    disk.fail(writes, fault);
                    let done = register(&one, "a", text).await;
                    failed += usize::from(done.is_err());
                    let there = read_all(&other).await.iter().any(|(_, _, _, found)| found == text);
                    assert_eq!(done.is_ok(), there, "{step:?} {text} {fault:?} {writes}: {done:?}");
                    disk.stop_failing();
                    assert_registered_once(&one, &other, &disk, text).await;
                }
            }
        }
    }
    assert!(failed > 10, "{failed}");
}

#[tokio::test]
async fn a_write_of_the_head_whose_response_is_lost_succeeds() {
    for (step, writes) in [(Step::Transactional, 0), (Step::Cas, 1)] {
        let (disk, one, other) = prepared(step).await;
        one.refresh(&context()).await.unwrap();
        disk.fail(writes, Fault::After);
        assert_eq!(register(&one, "a", "third").await.unwrap(), (3, 3));
        assert!(disk.is_idle());
        assert_registered_once(&one, &other, &disk, "third").await;
    }
}

#[tokio::test]
async fn a_failing_storage_is_reported() {
    let (disk, one, _) = prepared(Step::Transactional).await;
    disk.failing.store(100, std::sync::atomic::Ordering::SeqCst);
    let began = std::time::Instant::now();
    // Half of the writes are done although they fail; these registrations succeed.
    let refused = loop {
        if let Err(error) = register(&one, "a", &format!("{:?}", began.elapsed())).await {
            break error;
        }
    };
    assert_eq!(refused.reason(), "BACKEND_UNAVAILABLE");
}

#[tokio::test]
async fn a_writer_stops_at_any_step() {
    for step in STEPS {
        for text in ["third", LARGE] {
            let mut ended = 0;
            for polls in 0.. {
                let (disk, one, other) = prepared(step).await;
                let finished = {
                    let mut work = pin!(register(&one, "a", text));
                    let mut wakes = Wakes::from_waker(Waker::noop());
                    (0..polls).any(|_| matches!(work.as_mut().poll(&mut wakes), Poll::Ready(_)))
                };
                assert_registered_once(&one, &other, &disk, text).await;
                ended += 1;
                if finished {
                    break;
                }
            }
            assert!(ended > 2, "{ended}");
        }
    }
}

#[tokio::test]
async fn concurrent_snapshots_do_not_mix() {
    for step in STEPS {
        for _ in 0..8 {
            let (disk, one, other) = prepared(step).await;
            for number in 0..12 {
                register(&one, "a", &format!("{number}")).await.unwrap();
            }
            other.refresh(&context()).await.unwrap();
            let mine = context();
            let (first, second) = tokio::join!(one.snapshot(&mine), other.snapshot(&mine));
            first.unwrap();
            second.unwrap();
            assert_agreement(&[one.clone(), other], &disk).await;
            // The next compaction removes the snapshot that was not published.
            register(&one, "a", "more").await.unwrap();
            one.snapshot(&context()).await.unwrap();
            let kept: std::collections::BTreeSet<_> = disk.keys("snapshot/").iter().map(|key| key[..58].to_owned()).collect();
            assert_eq!(kept.len(), 1, "{kept:?}");
        }
    }
}

#[tokio::test]
async fn a_snapshot_fails_at_each_step() {
    for step in STEPS {
        for fault in [Fault::Before, Fault::After] {
            for writes in 0..24 {
                let (disk, one, other) = prepared(step).await;
                for number in 0..6 {
                    register(&one, "a", &format!("{number} {LARGE}")).await.unwrap();
                }
                let expected = read_all(&one).await;
                disk.fail(writes, fault);
                let _ = other.snapshot(&context()).await;
                disk.stop_failing();
                assert_eq!(assert_agreement(&[one.clone(), other.clone()], &disk).await, expected);
                assert_eq!(register(&one, "b", "more").await.unwrap().1, 9);
                one.snapshot(&context()).await.unwrap();
                assert_eq!(assert_agreement(&[one, other], &disk).await.len(), 9);
                assert_eq!(disk.keys("aside/"), Vec::<String>::new());
            }
        }
    }
}

#[tokio::test]
async fn entries_of_a_later_release_are_preserved() {
    for step in STEPS {
        let (disk, one, other) = prepared(step).await;
        let mut content = disk.take();
        let head = Head::decode(disk.value("head").unwrap()).unwrap();
        let previous = Entry::decode(head.entry.clone()).unwrap();
        // An entry with an unknown operation and an unknown field.
        let entry = Entry { nonce: vec![9; 16].into(), previous: previous.nonce, operations: Vec::new(), aside: false };
        let mut encoded = entry.encode_to_vec();
        encoded.extend([0x1a, 4, 0xfa, 0x3f, 1, b'x', 0xf8, 0x3f, 1]);
        let next = Head { position: head.position + 1, entry: encoded.clone().into(), snapshot: None };
        let revision = content.revision(b"head") + 100;
        content.entries.insert(format!("entry/{:016x}", head.position).into(), (head.entry, revision));
        content.entries.insert("head".into(), (next.encode_to_vec().into(), revision));
        disk.restore(&content);
        assert_eq!(register(&one, "a", "third").await.unwrap(), (3, 3));
        assert_eq!(disk.value(&format!("entry/{:016x}", head.position + 1)).unwrap(), encoded);
        for number in 0..32 {
            register(&one, "c", &format!("{number}")).await.unwrap();
        }
        tokio::task::yield_now().await;
        assert_eq!(disk.keys("snapshot/"), Vec::<String>::new(), "a snapshot would lose the operation");
        assert_agreement(&[one, other], &disk).await;
    }
}
