//! Finds the route for a method and a path.
//!
//! Literal segments take precedence over segments with text around a variable, these over `*`, and `*` over `**`. If the more specific
//! template has no route for the method, the next one is tried. In the last segment, text after a `:` is a verb if a route has that verb;
//! otherwise it is a part of the segment.

use std::{error::Error, fmt};

use http::Method;

use super::{
    percent::{self, Slash},
    segment_pattern::SegmentPattern,
    template::{PathTemplate, Segment},
};

/// A table of routes, each with a value.
#[derive(Debug)]
pub struct Router<T> {
    nodes: Vec<Node>,
    routes: Vec<Route<T>>,
}

#[derive(Debug)]
struct Route<T> {
    method: Option<Method>,
    template: PathTemplate,
    value: T,
}

/// A node of the tree of segments. Children are indices in `Router::nodes`.
#[derive(Debug, Default)]
struct Node {
    /// Sorted by text.
    literals: Vec<(String, usize)>,
    /// The more specific one first.
    mixed: Vec<(SegmentPattern, usize)>,
    one: Option<usize>,
    /// Routes that end at this node.
    ends: Vec<RouteEnd>,
    /// Routes that end with `**` after this node.
    rests: Vec<RouteEnd>,
}

#[derive(Debug)]
struct RouteEnd {
    verb: Option<String>,
    /// `None`: any method.
    method: Option<Method>,
    route: usize,
}

/// The route that matches a request.
#[derive(Debug)]
pub struct RouteMatch<'r, 'p, T> {
    /// The value of the route.
    pub value: &'r T,
    /// Its template.
    pub template: &'r PathTemplate,
    path: &'p str,
}

impl<'p, T> RouteMatch<'_, 'p, T> {
    /// Returns the parts of the path that the variables match, still encoded, in the order of the template.
    pub fn captures(&self) -> impl Iterator<Item = &'p str> {
        self.template.variables().iter().map(|variable| self.template.capture(variable, self.path))
    }
}

/// Why no route matches.
#[derive(Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No route matches the path.
    Path,
    /// The path matches only routes with these methods.
    Method(Vec<Method>),
}

/// The error for a route that matches the same requests as an existing route.
#[derive(Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The new route.
    pub route: String,
    /// The existing route.
    pub by: String,
}

impl fmt::Display for Shadowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} matches the same requests as {}; change one of them", self.route, self.by)
    }
}

impl Error for Shadowed {}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], routes: Vec::new() }
    }
}

impl<T> Router<T> {
    /// Adds a route. A route without a method matches the methods that no other route with the same path matches.
    pub fn insert(&mut self, method: Option<Method>, template: PathTemplate, value: T) -> Result<(), Shadowed> {
        let (mut node, mut rest) = (0, false);
        for segment in template.segments() {
            node = match segment {
                Segment::Literal(literal) => self.literal(node, literal),
                Segment::Mixed(pattern) => self.mixed(node, pattern),
                Segment::One => self.one(node),
                Segment::Rest => {
                    rest = true;
                    node
                }
            };
        }
        let ends = if rest { &mut self.nodes[node].rests } else { &mut self.nodes[node].ends };
        if let Some(end) = ends.iter().find(|end| end.method == method && end.verb.as_deref() == template.verb()) {
            return Err(Shadowed { route: show(method.as_ref(), &template), by: self.routes[end.route].to_string() });
        }
        ends.push(RouteEnd { verb: template.verb().map(str::to_owned), method: method.clone(), route: self.routes.len() });
        self.routes.push(Route { method, template, value });
        Ok(())
    }

    fn literal(&mut self, node: usize, literal: &str) -> usize {
        let fresh = self.nodes.len();
        let literals = &mut self.nodes[node].literals;
        match literals.binary_search_by(|(known, _)| known.as_str().cmp(literal)) {
            Ok(place) => literals[place].1,
            Err(place) => {
                literals.insert(place, (literal.to_owned(), fresh));
                self.nodes.push(Node::default());
                fresh
            }
        }
    }

    fn mixed(&mut self, node: usize, pattern: &SegmentPattern) -> usize {
        let fresh = self.nodes.len();
        let mixed = &mut self.nodes[node].mixed;
        if let Some((_, child)) = mixed.iter().find(|(known, _)| known == pattern) {
            return *child;
        }
        let place = mixed.iter().position(|(known, _)| known.weight() < pattern.weight()).unwrap_or(mixed.len());
        mixed.insert(place, (pattern.clone(), fresh));
        self.nodes.push(Node::default());
        fresh
    }

    fn one(&mut self, node: usize) -> usize {
        let fresh = self.nodes.len();
        let one = *self.nodes[node].one.get_or_insert(fresh);
        if one == fresh {
            self.nodes.push(Node::default());
        }
        one
    }

    /// Returns all routes: method (`None`: any), template and value.
    pub fn routes(&self) -> impl Iterator<Item = (Option<&Method>, &PathTemplate, &T)> {
        self.routes.iter().map(|entry| (entry.method.as_ref(), &entry.template, &entry.value))
    }

