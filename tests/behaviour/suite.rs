//! What a suite is.

use futures::future::BoxFuture;

use crate::subject::Subject;

/// The cases of one interface.
pub struct Suite {
    /// The interface, as in `Interfaces`.
    pub interface: &'static str,
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

/// Declares `SUITE`: the interface, then the cases, each with what it needs beside.
macro_rules! suite {
    ($interface:literal: $($case:ident $(needs $($need:literal),+)?;)+) => {
        pub const SUITE: $crate::suite::Suite = $crate::suite::Suite {
            interface: $interface,
            cases: &[$($crate::suite::Case {
                name: stringify!($case),
                needs: &[$($($need),+)?],
                run: |subject| Box::pin($case(subject)),
            }),+],
        };
    };
}

pub(crate) use suite;
