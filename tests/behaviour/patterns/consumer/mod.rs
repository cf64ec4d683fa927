//! Consumer.

mod filters;
mod group;
mod receive;
mod streams;

use prism::{
    call::{Code, Error},
    proto::patterns::{
        consumer::v1::{
            AckRequest, AckResponse, DiscardDeadMessagesRequest, DiscardDeadMessagesResponse, ExtendRequest, ExtendResponse,
            GetGroupRequest, GetGroupResponse, ListDeadMessagesRequest, ListDeadMessagesResponse, Message, NackRequest, NackResponse,
            ReceiveRequest, ReceiveResponse, RedriveDeadMessagesRequest, RedriveDeadMessagesResponse, SeekRequest, SeekResponse,
            seek_request::Place,
        },
        producer::v1::{PublishRequest, PublishResponse},
        slots::v1::Support,
    },
};
use serde_json::json;

use self::{
    filters::{
        a_consumer_has_a_filter, a_consumer_of_a_live_topic_has_a_filter, a_filter_also_applies_to_messages_that_come_again,
        a_filter_knows_the_topic, a_filter_leaves_out_live_messages, a_filter_reads_topic_key_and_payload,
        a_group_passes_over_what_the_filter_does_not_match, a_subscription_of_a_group_has_a_filter,
        cursors_pass_over_what_the_filter_does_not_match, filters_are_checked, filters_of_consumers_are_checked,
        filters_of_subscriptions_are_checked, it_waits_for_a_message_that_the_filter_matches, one_call_passes_over_a_bounded_number,
    },
    group::{
        a_group_moves, a_new_group_can_be_made_at_a_place, a_place_is_needed, dead_messages_are_listed_and_stay,
        discarded_messages_are_gone, redriven_messages_are_delivered_again, the_numbers_of_a_group_add_up,
    },
    receive::{
        a_failed_message_comes_back_after_the_delay_of_the_request, a_failed_message_comes_back_after_the_delay_of_the_settings,
        a_lease_is_extended, a_message_comes_back_when_its_lease_ends, a_message_goes_to_one_consumer, a_new_group_can_begin_at_the_end,
        acknowledged_messages_are_gone, after_the_last_delivery_a_message_is_dead, each_group_gets_all_messages, gateways_share_a_group,
        it_waits_for_a_message, leases_are_checked, messages_are_received_in_order_with_all_that_was_published,
        messages_in_flight_are_bounded, queues_have_one_group, requests_are_checked,
    },
    streams::{
        a_consumer_of_a_live_topic_needs_credits, a_stream_is_read_by_everybody_and_continued_by_cursor, consumers_need_credits,
        consuming_settles_messages, live_messages_reach_those_who_are_there, messages_of_a_group_are_acknowledged_when_they_are_taken,
        requests_of_consumers_are_checked, several_live_topics_are_read_in_one_stream, several_topics_are_read_and_continued_by_one_cursor,
        subscribers_come_at_any_time_and_miss_nothing, subscriptions_are_checked,
    },
};
use super::{
    Bench, MODELS, pattern_suite,
    payloads::{
        acknowledging_removes_the_payload_of_a_queue, names_of_payloads_are_checked, payloads_that_are_too_large_are_read_in_parts,
        reading_needs_the_slot_payloads,
    },
};
use crate::support::{millis, refused, seconds};

