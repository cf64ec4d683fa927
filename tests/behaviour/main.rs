//! One suite for each interface. It uses only the interface's trait, and runs for every driver that implements it.
//!
//! Cases have names such as `sqlite::keyvalue_cas::deletes_at_the_expected_revision`, and a part of the name selects cases: `cargo test --test
//! behaviour sqlite::keyvalue`. A new driver is one line in `arena.rs`. `patterns` has the cases of patterns over all combinations of drivers.

mod arena;
mod blob;
mod claims;
mod document;
mod graph;
mod keyvalue;
mod list;
mod patterns;
mod pubsub;
mod queue;
mod set;
mod sortedset;
mod stream;
mod subject;
mod suite;
mod support;
mod timeseries;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};
use prism::driver::KINDS;

use arena::Arena;
use suite::Suite;

/// All suites. An interface may have several suites.
fn suites() -> Vec<&'static Suite> {
    [
        blob::SUITES,
        document::SUITES,
        graph::SUITES,
        keyvalue::SUITES,
        list::SUITES,
        pubsub::SUITES,
        queue::SUITES,
        set::SUITES,
        sortedset::SUITES,
        stream::SUITES,
        timeseries::SUITES,
    ]
    .concat()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most cases mostly wait for timers, so many can run at the same time.
    arguments.test_threads.get_or_insert(16);
    let arena = Arc::new(Arena::new());
    let mut trials = claims::trials(&arena, &suites());
    for kind in KINDS {
        let claimed = arena::interfaces(kind);
        let shared = arena::recipe(kind.name).is_some_and(|recipe| recipe.shared);
        for suite in suites() {
            for case in suite.cases_for(&claimed, shared) {
                let name = format!("{}::{}::{}", kind.name, suite.interface, case.name);
                let arena = arena.clone();
                trials.push(Trial::test(name, move || arena.run(kind, suite, case)));
            }
        }
    }
    trials.extend(patterns::trials(&arena));
    libtest_mimic::run(&arguments, trials).exit_code()
    // Dropping the arena stops the servers.
}
