//! `set_basic`

use std::collections::BTreeSet;

use bytes::Bytes;
use prism::proto::models::set::v1::{AddRequest, ContainsRequest, GetMembersRequest, GetMembersResponse, RemoveRequest};

use super::{members, sorted};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, next, stream_refusal},
};

suite! { "set_basic":
    adds_members_once;
    removes_members;
    an_absent_set_has_no_members;
    the_last_removal_removes_the_set;
    members_are_any_bytes;
    a_large_member;
    sets_are_apart;
    survives_being_opened_again;
    concurrent_additions_count_once;
    a_large_set_is_streamed_once;
    large_members_are_streamed;
    a_limit_ends_the_stream;
    a_stream_continues_after_each_member;
    a_cursor_stays_valid_when_its_member_is_removed;
    members_that_stay_are_sent_while_others_write;
    cursors_belong_to_their_set;
    bad_requests_are_refused;
}

impl Subject {
    async fn members_after(&self, key: &str, cursor: &str, limit: u32) -> Vec<GetMembersResponse> {
        let request = GetMembersRequest { key: key.to_owned().into(), limit, cursor: cursor.to_owned() };
        all(self.set_basic().get_members(&self.context, request).await.unwrap()).await
    }
}

async fn adds_members_once(s: Subject) {
    assert_eq!(s.add_members("set", &["a", "b", "a"]).await, 2);
    assert_eq!(s.add_members("set", &["b", "c"]).await, 1);
    assert_eq!(s.add_members("set", &["a", "b", "c"]).await, 0);
    assert_eq!(sorted(s.members("set").await), "a b c");
}

async fn removes_members(s: Subject) {
    s.add_members("set", &["a", "b", "c"]).await;
    assert_eq!(s.remove_members("set", &["a", "x", "a"]).await, 1);
    assert_eq!(s.remove_members("set", &["a", "b"]).await, 1);
    assert_eq!(sorted(s.members("set").await), "c");
    assert!(s.contains_member("set", "c").await);
    assert!(!s.contains_member("set", "a").await);
}

async fn an_absent_set_has_no_members(s: Subject) {
    assert!(s.members("none").await.is_empty());
    assert!(!s.contains_member("none", "").await);
    assert_eq!(s.remove_members("none", &["a"]).await, 0);
}

async fn the_last_removal_removes_the_set(s: Subject) {
    s.add_members("set", &["a", "b"]).await;
    assert_eq!(s.remove_members("set", &["b", "a"]).await, 2);
    assert!(s.members("set").await.is_empty());
    assert_eq!(s.add_members("set", &["a"]).await, 1);
}

async fn members_are_any_bytes(s: Subject) {
    let strange: Vec<Bytes> = [&b""[..], b"\0", b"\0\0", b"a\0b", b"\xff\xfe", b"{a}", b"\r\n", "größe 🙂".as_bytes(), b"1", b"01", b"-1"]
        .into_iter()
        .map(Bytes::copy_from_slice)
        .collect();
    let sets = s.set_basic();
    for key in strange.iter().filter(|key| !key.is_empty()) {
        let request = AddRequest { key: key.clone(), members: strange.clone() };
        assert_eq!(sets.add(&s.context, request).await.unwrap().added, strange.len() as u64);
    }
    for key in strange.iter().filter(|key| !key.is_empty()) {
        let request = GetMembersRequest { key: key.clone(), ..Default::default() };
        let found: BTreeSet<Bytes> =
            all(sets.get_members(&s.context, request).await.unwrap()).await.into_iter().map(|message| message.member).collect();
        assert!(strange.iter().cloned().collect::<BTreeSet<_>>() == found, "{key:?}");
        let request = ContainsRequest { key: key.clone(), member: Bytes::new() };
        assert!(sets.contains(&s.context, request).await.unwrap().contains);
    }
}