pattern_suite! { "consumer", MODELS;
    GetCapabilities {
        the_model_decides_what_is_supported;
    }
    Receive {
        messages_are_received_in_order_with_all_that_was_published needs "groups";
        it_waits_for_a_message needs "groups";
        a_message_goes_to_one_consumer needs "groups";
        a_message_comes_back_when_its_lease_ends needs "groups";
        gateways_share_a_group needs "groups", "shared";
        each_group_gets_all_messages needs "groups", "stream";
        a_new_group_can_begin_at_the_end needs "groups", "stream";
        messages_in_flight_are_bounded needs "groups", "stream";
        queues_have_one_group needs "queue";
        requests_are_checked needs "groups";
        a_group_passes_over_what_the_filter_does_not_match needs "groups";
        a_filter_reads_topic_key_and_payload needs "groups";
        it_waits_for_a_message_that_the_filter_matches needs "groups";
        one_call_passes_over_a_bounded_number needs "groups", "stream";
        a_filter_also_applies_to_messages_that_come_again needs "groups";
        filters_are_checked needs "groups";
        groups_are_refused needs "!groups";
    }
    Subscribe {
        a_stream_is_read_by_everybody_and_continued_by_cursor needs "stream";
        subscribers_come_at_any_time_and_miss_nothing needs "stream";
        several_topics_are_read_and_continued_by_one_cursor needs "stream";
        several_live_topics_are_read_in_one_stream needs "pubsub";
        messages_of_a_group_are_acknowledged_when_they_are_taken needs "groups";
        live_messages_reach_those_who_are_there needs "pubsub";
        subscriptions_are_checked;
        cursors_pass_over_what_the_filter_does_not_match needs "stream";
        a_filter_knows_the_topic needs "stream";
        a_subscription_of_a_group_has_a_filter needs "groups";
        a_filter_leaves_out_live_messages needs "pubsub";
        filters_of_subscriptions_are_checked;
    }
    Consume {
        consumers_need_credits needs "groups";
        consuming_settles_messages needs "groups";
        a_consumer_of_a_live_topic_needs_credits needs "pubsub";
        requests_of_consumers_are_checked;
        a_consumer_has_a_filter needs "groups";
        a_consumer_of_a_live_topic_has_a_filter needs "pubsub";
        filters_of_consumers_are_checked;
    }
    ReadPayload {
        payloads_that_are_too_large_are_read_in_parts needs "payloads", "groups";
        names_of_payloads_are_checked needs "payloads";
        reading_needs_the_slot_payloads needs "!payloads";
    }
    Ack {
        acknowledging_removes_the_payload_of_a_queue needs "payloads", "queue";
        acknowledged_messages_are_gone needs "groups";
        leases_are_checked needs "groups";
        groups_are_refused needs "!groups";
    }
    Nack {
        a_failed_message_comes_back_after_the_delay_of_the_settings needs "groups";
        a_failed_message_comes_back_after_the_delay_of_the_request needs "groups";
        after_the_last_delivery_a_message_is_dead needs "groups";
        groups_are_refused needs "!groups";
    }
    Extend {
        a_lease_is_extended needs "groups";
        groups_are_refused needs "!groups";
    }
    Seek {
        a_group_moves needs "groups", "stream";
        a_new_group_can_be_made_at_a_place needs "groups", "stream";
        a_place_is_needed needs "groups", "stream";
        it_is_refused_over_queues needs "queue";
        groups_are_refused needs "!groups";
    }
    GetGroup {
        the_numbers_of_a_group_add_up needs "groups";
        groups_are_refused needs "!groups";
    }
    ListDeadMessages {
        dead_messages_are_listed_and_stay needs "groups";
        groups_are_refused needs "!groups";
    }
    RedriveDeadMessages {
        redriven_messages_are_delivered_again needs "groups";
        groups_are_refused needs "!groups";
    }
    DiscardDeadMessages {
        discarded_messages_are_gone needs "groups";
        groups_are_refused needs "!groups";
    }
}

const TOPIC: &str = "orders.eu";

fn topic() -> String {
    TOPIC.to_owned()
}

/// Publishes messages to the topic.
async fn publish(bench: &Bench, payloads: &[&str]) {
    publish_to(bench, &topic(), payloads).await;
}

async fn publish_to(bench: &Bench, topic: &str, payloads: &[&str]) {
    let producer = bench.beside("producer").await;
    for payload in payloads {
        let request = PublishRequest { topic: topic.to_owned(), payload: payload.to_string().into(), ..PublishRequest::default() };
        producer.call::<PublishResponse>("Publish", request).await.unwrap();
    }
}

fn receive_request(limit: u32, wait: i64) -> ReceiveRequest {
    ReceiveRequest { topic: topic(), limit, wait: Some(seconds(wait)), ..ReceiveRequest::default() }
}

async fn receive_with(bench: &Bench, request: ReceiveRequest) -> Vec<Message> {
    bench.call::<ReceiveResponse>("Receive", request).await.unwrap().messages
}

/// Receives messages, and waits for the first one.
async fn receive(bench: &Bench, limit: u32) -> Vec<Message> {
    receive_with(bench, receive_request(limit, 10)).await
}

async fn receive_one(bench: &Bench) -> Message {
    receive(bench, 1).await.pop().expect("a message")
}

/// Receives messages that are ready now.
async fn receive_now(bench: &Bench) -> Vec<Message> {
    receive_with(bench, receive_request(100, 0)).await
}

fn payloads(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.payload).unwrap()).collect()
}

