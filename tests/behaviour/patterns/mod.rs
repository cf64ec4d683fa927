//! The matrix of patterns: each RPC of a pattern over each combination of drivers that the registry allows in its slots.
//!
//! Cases have names such as `work-queue::postgres::Submit::an_id_is_unique_in_its_queue`. The combinations are those of the registry: every
//! driver that can fill the first slot, with all optional slots empty, and with all slots filled, by the same driver if it can fill them. A
//! suite may name more. A cell (a combination and an RPC) without a case is a failure.

mod bench;
mod consumer;
mod event_sourcing;
mod multicast;
mod payloads;
mod producer;
mod session_store;
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
    /// Combinations beside those of one kind, as `redis+nats`: kinds in the order of the slots, as many as slots are filled.
    pub combinations: &'static [&'static str],
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
    /// its data), `groups` (consumers can share the messages of a topic), or `waits` (messages wait in queues for identities). With `!` in
    /// front, it must not have them.
    pub needs: &'static [&'static str],
    /// Panics if the pattern behaves wrongly.
    pub run: fn(Bench) -> BoxFuture<'static, ()>,
}

/// Declares `SUITE`: the pattern, its variants, more combinations, then for each RPC its cases, each with what it needs of the combination.
macro_rules! pattern_suite {
    ($pattern:literal, $variants:expr $(, [$($combination:literal),+])?; $($rpc:ident { $($case:ident $(needs $($need:literal),+)?;)+ })+) => {
        pub const SUITE: $crate::patterns::PatternSuite = $crate::patterns::PatternSuite {
            pattern: $pattern,
            variants: $variants,
            combinations: &[$($($combination),+)?],
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
const SUITES: &[&PatternSuite] =
    &[&work_queue::SUITE, &producer::SUITE, &consumer::SUITE, &session_store::SUITE, &multicast::SUITE, &event_sourcing::SUITE];

/// The drivers in the slots of a pattern.
#[derive(Clone)]
pub struct Combination {
    pub pattern: &'static Pattern,
    pub slots: BTreeMap<String, &'static Kind>,
    pub variant: &'static Variant,
    /// As `postgres`, `postgres+redis`, `postgres-alone` or `nats-stream`; with two required slots, all kinds, as `postgres+nats+postgres-pubsub`.
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
        if fact == "waits" {
            return self.variant.name == "queue" || self.has("durability");
        }
        match fact.split_once('/') {
            None if MODELS.iter().any(|variant| variant.name == fact) => self.variant.name == fact,
            None => self.slots.contains_key(fact),
            Some((slot, interface)) => self.slots.get(slot).is_some_and(|kind| (kind.interfaces)().contains(&interface)),
        }
    }
}

/// Returns the combinations of a pattern.
fn combinations(registry: &Registry, suite: &PatternSuite, pattern: &'static Pattern, variant: &'static Variant) -> Vec<Combination> {
    let definition = registry.pattern(pattern.name).expect("the registry has every pattern");
    let can_fill = |name: &str, slot: &registry::Slot, kind: &Kind| {
        let mut wanted = variant.needs.iter().filter_map(|need| need.strip_prefix(name)?.strip_prefix('/'));
        registry.backend(kind.name).is_some_and(|backend| SlotCheck::new(name, slot, backend).is_satisfied())
            && wanted.all(|interface| (kind.interfaces)().contains(&interface))
    };
    let slots: Vec<_> = definition.slots.iter().collect();
    let required = slots.iter().take_while(|(_, slot)| !slot.optional).count().max(1);
    assert!(slots.iter().skip(required).all(|(_, slot)| slot.optional), "optional slots come last");
    let (first, first_slot) = slots[0];
    let mut all = Vec::new();
    for kind in KINDS.iter().copied().filter(|kind| can_fill(first, first_slot, kind)) {
        // The same kind if it can. If several gateways can use the data of the first slot, they should be able to use that of optional ones.
        let is_shared = |kind: &Kind| recipe(kind.name).is_some_and(|recipe| recipe.shared);
        let mut preferred = KINDS.to_vec();
        preferred.sort_by_key(|other| is_shared(kind) && !is_shared(other));
        let choose = |(name, slot): &(&String, &registry::Slot)| {
            let others: &[&'static Kind] = if slot.optional { &preferred } else { KINDS };
            std::iter::once(kind).chain(others.iter().copied()).find(|kind| can_fill(name, slot, kind))
        };
        let kinds: Option<Vec<_>> = slots.iter().map(choose).collect();
        let kinds = kinds.expect("a driver can fill each slot");
        let mut counts = vec![slots.len(), required];
        counts.dedup();
        for filled in counts {
            all.push((kinds[..filled].to_vec(), filled < slots.len()));
        }
    }
    for text in suite.combinations {
        assert!(text.split('+').all(|name| recipe(name).is_some()), "{text} names a driver that does not exist");
        let kinds: Option<Vec<_>> = text.split('+').map(|name| KINDS.iter().copied().find(|kind| kind.name == name)).collect();
        // A build may have fewer drivers.
        let Some(kinds) = kinds else { continue };
        let is_same = |other: &Vec<&Kind>| other.iter().map(|kind| kind.name).eq(kinds.iter().map(|kind| kind.name));
        let is_known = all.iter().any(|(other, _)| is_same(other));
        if !is_known && slots.iter().zip(&kinds).all(|((name, slot), kind)| can_fill(name, slot, kind)) {
            let is_partial = kinds.len() < slots.len();
            all.push((kinds, is_partial));
        }
    }
    let combination = |(kinds, is_partial): (Vec<&'static Kind>, bool)| Combination {
        pattern,
        name: name_of(&kinds, required, is_partial, variant),
        slots: slots.iter().map(|(name, _)| (*name).clone()).zip(kinds).collect(),
        variant,
    };
    let mut all: Vec<_> = all.into_iter().map(combination).collect();
    all.retain(|combination| variant.needs.iter().all(|need| combination.has(need)));
    // With an outbox, the first slot needs more.
    if let Some(needs) = pattern::outbox_requirements(pattern.name) {
        let has = |combination: &Combination, interface| combination.has(&format!("{}/{interface}", needs.storage));
        all.retain(|one| !one.has(needs.slot) || needs.interfaces.iter().all(|interface| has(one, interface)));
    }
    all
}

/// Returns the name of a combination.
fn name_of(kinds: &[&Kind], required: usize, is_partial: bool, variant: &Variant) -> String {
    let mut name = kinds[0].name.to_owned();
    if required > 1 {
        name = kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join("+");
    }
    if !variant.name.is_empty() {
        let _ = write!(name, "-{}", variant.name);
    }
    if required > 1 {
        return name;
    }
    if is_partial {
        name.push_str("-alone");
    }
    for other in kinds[1..].iter().filter(|kind| kind.name != kinds[0].name) {
        let _ = write!(name, "+{}", other.name);
    }
    name
}

/// Returns the cases of all cells.
pub fn trials(arena: &Arc<Arena>) -> Vec<Trial> {
    let registry = Registry::embedded();
    let mut trials = Vec::new();
    let mut all = Vec::new();
    for suite in SUITES {
        let pattern = pattern::find(suite.pattern).expect("a pattern of this build");
        let service = proto::descriptors().get_service_by_name(pattern.service).expect("its service");
        for combination in suite.variants.iter().flat_map(|variant| combinations(registry, suite, pattern, variant)) {
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