async fn a_large_member(s: Subject) {
    let large = Bytes::from(vec![0xa5; 1 << 20]);
    let request = AddRequest { key: "set".into(), members: vec![large.clone(), "small".into()] };
    assert_eq!(s.set_basic().add(&s.context, request).await.unwrap().added, 2);
    let found = s.members("set").await;
    assert!(found.len() == 2 && found.contains(&large));
    let request = ContainsRequest { key: "set".into(), member: large };
    assert!(s.set_basic().contains(&s.context, request).await.unwrap().contains);
}

async fn sets_are_apart(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    s.add_members("set", &["mine"]).await;
    s.add_members("set2", &["second"]).await;
    other.add_members("set", &["theirs"]).await;
    slot.add_members("set", &["slot"]).await;
    assert_eq!(sorted(s.members("set").await), "mine");
    assert_eq!(sorted(s.members("set2").await), "second");
    assert_eq!(sorted(other.members("set").await), "theirs");
    assert_eq!(sorted(slot.members("set").await), "slot");
}

async fn survives_being_opened_again(s: Subject) {
    s.add_members("set", &["a"]).await;
    assert_eq!(s.reopened().add_members("set", &["a", "b"]).await, 1);
    assert_eq!(sorted(s.members("set").await), "a b");
}

async fn concurrent_additions_count_once(s: Subject) {
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut added = 0;
                for number in 0..60 {
                    added += s.add_members("set", &[&number.to_string(), &format!("{worker}/{number}")]).await;
                }
                added
            })
        })
        .collect();
    let mut added = 0;
    for worker in workers {
        added += worker.await.unwrap();
    }
    assert_eq!((added, s.members("set").await.len()), (60 + 8 * 60, 60 + 8 * 60));
}

async fn a_large_set_is_streamed_once(s: Subject) {
    s.add_member_numbers("set", 0..5000).await;
    let found = s.members("set").await;
    assert_eq!(found.len(), 5000);
    let distinct: BTreeSet<Bytes> = found.into_iter().collect();
    assert!((0..5000).all(|number| distinct.contains(format!("m{number}").as_bytes())));
}

async fn large_members_are_streamed(s: Subject) {
    for number in 0..12_u8 {
        let members = vec![Bytes::from(vec![number; 1 << 20])];
        s.set_basic().add(&s.context, AddRequest { key: "set".into(), members }).await.unwrap();
    }
    let first: BTreeSet<u8> = s.members("set").await.iter().map(|member| member[0]).collect();
    assert!(first.into_iter().eq(0..12));
}

async fn a_limit_ends_the_stream(s: Subject) {
    s.add_member_numbers("set", 0..300).await;
    for limit in [1, 2, 256, 257, 299] {
        let found = s.members_after("set", "", limit).await;
        assert_eq!(found.len(), limit as usize);
        let rest = s.members_after("set", &found.last().unwrap().cursor, 0).await;
        let both: BTreeSet<Bytes> = found.into_iter().chain(rest).map(|message| message.member).collect();
        assert_eq!(both.len(), 300, "{limit}");
    }
    assert_eq!(s.members_after("set", "", 1000).await.len(), 300);
}

async fn a_stream_continues_after_each_member(s: Subject) {
    for (key, size) in [("small", 20), ("large", 700)] {
        s.add_member_numbers(key, 0..size).await;
        let whole = s.members_after(key, "", 0).await;
        for at in (0..whole.len()).step_by(if size > 100 { 97 } else { 1 }) {
            let rest = s.members_after(key, &whole[at].cursor, 0).await;
            let expected: Vec<&Bytes> = whole[at + 1..].iter().map(|message| &message.member).collect();
            assert_eq!(rest.iter().map(|message| &message.member).collect::<Vec<_>>(), expected, "{key} after {at}");
        }
        assert!(s.members_after(key, &whole.last().unwrap().cursor, 0).await.is_empty());
    }
}

