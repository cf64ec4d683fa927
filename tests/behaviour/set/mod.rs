//! The set interfaces.

mod basic;
mod cardinality;
mod gateways;
mod operations;
mod random;

use std::collections::BTreeSet;

use bytes::Bytes;
use prism::proto::models::set::v1::{AddRequest, ContainsRequest, GetMembersRequest, RemoveRequest};

use crate::{subject::Subject, suite::Suite, support::all};

/// All suites of the model.
pub const SUITES: &[&Suite] = &[&basic::SUITE, &cardinality::SUITE, &gateways::SUITE, &operations::SUITE, &random::SUITE];

/// Members as bytes.
fn members(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
}

/// Members as text in their order, separated by spaces. Each must be there once.
fn sorted(members: impl IntoIterator<Item = Bytes>) -> String {
    let members: Vec<Bytes> = members.into_iter().collect();
    let distinct: BTreeSet<&Bytes> = members.iter().collect();
    assert_eq!(distinct.len(), members.len(), "a member came twice");
    distinct.into_iter().map(|member| String::from_utf8_lossy(member)).collect::<Vec<_>>().join(" ")
}

/// Short forms of the calls that most cases make.
impl Subject {
    async fn add_members(&self, key: &str, texts: &[&str]) -> u64 {
        let request = AddRequest { key: key.to_owned().into(), members: members(texts) };
        self.set_basic().add(&self.context, request).await.unwrap().added
    }

    /// Adds members that are the numbers of a range.
    async fn add_member_numbers(&self, key: &str, numbers: std::ops::Range<u32>) {
        for start in numbers.clone().step_by(1000) {
            let members = (start..numbers.end.min(start + 1000)).map(|number| Bytes::from(format!("m{number}"))).collect();
            self.set_basic().add(&self.context, AddRequest { key: key.to_owned().into(), members }).await.unwrap();
        }
    }

    async fn remove_members(&self, key: &str, texts: &[&str]) -> u64 {
        let request = RemoveRequest { key: key.to_owned().into(), members: members(texts) };
        self.set_basic().remove(&self.context, request).await.unwrap().removed
    }

    async fn contains_member(&self, key: &str, member: &str) -> bool {
        let request = ContainsRequest { key: key.to_owned().into(), member: member.to_owned().into() };
        self.set_basic().contains(&self.context, request).await.unwrap().contains
    }

    async fn members(&self, key: &str) -> Vec<Bytes> {
        let request = GetMembersRequest { key: key.to_owned().into(), ..Default::default() };
        let messages = all(self.set_basic().get_members(&self.context, request).await.unwrap()).await;
        messages.into_iter().map(|message| message.member).collect()
    }
}
