//! MulticastRegistry.

mod messages;
mod receivers;
mod registrations;

use std::collections::BTreeMap;

use prism::{
    call::{Error, Messages},
    proto::patterns::multicast_registry::v1::{
        AckRequest, AckResponse, DeadMessage, DeliveryResult, EnumerateRequest, EnumerateResponse, Identity, ListDeadMessagesRequest,
        ListDeadMessagesResponse, Message, MulticastRequest, MulticastResponse, MulticastSummary, ReceiveRequest, ReceiveResponse,
        RegisterRequest, RegisterResponse, multicast_response::Outcome, receive_response::Event,
    },
};
use prost_types::{Struct, Value, value::Kind};

use self::{
    messages::{
        a_message_reaches_those_that_match, a_message_waits_for_its_identity, a_receiver_on_another_gateway_gets_messages,
        each_identity_has_a_result, many_identities_have_one_result_each, messages_are_checked, nobody_gets_a_message_that_matches_nobody,
        only_failures_can_be_asked_for, who_does_not_receive_misses_messages,
    },
    receivers::{
        a_cursor_continues_behind_a_message, a_cursor_is_refused, a_heartbeat_keeps_the_registration, a_slow_client_keeps_its_leases,
        a_slow_receiver_gets_a_gap, acknowledged_messages_are_gone, acks_are_checked, acks_are_refused, an_unknown_identity_is_refused,
        automatic_acks_follow_the_client, dead_messages_are_refused, dead_messages_are_removed, dead_messages_can_not_be_removed,
        it_ends_with_the_registration, leases_that_end_bring_messages_again, messages_of_a_deregistered_identity_are_dead,
        messages_of_expired_registrations_are_dead, messages_that_are_delivered_too_often_are_dead, messages_that_wait_too_long_are_dead,
    },
    registrations::{
        a_deregistered_identity_is_gone, a_heartbeat_renews, a_registration_ends_after_its_ttl, a_registration_is_returned_as_it_was_made,
        a_registration_without_a_ttl_stays, a_second_registration_replaces_the_first, an_unknown_registration_is_not_found,
        another_gateway_sees_registrations, filters_select, pages_continue_behind_a_cursor, registrations_are_checked,
        the_delivery_follows_the_slots, unknown_identities_have_no_heartbeat, wrong_filters_are_refused,
    },
};
use super::{Bench, MODELS, Variant, pattern_suite};
use crate::support::{all, next};

/// The models of messaging. Only live topics can use the slot `durability`.
const VARIANTS: &[Variant] = &[
    Variant { name: "pubsub", ..MODELS[2] },
    Variant { name: "queue", settings: MODELS[1].settings, needs: &["messaging/queue_visibility", "!durability"] },
    Variant { name: "stream", settings: MODELS[0].settings, needs: &["messaging/stream_basic", "!durability"] },
];

pattern_suite! { "multicast-registry", VARIANTS, ["redis+nats", "memory+nats", "postgres+nats", "postgres+nats+postgres", "postgres+kafka", "sqlite+memory"];
    GetCapabilities {
        the_delivery_follows_the_slots;
    }
    Register {
        a_registration_is_returned_as_it_was_made;
        a_second_registration_replaces_the_first;
        a_registration_ends_after_its_ttl;
        registrations_are_checked;
    }
    Heartbeat {
        a_heartbeat_renews;
        a_registration_without_a_ttl_stays;
        unknown_identities_have_no_heartbeat;
    }
    GetIdentity {
        an_unknown_registration_is_not_found;
        another_gateway_sees_registrations needs "shared";
    }
    Enumerate {
        filters_select;
        pages_continue_behind_a_cursor;
        wrong_filters_are_refused;
    }
    Multicast {
        a_message_reaches_those_that_match;
        a_receiver_on_another_gateway_gets_messages needs "shared";
        each_identity_has_a_result;
        only_failures_can_be_asked_for;
        nobody_gets_a_message_that_matches_nobody;
        a_message_waits_for_its_identity needs "waits";
        who_does_not_receive_misses_messages needs "!waits", "!stream";
        many_identities_have_one_result_each;
        messages_are_checked;
    }
    Receive {
        an_unknown_identity_is_refused;
        it_ends_with_the_registration;
        a_heartbeat_keeps_the_registration;
        leases_that_end_bring_messages_again needs "waits";
        automatic_acks_follow_the_client needs "waits";
        a_slow_client_keeps_its_leases needs "waits";
        messages_that_are_delivered_too_often_are_dead needs "waits";
        messages_that_wait_too_long_are_dead needs "waits";
        a_cursor_continues_behind_a_message needs "stream";
        a_cursor_is_refused needs "!stream";
        a_slow_receiver_gets_a_gap needs "stream";
    }
    Ack {
        acknowledged_messages_are_gone needs "waits";
        acks_are_checked needs "waits";
        acks_are_refused needs "!waits";
    }
    Deregister {
        a_deregistered_identity_is_gone;
        messages_of_a_deregistered_identity_are_dead needs "waits";
        messages_of_expired_registrations_are_dead needs "waits";
    }
    ListDeadMessages {
        messages_that_wait_too_long_are_dead needs "waits";
        dead_messages_are_refused needs "!waits";
    }
    DiscardDeadMessages {
        dead_messages_are_removed needs "waits";
        dead_messages_can_not_be_removed needs "!waits";
    }
}

