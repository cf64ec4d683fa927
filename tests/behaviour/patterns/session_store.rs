//! SessionStore.

use std::collections::BTreeMap;

use futures::future::join_all;
use prism::{
    call::{Code, Error},
    proto::patterns::{
        consumer::v1::{SubscribeRequest, SubscribeResponse},
        session_store::v1::{
            CreateSessionRequest, CreateSessionResponse, EndAllSessionsRequest, EndAllSessionsResponse, EndSessionRequest,
            EndSessionResponse, EndUserSessionRequest, EndUserSessionResponse, ExtendSessionRequest, ExtendSessionResponse,
            GetSessionRequest, GetSessionResponse, ListSessionsRequest, ListSessionsResponse, RotateTokenRequest, RotateTokenResponse,
            Session, UpdateSessionRequest, UpdateSessionResponse,
        },
        slots::v1::Support,
    },
};
use serde_json::json;

use super::{Bench, DEFAULT, pattern_suite};
use crate::support::{all, eventually, invalid, millis, next, refusal, refused, seconds, since_1970, sleep};

pattern_suite! { "session-store", DEFAULT;
    GetCapabilities {
        all_operations_are_native;
    }
    CreateSession {
        a_session_is_read_as_it_was_created;
        sessions_are_checked;
    }
    GetSession {
        a_wrong_token_opens_nothing;
        an_idle_session_ends;
        use_keeps_a_session_but_not_past_its_end;
        another_gateway_reads_a_session needs "shared";
    }
    UpdateSession {
        data_are_set_and_deleted;
        an_update_needs_the_expected_revision;
        concurrent_updates_lose_nothing;
    }
    ExtendSession {
        an_extended_session_ends_later;
    }
    RotateToken {
        after_a_rotation_only_the_new_token_opens;
        the_token_before_is_valid_for_a_while;
    }
    EndSession {
        an_ended_session_is_gone;
        each_change_publishes_an_event needs "messaging/stream_basic";
    }
    ListSessions {
        sessions_of_a_user_are_listed;
    }
    EndUserSession {
        a_session_is_ended_by_its_id;
    }
    EndAllSessions {
        all_sessions_of_a_user_end;
        all_but_one_session_end;
    }
}

