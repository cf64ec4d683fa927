//! Decides whether all data of one schema is valid for another one.
//!
//! The question is always: does a subschema of the reader accept everything that a *conjunction* of the writer's subschemas accepts?
//! `allOf`, `$ref` and several keywords for one property combine schemas to conjunctions. Branches of a choice (`anyOf`, `oneOf`, `if`)
//! are compared one by one. If a question can't be decided, the answer is that there is a difference.
//!
//! Under [`CompatibilityPolicy::Strict`], no difference means that all data stays valid, with two exceptions that registries document and
//! users rely on: a required property may be added if it has a `default`, and a property with a `default` may become required.
//!
//! One question has no answer in general: whether the branches of a `oneOf` have data in common. It is decided by a value that both accept
//! ([`witness`]). Branches for which none is found count as disjoint; so patterns, formats and `not` can hide an overlap.

mod arrays;
mod combined;
mod conjunction;
mod empty;
mod eval;
mod facts;
mod numbers;
mod objects;
mod patterns;
mod required;
mod same;
mod scalars;
mod sums;
mod witness;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    rc::Rc,
    sync::Arc,
};

use serde_json::Value;

use self::conjunction::{Conjunction, Conjunctions};
use super::{
    node::{Subschema, SubschemaId, TypeSet},
    schema::JsonSchema,
    uri::pointer_tokens,
};
use crate::{
    CompatibilityPolicy, Difference, MAX_DIFFERENCES, TOO_COMPLEX,
    budget::{self, BudgetExceeded},
    pointer::escape_token,
};

#[cfg(test)]
pub use patterns::are_disjoint;

/// The maximum nesting depth, including references.
const MAX_DEPTH: usize = 100;
/// The memory of an answer beside its conjunction, in bytes.
const ANSWER_BYTES: usize = 64;

/// Compares a group of keywords of a reader's subschema with the writer.
type KeywordCheck = fn(&mut JsonComparison, SubschemaId, &Subschema, &Conjunction) -> bool;

/// Returns the differences; see [`super::differences`].
pub fn differences(reader: &JsonSchema, writer: &JsonSchema, policy: CompatibilityPolicy) -> Vec<Difference> {
    let mut comparison = JsonComparison::new(reader, writer, policy);
    // The subschemas of the writer are copied.
    comparison.hold(usize::try_from(writer.bytes).unwrap_or(usize::MAX));
    let (reader_root, writer_root) = (0, reader.nodes.len());
    comparison.check(reader_root, &[writer_root]);
    comparison.finish(&reader.text)
}

/// A limit that a comparison exceeded.
#[derive(Clone, Copy)]
enum ExceededLimit {
    Depth,
    /// The number of members of a conjunction.
    Members,
    Budget(BudgetExceeded),
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth => write!(f, "{MAX_DEPTH} levels of subschemas within each other"),
            Self::Members => write!(f, "{} subschemas for one value", facts::MAX_MEMBERS),
            Self::Budget(BudgetExceeded::Bytes(bytes)) => write!(f, "{} MiB of memory", bytes >> 20),
            Self::Budget(_) => write!(f, "{} steps", budget::MAX_STEPS),
        }
    }
}

