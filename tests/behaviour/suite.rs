//! What a suite is.

use futures::future::BoxFuture;

use crate::subject::Subject;

/// The cases of one interface.
pub struct Suite {
    /// The interface, as in `Interfaces`.
    pub interface: &'static str,
    /// Whether the cases need two gateways on the same data. Kinds whose data is a gateway's own do not have them.
    pub shared: bool,
    /// What is tried.
    pub cases: &'static [Case],
}

/// One thing that is tried, in a keyspace of its own.
pub struct Case {
    /// Name of the function.
    pub name: &'static str,
    /// Other interfaces that it uses. A driver without them does not have the case; the `basic` interface of the model is
    /// always there.
    pub needs: &'static [&'static str],
    /// Panics when something is wrong.
    pub run: fn(Subject) -> BoxFuture<'static, ()>,
}

impl Suite {
    /// The cases that a driver with these interfaces must pass.
    pub fn cases_for(&self, claimed: &[&str], shared: bool) -> impl Iterator<Item = &'static Case> {
        let applies = claimed.contains(&self.interface) && (shared || !self.shared);
        self.cases.iter().filter(move |case| applies && case.needs.iter().all(|need| claimed.contains(need)))
    }
}

/// Declares `SUITE`: the interface, `shared` if it takes two gateways, then the cases, each with what it needs beside.
macro_rules! suite {
    ($interface:literal: $($case:ident $(needs $($need:literal),+)?;)+) => {
        $crate::suite::suite!(@ $interface, false, $($case $(needs $($need),+)?;)+);
    };
    ($interface:literal shared: $($case:ident $(needs $($need:literal),+)?;)+) => {
        $crate::suite::suite!(@ $interface, true, $($case $(needs $($need),+)?;)+);
    };
    (@ $interface:literal, $shared:literal, $($case:ident $(needs $($need:literal),+)?;)+) => {
        pub const SUITE: $crate::suite::Suite = $crate::suite::Suite {
            interface: $interface,
            shared: $shared,
            cases: &[$($crate::suite::Case {
                name: stringify!($case),
                needs: &[$($($need),+)?],
                run: |subject| Box::pin($case(subject)),
            }),+],
        };
    };
}

pub(crate) use suite;
