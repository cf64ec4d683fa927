//! Several gateways over one storage.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use super::*;

/// Registers, with retries until it is acknowledged.
async fn register_until_done(gateway: &Arc<Journal>, subject: &str, text: &str) -> (u32, u32) {
    loop {
        if let Ok(done) = register(gateway, subject, text).await {
            return done;
        }
    }
}

/// Registers under a subject of the writer and under a shared one, and reads the result on another gateway.
async fn write(gateways: Vec<Arc<Journal>>, writer: usize, changes: usize) -> Vec<(String, u32, u32, String)> {
    let mut done = Vec::new();
    let mine = &gateways[writer % gateways.len()];
    let other = &gateways[(writer + 1) % gateways.len()];
    for number in 0..changes {
        // All writers register every fourth text.
        let text = if number % 4 == 0 { format!("shared {number}") } else { format!("{writer} {number} {}", "x".repeat(number * 7 % 90)) };
        let subject = if number % 2 == 0 { format!("of {writer}") } else { "of all".to_owned() };
        let (version, id) = register_until_done(mine, &subject, &text).await;
        let what = (subject, version, id, text);
        let seen = other.read_fresh(&context(), |state| everything(state).contains(&what)).await.unwrap();
        assert!(seen, "{what:?} was acknowledged, but another gateway does not see it");
        done.push(what);
    }
    done
}

async fn run_writers(step: Step, failing: u32) {
    let disk = Arc::new(Disk::default());
    let gateways: Vec<_> = (0..4).map(|_| gateway(&disk, step, SMALL)).collect();
    disk.failing.store(failing, Ordering::SeqCst);
    let writers: Vec<_> = (0..12).map(|writer| tokio::spawn(write(gateways.clone(), writer, 16))).collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    disk.stop_failing();
    let all = assert_agreement(&gateways, &disk).await;
    for one in &acknowledged {
        assert!(all.contains(one), "{one:?} is lost");
    }
    assert_eq!(all.len(), acknowledged.len(), "duplicate or unexpected versions");
    let ids: BTreeSet<_> = all.iter().map(|(_, _, id, _)| *id).collect();
    let texts: BTreeSet<_> = all.iter().map(|(_, _, _, text)| text).collect();
    assert_eq!(ids.iter().copied().collect::<Vec<_>>(), (1..=texts.len() as u32).collect::<Vec<_>>(), "ids have gaps or duplicates");
    let mut versions = all.iter().filter(|(subject, ..)| subject == "of all").map(|(_, version, ..)| *version);
    assert!((1..=12 * 8).all(|expected| versions.next() == Some(expected)));
    assert!(disk.value(&format!("entry/{:016x}", 1)).is_none(), "the journal was never compacted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_agree() {
    for step in STEPS {
        run_writers(step, 0).await;
    }
}

#[tokio::test]
async fn gateways_agree_on_one_thread() {
    for step in STEPS {
        run_writers(step, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_agree_while_writes_fail_and_responses_are_lost() {
    for step in STEPS {
        run_writers(step, 8).await;
    }
}

#[tokio::test]
async fn ids_have_no_gaps_and_are_not_reused() {
    for step in STEPS {
        let disk = Arc::new(Disk::default());
        let (one, other) = (gateway(&disk, step, SMALL), gateway(&disk, step, SMALL));
        for number in 1..=20 {
            assert_eq!(register(&one, "a", &format!("{number}")).await.unwrap().1, number * 2 - 1);
            assert_eq!(register(&other, "b", &format!("b {number}")).await.unwrap().1, number * 2);
            assert!(remove(&one, "b").await.unwrap());
        }
        assert!(!remove(&other, "b").await.unwrap());
        // A gateway that starts from a snapshot does not reuse the id of a deleted schema either.
        one.snapshot(&context()).await.unwrap();
        let late = gateway(&disk, step, SMALL);
        assert_eq!(register(&late, "b", "again").await.unwrap(), (1, 41));
        assert_eq!(assert_agreement(&[one, other, late], &disk).await.len(), 21);
    }
}

#[tokio::test]
async fn a_gateway_far_behind_catches_up_from_the_snapshot() {
    for step in STEPS {
        let disk = Arc::new(Disk::default());
        let (writer, reader) = (gateway(&disk, step, SMALL), gateway(&disk, step, SMALL));
        register(&writer, "a", "first").await.unwrap();
        assert_eq!(read_all(&reader).await.len(), 1);
        for number in 0..50 {
            register(&writer, "a", &format!("{number} {}", "y".repeat(200))).await.unwrap();
        }
        writer.snapshot(&context()).await.unwrap();
        assert_eq!(disk.keys("entry/"), Vec::<String>::new());
        assert_eq!(disk.keys("aside/"), Vec::<String>::new());
        assert!(disk.keys("snapshot/").len() > 10, "one snapshot in parts");
        register(&writer, "a", "last").await.unwrap();
        assert_eq!(read_all(&reader).await.len(), 52);
        assert_agreement(&[writer, reader], &disk).await;
    }
}

#[tokio::test]
async fn an_error_is_based_on_the_current_state() {
    let disk = Arc::new(Disk::default());
    let (one, other) = (gateway(&disk, Step::Transactional, SMALL), gateway(&disk, Step::Transactional, SMALL));
    register(&one, "a", "first").await.unwrap();
    let absent =
        |ledger: &Ledger| if !ledger.subjects.is_empty() { Ok((Vec::new(), ())) } else { Err(Error::internal("there is nothing")) };
    other.change(&context(), absent).await.unwrap();
}
