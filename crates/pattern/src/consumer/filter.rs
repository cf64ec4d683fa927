//! Filters of consumers: which messages a consumer gets.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    ReceiveOptions,
    shared::{SharedRecord, SubscriptionItem, parse_payload},
};
use crate::filter::RequestFilter;
use prism_call::{
    Error, Messages,
    proto::patterns::consumer::v1::{Message, SubscribeResponse},
};
use prism_frontend::expression::{Scope, Type, Value, Variables};

/// Messages that a call passes over at least before it gives up, and the messages after which a subscription sends a new cursor. The proto states
/// it.
pub const PASSED_OVER: u64 = 1000;
/// Longest time for which the cursor of a subscription stays behind messages that were passed over. The proto states it. Short in tests, which wait
/// for it.
const CURSOR_AGE: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(15) };

/// The variables of filters.
static SCOPE: LazyLock<Scope> = LazyLock::new(|| {
    let names = ["topic", "id", "key"];
    let scope = names.into_iter().fold(Scope::new(), |scope, name| scope.with(name, Type::String));
    scope.with("headers", Type::map(Type::String)).with("payload", Type::Dyn)
});

/// A filter of a consumer.
#[derive(Debug)]
pub struct MessageFilter(RequestFilter);

impl MessageFilter {
    /// Compiles the filter in this field of a request. Returns `None` for an empty one.
    ///
    /// Errors: `INVALID_ARGUMENT INVALID_FILTER`.
    pub fn compile(field: &str, text: &str) -> Result<Option<Arc<Self>>, Error> {
        let filter = RequestFilter::compile(field, text, &SCOPE, "headers.kind == \"paid\"")?;
        Ok(filter.map(|filter| Arc::new(Self(filter))))
    }

    /// Returns whether the filter matches a message, whose payload is as the backend has it.
    pub fn matches(&self, topic: &str, message: &Message) -> bool {
        self.0.matches(&MessageVariables { topic, message, shared: None })
    }

    /// Returns whether the filter matches an item of a subscription. Items without a message match. `topic` is that of items that name none.
    fn matches_item(&self, topic: &str, item: &SubscriptionItem) -> bool {
        let Some(message) = item.message() else { return true };
        self.0.matches(&MessageVariables { topic: item.topic().unwrap_or(topic), message, shared: item.shared() })
    }
}

impl ReceiveOptions {
    /// Returns whether the consumer gets a message. Each look is work between two reads, so other tasks of this thread get their turn.
    pub async fn matches(&self, message: &Message) -> bool {
        let Some(filter) = &self.filter else { return true };
        tokio::task::consume_budget().await;
        filter.matches(&self.topic, message)
    }
}

/// The variables of one message.
struct MessageVariables<'m> {
    topic: &'m str,
    message: &'m Message,
    /// Has the payload parsed for the filters of all subscriptions.
    shared: Option<&'m SharedRecord>,
}

impl Variables for MessageVariables<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        let Message { id, key, headers, payload, .. } = self.message;
        match name {
            "topic" => Some(Value::from(self.topic)),
            "id" => Some(Value::from(id.as_str())),
            "key" => Some(Value::from(key.as_str())),
            "headers" => Some(to_map(headers.iter())),
            _ => self.shared.map_or_else(|| parse_payload(payload), SharedRecord::parsed_payload),
        }
    }

    fn members(&self, name: &str, members: &[String]) -> Option<Value> {
        match name {
            "headers" => Some(to_map(members.iter().filter_map(|member| self.message.headers.get_key_value(member)))),
            _ => self.get(name),
        }
    }
}

fn to_map<'h>(headers: impl Iterator<Item = (&'h String, &'h String)>) -> Value {
    let headers: HashMap<String, Value> = headers.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    Value::from(headers)
}

/// Leaves out the messages of a subscription that a filter does not match. `topic` is that of items that name none.
pub fn filter_items(filter: Option<Arc<MessageFilter>>, topic: String, items: Messages<SubscriptionItem>) -> Messages<SubscriptionItem> {
    let Some(filter) = filter else { return items };
    let filtered = FilteredItems { filter, topic, items, passed_over: 0, cursor: String::new(), since: Instant::now() };
    Box::pin(stream::try_unfold(filtered, |mut filtered| async move {
        let item = filtered.next().await?;
        Ok(item.map(|item| (item, filtered)))
    }))
}

/// The items of a subscription with a filter.
struct FilteredItems {
    filter: Arc<MessageFilter>,
    topic: String,
    items: Messages<SubscriptionItem>,
    /// Messages since the last event.
    passed_over: u64,
    /// The cursor behind them; empty: the subscription can't be continued.
    cursor: String,
    /// When the first of them was passed over.
    since: Instant,
}

impl FilteredItems {
    async fn next(&mut self) -> Result<Option<SubscriptionItem>, Error> {
        loop {
            let next = self.items.next();
            let next = if self.passed_over > 0 && !self.cursor.is_empty() {
                match tokio::time::timeout_at(self.since + CURSOR_AGE, next).await {
                    Ok(next) => next,
                    Err(_) => return Ok(Some(self.pass().into())),
                }
            } else {
                next.await
            };
            let Some(item) = next.transpose()? else { return Ok(None) };
            tokio::task::consume_budget().await;
            if self.filter.matches_item(&self.topic, &item) {
                self.passed_over = 0;
                return Ok(Some(item));
            }
            if self.passed_over == 0 {
                self.since = Instant::now();
            }
            self.passed_over += 1;
            item.cursor().clone_into(&mut self.cursor);
            if self.passed_over >= PASSED_OVER && !self.cursor.is_empty() {
                return Ok(Some(self.pass().into()));
            }
        }
    }

