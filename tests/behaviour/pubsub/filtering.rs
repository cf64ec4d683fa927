//! `pubsub_filtering`

use std::collections::BTreeMap;

use prism::{
    call::Messages,
    proto::models::pubsub::v1::{
        AttributeCondition, AttributeValues, PublishRequest, PublishWithAttributesRequest, SubscribeFilteredRequest,
        SubscribeFilteredResponse, attribute_condition::Test,
    },
};

use super::{Event, attributes, event, payload, subscribed};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, next, silent, stream_refusal},
};

suite! { "pubsub_filtering":
    conditions_hold_as_the_table_says;
    all_conditions_must_hold;
    filters_see_plain_messages_too;
    plain_subscriptions_see_messages_with_attributes;
    receivers_are_counted_after_filters;
    filtered_messages_do_not_fill_the_buffer;
    unsubscribe_ends_the_stream;
    keyspaces_are_isolated;
    bad_requests_are_refused;
}

fn when(attribute: &str, test: Test) -> AttributeCondition {
    AttributeCondition { attribute: attribute.to_owned(), test: Some(test) }
}

fn any_of(values: &[&str]) -> Test {
    Test::AnyOf(AttributeValues { values: values.iter().map(|value| (*value).to_owned()).collect() })
}

impl Subject {
    async fn publish_with(&self, topic: &str, pairs: &[(&str, &str)]) -> Option<u64> {
        let request =
            PublishWithAttributesRequest { topic: topic.to_owned(), payload: format!("{pairs:?}").into(), attributes: attributes(pairs) };
        self.pubsub_filtering().publish_with_attributes(&self.context, request).await.unwrap().receivers
    }

    async fn subscribe_filtered(&self, topic: &str, conditions: &[AttributeCondition]) -> Messages<SubscribeFilteredResponse> {
        self.subscribe_filtered_as(topic, conditions, "").await
    }

    async fn subscribe_filtered_as(&self, topic: &str, conditions: &[AttributeCondition], id: &str) -> Messages<SubscribeFilteredResponse> {
        let request = SubscribeFilteredRequest { topic: topic.to_owned(), conditions: conditions.to_vec(), subscription: id.to_owned() };
        let mut stream = self.pubsub_filtering().subscribe_filtered(&self.context, request).await.unwrap();
        subscribed(&mut stream).await;
        stream
    }
}

/// Values of an attribute; `None` means that the message does not have the attribute.
const VALUES: [Option<&str>; 10] =
    [Some("eu"), Some("europe"), Some(""), Some("EU"), Some("12.5"), Some("-3e2"), Some("007"), Some("12.5 "), Some("inf"), None];

async fn conditions_hold_as_the_table_says(s: Subject) {
    let text = |text: &str| text.to_owned();
    // For each condition: whether it holds for each of the VALUES.
    for (test, holds) in [
        (Test::Equals(text("eu")), [true, false, false, false, false, false, false, false, false, false]),
        (Test::Equals(text("")), [false, false, true, false, false, false, false, false, false, false]),
        (Test::NotEquals(text("eu")), [false, true, true, true, true, true, true, true, true, true]),
        (Test::Prefix(text("eu")), [true, true, false, false, false, false, false, false, false, false]),
        (Test::Prefix(text("")), [true, true, true, true, true, true, true, true, true, false]),
        (Test::Exists(true), [true, true, true, true, true, true, true, true, true, false]),
        (Test::Exists(false), [false, false, false, false, false, false, false, false, false, true]),
        (any_of(&["eu", "12.5"]), [true, false, false, false, true, false, false, false, false, false]),
        (Test::LessThan(12.5), [false, false, false, false, false, true, true, false, false, false]),
        (Test::AtMost(12.5), [false, false, false, false, true, true, true, false, false, false]),
        (Test::GreaterThan(-300.0), [false, false, false, false, true, false, true, false, false, false]),
        (Test::AtLeast(-300.0), [false, false, false, false, true, true, true, false, false, false]),
        (Test::AtLeast(7.0), [false, false, false, false, true, false, true, false, false, false]),
    ] {
        let mut stream = s.subscribe_filtered("news", &[when("region", test.clone())]).await;
        for value in VALUES {
            let pairs = value.map_or(vec![("other", "x")], |value| vec![("region", value), ("other", "x")]);
            s.publish_with("news", &pairs).await;
        }
        s.publish_with("another", &[("region", "eu")]).await;
        for (value, _) in VALUES.iter().zip(holds).filter(|(_, holds)| *holds) {
            let message = event(&mut stream).await.message();
            assert_eq!(message.attributes.get("region").map(String::as_str), *value, "{test:?}");
        }
        silent(&mut stream).await;
    }
}

async fn all_conditions_must_hold(s: Subject) {
    let conditions =
        [when("region", Test::Equals("eu".to_owned())), when("amount", Test::GreaterThan(100.0)), when("test", Test::Exists(false))];
    let mut stream = s.subscribe_filtered("orders", &conditions).await;
    let mut every = s.subscribe_filtered("orders", &[]).await;
    let published = [
        vec![("region", "eu"), ("amount", "50")],
        vec![("region", "us"), ("amount", "500")],
        vec![("region", "eu"), ("amount", "500"), ("test", "")],
        vec![("region", "eu"), ("amount", "500"), ("more", "x")],
    ];
    for pairs in &published {
        s.publish_with("orders", pairs).await;
    }
    assert_eq!(payload(&mut stream).await, format!("{:?}", published[3]));
    for pairs in &published {
        assert_eq!(payload(&mut every).await, format!("{pairs:?}"));
    }
    silent(&mut stream).await;
}

