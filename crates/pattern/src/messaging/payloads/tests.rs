//! Tests of references, and of the removal of payloads that have expired.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use prism_driver::{BackendSettings, Keyspace};

use super::{
    reference::{PayloadReference, expiry_of_key, take_reference},
    store::PayloadStore,
    sweeper::sweep,
};
use prism_call::{
    Context,
    proto::models::blob::v1::{BlobList, ListRequest},
};
use prism_slot::{Slot, time};

#[test]
fn references_are_read_as_they_were_written() {
    let reference = PayloadReference::new(Duration::from_hours(1)).with_size(12_345);
    let attributes = [("prism-payload".to_owned(), reference.to_attribute()), ("kind".to_owned(), "paid".to_owned())];
    let mut attributes = attributes.into();
    assert_eq!(take_reference(&mut attributes), Some(reference));
    assert_eq!(attributes.keys().collect::<Vec<_>>(), ["kind"]);
    assert_eq!(PayloadReference::of_name(&reference.name()), Some(reference.with_size(0)));
    let key = reference.key("orders.eu");
    assert!(key.contains("/orders.eu/") && reference.key("orders.us") != key, "{key}");
    let expires = expiry_of_key(&key).unwrap();
    let in_an_hour = u64::try_from(time::now()).unwrap() + 3_600_000;
    assert!((in_an_hour - 60_000..=in_an_hour + 60_000).contains(&expires), "{expires}");
    let later = PayloadReference::new(Duration::from_hours(2)).key("a");
    let latest = PayloadReference::new(Duration::MAX).key("a");
    assert!(key < later && later < latest, "keys are in the order of their expiry");
    assert!(expiry_of_key(&latest).is_some(), "{latest}");
}

#[test]
fn other_names_are_no_references() {
    let name = PayloadReference::new(Duration::from_secs(1)).name();
    let (expires, id) = name.split_once('-').unwrap();
    for wrong in [
        "",
        "-",
        expires,
        &format!("{expires}-"),
        &format!("+{}-{id}", &expires[1..]),
        &format!("{expires}-{id}0"),
        &format!("{expires}/{id}"),
    ] {
        assert_eq!(PayloadReference::of_name(wrong), None, "{wrong}");
    }
    for wrong in ["", &name, &format!("{name} "), &format!("{name} -1"), "x 1"] {
        assert_eq!(PayloadReference::of_attribute(wrong), None, "{wrong}");
    }
    for wrong in ["", "photo.jpg", "photos/cat.jpg", &format!("{expires}x/a/b")] {
        assert_eq!(expiry_of_key(wrong), None, "{wrong}");
    }
}

#[tokio::test]
async fn payloads_are_removed_in_the_order_of_their_expiry() {
    let settings = BackendSettings { name: "ram".to_owned(), values: serde_json::Map::new() };
    let backend = (prism_driver_memory::KIND.connect)(settings).await.unwrap();
    let keyspace = Keyspace { namespace: "orders".to_owned(), slot: "payloads".to_owned() };
    let slot = Slot::fill(&keyspace, "ram", "memory", backend.as_ref());
    let list: Arc<dyn BlobList> = slot.interfaces.blob_list.clone().unwrap();
    let (store, context) = (PayloadStore::new(&slot).unwrap(), Context::internal("orders"));
    for seconds in 1..=1200 {
        let chunks = Box::pin(stream::iter([Ok(Bytes::from_static(b"payload"))]));
        store.put(&context, "topic", PayloadReference::new(Duration::from_secs(seconds)), Some(7), chunks).await.unwrap();
    }
    let count = async || {
        let mut count = 0;
        let mut request = ListRequest::default();
        loop {
            let page = list.list(&context, request.clone()).await.unwrap();
            count += page.blobs.len();
            if page.cursor.is_empty() {
                return count;
            }
            request.cursor = page.cursor;
        }
    };
    let now = u64::try_from(time::now()).unwrap();
    assert_eq!(sweep(&context, &store, &*list, now - 10_000).await.unwrap(), 0);
    let removed = sweep(&context, &store, &*list, now + 1_100_000).await.unwrap();
    assert!((1090..=1100).contains(&removed), "{removed}");
    assert_eq!(count().await, 1200 - removed);
    assert_eq!(sweep(&context, &store, &*list, now + 10_000_000).await.unwrap(), 1200 - removed);
    assert_eq!(count().await, 0);
}
