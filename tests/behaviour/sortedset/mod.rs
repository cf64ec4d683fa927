//! The interfaces of sorted sets.

mod basic;
mod gateways;
mod lex;
mod operations;
mod range;
mod rank;

use bytes::Bytes;
use prism::{
    call::Error,
    proto::models::sortedset::v1::{AddOperation, AddRequest, AddResponse, GetRangeRequest, RemoveRequest, ScoredMember},
};

use crate::{subject::Subject, suite::Suite, support::all};

/// All suites of the model.
pub const SUITES: &[&Suite] = &[&basic::SUITE, &gateways::SUITE, &lex::SUITE, &operations::SUITE, &range::SUITE, &rank::SUITE];

fn scored(members: &[(&str, f64)]) -> Vec<ScoredMember> {
    members.iter().map(|(member, score)| ScoredMember { member: Bytes::from((*member).to_owned()), score: *score }).collect()
}

/// A member with its score as `member:score`.
fn entry_text(entry: Option<&ScoredMember>) -> String {
    let entry = entry.expect("an entry is always present");
    format!("{}:{}", String::from_utf8_lossy(&entry.member), entry.score)
}

/// Short forms of the calls that most cases make.
impl Subject {
    async fn try_add(&self, key: &str, operation: AddOperation, members: &[(&str, f64)]) -> Result<AddResponse, Error> {
        let request = AddRequest { key: key.to_owned().into(), members: scored(members), operation: operation.into() };
        self.sortedset_basic().add(&self.context, request).await
    }

    /// Sets scores, and returns how many members are new and how many have changed.
    async fn add_scores(&self, key: &str, members: &[(&str, f64)]) -> (u64, u64) {
        let answer = self.try_add(key, AddOperation::Unspecified, members).await.unwrap();
        (answer.added, answer.changed)
    }

    /// Adds the members `m0000` … with their number divided by `divisor` as score.
    async fn add_numbers(&self, key: &str, numbers: std::ops::Range<u32>, divisor: u32) {
        for start in numbers.clone().step_by(1000) {
            let members = (start..numbers.end.min(start + 1000))
                .map(|number| ScoredMember { member: Bytes::from(format!("m{number:04}")), score: f64::from(number / divisor) })
                .collect();
            let request = AddRequest { key: key.to_owned().into(), members, operation: 0 };
            self.sortedset_basic().add(&self.context, request).await.unwrap();
        }
    }

    async fn remove_scored(&self, key: &str, members: &[&str]) -> u64 {
        let members = members.iter().map(|member| Bytes::from((*member).to_owned())).collect();
        let request = RemoveRequest { key: key.to_owned().into(), members };
        self.sortedset_basic().remove(&self.context, request).await.unwrap().removed
    }

    /// The whole sorted set in its order. Only for cases that need `sortedset_range`.
    async fn whole(&self, key: &str) -> String {
        let request = GetRangeRequest { key: key.to_owned().into(), ..Default::default() };
        let messages = all(self.sortedset_range().get_range(&self.context, request).await.unwrap()).await;
        messages.iter().map(|message| entry_text(message.entry.as_ref())).collect::<Vec<_>>().join(" ")
    }
}
