//! `stream_consumer_groups`: the state of a group, its deletion, and refused calls.

use prism::{
    call::Code,
    proto::models::stream::v1::{
        AckRequest, ConsumerGroupInfo, CreateConsumerGroupRequest, DeleteConsumerGroupRequest, GetConsumerGroupInfoRequest,
        JoinConsumerGroupRequest,
    },
};

use super::{deliveries, delivery, numbers};
use crate::{
    subject::Subject,
    suite::suite,
    support::{end_with_error, eventually, invalid, millis, refused, seconds, stream_refusal},
};

suite! { "stream_consumer_groups":
    info_of_an_absent_group;
    info_follows_the_group;
    info_lists_the_members;
    deleting_a_group_ends_its_deliveries;
    a_deleted_group_is_forgotten;
    unknown_groups_are_refused;
    bad_requests_are_refused;
}

impl Subject {
    async fn info(&self, stream: &str, group: &str) -> Option<ConsumerGroupInfo> {
        let request = GetConsumerGroupInfoRequest { stream: stream.to_owned(), group: group.to_owned() };
        self.stream_consumer_groups().get_consumer_group_info(&self.context, request).await.unwrap().info
    }

    async fn delete_group(&self, stream: &str, group: &str) -> bool {
        let request = DeleteConsumerGroupRequest { stream: stream.to_owned(), group: group.to_owned() };
        self.stream_consumer_groups().delete_consumer_group(&self.context, request).await.unwrap().deleted
    }
}

async fn info_of_an_absent_group(s: Subject) {
    s.append("orders", "x").await;
    assert_eq!(s.info("orders", "billing").await, None);
    assert_eq!(s.info("nobody", "billing").await, None);
}

async fn info_follows_the_group(s: Subject) {
    let offsets = s.append_many("orders", 5).await;
    s.create_group("orders", "billing", None).await;
    let fresh = s.info("orders", "billing").await.unwrap();
    assert_eq!((fresh.pending, fresh.consumers.len(), fresh.committed.len()), (0, 0, 1));
    assert!(fresh.lag > 0 && fresh.committed[0].offset <= offsets[0], "{fresh:?}");
    let mut member = s.join_with("orders", "billing", "one", 3, 3600).await;
    deliveries(&mut member, 3).await;
    let info = s.info("orders", "billing").await.unwrap();
    assert_eq!(info.pending, 3);
    assert!(info.lag > 0 && info.committed[0].offset <= offsets[0], "{info:?}");
    // Acknowledge the second record, not the first.
    s.ack("orders", "billing", &[offsets[1]]).await;
    let info = s.info("orders", "billing").await.unwrap();
    assert!(info.committed[0].offset <= offsets[0], "{info:?}");
    s.ack("orders", "billing", &[offsets[0]]).await;
    deliveries(&mut member, 2).await;
    let info = s.info("orders", "billing").await.unwrap();
    let committed = info.committed[0].offset;
    assert!(offsets[1] < committed && committed <= offsets[2], "{info:?}");
    assert_eq!((info.pending, info.lag), (3, 0));
    s.ack("orders", "billing", &offsets).await;
    let info = s.info("orders", "billing").await.unwrap();
    assert_eq!((info.pending, info.lag), (0, 0));
    assert!(info.committed[0].offset > offsets[4], "{info:?}");
}

async fn info_lists_the_members(s: Subject) {
    s.append_many("orders", 3).await;
    s.create_group("orders", "billing", None).await;
    let mut busy = s.join_with("orders", "billing", "busy", 0, 3600).await;
    deliveries(&mut busy, 3).await;
    let idle = s.join("orders", "billing", "idle").await;
    let members = async || {
        let info = s.info("orders", "billing").await.unwrap();
        info.consumers.into_iter().map(|consumer| (consumer.consumer, consumer.pending)).collect::<Vec<_>>()
    };
    eventually("both members are known", || async { members().await == [("busy".to_owned(), 3), ("idle".to_owned(), 0)] }).await;
    drop(idle);
    eventually("the member that left is not known any more", || async { members().await == [("busy".to_owned(), 3)] }).await;
    let unnamed = s.join("orders", "billing", "").await;
    eventually("the server makes a name", || async {
        let members = members().await;
        members.len() == 2 && members.iter().all(|(name, _)| !name.is_empty())
    })
    .await;
    drop(unnamed);
}

