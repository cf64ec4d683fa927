//! Receivers, leases and dead messages.

use prism::{
    call::Code,
    proto::patterns::multicast_registry::v1::{
        DeregisterRequest, DeregisterResponse, DiscardDeadMessagesRequest, DiscardDeadMessagesResponse, ListDeadMessagesRequest,
        ListDeadMessagesResponse, ReceiveRequest, ReceiveResponse, RegisterRequest, receive_response::Event,
    },
};
use serde_json::json;

use super::{ack, as_identity, dead, in_region, matching, message, multicast, next_message, next_payload, receive, register, register_all};
use crate::{
    patterns::Bench,
    support::{end_with_error, eventually, invalid, next, refusal, refused, seconds, sleep},
};

pub async fn an_unknown_identity_is_refused(bench: Bench) {
    let refused = refusal(bench.stream::<ReceiveResponse>("Receive", as_identity("a")).await).await;
    assert_eq!((refused.code(), refused.reason()), (Code::NotFound, "IDENTITY_NOT_FOUND"));
    invalid(bench.stream::<ReceiveResponse>("Receive", as_identity("")).await, "INVALID_NAME", "identity");
    let wrong = ReceiveRequest { lease_duration: Some(seconds(0)), ..as_identity("a") };
    invalid(bench.stream::<ReceiveResponse>("Receive", wrong).await, "INVALID_FIELD", "lease_duration");
}

fn with_heartbeat(identity: &str) -> ReceiveRequest {
    ReceiveRequest { heartbeat: true, ..as_identity(identity) }
}

async fn deregister(bench: &Bench, identity: &str) -> DeregisterResponse {
    bench.call("Deregister", DeregisterRequest { identity: identity.to_owned() }).await.unwrap()
}

pub async fn it_ends_with_the_registration(bench: Bench) {
    register(&bench, RegisterRequest { ttl: Some(seconds(6)), ..in_region("a", "eu") }).await.unwrap();
    let mut receiver = receive(&bench, with_heartbeat("a")).await;
    assert!(deregister(&bench, "a").await.deregistered);
    assert_eq!(end_with_error(&mut receiver).await.reason(), "IDENTITY_NOT_FOUND");
}

pub async fn a_heartbeat_keeps_the_registration(bench: Bench) {
    for identity in ["with", "without"] {
        register(&bench, RegisterRequest { ttl: Some(seconds(5)), ..in_region(identity, "eu") }).await.unwrap();
    }
    let mut receiver = receive(&bench, with_heartbeat("with")).await;
    let (work, _other) = (
        async {
            eventually("the other registration ends", || async { matching(&bench, "").await == ["with"] }).await;
            multicast(&bench, message("still here", "")).await;
        },
        receive(&bench, as_identity("without")).await,
    );
    // The stream is polled as a client does, which renews the registration.
    let ((), payload) = tokio::join!(work, next_payload(&mut receiver));
    assert_eq!(payload, "still here");
}

pub async fn leases_that_end_bring_messages_again(bench: Bench) {
    register_all(&bench, &["a"]).await;
    multicast(&bench, message("x", "")).await;
    let mut receiver = receive(&bench, ReceiveRequest { lease_duration: Some(seconds(1)), ..as_identity("a") }).await;
    let first = next_message(&mut receiver).await;
    let second = next_message(&mut receiver).await;
    assert_eq!((first.attempt, second.attempt, first.id == second.id), (1, 2, true));
    assert_eq!(ack(&bench, "a", vec![first.lease]).await.unwrap(), 0);
    assert_eq!(ack(&bench, "a", vec![second.lease]).await.unwrap(), 1);
}

pub async fn automatic_acks_follow_the_client(bench: Bench) {
    register_all(&bench, &["a"]).await;
    for payload in ["one", "two", "three"] {
        multicast(&bench, message(payload, "")).await;
    }
    let request = ReceiveRequest { auto_ack: true, lease_duration: Some(seconds(1)), ..as_identity("a") };
    let mut receiver = receive(&bench, request.clone()).await;
    for payload in ["one", "two", "three"] {
        assert_eq!(next_payload(&mut receiver).await, payload);
    }
    let send = async {
        sleep(1500).await;
        multicast(&bench, message("four", "")).await;
    };
    // To ask for the next message acknowledges those before it.
    let ((), payload) = tokio::join!(send, next_payload(&mut receiver));
    assert_eq!(payload, "four");
    drop(receiver);
    let mut again = receive(&bench, request).await;
    let received = next_message(&mut again).await;
    assert_eq!((&received.payload[..], received.attempt), (&b"four"[..], 2));
}

