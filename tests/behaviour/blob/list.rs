//! `blob_list`

use prism::proto::models::blob::v1::{ListRequest, ListResponse};

use super::STRANGE_KEYS;
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, now, since_1970},
};

suite! { "blob_list":
    an_empty_keyspace;
    lists_in_the_order_of_bytes;
    entries_have_what_head_returns;
    prefixes_select;
    delimiters_group;
    pages_continue_after_their_cursor;
    keys_that_are_deleted_do_not_end_a_listing;
    keyspaces_are_listed_apart;
    invalid_requests_are_refused;
}

fn keys(response: &ListResponse) -> Vec<&str> {
    response.blobs.iter().map(|blob| blob.key.as_str()).collect()
}

fn request(prefix: &str, delimiter: &str, limit: u32) -> ListRequest {
    ListRequest { prefix: prefix.to_owned(), delimiter: delimiter.to_owned(), limit, cursor: String::new() }
}

/// All keys and common prefixes over pages of this size.
async fn all(s: &Subject, mut request: ListRequest) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
    loop {
        let page = s.list(request.clone()).await;
        assert!(request.limit == 0 || page.blobs.len() + page.prefixes.len() <= request.limit as usize);
        keys.extend(page.blobs.into_iter().map(|blob| blob.key));
        prefixes.extend(page.prefixes);
        if page.cursor.is_empty() {
            return (keys, prefixes);
        }
        request.cursor = page.cursor;
    }
}

async fn an_empty_keyspace(s: Subject) {
    assert_eq!(s.list(ListRequest::default()).await, ListResponse::default());
    s.put("key", b"").await;
    s.remove("key").await;
    assert_eq!(s.list(request("", "/", 1)).await, ListResponse::default());
}

async fn lists_in_the_order_of_bytes(s: Subject) {
    for key in STRANGE_KEYS {
        s.put(key, b"").await;
    }
    let mut wanted = STRANGE_KEYS.to_vec();
    wanted.sort_unstable();
    assert_eq!(keys(&s.list(ListRequest::default()).await), wanted);
    assert_eq!(all(&s, request("", "", 4)).await.0, wanted);
}

async fn entries_have_what_head_returns(s: Subject) {
    s.put("a", b"1").await;
    s.put("b/c", b"content").await;
    let longest = usize::try_from(s.limits().max_key_bytes).unwrap();
    s.put(&"L".repeat(longest.min(300)), b"long").await;
    for entry in s.list(ListRequest::default()).await.blobs {
        let head = s.head(&entry.key).await.unwrap();
        assert_eq!((entry.size, &entry.etag), (head.size, &head.etag));
        let updated = since_1970(entry.update_time.as_ref());
        assert!((updated - now()).abs() < 60_000, "{updated}");
    }
}

async fn prefixes_select(s: Subject) {
    for key in ["a", "ab", "abc", "abd/x", "ac", "b", "Ab"] {
        s.put(key, b"").await;
    }
    assert_eq!(keys(&s.list(request("ab", "", 0)).await), ["ab", "abc", "abd/x"]);
    assert_eq!(keys(&s.list(request("abd/x", "", 0)).await), ["abd/x"]);
    assert_eq!(keys(&s.list(request("x", "", 0)).await), [""; 0]);
    assert_eq!(all(&s, request("ab", "", 1)).await.0, ["ab", "abc", "abd/x"]);
}

async fn delimiters_group(s: Subject) {
    for key in ["a", "b/1", "b/2", "b/c/3", "c", "d/4", "d/", "é/5"] {
        s.put(key, b"").await;
    }
    for limit in [0, 1, 2, 3] {
        let (keys, prefixes) = all(&s, request("", "/", limit)).await;
        assert_eq!((keys.join(" "), prefixes.join(" ")), ("a c".to_owned(), "b/ d/ é/".to_owned()), "{limit}");
        let (keys, prefixes) = all(&s, request("b/", "/", limit)).await;
        assert_eq!((keys.join(" "), prefixes.join(" ")), ("b/1 b/2".to_owned(), "b/c/".to_owned()), "{limit}");
        let (keys, prefixes) = all(&s, request("d/", "/", limit)).await;
        assert_eq!((keys.join(" "), prefixes.len()), ("d/ d/4".to_owned(), 0), "{limit}");
    }
}

async fn pages_continue_after_their_cursor(s: Subject) {
    let wanted: Vec<String> = (0..25).map(|number| format!("key/{number:02}")).collect();
    for key in wanted.iter().rev() {
        s.put(key, key.as_bytes()).await;
    }
    for limit in [1, 7, 24, 25, 26] {
        assert_eq!(all(&s, request("", "", limit)).await.0, wanted, "{limit}");
    }
    // The last page has no cursor, even if it is full.
    assert_eq!(s.list(request("", "", 25)).await.cursor, "");
}

async fn keys_that_are_deleted_do_not_end_a_listing(s: Subject) {
    for number in 0..10 {
        s.put(&format!("key-{number}"), b"").await;
    }
    let first = s.list(request("", "", 3)).await;
    assert_eq!(keys(&first), ["key-0", "key-1", "key-2"]);
    for key in ["key-2", "key-3", "key-9"] {
        s.remove(key).await;
    }
    let rest = s.list(ListRequest { cursor: first.cursor, ..ListRequest::default() }).await;
    assert_eq!(keys(&rest), ["key-4", "key-5", "key-6", "key-7", "key-8"]);
}

async fn keyspaces_are_listed_apart(s: Subject) {
    s.put("mine", b"").await;
    s.other_keyspace().put("theirs", b"").await;
    let slot = s.other_slot();
    slot.put("slot", b"").await;
    assert_eq!(keys(&s.list(ListRequest::default()).await), ["mine"]);
    assert_eq!(keys(&slot.list(ListRequest::default()).await), ["slot"]);
}

async fn invalid_requests_are_refused(s: Subject) {
    let blobs = s.blob_list();
    let long = "p".repeat(usize::try_from(s.limits().max_key_bytes).unwrap() + 1);
    invalid(blobs.list(&s.context, request(&long, "", 0)).await, "INVALID_KEY", "prefix");
    invalid(blobs.list(&s.context, request("", &"/".repeat(17), 0)).await, "INVALID_FIELD", "delimiter");
    invalid(blobs.list(&s.context, request("", "", 1001)).await, "INVALID_FIELD", "limit");
    for cursor in ["x", "AAAA", "not a cursor"] {
        let request = ListRequest { cursor: cursor.to_owned(), ..ListRequest::default() };
        invalid(blobs.list(&s.context, request).await, "INVALID_CURSOR", "cursor");
    }
}