struct JsonComparison {
    /// The subschemas of the reader, then those of the writer, then one for each of [`TypeSet::PARTS`].
    nodes: Vec<Arc<Subschema>>,
    names: Vec<Arc<str>>,
    /// The index of the first subschema that only restricts the type.
    types: SubschemaId,
    policy: CompatibilityPolicy,
    differences: Vec<Difference>,
    reported_paths: HashSet<(&'static str, String)>,
    /// Above zero, only the answer counts and no difference is reported.
    quiet: usize,
    /// The limit that the comparison exceeded. Nothing is decided afterwards.
    exhausted: Option<ExceededLimit>,
    conjunctions: Conjunctions,
    /// The open questions. A recursive schema asks an open question again; the answer is assumed to be yes.
    open_questions: Vec<(SubschemaId, Conjunction)>,
    /// The outermost index in `open_questions` whose assumed answer was used.
    assumed: usize,
    answers: HashMap<(SubschemaId, Conjunction), bool>,
    strict_answers: HashMap<(SubschemaId, Conjunction), bool>,
    reported_pairs: HashSet<(SubschemaId, Conjunction)>,
    equal: HashMap<(SubschemaId, SubschemaId), bool>,
    type_cache: HashMap<SubschemaId, TypeSet>,
    /// See [`Self::is_empty`]: the answers by conjunction and level.
    empty_cache: HashMap<(Conjunction, usize), bool>,
    /// See [`Self::finite_values`].
    finite_cache: HashMap<Conjunction, Option<Rc<[Value]>>>,
    patterns: patterns::PatternCache,
    /// Whether reasons for the message of another difference are collected.
    collecting_reasons: bool,
    /// The paths at which the reader's text refers to other texts, innermost first, while those are compared.
    outer_references: Vec<String>,
}

impl JsonComparison {
    fn new(reader: &JsonSchema, writer: &JsonSchema, policy: CompatibilityPolicy) -> Self {
        let offset = reader.nodes.len();
        let mut nodes = reader.nodes.clone();
        nodes.extend(writer.nodes.iter().map(|node| {
            let mut node = Subschema::clone(node);
            node.links.shift(offset);
            Arc::new(node)
        }));
        let types = nodes.len();
        let location = reader.nodes[0].location.clone();
        nodes.extend(TypeSet::PARTS.map(|part| {
            let mut node = Subschema::anything(location.clone());
            node.types = Some(part);
            node.shape = format!("only {}", part.title()).into();
            Arc::new(node)
        }));
        Self {
            nodes,
            names: reader.names.clone(),
            types,
            policy,
            differences: Vec::new(),
            reported_paths: HashSet::new(),
            quiet: 0,
            exhausted: None,
            conjunctions: Conjunctions::default(),
            open_questions: Vec::new(),
            assumed: usize::MAX,
            answers: HashMap::new(),
            strict_answers: HashMap::new(),
            reported_pairs: HashSet::new(),
            equal: HashMap::new(),
            type_cache: HashMap::new(),
            empty_cache: HashMap::new(),
            finite_cache: HashMap::new(),
            patterns: patterns::PatternCache::default(),
            collecting_reasons: false,
            outer_references: Vec::new(),
        }
    }

    fn finish(mut self, text: &str) -> Vec<Difference> {
        if self.differences.len() > 1
            && let Ok(text) = serde_json::from_str(text)
        {
            self.differences.sort_by_cached_key(|difference| position(&text, &difference.path));
        }
        if let Some(limit) = self.exhausted {
            self.differences.truncate(MAX_DIFFERENCES - 1);
            self.differences.push(Difference {
                kind: TOO_COMPLEX,
                path: "/".to_owned(),
                message: format!(
                    "the schemas are too complex to be compared: it takes more than {limit}; use fewer choices (`anyOf`, `oneOf`) within \
                     each other, or set the compatibility of the subject to NONE for this version"
                ),
                detail: String::new(),
            });
        }
        self.differences
    }

    fn node(&self, id: SubschemaId) -> Arc<Subschema> {
        Arc::clone(&self.nodes[id])
    }

    fn is_lenient(&self) -> bool {
        self.policy == CompatibilityPolicy::Lenient
    }

    /// Counts a step. Returns `false` if none is left.
    fn step(&mut self) -> bool {
        self.spend(1)
    }

    /// Counts steps. Returns `false` if none is left.
    fn spend(&mut self, steps: usize) -> bool {
        self.note(budget::spend(steps)).is_some()
    }

    /// Counts memory. Without any left, nothing more is decided.
    fn hold(&mut self, bytes: usize) {
        self.note(budget::hold(bytes));
    }

    /// Notes a limit that was exceeded. Returns the result if none was.
    fn note<T>(&mut self, result: Result<T, BudgetExceeded>) -> Option<T> {
        match result {
            Ok(result) => self.exhausted.is_none().then_some(result),
            Err(exceeded) => {
                self.exhausted.get_or_insert(ExceededLimit::Budget(exceeded));
                None
            }
        }
    }

    /// Returns whether a pattern matches a part of a text, or `None` if that is unknown.
    fn pattern_matches(&mut self, pattern: &Arc<str>, text: &str) -> Option<bool> {
        let answer = self.patterns.matches(pattern, text);
        self.note(answer).flatten()
    }