    /// Finds the route of a request. `HEAD` falls back to `GET`.
    pub fn find<'r, 'p>(&'r self, method: &Method, path: &'p str) -> Result<RouteMatch<'r, 'p, T>, NoRoute> {
        let select = |ends: &[RouteEnd], verb: Option<&str>| {
            let own = |wanted: Option<&Method>| {
                ends.iter().find(|end| end.method.as_ref() == wanted && end.verb.as_deref() == verb).map(|end| end.route)
            };
            let get = || if *method == Method::HEAD { own(Some(&Method::GET)) } else { None };
            own(Some(method)).or_else(get).or_else(|| own(None))
        };
        match self.walk(path, select) {
            Some(route) => {
                let entry = &self.routes[route];
                Ok(RouteMatch { value: &entry.value, template: &entry.template, path })
            }
            None => Err(self.missing(path)),
        }
    }

    /// Returns the methods that a path supports, for `Allow`; empty if no route matches the path.
    pub fn allowed(&self, path: &str) -> Vec<Method> {
        let mut methods = Vec::new();
        let any = self.walk(path, |ends: &[RouteEnd], verb: Option<&str>| {
            let fitting = ends.iter().filter(|end| end.verb.as_deref() == verb);
            methods.extend(fitting.filter_map(|end| end.method.clone()));
            ends.iter().find(|end| end.verb.as_deref() == verb && end.method.is_none()).map(|end| end.route)
        });
        if any.is_some() {
            methods.extend([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]);
        }
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        if !methods.is_empty() {
            methods.push(Method::OPTIONS);
        }
        methods.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        methods.dedup();
        methods
    }

    #[cold]
    fn missing(&self, path: &str) -> NoRoute {
        match self.allowed(path) {
            methods if methods.is_empty() => NoRoute::Path,
            methods => NoRoute::Method(methods),
        }
    }

    fn walk(&self, path: &str, mut select: impl FnMut(&[RouteEnd], Option<&str>) -> Option<usize>) -> Option<usize> {
        match path.strip_prefix('/')? {
            "" => self.step(0, None, &mut select),
            rest => self.step(0, Some(rest), &mut select),
        }
    }

    /// Matches the rest of a path. `rest` is the text after the node's `/`; `None`: the path ends at the node.
    fn step(&self, node: usize, rest: Option<&str>, select: &mut impl FnMut(&[RouteEnd], Option<&str>) -> Option<usize>) -> Option<usize> {
        let node = &self.nodes[node];
        let Some(rest) = rest else {
            // `**` matches zero segments only if no other route ends here: /keys is not /keys/{key=**} with an empty key.
            let ends = node.ends.iter().any(|end| end.verb.is_none());
            return if ends { select(&node.ends, None) } else { select(&node.rests, None) };
        };
        let (segment, behind) = rest.split_once('/').map_or((rest, None), |(segment, behind)| (segment, Some(behind)));
        if let Some(found) = node.child(segment).and_then(|child| self.step(child, behind, select)) {
            return Some(found);
        }
        for (_, child) in node.mixed.iter().filter(|(pattern, _)| pattern.matches(segment)) {
            if let Some(found) = self.step(*child, behind, select) {
                return Some(found);
            }
        }
        let verb = if behind.is_none() { segment.rsplit_once(':') } else { None };
        if let Some((segment, verb)) = verb {
            let with_verb = |child: usize| &self.nodes[child].ends;
            let literal = node.child(segment).and_then(|child| select(with_verb(child), Some(verb)));
            let one = node.one.filter(|_| literal.is_none() && !segment.is_empty());
            let found = literal.or_else(|| one.and_then(|child| select(with_verb(child), Some(verb))));
            if found.is_some() {
                return found;
            }
        }
        let one = node.one.filter(|_| !segment.is_empty());
        if let Some(found) = one.and_then(|child| self.step(child, behind, select)) {
            return Some(found);
        }
        if node.rests.is_empty() {
            return None;
        }
        let verb = rest.rsplit_once(':').map(|(_, verb)| verb);
        verb.and_then(|verb| select(&node.rests, Some(verb))).or_else(|| select(&node.rests, None))
    }
}

impl Node {
    fn child(&self, segment: &str) -> Option<usize> {
        if segment.contains('%') {
            let decoded = percent::decode(segment, Slash::Decoded).ok()?;
            return self.exact(&decoded);
        }
        self.exact(segment)
    }

    fn exact(&self, segment: &str) -> Option<usize> {
        let place = self.literals.binary_search_by(|(known, _)| known.as_str().cmp(segment)).ok()?;
        Some(self.literals[place].1)
    }
}

impl<T> fmt::Display for Route<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(self.method.as_ref(), &self.template))
    }
}

fn show(method: Option<&Method>, template: &PathTemplate) -> String {
    format!("{} {template}", method.map_or("*", Method::as_str))
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