async fn deleting_a_group_ends_its_deliveries(s: Subject) {
    s.append("orders", "x").await;
    s.create_group("orders", "billing", None).await;
    let mut members = [s.join("orders", "billing", "one").await, s.join("orders", "billing", "two").await];
    assert!(s.delete_group("orders", "billing").await);
    for member in &mut members {
        let error = end_with_error(member).await;
        refused::<()>(Err(error), Code::NotFound, "CONSUMER_GROUP_NOT_FOUND");
    }
    assert_eq!(s.info("orders", "billing").await, None);
    assert!(!s.delete_group("orders", "billing").await);
    // The records of the stream are not deleted.
    assert_eq!(s.read("orders", None).await.len(), 1);
}

async fn a_deleted_group_is_forgotten(s: Subject) {
    let offsets = s.append_many("orders", 3).await;
    s.create_group("orders", "billing", None).await;
    let mut member = s.join("orders", "billing", "one").await;
    deliveries(&mut member, 3).await;
    s.ack("orders", "billing", &offsets).await;
    drop(member);
    s.delete_group("orders", "billing").await;
    assert!(s.create_group("orders", "billing", None).await);
    let mut member = s.join("orders", "billing", "one").await;
    for number in numbers(0..3) {
        let (_, payload, attempt) = delivery(&mut member).await;
        assert_eq!((payload, attempt), (number, 1));
    }
}

async fn unknown_groups_are_refused(s: Subject) {
    s.append("orders", "x").await;
    let groups = s.stream_consumer_groups();
    for stream in ["orders", "nobody"] {
        let join = JoinConsumerGroupRequest { stream: stream.to_owned(), group: "billing".to_owned(), ..Default::default() };
        let answer = stream_refusal(groups.join_consumer_group(&s.context, join).await).await;
        refused(answer, Code::NotFound, "CONSUMER_GROUP_NOT_FOUND");
        let ack = AckRequest { stream: stream.to_owned(), group: "billing".to_owned(), partition: 0, offsets: vec![1] };
        refused(groups.ack(&s.context, ack).await, Code::NotFound, "CONSUMER_GROUP_NOT_FOUND");
        assert!(!s.delete_group(stream, "billing").await);
    }
}

async fn bad_requests_are_refused(s: Subject) {
    let groups = s.stream_consumer_groups();
    s.create_group("orders", "billing", None).await;
    let too_long = "n".repeat(201);
    for (stream, group, field) in
        [("", "billing", "stream"), ("a b", "billing", "stream"), ("orders", "", "group"), ("orders", too_long.as_str(), "group")]
    {
        let (stream, group) = (stream.to_owned(), group.to_owned());
        let request = CreateConsumerGroupRequest { stream: stream.clone(), group: group.clone(), start: None };
        invalid(groups.create_consumer_group(&s.context, request).await, "INVALID_NAME", field);
        let request = JoinConsumerGroupRequest { stream: stream.clone(), group: group.clone(), ..Default::default() };
        invalid(stream_refusal(groups.join_consumer_group(&s.context, request).await).await, "INVALID_NAME", field);
        let request = AckRequest { stream: stream.clone(), group: group.clone(), partition: 0, offsets: vec![1] };
        invalid(groups.ack(&s.context, request).await, "INVALID_NAME", field);
        let request = GetConsumerGroupInfoRequest { stream: stream.clone(), group: group.clone() };
        invalid(groups.get_consumer_group_info(&s.context, request).await, "INVALID_NAME", field);
        let request = DeleteConsumerGroupRequest { stream, group };
        invalid(groups.delete_consumer_group(&s.context, request).await, "INVALID_NAME", field);
    }
    let join = || JoinConsumerGroupRequest { stream: "orders".to_owned(), group: "billing".to_owned(), ..Default::default() };
    let bad = JoinConsumerGroupRequest { consumer: "a b".to_owned(), ..join() };
    invalid(stream_refusal(groups.join_consumer_group(&s.context, bad).await).await, "INVALID_NAME", "consumer");
    let bad = JoinConsumerGroupRequest { max_in_flight: 10_001, ..join() };
    invalid(stream_refusal(groups.join_consumer_group(&s.context, bad).await).await, "INVALID_FIELD", "max_in_flight");
    for timeout in [millis(999), seconds(0), seconds(-1), seconds(12 * 3600 + 1)] {
        let bad = JoinConsumerGroupRequest { ack_timeout: Some(timeout), ..join() };
        invalid(stream_refusal(groups.join_consumer_group(&s.context, bad).await).await, "INVALID_FIELD", "ack_timeout");
    }
    for count in [0, 1001] {
        let ack = AckRequest { stream: "orders".to_owned(), group: "billing".to_owned(), partition: 0, offsets: (0..count).collect() };
        invalid(groups.ack(&s.context, ack).await, "BATCH_SIZE", "offsets");
    }
}