pub async fn a_slow_client_keeps_its_leases(bench: Bench) {
    register_all(&bench, &["a"]).await;
    for payload in ["one", "two", "three"] {
        multicast(&bench, message(payload, "")).await;
    }
    let request = ReceiveRequest { auto_ack: true, lease_duration: Some(seconds(4)), ..as_identity("a") };
    let mut receiver = receive(&bench, request).await;
    for payload in ["one", "two", "three"] {
        let received = next_message(&mut receiver).await;
        assert_eq!((&received.payload[..], received.attempt), (payload.as_bytes(), 1));
        sleep(2500).await;
    }
    multicast(&bench, message("four", "")).await;
    assert_eq!(next_payload(&mut receiver).await, "four");
}

pub async fn messages_that_are_delivered_too_often_are_dead(bench: Bench) {
    let bench = bench.with(json!({"max_attempts": 2})).await;
    register_all(&bench, &["a"]).await;
    multicast(&bench, message("x", "")).await;
    let mut receiver = receive(&bench, ReceiveRequest { lease_duration: Some(seconds(1)), ..as_identity("a") }).await;
    assert_eq!((next_message(&mut receiver).await.attempt, next_message(&mut receiver).await.attempt), (1, 2));
    // The stream is polled, since backends move messages when somebody looks for them.
    let become_dead = eventually("the message is dead", || async { !dead(&bench).await.is_empty() });
    tokio::select! {
        () = become_dead => {}
        event = next(&mut receiver) => panic!("{event:?}"),
    }
    let found = dead(&bench).await.remove(0);
    assert_eq!((found.identity.as_str(), &found.message.unwrap().payload[..]), ("a", &b"x"[..]));
}

pub async fn messages_that_wait_too_long_are_dead(bench: Bench) {
    let bench = bench.with(json!({"retention": "4s"})).await;
    register_all(&bench, &["a"]).await;
    multicast(&bench, message("old", "")).await;
    sleep(4500).await;
    multicast(&bench, message("new", "")).await;
    let mut receiver = receive(&bench, as_identity("a")).await;
    assert_eq!(next_payload(&mut receiver).await, "new");
    let found = dead(&bench).await;
    assert_eq!(found.len(), 1);
    let message = found[0].message.clone().unwrap();
    assert_eq!((found[0].identity.as_str(), &message.payload[..], message.lease.as_str()), ("a", &b"old"[..], ""));
    assert!(!message.id.is_empty() && message.headers.is_empty());
}

pub async fn a_cursor_continues_behind_a_message(bench: Bench) {
    register_all(&bench, &["a", "b"]).await;
    let mut receiver = receive(&bench, as_identity("a")).await;
    for payload in ["one", "two", "three"] {
        multicast(&bench, message(payload, "")).await;
    }
    let first = next(&mut receiver).await;
    assert!(!first.cursor.is_empty());
    drop(receiver);
    let mut receiver = receive(&bench, ReceiveRequest { cursor: first.cursor, ..as_identity("a") }).await;
    multicast(&bench, message("four", "identity == 'a'")).await;
    for payload in ["two", "three", "four"] {
        assert_eq!(next_payload(&mut receiver).await, payload);
    }
    let wrong = ReceiveRequest { cursor: "x".to_owned(), ..as_identity("a") };
    let error = match bench.stream::<ReceiveResponse>("Receive", wrong).await {
        Err(error) => error,
        Ok(mut events) => end_with_error(&mut events).await,
    };
    assert_eq!(error.reason(), "INVALID_CURSOR");
}

pub async fn a_cursor_is_refused(bench: Bench) {
    register_all(&bench, &["a"]).await;
    let wrong = ReceiveRequest { cursor: "AAAA".to_owned(), ..as_identity("a") };
    invalid(bench.stream::<ReceiveResponse>("Receive", wrong).await, "INVALID_CURSOR", "cursor");
}

pub async fn a_slow_receiver_gets_a_gap(bench: Bench) {
    register_all(&bench, &["a"]).await;
    let mut slow = receive(&bench, as_identity("a")).await;
    let mut fast = receive(&bench, as_identity("a")).await;
    for number in 0..260 {
        multicast(&bench, message(&number.to_string(), "")).await;
        assert_eq!(next_payload(&mut fast).await, number.to_string());
    }
    for number in 0..256 {
        assert_eq!(next_payload(&mut slow).await, number.to_string());
    }
    multicast(&bench, message("now", "")).await;
    let gap = next(&mut slow).await.event;
    assert!(matches!(&gap, Some(Event::Gap(gap)) if gap.missed == 4), "{gap:?}");
    assert_eq!(next_payload(&mut slow).await, "now");
}

