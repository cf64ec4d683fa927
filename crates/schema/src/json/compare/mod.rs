//! Whether all data of one schema is valid for another.
//!
//! The question is always the same: does a schema of the reader take whatever a *conjunction* of the writer's schemas lets
//! through? `allOf`, `$ref` and properties that several keywords speak of make conjunctions out of one schema, choices
//! (`anyOf`, `oneOf`, `if`) are tried one by one. Where it can't be decided the answer is that there is a difference.
//!
//! No difference means, under [`CompatibilityPolicy::Strict`], that data stays valid, but for three verdicts that registries have
//! documented and their users build on: a required property may be added, and a property become required, if it has a
//! `default`; and a `oneOf` may get new branches as long as none of them takes all data of an old one.

mod arrays;
mod combined;
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

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
};

use serde_json::Value;

use super::{
    JsonSchema,
    node::{Subschema, SubschemaId, TypeSet},
    uri::{token, tokens},
};
use crate::{CompatibilityPolicy, Difference, MAX_DIFFERENCES};

#[cfg(test)]
pub use patterns::are_disjoint;

/// Steps that any comparison may take; beyond, the schemas count as different.
const MIN_STEPS: usize = 100_000;
/// Further steps for each schema within the two.
const STEPS_FOR_EACH: usize = 50;
/// Most steps of the largest comparison, which are some seconds.
const MAX_STEPS: usize = 1_000_000;
/// Deepest nesting of schemas that are compared, references followed.
const MAX_DEPTH: usize = 100;

/// A conjunction of schemas of the writer: sorted, references followed.
type Conjunction = Rc<[SubschemaId]>;

/// Some keywords of a schema of the reader, held against the writer.
type KeywordCheck = fn(&mut JsonComparison, SubschemaId, &Subschema, &Conjunction) -> bool;

/// See [`super::differences`].
pub fn differences(reader: &JsonSchema, writer: &JsonSchema, policy: CompatibilityPolicy) -> Vec<Difference> {
    let mut comparison = JsonComparison::new(reader, writer, policy);
    let (reader_root, writer_root) = (0, reader.nodes.len());
    comparison.check(reader_root, &[writer_root]);
    comparison.finish(&reader.text)
}

struct JsonComparison {
    /// Those of the reader, behind them those of the writer, behind them one for each of [`TypeSet::PARTS`].
    nodes: Vec<Rc<Subschema>>,
    names: Vec<Arc<str>>,
    /// The first of the schemas that stand for types alone.
    types: SubschemaId,
    policy: CompatibilityPolicy,
    found: Vec<Difference>,
    told: HashSet<(&'static str, String)>,
    /// Above zero: only whether there are differences is asked.
    quiet: usize,
    steps: usize,
    /// Most of them.
    limit: usize,
    exhausted: bool,
    /// What is being asked; asking it again, as recursive schemas do, is answered with yes.
    open: Vec<(SubschemaId, Conjunction)>,
    /// The outermost question in `open` whose assumed answer was used.
    assumed: usize,
    answers: HashMap<(SubschemaId, Conjunction), bool>,
    strict_answers: HashMap<(SubschemaId, Conjunction), bool>,
    reported: HashSet<(SubschemaId, Conjunction)>,
    equal: HashMap<(SubschemaId, SubschemaId), bool>,
    masks: HashMap<SubschemaId, TypeSet>,
    /// See [`Self::finite`].
    listed: HashMap<Conjunction, Option<Rc<[Value]>>>,
    patterns: patterns::PatternCache,
    /// Reasons are being gathered for the message of another difference.
    explaining: bool,
    /// Where the reader's text refers to another one, while that is looked at.
    outside: Vec<String>,
}

impl JsonComparison {
    fn new(reader: &JsonSchema, writer: &JsonSchema, policy: CompatibilityPolicy) -> Self {
        let offset = reader.nodes.len();
        let mut nodes: Vec<Rc<Subschema>> = reader.nodes.iter().cloned().map(Rc::new).collect();
        nodes.extend(writer.nodes.iter().cloned().map(|mut node| {
            node.links.shift(offset);
            Rc::new(node)
        }));
        let types = nodes.len();
        let limit = (MIN_STEPS + STEPS_FOR_EACH * types).min(MAX_STEPS);
        let place = reader.nodes[0].place.clone();
        nodes.extend(TypeSet::PARTS.map(|part| {
            let mut node = Subschema::anything(place.clone());
            node.types = Some(part);
            node.shape = format!("only {}", part.title()).into();
            Rc::new(node)
        }));
        Self {
            nodes,
            names: reader.names.clone(),
            types,
            policy,
            found: Vec::new(),
            told: HashSet::new(),
            quiet: 0,
            steps: 0,
            limit,
            exhausted: false,
            open: Vec::new(),
            assumed: usize::MAX,
            answers: HashMap::new(),
            strict_answers: HashMap::new(),
            reported: HashSet::new(),
            equal: HashMap::new(),
            masks: HashMap::new(),
            listed: HashMap::new(),
            patterns: patterns::PatternCache::default(),
            explaining: false,
            outside: Vec::new(),
        }
    }

