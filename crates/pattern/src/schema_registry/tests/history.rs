//! A storage that is wiped, or put back to an older state, under gateways that run.

use std::time::Duration;

use super::*;

async fn texts(gateway: &Arc<Journal>) -> Vec<String> {
    told(gateway).await.into_iter().map(|(_, _, _, text)| text).collect()
}

/// Two gateways that know the same, and the storage.
async fn prepared(step: Step, texts: usize) -> (Arc<Disk>, Arc<Journal>, Arc<Journal>) {
    let disk = Arc::new(Disk::default());
    let (one, other) = (gateway(&disk, step, Sizes::default()), gateway(&disk, step, Sizes::default()));
    for number in 1..=texts {
        register(&one, "a", &format!("{number}")).await.unwrap();
    }
    other.fresh(&context()).await.unwrap();
    (disk, one, other)
}

/// So long that a change looks before it is made.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

#[tokio::test]
async fn wiped() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 5).await;
        disk.wipe();
        assert_eq!(texts(&one).await, Vec::<String>::new());
        // Who has not looked finds out when it changes something.
        assert_eq!(register(&other, "a", "new").await.unwrap(), (1, 1));
        assert_eq!(register(&one, "a", "newer").await.unwrap(), (2, 2));
        assert_eq!(agreed(&[one, other], &disk).await.len(), 2);
    }
}

#[tokio::test]
async fn put_back() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 3).await;
        let old = disk.take();
        for number in 4..8 {
            register(&one, "a", &format!("{number}")).await.unwrap();
        }
        other.fresh(&context()).await.unwrap();
        disk.put_back(&old);
        assert_eq!(texts(&one).await, ["1", "2", "3"]);
        assert_eq!(register(&other, "a", "other").await.unwrap(), (4, 4));
        assert_eq!(texts(&one).await, ["1", "2", "3", "other"]);
        agreed(&[one, other], &disk).await;
    }
}

#[tokio::test]
async fn put_back_and_gone_on_to_the_same_revision() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 3).await;
        let old = disk.take();
        register(&one, "a", "lost").await.unwrap();
        register(&other, "a", "lost too").await.unwrap();
        let revision = disk.take().revision(b"head");
        disk.put_back(&old);
        let new = gateway(&disk, step, Sizes::default());
        register(&new, "a", "kept").await.unwrap();
        register(&new, "a", "kept too").await.unwrap();
        assert_eq!(disk.take().revision(b"head"), revision, "that is what this test is about");
        assert_eq!(texts(&one).await, ["1", "2", "3", "kept", "kept too"]);
        a_while().await;
        assert_eq!(register(&other, "a", "next").await.unwrap(), (6, 6));
        assert_eq!(agreed(&[one, other, new], &disk).await.len(), 6);
    }
}

#[tokio::test]
async fn who_is_of_another_history_writes_over_nothing() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 3).await;
        let old = disk.take();
        register(&one, "a", "lost").await.unwrap();
        disk.put_back(&old);
        let new = gateway(&disk, step, Sizes::default());
        for number in 0..4 {
            register(&new, "a", &format!("kept {number}")).await.unwrap();
        }
        // Its entry of the fourth position is another one than what lies there.
        assert_eq!(register(&one, "a", "next").await.unwrap(), (8, 8));
        assert_eq!(agreed(&[one, other, new], &disk).await.len(), 8);
    }
}

#[tokio::test]
async fn put_back_to_before_a_snapshot() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 5).await;
        let old = disk.take();
        one.snapshot(&context()).await.unwrap();
        other.fresh(&context()).await.unwrap();
        disk.put_back(&old);
        assert_eq!(texts(&one).await.len(), 5);
        assert_eq!(register(&other, "a", "6").await.unwrap(), (6, 6));
        assert_eq!(register(&one, "a", "7").await.unwrap(), (7, 7));
        agreed(&[one, other], &disk).await;
    }
}

#[tokio::test]
async fn put_back_to_a_snapshot_when_entries_have_followed() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 5).await;
        one.snapshot(&context()).await.unwrap();
        let old = disk.take();
        for number in 6..9 {
            register(&one, "a", &format!("{number}")).await.unwrap();
        }
        one.snapshot(&context()).await.unwrap();
        other.fresh(&context()).await.unwrap();
        disk.put_back(&old);
        assert_eq!(texts(&other).await.len(), 5);
        assert_eq!(register(&one, "a", "again").await.unwrap(), (6, 6));
        agreed(&[one, other], &disk).await;
    }
}

#[tokio::test]
async fn a_snapshot_brings_nothing_back_that_was_wiped_meanwhile() {
    for step in STEPS {
        for writes in 0..2 {
            let (disk, one, other) = prepared(step, 5).await;
            disk.behind(writes, |content| content.entries.clear());
            let _ = one.snapshot(&context()).await;
            assert!(disk.is_quiet() || writes > 0);
            disk.wipe();
            assert_eq!(texts(&other).await, Vec::<String>::new());
            assert_eq!(register(&one, "a", "new").await.unwrap(), (1, 1));
            assert_eq!(agreed(&[one, other], &disk).await.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_snapshot_is_not_of_another_history() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 2).await;
        let old = disk.take();
        for number in 3..6 {
            register(&one, "a", &format!("{number}")).await.unwrap();
        }
        // While the snapshot is written, the storage is put back, and another goes on beyond.
        disk.behind(0, move |content| *content = old);
        let (mine, theirs) = (context(), context());
        let (written, ()) = tokio::join!(one.snapshot(&mine), async {
            while !disk.is_quiet() {
                tokio::task::yield_now().await;
            }
            other.fresh(&theirs).await.unwrap();
            for number in 0..8 {
                register(&other, "a", &format!("other {number}")).await.unwrap();
            }
        });
        written.unwrap();
        assert_eq!(texts(&one).await.len(), 10);
        assert_eq!(agreed(&[one, other], &disk).await.len(), 10);
    }
}