fn data<const N: usize>(entries: [(&str, &str); N]) -> BTreeMap<String, String> {
    entries.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn request(user: &str) -> CreateSessionRequest {
    CreateSessionRequest { user: user.to_owned(), data: data([("cart", "3 books")]), ..CreateSessionRequest::default() }
}

/// Creates a session. Returns it with its token.
async fn create(bench: &Bench, request: CreateSessionRequest) -> (Session, String) {
    let created: CreateSessionResponse = bench.call("CreateSession", request).await.unwrap();
    (created.session.unwrap(), created.token)
}

async fn get(bench: &Bench, token: &str) -> Result<Session, Error> {
    let request = GetSessionRequest { token: token.to_owned(), peek: false };
    Ok(bench.call::<GetSessionResponse>("GetSession", request).await?.session.unwrap())
}

async fn update(bench: &Bench, request: UpdateSessionRequest) -> Result<Session, Error> {
    Ok(bench.call::<UpdateSessionResponse>("UpdateSession", request).await?.session.unwrap())
}

async fn rotate(bench: &Bench, token: &str) -> Result<String, Error> {
    Ok(bench.call::<RotateTokenResponse>("RotateToken", RotateTokenRequest { token: token.to_owned() }).await?.token)
}

async fn ids(bench: &Bench, user: &str) -> Vec<String> {
    let request = ListSessionsRequest { user: user.to_owned(), ..ListSessionsRequest::default() };
    let found = all(bench.stream::<ListSessionsResponse>("ListSessions", request).await.unwrap()).await;
    found.into_iter().map(|one| one.session.unwrap().id).collect()
}

async fn ended(bench: &Bench, token: &str) {
    refused(get(bench, token).await, Code::NotFound, "SESSION_NOT_FOUND");
}

async fn all_operations_are_native(bench: Bench) {
    let operations = bench.capabilities().await.operations;
    assert!(operations.iter().all(|operation| operation.support() == Support::Native), "{operations:?}");
}

async fn a_session_is_read_as_it_was_created(bench: Bench) {
    let wanted = CreateSessionRequest { idle_timeout: Some(seconds(60)), lifetime: Some(seconds(600)), ..request("ada") };
    let (created, token) = create(&bench, wanted).await;
    let read = get(&bench, &token).await.unwrap();
    assert_eq!((read.user.as_str(), &read.data, read.id.as_str()), ("ada", &data([("cart", "3 books")]), created.id.as_str()));
    assert_eq!((read.idle_timeout, read.revision, read.end_time), (Some(seconds(60)), created.revision, created.end_time));
    let since = |time: &Option<prost_types::Timestamp>| since_1970(time.as_ref()) - since_1970(read.create_time.as_ref());
    assert_eq!(since(&read.end_time), 600_000);
    assert!((55_000..=65_000).contains(&since(&read.expire_time)));
}

async fn sessions_are_checked(bench: Bench) {
    let create = async |request| bench.call::<CreateSessionResponse>("CreateSession", request).await;
    for user in ["", "a\0b", &"x".repeat(257)] {
        invalid(create(request(user)).await, "INVALID_FIELD", "user");
    }
    invalid(create(CreateSessionRequest { data: data([("", "x")]), ..request("ada") }).await, "INVALID_FIELD", "data");
    invalid(create(CreateSessionRequest { idle_timeout: Some(millis(0)), ..request("ada") }).await, "INVALID_FIELD", "idle_timeout");
    let large = data([("x", &"x".repeat(70 << 10))]);
    invalid(create(CreateSessionRequest { data: large, ..request("ada") }).await, "SESSION_TOO_LARGE", "data");
}

async fn a_wrong_token_opens_nothing(bench: Bench) {
    let (_, token) = create(&bench, request("ada")).await;
    let (_, other) = create(&bench, request("bob")).await;
    let mixed = format!("{}.{}", token.split_once('.').unwrap().0, other.split_once('.').unwrap().1);
    for wrong in ["x", &token[1..], &mixed] {
        ended(&bench, wrong).await;
    }
    invalid(get(&bench, "").await, "INVALID_FIELD", "token");
}

async fn an_idle_session_ends(bench: Bench) {
    let (_, token) = create(&bench, CreateSessionRequest { idle_timeout: Some(seconds(1)), ..request("ada") }).await;
    get(&bench, &token).await.unwrap();
    let peek = async || {
        let request = GetSessionRequest { token: token.clone(), peek: true };
        bench.call::<GetSessionResponse>("GetSession", request).await.is_ok()
    };
    eventually("the session ends", || async { !peek().await }).await;
    assert!(ids(&bench, "ada").await.is_empty());
}

async fn use_keeps_a_session_but_not_past_its_end(bench: Bench) {
    let wanted = CreateSessionRequest { idle_timeout: Some(seconds(2)), lifetime: Some(seconds(5)), ..request("ada") };
    let (_, token) = create(&bench, wanted).await;
    for _ in 0..4 {
        sleep(800).await;
        get(&bench, &token).await.unwrap();
    }
    eventually("the session ends", || async { get(&bench, &token).await.is_err() }).await;
}

async fn another_gateway_reads_a_session(bench: Bench) {
    let other = bench.on_other_gateway().await;
    let (created, token) = create(&bench, request("ada")).await;
    assert_eq!(get(&other, &token).await.unwrap().id, created.id);
    let changed = UpdateSessionRequest { token: token.clone(), set: data([("cart", "4 books")]), ..UpdateSessionRequest::default() };
    update(&other, changed).await.unwrap();
    assert_eq!(get(&bench, &token).await.unwrap().data["cart"], "4 books");
}

async fn data_are_set_and_deleted(bench: Bench) {
    let (created, token) = create(&bench, request("ada")).await;
    let set = data([("theme", "dark"), ("language", "de")]);
    let changed = update(&bench, UpdateSessionRequest { token: token.clone(), set, ..UpdateSessionRequest::default() }).await.unwrap();
    assert_eq!(changed.data, data([("cart", "3 books"), ("theme", "dark"), ("language", "de")]));
    assert!(changed.revision > created.revision);
    let delete = vec!["cart".to_owned(), "absent".to_owned()];
    update(&bench, UpdateSessionRequest { token: token.clone(), delete, ..UpdateSessionRequest::default() }).await.unwrap();
    assert_eq!(get(&bench, &token).await.unwrap().data, data([("theme", "dark"), ("language", "de")]));
    let both = UpdateSessionRequest { token, set: data([("x", "1")]), delete: vec!["x".to_owned()], expected_revision: 0 };
    invalid(update(&bench, both).await, "INVALID_FIELD", "delete");
}

async fn an_update_needs_the_expected_revision(bench: Bench) {
    let (created, token) = create(&bench, request("ada")).await;
    let change = |expected_revision| UpdateSessionRequest { token: token.clone(), expected_revision, ..UpdateSessionRequest::default() };
    let changed = update(&bench, change(created.revision)).await.unwrap();
    let error = refused(update(&bench, change(created.revision)).await, Code::Aborted, "REVISION_MISMATCH");
    assert_eq!(error.get("current_revision"), Some(changed.revision.to_string().as_str()));
}

async fn concurrent_updates_lose_nothing(bench: Bench) {
    let (_, token) = create(&bench, request("ada")).await;
    let set = |number: usize| UpdateSessionRequest {
        token: token.clone(),
        set: data([(format!("n{number}").as_str(), "x")]),
        ..UpdateSessionRequest::default()
    };
    let results = join_all((0..4).map(|number| update(&bench, set(number)))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(get(&bench, &token).await.unwrap().data.len(), 5);
}

async fn an_extended_session_ends_later(bench: Bench) {
    let wanted = CreateSessionRequest { idle_timeout: Some(seconds(2)), lifetime: Some(seconds(2)), ..request("ada") };
    let (created, token) = create(&bench, wanted).await;
    let extend = |lifetime| ExtendSessionRequest { token: token.clone(), idle_timeout: Some(seconds(60)), lifetime: Some(lifetime) };
    let extended: ExtendSessionResponse = bench.call("ExtendSession", extend(seconds(600))).await.unwrap();
    let extended = extended.session.unwrap();
    assert!(since_1970(extended.end_time.as_ref()) > since_1970(created.end_time.as_ref()) + 500_000);
    sleep(2500).await;
    get(&bench, &token).await.unwrap();
    assert_eq!(ids(&bench, "ada").await, [created.id]);
    let too_long = bench.call::<ExtendSessionResponse>("ExtendSession", extend(seconds(25 * 60 * 60))).await;
    invalid(too_long, "INVALID_FIELD", "lifetime");
}

async fn after_a_rotation_only_the_new_token_opens(bench: Bench) {
    let bench = bench.with(json!({"rotation_grace": "0ms"})).await;
    let (created, token) = create(&bench, request("ada")).await;
    let next = rotate(&bench, &token).await.unwrap();
    assert_eq!(get(&bench, &next).await.unwrap().id, created.id);
    ended(&bench, &token).await;
    refused(rotate(&bench, &token).await, Code::NotFound, "SESSION_NOT_FOUND");
}

async fn the_token_before_is_valid_for_a_while(bench: Bench) {
    let bench = bench.with(json!({"rotation_grace": "2s"})).await;
    let (_, token) = create(&bench, request("ada")).await;
    let next = rotate(&bench, &token).await.unwrap();
    get(&bench, &token).await.unwrap();
    refused(rotate(&bench, &token).await, Code::NotFound, "SESSION_NOT_FOUND");
    eventually("the grace passes", || async { get(&bench, &token).await.is_err() }).await;
    get(&bench, &next).await.unwrap();
}

async fn an_ended_session_is_gone(bench: Bench) {
    let (_, token) = create(&bench, request("ada")).await;
    let end = async || {
        let request = EndSessionRequest { token: token.clone() };
        bench.call::<EndSessionResponse>("EndSession", request).await.unwrap().ended
    };
    assert!(end().await);
    assert!(!end().await);
    ended(&bench, &token).await;
    assert!(ids(&bench, "ada").await.is_empty());
}

/// The events of all changes of a session, in their order.
async fn each_change_publishes_an_event(bench: Bench) {
    let (session, token) = create(&bench, request("ada")).await;
    let change = UpdateSessionRequest { token: token.clone(), set: data([("cart", "4 books")]), ..UpdateSessionRequest::default() };
    update(&bench, change.clone()).await.unwrap();
    // A change that is refused has no event.
    let revision = session.revision;
    refused(update(&bench, UpdateSessionRequest { expected_revision: revision, ..change }).await, Code::Aborted, "REVISION_MISMATCH");
    let extend = ExtendSessionRequest { token: token.clone(), idle_timeout: Some(seconds(60)), lifetime: None };
    bench.call::<ExtendSessionResponse>("ExtendSession", extend).await.unwrap();
    let token = rotate(&bench, &token).await.unwrap();
    for expected in [true, false] {
        let ended = bench.call::<EndSessionResponse>("EndSession", EndSessionRequest { token: token.clone() }).await.unwrap().ended;
        assert_eq!(ended, expected);
    }
    let consumer = bench.beside("consumer").await.with(json!({"model": "stream"})).await;
    let subscribe = SubscribeRequest { topic: "sessions".to_owned(), ..SubscribeRequest::default() };
    let mut messages = consumer.stream::<SubscribeResponse>("Subscribe", subscribe).await.unwrap();
    for event in ["created", "updated", "extended", "rotated", "ended"] {
        let message = next(&mut messages).await.message.unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!((payload, &*message.key), (json!({"event": event, "user": "ada", "id": session.id}), "ada"));
    }
}

async fn sessions_of_a_user_are_listed(bench: Bench) {
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(create(&bench, request("ada")).await.0.id);
    }
    create(&bench, request("ad")).await;
    create(&bench, request("adam")).await;
    expected.sort();
    let mut found = ids(&bench, "ada").await;
    found.sort();
    assert_eq!(found, expected);
    let page = |limit, cursor: &str| ListSessionsRequest { user: "ada".to_owned(), limit, cursor: cursor.to_owned() };
    let first = all(bench.stream::<ListSessionsResponse>("ListSessions", page(2, "")).await.unwrap()).await;
    let rest = all(bench.stream::<ListSessionsResponse>("ListSessions", page(0, &first[1].cursor)).await.unwrap()).await;
    assert_eq!((first.len(), rest.len()), (2, 3));
    let wrong = bench.stream::<ListSessionsResponse>("ListSessions", page(0, "x")).await;
    assert_eq!(refusal(wrong).await.reason(), "INVALID_CURSOR");
}

async fn a_session_is_ended_by_its_id(bench: Bench) {
    let (session, token) = create(&bench, request("ada")).await;
    let end = async |user: &str, id: &str| {
        let request = EndUserSessionRequest { user: user.to_owned(), id: id.to_owned() };
        bench.call::<EndUserSessionResponse>("EndUserSession", request).await.unwrap().ended
    };
    assert!(!end("bob", &session.id).await);
    assert!(!end("ada", "x").await);
    get(&bench, &token).await.unwrap();
    assert!(end("ada", &session.id).await);
    ended(&bench, &token).await;
}

async fn end_all(bench: &Bench, except_id: &str) -> u64 {
    let request = EndAllSessionsRequest { user: "ada".to_owned(), except_id: except_id.to_owned() };
    bench.call::<EndAllSessionsResponse>("EndAllSessions", request).await.unwrap().ended
}

async fn all_sessions_of_a_user_end(bench: Bench) {
    let sessions = join_all((0..20).map(|_| create(&bench, request("ada")))).await;
    let (_, other) = create(&bench, request("bob")).await;
    assert_eq!(end_all(&bench, "").await, 20);
    for (_, token) in &sessions {
        ended(&bench, token).await;
    }
    get(&bench, &other).await.unwrap();
    assert_eq!(end_all(&bench, "").await, 0);
}

async fn all_but_one_session_end(bench: Bench) {
    let (kept, token) = create(&bench, request("ada")).await;
    let (_, other) = create(&bench, request("ada")).await;
    assert_eq!(end_all(&bench, &kept.id).await, 1);
    get(&bench, &token).await.unwrap();
    ended(&bench, &other).await;
}