    fn finish(mut self, text: &str) -> Vec<Difference> {
        if self.found.len() > 1
            && let Ok(text) = serde_json::from_str(text)
        {
            self.found.sort_by_cached_key(|difference| position(&text, &difference.path));
        }
        if self.exhausted {
            self.found.truncate(MAX_DIFFERENCES - 1);
            self.found.push(Difference {
                kind: "COMPARISON_TOO_COMPLEX",
                path: "/".to_owned(),
                message: format!(
                    "the schemas are too complex to be compared within {} steps and {MAX_DEPTH} levels; use fewer choices \
                     (`anyOf`, `oneOf`) within each other, or set the compatibility of the subject to NONE for this version",
                    self.limit
                ),
                detail: String::new(),
            });
        }
        self.found
    }

    fn node(&self, id: SubschemaId) -> Rc<Subschema> {
        Rc::clone(&self.nodes[id])
    }

    fn is_lenient(&self) -> bool {
        self.policy == CompatibilityPolicy::Lenient
    }

    /// Counts a step. False: there are none left.
    fn step(&mut self) -> bool {
        self.steps += 1;
        if self.steps > self.limit {
            self.exhausted = true;
        }
        !self.exhausted
    }

    /// Asks without telling.
    fn quietly<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        self.quiet += 1;
        let answer = ask(self);
        self.quiet -= 1;
        answer
    }

    /// Whether `reader` takes all that `writer` lets through, without telling why not.
    fn takes(&mut self, reader: SubschemaId, writer: &[SubschemaId]) -> bool {
        self.quietly(|comparison| comparison.check(reader, writer))
    }

