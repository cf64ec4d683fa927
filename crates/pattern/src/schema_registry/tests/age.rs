//! How long a gateway may tell a schema by its id that another one has deleted for good.

use super::*;
use prism_call::proto::patterns::schema_registry::v1::{DeleteSubjectRequest, GetSchemaByIdRequest};

const FOREVER: Duration = Duration::from_secs(3600);

/// A gateway that knows the schema of id 1, which is not there any more.
async fn behind(touch_age: Duration, max_age: Duration) -> Arc<SchemaRegistry> {
    let disk = Arc::new(Disk::default());
    let sizes = Sizes { touch_age, max_age, ..Sizes::default() };
    let (one, other) = (registry(&disk, sizes), registry(&disk, sizes));
    assert_eq!(registered(&one, "a", "\"int\"").await.id, 1);
    other.journal.fresh(&context()).await.unwrap();
    for permanent in [false, true] {
        let request = DeleteSubjectRequest { subject: "a".to_owned(), permanent, ..DeleteSubjectRequest::default() };
        one.delete_subject(&context(), request).await.unwrap();
    }
    assert!(!tells(&one).await, "who deleted it knows");
    // The clock of ages counts milliseconds.
    tokio::time::sleep(Duration::from_millis(3)).await;
    other
}

/// Whether it answers with the schema. What it doesn't know is looked for in the storage, as all else is, and isn't there.
async fn tells(registry: &Arc<SchemaRegistry>) -> bool {
    let request = GetSchemaByIdRequest { id: 1, ..GetSchemaByIdRequest::default() };
    let known = registry.known_by_id(&context(), &request).await.is_some();
    known || registry.get_by_id(&context(), request).await.is_ok()
}

#[tokio::test]
async fn what_is_young_is_told_without_a_look() {
    let other = behind(FOREVER, FOREVER).await;
    assert!(tells(&other).await);
    assert!(tells(&other).await);
    // Whatever else is asked finds out.
    other.journal.fresh(&context()).await.unwrap();
    assert!(!tells(&other).await);
}

#[tokio::test]
async fn what_is_older_is_told_once_more_and_looked_after() {
    let other = behind(Duration::ZERO, FOREVER).await;
    assert!(tells(&other).await, "nobody waits for the look");
    let soon = tokio::time::Instant::now() + Duration::from_secs(10);
    while tells(&other).await {
        assert!(tokio::time::Instant::now() < soon, "it was not looked after");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_is_too_old_is_not_told() {
    let other = behind(FOREVER, FOREVER).await;
    assert!(tells(&other).await);
    let other = behind(Duration::ZERO, Duration::ZERO).await;
    assert!(!tells(&other).await);
}

/// docs/schema-registry.md promises it.
#[test]
fn what_is_too_old_is_so_after_five_seconds() {
    let Sizes { touch_age, max_age, .. } = Sizes::default();
    assert_eq!((touch_age, max_age), (Duration::from_millis(500), Duration::from_secs(5)));
}