    /// Runs a comparison without reporting differences.
    fn without_reporting<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        self.quiet += 1;
        let answer = ask(self);
        self.quiet -= 1;
        answer
    }

    /// Returns whether `reader` accepts all data of `writer`, without reporting differences.
    fn accepts(&mut self, reader: SubschemaId, writer: &[SubschemaId]) -> bool {
        self.without_reporting(|comparison| comparison.check(reader, writer))
    }

    /// Runs a comparison with the strict policy. It is used where a wrong yes would hide or create a difference.
    fn with_strict_policy<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let policy = std::mem::replace(&mut self.policy, CompatibilityPolicy::Strict);
        if policy == CompatibilityPolicy::Strict {
            return ask(self);
        }
        // Answers and open questions are different for each policy.
        std::mem::swap(&mut self.answers, &mut self.strict_answers);
        let (open, assumed) = (std::mem::take(&mut self.open_questions), std::mem::replace(&mut self.assumed, usize::MAX));
        let answer = self.without_reporting(ask);
        (self.open_questions, self.assumed) = (open, assumed);
        std::mem::swap(&mut self.answers, &mut self.strict_answers);
        self.policy = policy;
        answer
    }

    /// Returns whether `reader` accepts all data of `writer`, and reports the differences unless `quiet` is set.
    fn check(&mut self, reader: SubschemaId, writer: &[SubschemaId]) -> bool {
        if !self.step() || self.differences.len() >= MAX_DIFFERENCES {
            return false;
        }
        if self.nodes[reader].is_anything() {
            return true;
        }
        let writer = self.flatten(writer);
        if !self.spend(2 * writer.len()) {
            return false;
        }
        if writer.iter().any(|id| self.is_same(reader, *id)) {
            return true;
        }
        let question = (reader, writer);
        if let Some(at) = self.open_questions.iter().position(|open| *open == question) {
            self.assumed = self.assumed.min(at);
            return true;
        }
        if self.quiet > 0 {
            if let Some(answer) = self.answers.get(&question) {
                return *answer;
            }
        } else if !self.reported_pairs.insert(question.clone()) {
            // The pair was reported at its first occurrence.
            return self.accepts(reader, &question.1);
        }
        if self.open_questions.len() >= MAX_DEPTH {
            self.exhausted.get_or_insert(ExceededLimit::Depth);
            return false;
        }
        let level = self.open_questions.len();
        let outer = std::mem::replace(&mut self.assumed, usize::MAX);
        self.open_questions.push(question.clone());
        let answer = self.is_empty(&question.1, 0) || self.decide(reader, &question.1);
        self.open_questions.pop();
        let own = std::mem::replace(&mut self.assumed, outer);
        if own < level {
            self.assumed = self.assumed.min(own);
        }
        // A yes that depends on an assumed answer is valid only while that question is open.
        if self.exhausted.is_none() && (!answer || own >= level) {
            self.hold(ANSWER_BYTES);
            self.answers.insert(question, answer);
        }
        answer
    }

    fn decide(&mut self, reader: SubschemaId, writer: &Conjunction) -> bool {
        if let Some(values) = self.finite_values(writer)
            && values.iter().all(|value| self.eval(reader, value, 0) == Some(true))
        {
            return true;
        }
        if self.quiet > 0 {
            return self.check_keywords(reader, writer) || self.check_branches(reader, writer);
        }
        let Some(parts) = self.open_branches(reader, writer) else { return self.check_keywords(reader, writer) };
        if self.without_reporting(|comparison| comparison.decide(reader, writer)) {
            return true;
        }
        let node = self.node(reader);
        let count = self.differences.len();
        let is_list = !node.values.is_empty() && self.finite_values(writer).is_some();
        if node.links.any_of.is_empty() && node.links.one_of.is_empty() && node.links.reference.is_none() && !is_list {
            // The types of all branches are reported as one difference.
            let allowed = node.types.unwrap_or(TypeSet::ALL);
            self.check_types(reader, &node, writer);
            for part in parts {
                let writer = self.flatten_with(writer, &part);
                if self.possible_types(&writer).intersects(allowed) && !self.accepts(reader, &writer) {
                    self.check_keywords(reader, &writer);
                }
            }
        }
        if self.differences.len() == count {
            self.check_keywords(reader, writer);
        }
        false
    }

    /// Returns whether `reader` accepts each open branch of the writer.
    fn check_branches(&mut self, reader: SubschemaId, writer: &Conjunction) -> bool {
        // The lenient policy assigns branches to each other. Comparing them one by one would need no assignment.
        let links = &self.nodes[reader].links;
        let is_made_of = links.reference.is_some() || [&links.all_of, &links.any_of, &links.one_of].iter().any(|parts| !parts.is_empty());
        if self.is_lenient() && is_made_of {
            return false;
        }
        let Some(parts) = self.open_branches(reader, writer) else { return false };
        parts.into_iter().all(|part| {
            let writer = self.flatten_with(writer, &part);
            self.check(reader, &writer)
        })
    }

    /// Compares each keyword of `reader` with the writer, with choices left open.
    fn check_keywords(&mut self, reader: SubschemaId, writer: &Conjunction) -> bool {
        const CHECKS: [KeywordCheck; 5] = [
            JsonComparison::check_scalars,
            JsonComparison::check_objects,
            JsonComparison::check_arrays,
            JsonComparison::check_combined,
            JsonComparison::check_unevaluated,
        ];
        if !self.spend(8 * (1 + writer.len())) {
            return false;
        }
        let node = self.node(reader);
        if node.verdict == Some(false) {
            self.report("TYPE_CHANGED", reader, &[], String::new(), || {
                "no data is valid here any more (the schema is `false`), and the old schema allows data here; allow what it allowed"
                    .to_owned()
            });
            return false;
        }
        let Some(types) = self.check_types(reader, &node, writer) else { return false };
        let mut answer = types;
        for check in CHECKS {
            if !answer && self.quiet > 0 {
                return false;
            }
            answer &= check(self, reader, &node, writer);
        }
        answer
    }

    /// Compares `unevaluatedProperties` and `unevaluatedItems`.
    fn check_unevaluated(&mut self, _: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        let Some(rest) = node.links.rest_at_most else { return true };
        let rest_node = self.node(rest);
        self.check_objects(rest, &rest_node, writer) & self.check_arrays(rest, &rest_node, writer)
    }

    /// Reports a difference once. Returns `false`, the answer of the comparison.
    fn report(&mut self, kind: &'static str, at: SubschemaId, below: &[&str], detail: String, message: impl FnOnce() -> String) -> bool {
        if self.quiet > 0 || self.exhausted.is_some() || self.differences.len() >= MAX_DIFFERENCES {
            return false;
        }
        let (path, note) = self.path(at, below);
        self.hold(detail.len() + path.len());
        if self.reported_paths.insert((kind, format!("{path}{note}"))) {
            self.differences.push(Difference { kind, path, message: format!("{}{note}", message()), detail });
        }
        false
    }

    /// Returns a path in the reader's text, and a note for the message if the location is in a referenced text.
    fn path(&self, at: SubschemaId, below: &[&str]) -> (String, String) {
        let location = &self.nodes[at].location;
        let mut pointer = location.pointer.to_string();
        for name in below {
            pointer.push('/');
            pointer.push_str(&escape_token(name));
        }
        if pointer.is_empty() {
            pointer.push('/');
        }
        match self.outer_references.first() {
            Some(outer) if location.document > 0 => {
                let name = self.names.get(location.document).map_or("", |name| name);
                (outer.clone(), format!(" (in the reference `{name}`, at `{pointer}`)"))
            }
            _ => (pointer, String::new()),
        }
    }
}

/// Returns the position of a path in a text, to sort paths in the order of the text. A missing member comes last in its parent.
fn position(text: &Value, path: &str) -> Vec<usize> {
    let mut at = Some(text);
    let tokens = pointer_tokens(if path == "/" { "" } else { path });
    tokens
        .map(|token| {
            let (index, next) = match at {
                Some(Value::Object(members)) => (members.keys().position(|name| *name == token), members.get(&token)),
                Some(Value::Array(items)) => (token.parse().ok(), token.parse::<usize>().ok().and_then(|index| items.get(index))),
                _ => (None, None),
            };
            at = next;
            index.unwrap_or(usize::MAX)
        })
        .collect()
}
