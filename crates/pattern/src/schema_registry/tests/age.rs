//! How long a gateway may return a schema by its id after another gateway has deleted it permanently.

use super::*;
use prism_call::proto::patterns::schema_registry::v1::{DeleteSubjectRequest, GetSchemaByIdRequest};

const FOREVER: Duration = Duration::from_secs(3600);

/// Creates a gateway that knows the schema with id 1, which another gateway has deleted.
async fn stale_gateway(touch_age: Duration, max_age: Duration) -> Arc<SchemaRegistry> {
    let storage = storage().await;
    let options = JournalOptions { touch_age, max_age, ..JournalOptions::default() };
    let (one, other) = (registry(&storage, options), registry(&storage, options));
    assert_eq!(registered(&one, "a", "\"int\"").await.id, 1);
    other.journal.refresh(&context()).await.unwrap();
    for permanent in [false, true] {
        let request = DeleteSubjectRequest { subject: "a".to_owned(), permanent, ..DeleteSubjectRequest::default() };
        one.delete_subject(&context(), request).await.unwrap();
    }
    assert!(!returns_schema(&one).await, "the gateway that deleted it knows");
    // Ages are counted in milliseconds.
    tokio::time::sleep(Duration::from_millis(3)).await;
    other
}

/// Whether the gateway returns the schema, from memory or from the storage.
async fn returns_schema(registry: &Arc<SchemaRegistry>) -> bool {
    let request = GetSchemaByIdRequest { id: 1, ..GetSchemaByIdRequest::default() };
    let known = registry.known_reply_by_id(&context(), &request).await.is_some();
    known || registry.get_by_id(&context(), request).await.is_ok()
}

#[tokio::test]
async fn a_young_state_is_read_without_a_refresh() {
    let other = stale_gateway(FOREVER, FOREVER).await;
    assert!(returns_schema(&other).await);
    assert!(returns_schema(&other).await);
    // All other reads refresh the state.
    other.journal.refresh(&context()).await.unwrap();
    assert!(!returns_schema(&other).await);
}

#[tokio::test]
async fn an_older_state_is_read_and_refreshed_in_the_background() {
    let other = stale_gateway(Duration::ZERO, FOREVER).await;
    assert!(returns_schema(&other).await, "the read does not wait for the refresh");
    let soon = tokio::time::Instant::now() + Duration::from_secs(10);
    while returns_schema(&other).await {
        assert!(tokio::time::Instant::now() < soon, "the state was not refreshed");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_too_old_state_is_refreshed_first() {
    let other = stale_gateway(FOREVER, FOREVER).await;
    assert!(returns_schema(&other).await);
    let other = stale_gateway(Duration::ZERO, Duration::ZERO).await;
    assert!(!returns_schema(&other).await);
}

/// docs/schema-registry.md states these ages.
#[test]
fn a_state_is_too_old_after_five_seconds() {
    let JournalOptions { touch_age, max_age, .. } = SchemaRegistrySettings::default().journal_options();
    assert_eq!((touch_age, max_age), (Duration::from_millis(500), Duration::from_secs(5)));
}