    /// Asks in the strict policy, whatever the policy is: where a yes makes a difference, or lets one go unseen, it has to be
    /// a sure one.
    fn strictly<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let policy = std::mem::replace(&mut self.policy, CompatibilityPolicy::Strict);
        if policy == CompatibilityPolicy::Strict {
            return ask(self);
        }
        // Answers and open questions of one policy are none of the other one.
        std::mem::swap(&mut self.answers, &mut self.strict_answers);
        let (open, assumed) = (std::mem::take(&mut self.open), std::mem::replace(&mut self.assumed, usize::MAX));
        let answer = self.quietly(ask);
        (self.open, self.assumed) = (open, assumed);
        std::mem::swap(&mut self.answers, &mut self.strict_answers);
        self.policy = policy;
        answer
    }

    /// Whether `reader` takes all that `writer` lets through; tells why not unless asked quietly.
    fn check(&mut self, reader: SubschemaId, writer: &[SubschemaId]) -> bool {
        if !self.step() || self.found.len() >= MAX_DIFFERENCES {
            return false;
        }
        if self.nodes[reader].is_anything() {
            return true;
        }
        let writer = self.flat(writer);
        if writer.iter().any(|id| self.same(reader, *id)) {
            return true;
        }
        let question = (reader, writer);
        if let Some(at) = self.open.iter().position(|open| *open == question) {
            self.assumed = self.assumed.min(at);
            return true;
        }
        if self.quiet > 0 {
            if let Some(answer) = self.answers.get(&question) {
                return *answer;
            }
        } else if !self.reported.insert(question.clone()) {
            // Already told, where it was met first.
            return self.takes(reader, &question.1);
        }
        if self.open.len() >= MAX_DEPTH {
            self.exhausted = true;
            return false;
        }
        let level = self.open.len();
        let outer = std::mem::replace(&mut self.assumed, usize::MAX);
        self.open.push(question.clone());
        let answer = self.is_empty(&question.1, 0) || self.decide(reader, &question.1);
        self.open.pop();
        let own = std::mem::replace(&mut self.assumed, outer);
        if own < level {
            self.assumed = self.assumed.min(own);
        }
        // A yes that rests on an open question holds only as long as that one isn't answered.
        if !self.exhausted && (!answer || own >= level) {
            self.answers.insert(question, answer);
        }
        answer
    }

    fn decide(&mut self, reader: SubschemaId, writer: &Conjunction) -> bool {
        if let Some(values) = self.finite(writer)
            && values.iter().all(|value| self.eval(reader, value, 0) == Some(true))
        {
            return true;
        }
        if self.quiet > 0 {
            return self.direct(reader, writer) || self.by_parts(reader, writer);
        }
        let Some(parts) = self.parts(reader, writer) else { return self.direct(reader, writer) };
        if self.quietly(|comparison| comparison.decide(reader, writer)) {
            return true;
        }
        let node = self.node(reader);
        let told = self.found.len();
        let is_list = !node.values.is_empty() && self.finite(writer).is_some();
        if node.links.any_of.is_empty() && node.links.one_of.is_empty() && node.links.reference.is_none() && !is_list {
            // What the types of all parts together say is told as one.
            let allowed = node.types.unwrap_or(TypeSet::ALL);
            self.check_types(reader, &node, writer);
            for part in parts {
                let writer = self.flat_with(writer, &part);
                if self.mask(&writer).has(allowed) && !self.takes(reader, &writer) {
                    self.direct(reader, &writer);
                }
            }
        }
        if self.found.len() == told {
            self.direct(reader, writer);
        }
        false
    }

    /// Whether `reader` takes each of the writer's choices.
    fn by_parts(&mut self, reader: SubschemaId, writer: &Conjunction) -> bool {
        // In the lenient policy, branches are assigned to each other; one at a time would do without.
        let links = &self.nodes[reader].links;
        let is_made_of = links.reference.is_some() || [&links.all_of, &links.any_of, &links.one_of].iter().any(|parts| !parts.is_empty());
        if self.is_lenient() && is_made_of {
            return false;
        }
        let Some(parts) = self.parts(reader, writer) else { return false };
        parts.into_iter().all(|part| {
            let writer = self.flat_with(writer, &part);
            self.check(reader, &writer)
        })
    }

    /// Holds each keyword of `reader` against the writer as it is, choices left open.
    fn direct(&mut self, reader: SubschemaId, writer: &Conjunction) -> bool {
        const STEPS: [KeywordCheck; 5] =
            [JsonComparison::scalars, JsonComparison::objects, JsonComparison::arrays, JsonComparison::combined, JsonComparison::rest];
        let node = self.node(reader);
        if node.verdict == Some(false) {
            self.tell("TYPE_CHANGED", reader, &[], String::new(), || {
                "nothing is valid here any more (the schema is `false`), and the old schema allows data here; allow what it allowed"
                    .to_owned()
            });
            return false;
        }
        let Some(types) = self.check_types(reader, &node, writer) else { return false };
        let mut answer = types;
        for step in STEPS {
            if !answer && self.quiet > 0 {
                return false;
            }
            answer &= step(self, reader, &node, writer);
        }
        answer
    }

    /// What the keywords that concern the unevaluated say.
    fn rest(&mut self, _: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        let Some(rest) = node.links.rest_at_most else { return true };
        let rest_node = self.node(rest);
        self.objects(rest, &rest_node, writer) & self.arrays(rest, &rest_node, writer)
    }

    /// Tells a difference, once. Always false, for the answer.
    fn tell(&mut self, kind: &'static str, at: SubschemaId, below: &[&str], detail: String, message: impl FnOnce() -> String) -> bool {
        if self.quiet > 0 || self.exhausted || self.found.len() >= MAX_DIFFERENCES {
            return false;
        }
        let (path, note) = self.path(at, below);
        if self.told.insert((kind, format!("{path}{note}"))) {
            self.found.push(Difference { kind, path, message: format!("{}{note}", message()), detail });
        }
        false
    }

    /// A place in the reader's text, and what to add if it is in another one.
    fn path(&self, at: SubschemaId, below: &[&str]) -> (String, String) {
        let place = &self.nodes[at].place;
        let mut pointer = place.pointer.to_string();
        for name in below {
            pointer.push('/');
            pointer.push_str(&token(name));
        }
        if pointer.is_empty() {
            pointer.push('/');
        }
        match self.outside.first() {
            Some(outside) if place.document > 0 => {
                let name = self.names.get(place.document).map_or("", |name| name);
                (outside.clone(), format!(" (in the reference `{name}`, at `{pointer}`)"))
            }
            _ => (pointer, String::new()),
        }
    }
}

/// Where a path leads to in a text, so that paths can be put in its order. What isn't there comes last within its parent.
fn position(text: &Value, path: &str) -> Vec<usize> {
    let mut at = Some(text);
    let tokens = tokens(if path == "/" { "" } else { path });
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
