//! The type of a suite of cases.

use futures::future::BoxFuture;

use crate::subject::Subject;

/// The cases of one interface.
pub struct Suite {
    /// The interface, as in `Interfaces`.
    pub interface: &'static str,
    /// Whether the cases need two gateways on the same data. A kind whose data belongs to one gateway (memory) does not run them.
    pub shared: bool,
    /// The cases.
    pub cases: &'static [Case],
}

/// One case, which runs in a keyspace of its own.
pub struct Case {
    /// Name of the function.
    pub name: &'static str,
    /// Other interfaces that the case uses. A driver without them skips the case. Every driver has the `basic` interface of the model.
    pub needs: &'static [&'static str],
    /// Panics if the driver behaves wrongly.
    pub run: fn(Subject) -> BoxFuture<'static, ()>,
}

impl Suite {
    /// The cases that a driver with these interfaces must pass.
    pub fn cases_for(&self, claimed: &[&str], shared: bool) -> impl Iterator<Item = &'static Case> {
        let applies = claimed.contains(&self.interface) && (shared || !self.shared);
        self.cases.iter().filter(move |case| applies && case.needs.iter().all(|need| claimed.contains(need)))
    }
}

/// Declares `SUITE`: the interface, `shared` if the cases need two gateways, then the cases, each with the other interfaces that it
/// needs.
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