async fn ack(bench: &Bench, messages: &[Message]) -> Result<u32, Error> {
    let leases = messages.iter().map(|message| message.lease.clone()).collect();
    Ok(bench.call::<AckResponse>("Ack", AckRequest { topic: topic(), leases, ..AckRequest::default() }).await?.acknowledged)
}

async fn nack(bench: &Bench, message: &Message, delay: Option<i64>) -> Result<NackResponse, Error> {
    let request = NackRequest { topic: topic(), lease: message.lease.clone(), delay: delay.map(millis), ..NackRequest::default() };
    bench.call("Nack", request).await
}

async fn extend(bench: &Bench, message: &Message, duration: i64) -> Result<ExtendResponse, Error> {
    let (lease, lease_duration) = (message.lease.clone(), Some(seconds(duration)));
    bench.call("Extend", ExtendRequest { topic: topic(), lease, lease_duration, ..ExtendRequest::default() }).await
}

async fn describe(bench: &Bench) -> Result<GetGroupResponse, Error> {
    bench.call("GetGroup", GetGroupRequest { topic: topic(), ..GetGroupRequest::default() }).await
}

async fn dead(bench: &Bench) -> Result<Vec<Message>, Error> {
    let request = ListDeadMessagesRequest { topic: topic(), limit: 100, ..ListDeadMessagesRequest::default() };
    Ok(bench.call::<ListDeadMessagesResponse>("ListDeadMessages", request).await?.messages)
}

async fn redrive(bench: &Bench, limit: u32) -> Result<u64, Error> {
    let request = RedriveDeadMessagesRequest { topic: topic(), limit, ..RedriveDeadMessagesRequest::default() };
    Ok(bench.call::<RedriveDeadMessagesResponse>("RedriveDeadMessages", request).await?.moved)
}

async fn discard(bench: &Bench, limit: u32) -> Result<u64, Error> {
    let request = DiscardDeadMessagesRequest { topic: topic(), limit, ..DiscardDeadMessagesRequest::default() };
    Ok(bench.call::<DiscardDeadMessagesResponse>("DiscardDeadMessages", request).await?.discarded)
}

async fn seek(bench: &Bench, place: Option<Place>) -> Result<u64, Error> {
    let request = SeekRequest { topic: topic(), place, ..SeekRequest::default() };
    Ok(bench.call::<SeekResponse>("Seek", request).await?.next_offset)
}

/// Publishes messages, and lets each fail until it is dead.
async fn bury(bench: &Bench, payloads: &[&str]) -> Bench {
    let bench = bench.with(json!({"max_attempts": 1})).await;
    for payload in payloads {
        publish(&bench, &[payload]).await;
        let received = receive_one(&bench).await;
        assert!(nack(&bench, &received, None).await.unwrap().dead);
    }
    bench
}

async fn the_model_decides_what_is_supported(bench: Bench) {
    let (receive, seek) = match (bench.model(), bench.fills("progress")) {
        ("stream", true) => (Support::Emulated, Support::Emulated),
        ("queue", _) => (Support::Native, Support::Unavailable),
        _ => (Support::Unavailable, Support::Unavailable),
    };
    assert_eq!(bench.operation("Receive").await.support(), receive);
    assert_eq!(bench.operation("Seek").await.support(), seek);
    assert_eq!(bench.operation("Subscribe").await.support(), Support::Native);
}

/// Live topics have no groups, and streams only with the slot `progress`.
async fn groups_are_refused(bench: Bench) {
    publish(&bench, &["x"]).await;
    let unavailable = |error: Option<Error>| refused(Err::<(), _>(error.expect("an error")), Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
    unavailable(bench.call::<ReceiveResponse>("Receive", receive_request(1, 0)).await.err());
    unavailable(seek(&bench, Some(Place::Offset(0))).await.err());
    unavailable(describe(&bench).await.err());
    unavailable(dead(&bench).await.err());
    unavailable(redrive(&bench, 0).await.err());
    unavailable(discard(&bench, 1).await.err());
    let made_up = prism::slot::cursor::seal(&format!("consumer-lease:{TOPIC}/default"), b"");
    let message = Message { lease: made_up, ..Message::default() };
    unavailable(ack(&bench, std::slice::from_ref(&message)).await.err());
    unavailable(nack(&bench, &message, None).await.err());
    unavailable(extend(&bench, &message, 10).await.err());
}

async fn it_is_refused_over_queues(bench: Bench) {
    refused(seek(&bench, Some(Place::Offset(0))).await, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
}
