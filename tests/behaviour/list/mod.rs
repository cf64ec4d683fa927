//! The list interfaces.

mod basic;
mod blocking;
mod gateways;
mod indexing;
mod range;

use bytes::Bytes;
use prism::{
    call::Error,
    proto::models::list::v1::{
        BlockingPopLeftRequest, BlockingPopRightRequest, Element, PopLeftRequest, PopRightRequest, PushLeftRequest, PushRightRequest,
    },
};

use crate::{subject::Subject, suite::Suite};

/// All suites of the model.
pub const SUITES: &[&Suite] = &[&basic::SUITE, &blocking::SUITE, &gateways::SUITE, &indexing::SUITE, &range::SUITE];

/// Keys and values that are easily confused or lost.
const STRANGE: &[&[u8]] = &[b"\0", b"a\0b", b"\xff\xfe", b"{a}", b"a:b", "größe 🙂".as_bytes(), b"\r\n$-1\r\n", b" ", b"-1", b"1"];

/// Values as bytes.
fn values(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
}

/// Values as text, separated by spaces.
fn text(values: &[Bytes]) -> String {
    values.iter().map(|value| String::from_utf8_lossy(value)).collect::<Vec<_>>().join(" ")
}

/// Short forms of the calls that most cases make.
impl Subject {
    async fn push_left(&self, key: &str, texts: &[&str]) -> u64 {
        let request = PushLeftRequest { key: key.to_owned().into(), values: values(texts), only_if_exists: false };
        self.list_basic().push_left(&self.context, request).await.unwrap().length
    }

    async fn push_right(&self, key: &str, texts: &[&str]) -> u64 {
        let request = PushRightRequest { key: key.to_owned().into(), values: values(texts), only_if_exists: false };
        self.list_basic().push_right(&self.context, request).await.unwrap().length
    }

    async fn pop_left(&self, key: &str, limit: u32) -> Vec<Bytes> {
        let request = PopLeftRequest { key: key.to_owned().into(), limit };
        self.list_basic().pop_left(&self.context, request).await.unwrap().values
    }

    async fn pop_right(&self, key: &str, limit: u32) -> Vec<Bytes> {
        let request = PopRightRequest { key: key.to_owned().into(), limit };
        self.list_basic().pop_right(&self.context, request).await.unwrap().values
    }

    /// Takes the whole list, and returns its elements from left to right.
    async fn take_list(&self, key: &str) -> String {
        text(&self.pop_left(key, 1000).await)
    }

    async fn wait_left(&self, keys: &[&str], wait: prost_types::Duration) -> Result<Option<Element>, Error> {
        let request = BlockingPopLeftRequest { keys: values(keys), wait: Some(wait) };
        Ok(self.list_blocking().blocking_pop_left(&self.context, request).await?.element)
    }

    async fn wait_right(&self, keys: &[&str], wait: prost_types::Duration) -> Result<Option<Element>, Error> {
        let request = BlockingPopRightRequest { keys: values(keys), wait: Some(wait) };
        Ok(self.list_blocking().blocking_pop_right(&self.context, request).await?.element)
    }
}

/// An element as `key=value`.
fn element_text(element: Option<&Element>) -> String {
    element.map_or_else(String::new, |element| {
        format!("{}={}", String::from_utf8_lossy(&element.key), String::from_utf8_lossy(&element.value))
    })
}