fn text(text: &str) -> Value {
    Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

fn number(number: f64) -> Value {
    Value { kind: Some(Kind::NumberValue(number)) }
}

fn metadata<const N: usize>(members: [(&str, Value); N]) -> Struct {
    Struct { fields: members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

/// A registration in a region, without a time to live.
fn in_region(identity: &str, region: &str) -> RegisterRequest {
    let metadata = Some(metadata([("region", text(region)), ("version", number(3.0))]));
    RegisterRequest { identity: identity.to_owned(), metadata, tags: vec!["canary".to_owned()], ttl: None }
}

async fn register(bench: &Bench, request: RegisterRequest) -> Result<Identity, Error> {
    Ok(bench.call::<RegisterResponse>("Register", request).await?.identity.unwrap())
}

/// Registers identities in the region `eu`.
async fn register_all(bench: &Bench, identities: &[&str]) {
    for identity in identities {
        register(bench, in_region(identity, "eu")).await.unwrap();
    }
}

/// Returns the identities that match a filter.
async fn matching(bench: &Bench, filter: &str) -> Vec<String> {
    let request = EnumerateRequest { filter: filter.to_owned(), ..EnumerateRequest::default() };
    let found = all(bench.stream::<EnumerateResponse>("Enumerate", request).await.unwrap()).await;
    found.into_iter().map(|found| found.identity.unwrap().identity).collect()
}

fn message(payload: &str, filter: &str) -> MulticastRequest {
    MulticastRequest { payload: payload.to_owned().into(), filter: filter.to_owned(), ..MulticastRequest::default() }
}

/// Sends a message. Returns the results, ordered by identity, and the summary.
async fn multicast(bench: &Bench, request: MulticastRequest) -> (Vec<DeliveryResult>, MulticastSummary) {
    let mut responses = all(bench.stream::<MulticastResponse>("Multicast", request).await.unwrap()).await;
    let Some(Outcome::Summary(summary)) = responses.pop().and_then(|response| response.outcome) else { panic!("no summary") };
    let mut results: Vec<_> = responses
        .into_iter()
        .map(|response| match response.outcome {
            Some(Outcome::Result(result)) => result,
            other => panic!("{other:?}"),
        })
        .collect();
    results.sort_by(|one, other| one.identity.cmp(&other.identity));
    (results, summary)
}

fn as_identity(identity: &str) -> ReceiveRequest {
    ReceiveRequest { identity: identity.to_owned(), ..ReceiveRequest::default() }
}

/// Receives, and waits until it is connected.
async fn receive(bench: &Bench, request: ReceiveRequest) -> Messages<ReceiveResponse> {
    let identity = request.identity.clone();
    let mut events = bench.stream::<ReceiveResponse>("Receive", request).await.unwrap();
    match next(&mut events).await.event {
        Some(Event::Connected(connected)) => assert_eq!(connected.identity, identity),
        other => panic!("{other:?}"),
    }
    events
}

/// Returns the next message.
async fn next_message(events: &mut Messages<ReceiveResponse>) -> Message {
    match next(events).await.event {
        Some(Event::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

async fn next_payload(events: &mut Messages<ReceiveResponse>) -> String {
    String::from_utf8(next_message(events).await.payload.to_vec()).unwrap()
}

async fn ack(bench: &Bench, identity: &str, leases: Vec<String>) -> Result<u32, Error> {
    let request = AckRequest { identity: identity.to_owned(), leases };
    Ok(bench.call::<AckResponse>("Ack", request).await?.acknowledged)
}

async fn dead(bench: &Bench) -> Vec<DeadMessage> {
    bench.call::<ListDeadMessagesResponse>("ListDeadMessages", ListDeadMessagesRequest { limit: 100 }).await.unwrap().messages
}

fn headers(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}
