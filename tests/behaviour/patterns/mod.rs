//! The matrix of patterns: each RPC of a pattern over each combination of drivers that the registry allows in its slots.
//!
//! Cases have names such as `work-queue::postgres::Submit::an_id_is_unique_in_its_queue`. The combinations are those of the registry: every
//! driver that can fill the first slot, with all other slots empty, and with all other slots filled, by the same driver if it can fill them.
//! A cell (a combination and an RPC) without a case is a failure.

mod bench;
mod consumer;
mod producer;
mod table;
mod work_queue;

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use futures::future::BoxFuture;
use libtest_mimic::Trial;
use prism::{
    driver::{KINDS, Kind},
    pattern::{self, Pattern},
    proto,
    registry::{self, Registry, SlotCheck},
};

pub use bench::Bench;

use crate::arena::{Arena, recipe};

/// The cases of one pattern.
pub struct PatternSuite {
    /// Name of the pattern.
    pub pattern: &'static str,
    /// The variants of settings in which all cells are tested.
    pub variants: &'static [Variant],
    /// The cases.
    pub cases: &'static [PatternCase],
}

/// A variant of the settings.
pub struct Variant {
    /// Its name, which is also a fact that cases may need; empty: there is only one.
    pub name: &'static str,
    /// The settings, as JSON.
    pub settings: &'static str,
    /// Facts that the combination must have.
    pub needs: &'static [&'static str],
}

/// The only variant of a pattern: its default settings.
pub const DEFAULT: &[Variant] = &[Variant { name: "", settings: "{}", needs: &[] }];