pub async fn acknowledged_messages_are_gone(bench: Bench) {
    register_all(&bench, &["a"]).await;
    multicast(&bench, message("one", "")).await;
    multicast(&bench, message("two", "")).await;
    let request = ReceiveRequest { lease_duration: Some(seconds(1)), ..as_identity("a") };
    let mut receiver = receive(&bench, request.clone()).await;
    let first = next_message(&mut receiver).await;
    assert_eq!(ack(&bench, "a", vec![first.lease.clone()]).await.unwrap(), 1);
    assert_eq!(ack(&bench, "a", vec![first.lease]).await.unwrap(), 0);
    drop(receiver);
    let mut receiver = receive(&bench, request).await;
    assert_eq!(next_payload(&mut receiver).await, "two");
}

pub async fn acks_are_checked(bench: Bench) {
    register_all(&bench, &["a", "b"]).await;
    multicast(&bench, message("x", "")).await;
    let lease = next_message(&mut receive(&bench, as_identity("a")).await).await.lease;
    for wrong in ["", "x", &lease[1..]] {
        invalid(ack(&bench, "a", vec![wrong.to_owned()]).await, "INVALID_LEASE", "leases");
    }
    invalid(ack(&bench, "b", vec![lease.clone()]).await, "INVALID_LEASE", "leases");
    for count in [0, 101] {
        invalid(ack(&bench, "a", vec![lease.clone(); count]).await, "BATCH_SIZE", "leases");
    }
    invalid(ack(&bench, "", vec![lease]).await, "INVALID_NAME", "identity");
}

pub async fn acks_are_refused(bench: Bench) {
    let error = refused(ack(&bench, "a", vec!["x".to_owned()]).await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
    assert!(error.message().contains("`durability`"), "{error}");
}

pub async fn messages_of_a_deregistered_identity_are_dead(bench: Bench) {
    register_all(&bench, &["a", "b"]).await;
    for payload in ["one", "two"] {
        multicast(&bench, message(payload, "")).await;
    }
    let done = deregister(&bench, "a").await;
    assert_eq!((done.deregistered, done.dead), (true, 2));
    let found = dead(&bench).await;
    assert!(found.len() == 2 && found.iter().all(|one| one.identity == "a"), "{found:?}");
    register_all(&bench, &["a"]).await;
    let mut receivers = [receive(&bench, as_identity("a")).await, receive(&bench, as_identity("b")).await];
    multicast(&bench, message("three", "")).await;
    assert_eq!(next_payload(&mut receivers[0]).await, "three");
    assert_eq!(next_payload(&mut receivers[1]).await, "one");
}

pub async fn messages_of_expired_registrations_are_dead(bench: Bench) {
    register_all(&bench, &["a", "c"]).await;
    register(&bench, RegisterRequest { ttl: Some(seconds(1)), ..in_region("b", "eu") }).await.unwrap();
    multicast(&bench, message("x", "")).await;
    let sweeping = bench.with(json!({"sweep_interval": "1s"})).await;
    eventually("the message is dead", || async { !dead(&sweeping).await.is_empty() }).await;
    let found = dead(&sweeping).await;
    assert_eq!(found.iter().map(|one| one.identity.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(next_payload(&mut receive(&bench, as_identity("a")).await).await, "x");
}

pub async fn dead_messages_are_refused(bench: Bench) {
    let answer = bench.call::<ListDeadMessagesResponse>("ListDeadMessages", ListDeadMessagesRequest::default()).await;
    refused(answer, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
}

async fn discard(bench: &Bench, limit: u32) -> Result<u64, prism::call::Error> {
    let request = DiscardDeadMessagesRequest { limit };
    Ok(bench.call::<DiscardDeadMessagesResponse>("DiscardDeadMessages", request).await?.discarded)
}

pub async fn dead_messages_are_removed(bench: Bench) {
    register_all(&bench, &["a"]).await;
    for payload in ["one", "two", "three"] {
        multicast(&bench, message(payload, "")).await;
    }
    assert_eq!(deregister(&bench, "a").await.dead, 3);
    assert_eq!(discard(&bench, 2).await.unwrap(), 2);
    assert_eq!(dead(&bench).await.len(), 1);
    assert_eq!(discard(&bench, 1000).await.unwrap(), 1);
    assert!(dead(&bench).await.is_empty());
    for limit in [0, 1001] {
        invalid(discard(&bench, limit).await, "INVALID_FIELD", "limit");
    }
}

pub async fn dead_messages_can_not_be_removed(bench: Bench) {
    refused(discard(&bench, 1).await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
}