    /// Returns the event with the cursor behind the messages that were passed over.
    fn pass(&mut self) -> SubscribeResponse {
        let (passed_over, cursor) = (std::mem::take(&mut self.passed_over), std::mem::take(&mut self.cursor));
        SubscribeResponse { passed_over: Some(passed_over), cursor, ..SubscribeResponse::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::shared::MAX_JSON_BYTES;

    fn message(payload: &str) -> Message {
        let headers = [("kind".to_owned(), "paid".to_owned()), ("content-type".to_owned(), "application/json".to_owned())];
        Message {
            id: "order-7".to_owned(),
            key: "customer-7".to_owned(),
            headers: headers.into(),
            payload: payload.to_owned().into(),
            ..Message::default()
        }
    }

    fn matches(filter: &str, message: &Message) -> bool {
        MessageFilter::compile("filter", filter).unwrap().unwrap().matches("orders.eu", message)
    }

    #[test]
    fn filters_read_all_parts_of_a_message() {
        let order = message(r#"{"amount": 120.5, "count": 3, "lines": [{"sku": "a"}, {"sku": "b"}], "note": null}"#);
        for filter in [
            "true",
            r#"topic == "orders.eu""#,
            r#"id == "order-7" && key.startsWith("customer-")"#,
            r#"headers.kind == "paid" && headers["content-type"] == "application/json""#,
            r#"!has(headers.other) && headers.kind in ["paid", "sent"]"#,
            r#"headers.exists(name, headers[name] == "paid")"#,
            "payload.amount > 100 && payload.count == 3 && payload.count < 3.5",
            r#"payload.lines.exists(line, line.sku == "b") && payload.note == null"#,
            "has(payload.amount) && !has(payload.other)",
        ] {
            assert!(matches(filter, &order), "{filter}");
        }
        for filter in [
            "false",
            r#"topic == "orders.us""#,
            r#"headers.other == "paid""#,
            "payload.other > 1",
            r#"payload.amount == "120.5""#,
            r#"payload.count.startsWith("3")"#,
            "payload",
        ] {
            assert!(!matches(filter, &order), "{filter}");
        }
    }

    #[test]
    fn a_payload_that_is_no_json_is_absent() {
        for payload in ["", "text", "{", &"[".repeat(200), &format!("[{}0]", "0,".repeat(MAX_JSON_BYTES / 2))] {
            let message = message(payload);
            assert!(!matches("payload == payload", &message) && matches(r#"headers.kind == "paid""#, &message), "{payload:.20}");
        }
        assert!(matches("payload[0] == 1", &message("[1]")) && matches(r#"payload == "text""#, &message(r#""text""#)));
    }

    #[test]
    fn wrong_filters_are_refused_with_the_place() {
        for (filter, part) in [
            ("headers.kind ==", "column"),
            ("header.kind == \"paid\"", "headers"),
            ("headers.kind == 1", "string"),
            ("topic > 1", "column"),
            ("key", "true or false"),
            ("payload.exists(a, payload.exists(b, payload.exists(c, a == c)))", "column"),
            (&format!("key == \"{}\"", "x".repeat(4096)), "4096"),
        ] {
            let error = MessageFilter::compile("begin.filter", filter).unwrap_err();
            let violation = &error.violations()[0];
            assert_eq!((error.reason(), violation.field.as_str()), ("INVALID_FILTER", "begin.filter"), "{filter}");
            assert!(violation.description.contains(part), "{filter}: {}", violation.description);
        }
        assert!(MessageFilter::compile("filter", " ").unwrap().is_none());
    }

    #[tokio::test]
    async fn a_cursor_follows_the_messages_that_are_passed_over() {
        let response = |number: u64| {
            let message = Message { offset: Some(number), ..message(&number.to_string()) };
            Ok(SubscribeResponse { message: Some(message), cursor: number.to_string(), ..SubscribeResponse::default() }.into())
        };
        let responses = stream::iter((1..=2500).map(response)).chain(stream::pending());
        let filter = MessageFilter::compile("filter", "payload == 1500").unwrap();
        let mut filtered = filter_items(filter, "orders.eu".to_owned(), Box::pin(responses));
        for expected in [(Some(1000), None, "1000"), (None, Some(1500), "1500"), (Some(1000), None, "2500")] {
            let response = filtered.next().await.unwrap().unwrap().into_response();
            let offset = response.message.and_then(|message| message.offset);
            assert_eq!((response.passed_over, offset, response.cursor.as_str()), expected);
        }
        let responses = stream::iter((1..=3).map(response)).chain(stream::pending());
        let filter = MessageFilter::compile("filter", "false").unwrap();
        let mut filtered = filter_items(filter, "orders.eu".to_owned(), Box::pin(responses));
        let response = filtered.next().await.unwrap().unwrap().into_response();
        assert_eq!((response.passed_over, response.cursor.as_str()), (Some(3), "3"));
    }
}
