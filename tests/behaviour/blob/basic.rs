//! `blob_basic`

use bytes::Bytes;
use prism::{
    call::Code,
    proto::models::blob::v1::{
        ByteRange, DeleteRequest, GetRequest, HeadRequest, NewBlob, PutRequest, byte_range::Start, put_request::Part,
    },
};

use super::{STRANGE_KEYS, new};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, now, refused, since_1970, stream_refusal},
};

suite! { "blob_basic":
    stores_and_reads;
    an_absent_key_is_not_an_error;
    a_put_replaces_content_and_metadata;
    deletes;
    an_empty_blob;
    a_blob_of_many_chunks;
    strange_keys;
    the_longest_key;
    invalid_keys_are_refused;
    invalid_metadata_is_refused;
    metadata_is_kept;
    ranges;
    ranges_that_cannot_be_satisfied;
    a_read_of_another_etag_is_refused;
    a_wrong_size_stores_nothing;
    malformed_streams_store_nothing;
    keyspaces_are_isolated;
    a_keyspace_that_is_requested_again_has_its_blobs;
    concurrent_writes_of_one_key_leave_one_of_them;
}

async fn stores_and_reads(s: Subject) {
    let before = now();
    let put = s.put("key", b"content").await;
    assert!(!put.etag.is_empty() && put.etag.len() <= 128 && put.size == 7);
    assert!(put.etag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'), "{}", put.etag);
    let read = s.try_get("key", None, "").await.unwrap().expect("the key exists");
    assert_eq!(read.content, b"content");
    assert_eq!((read.found.offset, read.found.length), (0, 7));
    let metadata = read.metadata().clone();
    assert_eq!((metadata.key.as_str(), metadata.size, &metadata.etag), ("key", 7, &put.etag));
    let updated = since_1970(metadata.update_time.as_ref());
    assert!(updated >= before - 2000 && updated <= now() + 2000, "{updated}");
    assert_eq!(s.head("key").await, Some(metadata));
}

async fn an_absent_key_is_not_an_error(s: Subject) {
    assert_eq!(s.content("nothing").await, None);
    assert_eq!(s.head("nothing").await, None);
    assert_ne!(s.remove("nothing").await, Some(true));
    // A condition or a range does not change that.
    let range = ByteRange { start: Some(Start::Offset(5)), length: None };
    assert!(s.try_get("nothing", Some(range), "some-etag").await.unwrap().is_none());
}

async fn a_put_replaces_content_and_metadata(s: Subject) {
    let long = NewBlob { content_type: "text/plain".to_owned(), attributes: [("a".to_owned(), "1".to_owned())].into(), ..new("key") };
    let first = s.try_put(long, vec![Bytes::from_static(b"a longer content than the next")]).await.unwrap();
    let second = s.put("key", b"short").await;
    assert_ne!(first.etag, second.etag);
    assert_eq!(s.content("key").await.as_deref(), Some(&b"short"[..]));
    let metadata = s.head("key").await.unwrap();
    assert_eq!((metadata.content_type.as_str(), metadata.attributes.len(), metadata.size), ("", 0, 5));
    assert_eq!(metadata.etag, second.etag);
}

async fn deletes(s: Subject) {
    s.put("key", b"content").await;
    s.put("other", b"stays").await;
    assert_ne!(s.remove("key").await, Some(false));
    assert_eq!(s.content("key").await, None);
    assert_eq!(s.head("key").await, None);
    assert_ne!(s.remove("key").await, Some(true));
    assert_eq!(s.content("other").await.as_deref(), Some(&b"stays"[..]));
}

async fn an_empty_blob(s: Subject) {
    for (key, chunks) in [("none", vec![]), ("empty", vec![Bytes::new()]), ("sized", vec![])] {
        let blob = NewBlob { size: (key == "sized").then_some(0), ..new(key) };
        assert_eq!(s.try_put(blob, chunks).await.unwrap().size, 0);
        assert_eq!(s.content(key).await.as_deref(), Some(&b""[..]), "{key}");
        assert_eq!(s.head(key).await.unwrap().size, 0);
    }
}

async fn a_blob_of_many_chunks(s: Subject) {
    let chunks: Vec<Bytes> = (0..300_usize).map(|index| vec![index.to_le_bytes()[0]; index * 7 % 5000].into()).collect();
    let whole = chunks.concat();
    let put = s.try_put(NewBlob { size: Some(whole.len() as u64), ..new("key") }, chunks).await.unwrap();
    assert_eq!(put.size, whole.len() as u64);
    assert!(s.content("key").await.unwrap() == whole, "another content came back");
}

async fn strange_keys(s: Subject) {
    for key in STRANGE_KEYS {
        s.put(key, key.as_bytes()).await;
    }
    for key in STRANGE_KEYS {
        assert_eq!(s.content(key).await.as_deref(), Some(key.as_bytes()), "{key:?}");
        assert_eq!(s.head(key).await.unwrap().key, *key);
    }
    for (index, key) in STRANGE_KEYS.iter().enumerate() {
        s.remove(key).await;
        for (other, key) in STRANGE_KEYS.iter().enumerate() {
            assert_eq!(s.head(key).await.is_some(), other > index, "{key:?}");
        }
    }
}

async fn the_longest_key(s: Subject) {
    let longest = usize::try_from(s.limits().max_key_bytes).unwrap();
    let keys = ["K".repeat(longest), "K".repeat(longest - 1), "k".repeat(longest), format!("{}~", "K".repeat(longest - 1))];
    for key in &keys {
        s.put(key, key.as_bytes()).await;
    }
    for key in &keys {
        assert!(s.content(key).await.as_deref() == Some(key.as_bytes()));
    }
}

async fn invalid_keys_are_refused(s: Subject) {
    let blobs = s.blob_basic();
    let too_long = "k".repeat(usize::try_from(s.limits().max_key_bytes).unwrap() + 1);
    for key in ["", &too_long, "a\0b"] {
        invalid(s.try_put(new(key), vec![]).await, "INVALID_KEY", "key");
        let key = key.to_owned();
        invalid(
            stream_refusal(blobs.get(&s.context, GetRequest { key: key.clone(), ..GetRequest::default() }).await).await,
            "INVALID_KEY",
            "key",
        );
        invalid(blobs.head(&s.context, HeadRequest { key: key.clone() }).await, "INVALID_KEY", "key");
        invalid(blobs.delete(&s.context, DeleteRequest { key }).await, "INVALID_KEY", "key");
    }
}

async fn invalid_metadata_is_refused(s: Subject) {
    let attribute = |name: &str, value: &str| NewBlob { attributes: [(name.to_owned(), value.to_owned())].into(), ..new("key") };
    invalid(s.try_put(NewBlob { content_type: "a\nb".to_owned(), ..new("key") }, vec![]).await, "INVALID_CONTENT_TYPE", "content_type");
    for blob in [attribute("Name", "v"), attribute("n:", "v"), attribute("n", "line\n"), attribute("n", "ü")] {
        invalid(s.try_put(blob, vec![]).await, "INVALID_ATTRIBUTES", "attributes");
    }
    assert_eq!(s.head("key").await, None);
}

async fn metadata_is_kept(s: Subject) {
    let blob = NewBlob {
        content_type: "text/html; charset=\"utf-8\"".to_owned(),
        attributes: [("a".to_owned(), String::new()), ("b-c_1".to_owned(), "two words, \"quoted\" %41 +".to_owned())].into(),
        ..new("key")
    };
    s.try_put(blob.clone(), vec![Bytes::from_static(b"<p>")]).await.unwrap();
    let read = s.try_get("key", None, "").await.unwrap().unwrap();
    for metadata in [read.metadata().clone(), s.head("key").await.unwrap()] {
        assert_eq!((metadata.content_type, metadata.attributes), (blob.content_type.clone(), blob.attributes.clone()));
    }
}

async fn ranges(s: Subject) {
    let content: Vec<u8> = (0..1_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let size = content.len();
    s.put("key", &content).await;
    for (start, length, wanted) in [
        (Start::Offset(0), Some(1), 0..1),
        (Start::Offset(5), Some(10), 5..15),
        (Start::Offset(300_000), Some(500_000), 300_000..800_000),
        (Start::Offset(size as u64 - 1), None, size - 1..size),
        (Start::Offset(size as u64 - 3), Some(u64::MAX), size - 3..size),
        (Start::Suffix(10), None, size - 10..size),
        (Start::Suffix(u64::MAX), None, 0..size),
    ] {
        let read = s.try_get("key", Some(ByteRange { start: Some(start), length }), "").await.unwrap().unwrap();
        assert!(read.content == content[wanted.clone()], "{start:?} {length:?}");
        assert_eq!((read.found.offset, read.found.length), (wanted.start as u64, wanted.len() as u64));
        assert_eq!(read.metadata().size, size as u64, "the size of the whole blob");
    }
}

async fn ranges_that_cannot_be_satisfied(s: Subject) {
    s.put("key", b"0123456789").await;
    s.put("empty", b"").await;
    for (key, start, size) in [
        ("key", Start::Offset(10), "10"),
        ("key", Start::Offset(u64::MAX), "10"),
        ("empty", Start::Offset(0), "0"),
        ("empty", Start::Suffix(1), "0"),
    ] {
        let answer = s.try_get(key, Some(ByteRange { start: Some(start), length: None }), "").await;
        let error = refused(answer, Code::OutOfRange, "RANGE_NOT_SATISFIABLE");
        assert_eq!(error.get("size"), Some(size), "{key} {start:?}");
    }
    for bad in [
        ByteRange::default(),
        ByteRange { start: Some(Start::Suffix(0)), length: None },
        ByteRange { start: Some(Start::Suffix(1)), length: Some(1) },
        ByteRange { start: Some(Start::Offset(1)), length: Some(0) },
    ] {
        invalid(s.try_get("key", Some(bad), "").await, "INVALID_FIELD", "range");
    }
}

async fn a_read_of_another_etag_is_refused(s: Subject) {
    let first = s.put("key", b"first").await;
    assert_eq!(s.try_get("key", None, &first.etag).await.unwrap().unwrap().content, b"first");
    s.put("key", b"second").await;
    refused(s.try_get("key", None, &first.etag).await, Code::Aborted, "ETAG_MISMATCH");
}

async fn a_wrong_size_stores_nothing(s: Subject) {
    s.put("key", b"old").await;
    for (size, content) in [(3, &b"1234"[..]), (5, b"1234"), (0, b"1"), (1, b"")] {
        let blob = NewBlob { size: Some(size), ..new("key") };
        invalid(s.try_put(blob, vec![Bytes::copy_from_slice(content)]).await, "SIZE_MISMATCH", "size");
    }
    assert_eq!(s.content("key").await.as_deref(), Some(&b"old"[..]));
}

async fn malformed_streams_store_nothing(s: Subject) {
    let chunk = || Part::Chunk(Bytes::from_static(b"x"));
    for parts in [vec![], vec![None], vec![Some(chunk())], vec![Some(Part::Blob(new("key"))), Some(chunk()), Some(Part::Blob(new("key")))]]
    {
        let request = parts.into_iter().map(|part| Ok(PutRequest { part }));
        let answer = s.blob_basic().put(&s.context, Box::pin(futures::stream::iter(request))).await;
        refused(answer, Code::InvalidArgument, "INVALID_FIELD");
    }
    assert_eq!(s.head("key").await, None);
}

async fn keyspaces_are_isolated(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    s.put("key", b"mine").await;
    for stranger in [&other, &slot] {
        assert_eq!(stranger.content("key").await, None);
        stranger.remove("key").await;
    }
    other.put("key", b"theirs").await;
    slot.put("key", b"the other slot's").await;
    assert_eq!(s.content("key").await.as_deref(), Some(&b"mine"[..]));
    s.remove("key").await;
    assert_eq!(other.content("key").await.as_deref(), Some(&b"theirs"[..]));
    assert_eq!(slot.content("key").await.as_deref(), Some(&b"the other slot's"[..]));
}

async fn a_keyspace_that_is_requested_again_has_its_blobs(s: Subject) {
    let put = s.put("key", b"content").await;
    let again = s.reopened();
    assert_eq!(again.head("key").await.unwrap().etag, put.etag);
    again.put("key", b"more").await;
    assert_eq!(s.content("key").await.as_deref(), Some(&b"more"[..]));
}

async fn concurrent_writes_of_one_key_leave_one_of_them(s: Subject) {
    let tasks: Vec<_> = (0..12_u8)
        .map(|number| {
            let s = s.clone();
            tokio::spawn(async move {
                let content = vec![number; 100_000 + usize::from(number)];
                for _ in 0..3 {
                    s.put("key", &content).await;
                    let read = s.content("key").await.expect("no write removes the blob");
                    let first = read[0];
                    assert!(read.len() == 100_000 + usize::from(first) && read.iter().all(|byte| *byte == first), "a mixture");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
