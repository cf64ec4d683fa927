//! A storage that is wiped or restored to an older state while gateways run.

use super::*;

async fn texts(gateway: &Arc<Journal>) -> Vec<String> {
    read_all(gateway).await.into_iter().map(|(_, _, _, text)| text).collect()
}

/// Creates a storage and two gateways with the same state.
async fn prepared(step: Step, texts: usize) -> (Arc<Disk>, Arc<Journal>, Arc<Journal>) {
    let disk = Arc::new(Disk::default());
    let (one, other) = (gateway(&disk, step, JournalOptions::default()), gateway(&disk, step, JournalOptions::default()));
    for number in 1..=texts {
        register(&one, "a", &format!("{number}")).await.unwrap();
    }
    other.refresh(&context()).await.unwrap();
    (disk, one, other)
}

/// Waits so long that a change refreshes the state first.
async fn wait_for_change_age() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

#[tokio::test]
async fn a_wiped_storage_is_noticed() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 5).await;
        disk.wipe();
        assert_eq!(texts(&one).await, Vec::<String>::new());
        // A gateway that has not read since notices it when it changes something.
        assert_eq!(register(&other, "a", "new").await.unwrap(), (1, 1));
        assert_eq!(register(&one, "a", "newer").await.unwrap(), (2, 2));
        assert_eq!(assert_agreement(&[one, other], &disk).await.len(), 2);
    }
}

#[tokio::test]
async fn restore() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 3).await;
        let old = disk.take();
        for number in 4..8 {
            register(&one, "a", &format!("{number}")).await.unwrap();
        }
        other.refresh(&context()).await.unwrap();
        disk.restore(&old);
        assert_eq!(texts(&one).await, ["1", "2", "3"]);
        assert_eq!(register(&other, "a", "other").await.unwrap(), (4, 4));
        assert_eq!(texts(&one).await, ["1", "2", "3", "other"]);
        assert_agreement(&[one, other], &disk).await;
    }
}

#[tokio::test]
async fn a_restored_storage_reaches_the_same_revision() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 3).await;
        let old = disk.take();
        register(&one, "a", "lost").await.unwrap();
        register(&other, "a", "lost too").await.unwrap();
        let revision = disk.take().revision(b"head");
        disk.restore(&old);
        let new = gateway(&disk, step, JournalOptions::default());
        register(&new, "a", "kept").await.unwrap();
        register(&new, "a", "kept too").await.unwrap();
        assert_eq!(disk.take().revision(b"head"), revision, "this test needs the same revision");
        assert_eq!(texts(&one).await, ["1", "2", "3", "kept", "kept too"]);
        wait_for_change_age().await;
        assert_eq!(register(&other, "a", "next").await.unwrap(), (6, 6));
        assert_eq!(assert_agreement(&[one, other, new], &disk).await.len(), 6);
    }
}

#[tokio::test]
async fn a_gateway_with_another_history_overwrites_nothing() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 3).await;
        let old = disk.take();
        register(&one, "a", "lost").await.unwrap();
        disk.restore(&old);
        let new = gateway(&disk, step, JournalOptions::default());
        for number in 0..4 {
            register(&new, "a", &format!("kept {number}")).await.unwrap();
        }
        // The gateway has another entry at position 4 than the storage.
        assert_eq!(register(&one, "a", "next").await.unwrap(), (8, 8));
        assert_eq!(assert_agreement(&[one, other, new], &disk).await.len(), 8);
    }
}

#[tokio::test]
async fn a_storage_is_restored_to_before_a_snapshot() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 5).await;
        let old = disk.take();
        one.snapshot(&context()).await.unwrap();
        other.refresh(&context()).await.unwrap();
        disk.restore(&old);
        assert_eq!(texts(&one).await.len(), 5);
        assert_eq!(register(&other, "a", "6").await.unwrap(), (6, 6));
        assert_eq!(register(&one, "a", "7").await.unwrap(), (7, 7));
        assert_agreement(&[one, other], &disk).await;
    }
}

#[tokio::test]
async fn a_storage_is_restored_to_a_snapshot() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 5).await;
        one.snapshot(&context()).await.unwrap();
        let old = disk.take();
        for number in 6..9 {
            register(&one, "a", &format!("{number}")).await.unwrap();
        }
        one.snapshot(&context()).await.unwrap();
        other.refresh(&context()).await.unwrap();
        disk.restore(&old);
        assert_eq!(texts(&other).await.len(), 5);
        assert_eq!(register(&one, "a", "again").await.unwrap(), (6, 6));
        assert_agreement(&[one, other], &disk).await;
    }
}

#[tokio::test]
async fn a_snapshot_does_not_bring_back_wiped_data() {
    for step in STEPS {
        for writes in 0..2 {
            let (disk, one, other) = prepared(step, 5).await;
            disk.after_writes(writes, |content| content.entries.clear());
            let _ = one.snapshot(&context()).await;
            assert!(disk.is_idle() || writes > 0);
            disk.wipe();
            assert_eq!(texts(&other).await, Vec::<String>::new());
            assert_eq!(register(&one, "a", "new").await.unwrap(), (1, 1));
            assert_eq!(assert_agreement(&[one, other], &disk).await.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_snapshot_of_another_history_is_not_published() {
    for step in STEPS {
        let (disk, one, other) = prepared(step, 2).await;
        let old = disk.take();
        for number in 3..6 {
            register(&one, "a", &format!("{number}")).await.unwrap();
        }
        // The storage is restored during the snapshot, and another gateway continues past its position.
        disk.after_writes(0, move |content| *content = old);
        let (mine, theirs) = (context(), context());
        let (written, ()) = tokio::join!(one.snapshot(&mine), async {
            while !disk.is_idle() {
                tokio::task::yield_now().await;
            }
            other.refresh(&theirs).await.unwrap();
            for number in 0..8 {
                register(&other, "a", &format!("other {number}")).await.unwrap();
            }
        });
        written.unwrap();
        assert_eq!(texts(&one).await.len(), 10);
        assert_eq!(assert_agreement(&[one, other], &disk).await.len(), 10);
    }
}