/// The models of messaging.
pub const MODELS: &[Variant] = &[
    Variant { name: "stream", settings: r#"{"model": "stream"}"#, needs: &["messaging/stream_basic"] },
    Variant { name: "queue", settings: r#"{"model": "queue"}"#, needs: &["messaging/queue_visibility"] },
    Variant { name: "pubsub", settings: r#"{"model": "pubsub"}"#, needs: &["messaging/pubsub_basic"] },
];

/// One case, which runs over new keyspaces.
pub struct PatternCase {
    /// The RPC that it is about.
    pub rpc: &'static str,
    /// Name of the function.
    pub name: &'static str,
    /// Facts that the combination must have: `SLOT` (it is filled), `SLOT/INTERFACE`, the name of a variant, `shared` (two gateways can use
    /// its data), or `groups` (consumers can share the messages of a topic). With `!` in front, it must not have them.
    pub needs: &'static [&'static str],
    /// Panics if the pattern behaves wrongly.
    pub run: fn(Bench) -> BoxFuture<'static, ()>,
}

/// Declares `SUITE`: the pattern, its variants, then for each RPC its cases, each with what it needs of the combination.
macro_rules! pattern_suite {
    ($pattern:literal, $variants:expr; $($rpc:ident { $($case:ident $(needs $($need:literal),+)?;)+ })+) => {
        pub const SUITE: $crate::patterns::PatternSuite = $crate::patterns::PatternSuite {
            pattern: $pattern,
            variants: $variants,
            cases: &[$($($crate::patterns::PatternCase {
                rpc: stringify!($rpc),
                name: stringify!($case),
                needs: &[$($($need),+)?],
                run: |bench| Box::pin($case(bench)),
            }),+),+],
        };
    };
}

pub(crate) use pattern_suite;

/// All suites. Patterns that are older than this matrix have tests of their own.
const SUITES: &[&PatternSuite] = &[&work_queue::SUITE, &producer::SUITE, &consumer::SUITE];

/// The drivers in the slots of a pattern.
#[derive(Clone)]
pub struct Combination {
    pub pattern: &'static Pattern,
    pub slots: BTreeMap<String, &'static Kind>,
    pub variant: &'static Variant,
    /// As `postgres`, `postgres+redis`, `postgres-alone` or `nats-stream`.
    name: String,
}

impl Combination {
    /// Tells whether it has a fact; see [`PatternCase::needs`].
    fn has(&self, fact: &str) -> bool {
        if let Some(fact) = fact.strip_prefix('!') {
            return !self.has(fact);
        }
        if fact == "shared" {
            return self.slots.values().all(|kind| recipe(kind.name).is_some_and(|recipe| recipe.shared));
        }
        if fact == "groups" {
            return self.variant.name == "queue" || (self.variant.name == "stream" && self.has("progress"));
        }
        match fact.split_once('/') {
            None if MODELS.iter().any(|variant| variant.name == fact) => self.variant.name == fact,
            None => self.slots.contains_key(fact),
            Some((slot, interface)) => self.slots.get(slot).is_some_and(|kind| (kind.interfaces)().contains(&interface)),
        }
    }
}

/// Returns the combinations of a pattern.
fn combinations(registry: &Registry, pattern: &'static Pattern, variant: &'static Variant) -> Vec<Combination> {
    let definition = registry.pattern(pattern.name).expect("the registry has every pattern");
    let can_fill = |name: &str, slot: &registry::Slot, kind: &Kind| {
        registry.backend(kind.name).is_some_and(|backend| SlotCheck::new(name, slot, backend).is_satisfied())
    };
    let (first, slot) = definition.slots.first().expect("a pattern has a slot");
    let others: Vec<_> = definition.slots.iter().skip(1).collect();
    let mut all = Vec::new();
    for kind in KINDS.iter().copied().filter(|kind| can_fill(first, slot, kind)) {
        let alone = BTreeMap::from([(first.clone(), kind)]);
        let mut filled = alone.clone();
        let mut name = kind.name.to_owned();
        if !variant.name.is_empty() {
            let _ = write!(name, "-{}", variant.name);
        }
        let alone_name = format!("{name}-alone");
        for (other, slot) in &others {
            let chosen = std::iter::once(kind).chain(KINDS.iter().copied()).find(|kind| can_fill(other, slot, kind));
            let chosen = chosen.expect("a driver can fill each slot");
            if chosen.name != kind.name {
                let _ = write!(name, "+{}", chosen.name);
            }
            filled.insert((*other).clone(), chosen);
        }
        all.push(Combination { pattern, slots: filled, variant, name });
        if !others.is_empty() {
            all.push(Combination { pattern, slots: alone, variant, name: alone_name });
        }
    }
    all.retain(|combination| variant.needs.iter().all(|need| combination.has(need)));
    all
}

/// Returns the cases of all cells.
pub fn trials(arena: &Arc<Arena>) -> Vec<Trial> {
    let registry = Registry::embedded();
    let mut trials = Vec::new();
    let mut all = Vec::new();
    for suite in SUITES {
        let pattern = pattern::find(suite.pattern).expect("a pattern of this build");
        let service = proto::descriptors().get_service_by_name(pattern.service).expect("its service");
        for combination in suite.variants.iter().flat_map(|variant| combinations(registry, pattern, variant)) {
            all.push(combination.clone());
            for rpc in service.methods() {
                let applies = |case: &&PatternCase| case.rpc == rpc.name() && case.needs.iter().all(|need| combination.has(need));
                let cell = format!("{}::{}::{}", pattern.name, combination.name, rpc.name());
                let mut cases = suite.cases.iter().filter(applies).peekable();
                if cases.peek().is_none() {
                    trials.push(Trial::test(format!("{cell}::has_a_case"), || Err("this cell has no case".into())));
                }
                for case in cases {
                    let (arena, combination) = (arena.clone(), combination.clone());
                    trials.push(Trial::test(format!("{cell}::{}", case.name), move || {
                        let bench = Bench::prepare(&arena, &combination, case.name)?;
                        arena.complete(async { (case.run)(bench.open().await).await })
                    }));
                }
            }
        }
        for case in suite.cases.iter().filter(|case| service.methods().all(|rpc| rpc.name() != case.rpc)) {
            let name = format!("{}::{}::is_an_rpc", suite.pattern, case.rpc);
            trials.push(Trial::test(name, || Err("the pattern has no RPC of this name".into())));
        }
    }
    trials.push(table::trial(arena, all));
    trials
}