async fn filters_see_plain_messages_too(s: Subject) {
    let mut stream = s.subscribe_filtered("news", &[when("kind", Test::Equals("a".to_owned()))]).await;
    let mut without = s.subscribe_filtered("news", &[when("kind", Test::Exists(false))]).await;
    s.publish("news", "no attributes").await;
    let request = PublishRequest { topic: "news".to_owned(), payload: "with".into(), attributes: attributes(&[("kind", "a")]) };
    s.pubsub_basic().publish(&s.context, request).await.unwrap();
    assert_eq!(payload(&mut stream).await, "with");
    assert_eq!(payload(&mut without).await, "no attributes");
}

async fn plain_subscriptions_see_messages_with_attributes(s: Subject) {
    let mut stream = s.subscribe("news").await;
    s.publish_with("news", &[("kind", "a")]).await;
    let message = event(&mut stream).await.message();
    assert_eq!(message.attributes, attributes(&[("kind", "a")]));
}

async fn receivers_are_counted_after_filters(s: Subject) {
    let _fits = s.subscribe_filtered("news", &[when("kind", Test::Equals("a".to_owned()))]).await;
    let _not = s.subscribe_filtered("news", &[when("kind", Test::Equals("b".to_owned()))]).await;
    let _plain = s.subscribe("news").await;
    if let Some(receivers) = s.publish_with("news", &[("kind", "a")]).await {
        assert_eq!(receivers, 2);
    }
    if let Some(receivers) = s.publish_with("news", &[("kind", "c")]).await {
        assert_eq!(receivers, 1);
    }
}

async fn filtered_messages_do_not_fill_the_buffer(s: Subject) {
    let mut stream = s.subscribe_filtered("news", &[when("kind", Test::Equals("a".to_owned()))]).await;
    for number in 0..3000_u32 {
        let kind = if number.is_multiple_of(100) { "a" } else { "b" };
        s.publish_with("news", &[("kind", kind), ("number", &number.to_string())]).await;
    }
    for number in (0..3000).step_by(100) {
        match Event::from(next(&mut stream).await) {
            Event::Message(message) => assert_eq!(message.attributes["number"], number.to_string()),
            other => panic!("{other:?}"),
        }
    }
    silent(&mut stream).await;
}

async fn unsubscribe_ends_the_stream(s: Subject) {
    let stream = s.subscribe_filtered_as("news", &[], "mine").await;
    assert!(s.unsubscribe("mine").await);
    assert!(all(stream).await.is_empty());
}

async fn keyspaces_are_isolated(s: Subject) {
    let mut theirs = s.other_keyspace().subscribe_filtered("news", &[]).await;
    s.publish_with("news", &[("kind", "a")]).await;
    silent(&mut theirs).await;
}

async fn bad_requests_are_refused(s: Subject) {
    let filtering = s.pubsub_filtering();
    let too_long = "t".repeat(201);
    let publish = |topic: &str, attributes: BTreeMap<String, String>| PublishWithAttributesRequest {
        topic: topic.to_owned(),
        attributes,
        ..Default::default()
    };
    for topic in ["", "a..b", "a.*", too_long.as_str()] {
        let request = publish(topic, attributes(&[("a", "b")]));
        invalid(filtering.publish_with_attributes(&s.context, request).await, "INVALID_NAME", "topic");
        let request = SubscribeFilteredRequest { topic: topic.to_owned(), ..Default::default() };
        invalid(stream_refusal(filtering.subscribe_filtered(&s.context, request).await).await, "INVALID_NAME", "topic");
    }
    let many: BTreeMap<String, String> = (0..65).map(|number| (format!("name{number}"), String::new())).collect();
    for bad in [BTreeMap::new(), many, attributes(&[("", "")]), attributes(&[("n", &"v".repeat(1025))])] {
        invalid(filtering.publish_with_attributes(&s.context, publish("news", bad)).await, "INVALID_ATTRIBUTES", "attributes");
    }
    let exists = || when("a", Test::Exists(true));
    let values: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    for bad in [
        vec![exists(); 33],
        vec![when("", Test::Exists(true))],
        vec![AttributeCondition { attribute: "a".to_owned(), test: None }],
        vec![exists(), when("a", any_of(&[]))],
        vec![when("a", Test::AnyOf(AttributeValues { values }))],
        vec![when("a", Test::LessThan(f64::NAN))],
        vec![when("a", Test::AtLeast(f64::INFINITY))],
        vec![when("a", Test::AtMost(f64::NEG_INFINITY))],
    ] {
        let request = SubscribeFilteredRequest { topic: "news".to_owned(), conditions: bad.clone(), ..Default::default() };
        let error = stream_refusal(filtering.subscribe_filtered(&s.context, request).await).await.unwrap_err();
        assert_eq!(error.reason(), "INVALID_FILTER", "{bad:?}: {error:?}");
        assert!(error.violations()[0].field.starts_with("conditions"), "{error:?}");
    }
    let request = SubscribeFilteredRequest { topic: "news".to_owned(), subscription: too_long, ..Default::default() };
    invalid(stream_refusal(filtering.subscribe_filtered(&s.context, request).await).await, "INVALID_NAME", "subscription");
}