async fn a_cursor_stays_valid_when_its_member_is_removed(s: Subject) {
    s.add_member_numbers("set", 0..50).await;
    let whole = s.members_after("set", "", 0).await;
    let (sent, unsent) = whole.split_at(20);
    let last = std::str::from_utf8(&sent[19].member).unwrap();
    s.remove_members("set", &[last]).await;
    let rest: BTreeSet<Bytes> = s.members_after("set", &sent[19].cursor, 0).await.into_iter().map(|message| message.member).collect();
    assert!(unsent.iter().all(|message| rest.contains(&message.member)), "members are missing");
    assert!(!rest.contains(last.as_bytes()));
    s.remove_members("set", &unsent.iter().map(|message| std::str::from_utf8(&message.member).unwrap()).collect::<Vec<_>>()).await;
    s.members_after("set", &unsent[5].cursor, 0).await;
}

async fn members_that_stay_are_sent_while_others_write(s: Subject) {
    s.add_member_numbers("set", 0..2000).await;
    let request = GetMembersRequest { key: "set".into(), ..Default::default() };
    let mut stream = s.set_basic().get_members(&s.context, request).await.unwrap();
    let mut found = BTreeSet::new();
    for _ in 0..10 {
        found.insert(next(&mut stream).await.member);
    }
    // Removes the odd numbers and doubles the size.
    for start in (0..2000).step_by(500) {
        let odd: Vec<String> = (start..start + 500).filter(|number| number % 2 == 1).map(|number| format!("m{number}")).collect();
        s.remove_members("set", &odd.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    s.add_member_numbers("set", 10_000..12_000).await;
    found.extend(all(stream).await.into_iter().map(|message| message.member));
    for number in (0..2000).step_by(2) {
        assert!(found.contains(format!("m{number}").as_bytes()), "{number} is missing");
    }
}

async fn cursors_belong_to_their_set(s: Subject) {
    s.add_members("a", &["1", "2"]).await;
    s.add_members("b", &["1", "2"]).await;
    let cursor = s.members_after("a", "", 1).await.remove(0).cursor;
    for (key, cursor) in [("b", cursor.clone()), ("a", format!("{cursor}AAAA")), ("a", "x".to_owned()), ("a", "a b".to_owned())] {
        let request = GetMembersRequest { key: key.to_owned().into(), limit: 0, cursor };
        invalid(stream_refusal(s.set_basic().get_members(&s.context, request).await).await, "INVALID_CURSOR", "cursor");
    }
    // The set is gone, but the cursor is still one of this set.
    s.remove_members("a", &["1", "2"]).await;
    assert!(s.members_after("a", &cursor, 0).await.is_empty());
}

async fn bad_requests_are_refused(s: Subject) {
    let sets = s.set_basic();
    let long = Bytes::from(vec![b'k'; usize::try_from(s.limits().max_key_bytes).unwrap() + 1]);
    for key in [Bytes::new(), long] {
        let add = AddRequest { key: key.clone(), members: members(&["a"]) };
        invalid(sets.add(&s.context, add).await, "INVALID_KEY", "key");
        let remove = RemoveRequest { key: key.clone(), members: members(&["a"]) };
        invalid(sets.remove(&s.context, remove).await, "INVALID_KEY", "key");
        let contains = ContainsRequest { key: key.clone(), member: "a".into() };
        invalid(sets.contains(&s.context, contains).await, "INVALID_KEY", "key");
        let request = GetMembersRequest { key, ..Default::default() };
        invalid(stream_refusal(sets.get_members(&s.context, request).await).await, "INVALID_KEY", "key");
    }
    for many in [0, 1001] {
        let many = vec![Bytes::new(); many];
        invalid(sets.add(&s.context, AddRequest { key: "set".into(), members: many.clone() }).await, "BATCH_SIZE", "members");
        invalid(sets.remove(&s.context, RemoveRequest { key: "set".into(), members: many }).await, "BATCH_SIZE", "members");
    }
    let large = Bytes::from(vec![0; usize::try_from(s.limits().max_value_bytes).unwrap() + 1]);
    let add = AddRequest { key: "set".into(), members: vec!["a".into(), large] };
    invalid(sets.add(&s.context, add).await, "VALUE_TOO_LARGE", "members[1]");
    assert!(s.members("set").await.is_empty());
}
