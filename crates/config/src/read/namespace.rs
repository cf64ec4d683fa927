//! `namespaces`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{
    access::{self, Authenticators},
    backend::Backends,
    frontend::Bindings,
    policy,
    settings::SettingsSource,
};
use crate::{
    ResolvedSettings,
    model::{Binding, Frontend, FrontendKind, Idempotency, Limits, Namespace, Remote, Scope, ScopeKind, Slot, default_max_open},
    reader::{Reader, Section, check_name},
};
use prism_registry::{self as registry, IDEMPOTENCY_INTERFACES, Name, Pattern, SlotCheck, Status};
use prism_yaml::{Node, Position, Value, unknown_name};

/// The names that namespaces may refer to.
pub(super) struct Names<'n> {
    pub listeners: &'n [String],
    pub authenticators: &'n Authenticators,
    pub backends: &'n Backends,
    pub frontends: &'n BTreeMap<String, Frontend>,
}

pub(super) fn namespaces(top: &Section<'_, '_>, names: &Names<'_>) -> Vec<Namespace> {
    let reader = top.reader;
    let mut namespaces = Vec::<Namespace>::new();
    let mut known = HashSet::new();
    let mut bound = BoundRoutes::new();
    let mut positions = Vec::new();
    for node in top.list("namespaces").unwrap_or_default() {
        let Some((name, position)) = name(reader, node) else { continue };
        if !known.insert(name.clone()) {
            reader.problem(&position, format!("there is a namespace `{name}` already; names are unique"));
            continue;
        }
        let section = Section::new(reader, format!("namespaces.{name}"), &position, Some(node));
        let (namespace, bindings) = namespace(section, &name, names);
        for (binding, position) in bindings.into_iter().filter(|(binding, _)| binding.enabled) {
            check_collision(reader, &mut bound, &name, &binding, &position);
        }
        positions.extend(namespace.iter().map(|_| position.clone()));
        namespaces.extend(namespace);
    }
    for (namespace, position) in namespaces.iter().zip(&positions) {
        check_keyspaces(reader, &namespaces, namespace, position);
    }
    if namespaces.is_empty() && top.node("namespaces").is_none() {
        reader.problem(&Position::WHOLE_FILE, "`namespaces` is missing; without one there is nothing to serve");
    }
    namespaces
}

/// Reads the name. It is read first, because it is part of the path of all other settings.
fn name(reader: &Reader<'_>, node: &Node) -> Option<(String, Position)> {
    let entries = reader.entries("namespaces", node);
    let Some((_, name)) = entries.iter().find(|(key, _)| key.name == "name") else {
        if matches!(node.value, Value::Map(_) | Value::Null) {
            reader.problem(&node.position, "`name` is missing; every namespace has one");
        }
        return None;
    };
    let scalar = reader.scalar("name", name)?;
    check_name(reader, "namespaces", &scalar.shown, &scalar.position);
    Some((scalar.shown, scalar.position))
}

fn namespace(section: Section<'_, '_>, name: &str, names: &Names<'_>) -> (Option<Namespace>, Vec<(Binding, Position)>) {
    section.node("name");
    let pattern = pattern(&section);
    let pattern_version = version(&section, pattern);
    let remote = remote(&section, name);
    let slots = slots(&section, pattern, names.backends, remote.is_some() || section.node("remote").is_some());
    let scope = scope(&section);
    let bindings = Bindings {
        namespace: name,
        pattern: pattern.map(|pattern| pattern.name.as_str()),
        frontends: names.frontends,
        listeners: names.listeners,
    }
    .read(&section);
    let authentication = access::methods(&section, names.authenticators);
    let quotas = policy::quotas(&section);
    let limits = limits(&section);
    let idempotency = idempotency(&section, &slots, names.backends, pattern);
    let settings = settings(&section, pattern);
    section.finish();
    let frontends = bindings.iter().map(|(binding, _)| binding.clone()).collect();
    let namespace = pattern.map(|pattern| Namespace {
        name: name.to_owned(),
        pattern: pattern.name.to_string(),
        pattern_version,
        slots,
        remote,
        scope,
        frontends,
        authentication,
        quotas,
        limits,
        idempotency,
        settings,
    });
    (namespace, bindings)
}

fn pattern<'a>(section: &Section<'_, 'a>) -> Option<&'a Pattern> {
    let patterns = &section.reader.known.registry.patterns;
    let served = || patterns.iter().filter(|pattern| pattern.executor == Status::Implemented).map(|pattern| pattern.name.as_str());
    let there = section.node("pattern").is_some();
    let Some((name, position)) = section.text("pattern") else {
        if !there {
            let message = format!("`pattern` is missing; it is one of {}", served().collect::<Vec<_>>().join(", "));
            section.reader.problem(&section.position, message);
        }
        return None;
    };
    let found = patterns.iter().find(|pattern| *pattern.name == name);
    match found {
        None => section.reader.problem(&position, unknown_name("pattern", &name, patterns.iter().map(|pattern| pattern.name.as_str()))),
        Some(pattern) if pattern.executor == Status::Planned => {
            let served = served().collect::<Vec<_>>().join(", ");
            section.reader.problem(&position, format!("the pattern `{name}` is planned, but can't be served yet; there are: {served}"));
        }
        Some(_) => {}
    }
    found
}

fn version(section: &Section<'_, '_>, pattern: Option<&Pattern>) -> Option<String> {
    let (version, position) = section.text("pattern_version")?;
    if let Some(pattern) = pattern.filter(|pattern| pattern.version != version) {
        section.reader.problem(&position, format!("the pattern `{}` has the version `{}`, not `{version}`", pattern.name, pattern.version));
    }
    Some(version)
}

fn remote(section: &Section<'_, '_>, name: &str) -> Option<Remote> {
    section.node("remote")?;
    let remote = section.section("remote");
    let there = remote.node("url").is_some();
    let parse = |text: &str| {
        let uri = text.parse::<http::Uri>().ok()?;
        let right = matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none();
        right.then(|| text.trim_end_matches('/').to_owned())
    };
    let url = remote.parsed("url", "a URL without path, as http://other-prism:8980", parse);
    if url.is_none() && !there {
        remote.reader.problem(&remote.position, "`url` is missing; it is where the other Prism listens, as http://other-prism:8980");
    }
    let namespace = remote.text("namespace").map_or_else(|| name.to_owned(), |(namespace, _)| namespace);
    let forward = remote.parsed("forward_credentials", "true or false", |text| text.parse().ok());
    remote.finish();
    Some(Remote { url: url?.0, namespace, forward_credentials: forward.is_some_and(|(forward, _)| forward) })
}

fn scope(section: &Section<'_, '_>) -> Option<Scope> {
    section.node("scope")?;
    let scope = section.section("scope");
    let there = scope.node("by").is_some();
    let by = scope.choice("by", &[("tenant", ScopeKind::Tenant), ("subject", ScopeKind::Subject)]);
    if by.is_none() && !there {
        scope.reader.problem(&scope.position, "`by` is missing; it is tenant or subject");
    }
    let in_range = |text: &str| text.parse().ok().filter(|number| (1..=100_000).contains(number));
    let max_open = scope.parsed("max_open", "a number from 1 to 100000", in_range);
    if section.node("remote").is_some() {
        let message =
            "a namespace with `remote` has no `scope`; the other Prism separates the data of callers, if its configuration says so";
        scope.reader.problem(&scope.position, message);
    }
    scope.finish();
    Some(Scope { by: by?, max_open: max_open.map_or_else(default_max_open, |(number, _)| number) })
}

fn slots(section: &Section<'_, '_>, pattern: Option<&Pattern>, backends: &Backends, remote: bool) -> BTreeMap<String, Slot> {
    let reader = section.reader;
    let entries = section.node("slots").map_or(&[][..], |(node, _)| reader.entries("slots", node));
    let mut slots = BTreeMap::new();
    if remote {
        if !entries.is_empty() {
            reader.problem(section.position_of("slots"), "a namespace has `slots` or `remote`, not both; remove one");
        }
        return slots;
    }
    let Some(pattern) = pattern else { return slots };
    for (key, _) in entries {
        if !pattern.slots.contains_key(&key.name) {
            let what = format!("slot of the pattern `{}`", pattern.name);
            reader.problem(&key.position, unknown_name(&what, &key.name, pattern.slots.keys().map(String::as_str)));
        }
    }
    for (name, wanted) in &pattern.slots {
        let found = entries.iter().find(|(key, _)| key.name == *name);
        let position = found.map_or_else(|| section.position_of("slots"), |(key, _)| &key.position);
        let reading = SlotReader { reader, name, wanted, backends };
        match reading.read(&format!("{}.slots.{name}", section.path), found.map(|(_, node)| node), position) {
            Some(slot) => drop(slots.insert(name.clone(), slot)),
            None if found.is_none() && !wanted.optional => {
                let choice = if backends.is_empty() { "define one under `backends`".to_owned() } else { one_of(backends) };
                let message = format!("the slot `{name}` of the pattern `{}` needs a backend: {choice}", pattern.name);
                reader.problem(position, message);
            }
            None => {}
        }
    }
    slots
}

fn one_of(backends: &Backends) -> String {
    format!("one of {}", backends.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// Reads one slot: the name of a backend, or a mapping with it.
struct SlotReader<'s, 'a> {
    reader: &'s Reader<'a>,
    name: &'s str,
    wanted: &'s registry::Slot,
    backends: &'s Backends,
}

impl SlotReader<'_, '_> {
    fn read(&self, path: &str, node: Option<&Node>, position: &Position) -> Option<Slot> {
        let reader = self.reader;
        let map = node.filter(|node| matches!(node.value, Value::Map(_)));
        let section = Section::new(reader, path.to_owned(), position, map);
        let alone = reader.override_of(path).or_else(|| if map.is_some() { None } else { reader.scalar(self.name, node?) });
        let backend = match alone {
            Some(scalar) => Some((if let Value::Text(text) = scalar.value { text } else { scalar.shown }, scalar.position)),
            None => section.text("backend"),
        };
        if map.is_some() && section.node("backend").is_none() && backend.is_none() {
            reader.problem(position, format!("`backend` is missing; it is {}", one_of(self.backends)));
        }
        let wanted_interfaces = section.list("interfaces").unwrap_or_default();
        let wanted_interfaces =
            wanted_interfaces.iter().filter_map(|node| reader.scalar("interfaces", node)).map(|scalar| (scalar.shown, scalar.position));
        let wanted_interfaces = wanted_interfaces.collect::<Vec<_>>();
        if let (Some((_, position)), Some((name, _))) = (section.node("config"), &backend) {
            reader.problem(position, format!("the settings of a backend stand under `backends`, for all namespaces: `backends.{name}`"));
        }
        section.node("backend");
        let keyspace = section.text("keyspace").map(|(name, position)| {
            check_name(reader, "keyspace", &name, &position);
            name
        });
        section.finish();
        let (backend, position) = backend?;
        self.check(&backend, &position, &wanted_interfaces);
        Some(Slot { backend, interfaces: wanted_interfaces.into_iter().map(|(name, _)| name).collect(), keyspace })
    }

    fn check(&self, name: &str, position: &Position, wanted_interfaces: &[(String, Position)]) {
        let reader = self.reader;
        let Some(backend) = self.backends.get(name) else {
            let names = self.backends.keys().map(String::as_str).collect::<Vec<_>>();
            let message = if names.is_empty() {
                format!("unknown backend `{name}`; define it under `backends`")
            } else {
                unknown_name("backend", name, names)
            };
            return reader.problem(position, message);
        };
        let Some(kind) = backend.as_ref().and_then(|backend| reader.known.registry.backend(&backend.kind)) else { return };
        let check = SlotCheck::new(self.name, self.wanted, kind);
        if !check.is_satisfied() {
            reader.problem(position, check.complaint());
        }
        let interfaces = self.wanted.interfaces().map(Name::as_str).collect::<Vec<_>>();
        for (interface, position) in wanted_interfaces {
            if !interfaces.contains(&interface.as_str()) {
                let what = format!("interface of the slot `{}`", self.name);
                reader.problem(position, unknown_name(&what, interface, interfaces.clone()));
            } else if !kind.implements(interface) && !check.missing().iter().flatten().any(|missing| missing == interface) {
                reader.problem(
                    position,
                    format!("the {} driver does not implement {interface}; remove it, or choose another backend", kind.name),
                );
            }
        }
    }
}

fn limits(namespace: &Section<'_, '_>) -> Limits {
    let section = namespace.section("limits");
    let default = Limits::default();
    let max_timeout = section.duration("max_timeout");
    let timeout = section.duration("timeout");
    let limits = Limits {
        max_message_bytes: section.size("max_message_bytes").unwrap_or(default.max_message_bytes),
        max_concurrent_calls: section.count("max_concurrent_calls").unwrap_or(default.max_concurrent_calls),
        max_streams: section.count("max_streams").unwrap_or(default.max_streams),
        timeout: timeout.unwrap_or(default.timeout.min(max_timeout.unwrap_or(default.timeout))),
        max_timeout: max_timeout.unwrap_or(default.max_timeout.max(timeout.unwrap_or_default())),
        max_key_bytes: section.size("max_key_bytes"),
        max_value_bytes: section.size("max_value_bytes"),
        max_batch_items: section.count("max_batch_items"),
    };
    if limits.timeout > limits.max_timeout {
        section.reader.problem(section.position_of("timeout"), "`timeout` is longer than `max_timeout`; make it shorter");
    }
    for (key, duration) in [("timeout", limits.timeout), ("max_timeout", limits.max_timeout)] {
        if duration.is_zero() {
            section.reader.problem(section.position_of(key), format!("`{key}` must be longer than 0s"));
        }
    }
    section.finish();
    limits
}

/// Maximum retention. A longer one is probably a mistake, and some backends do not support it.
const MAX_RETENTION: Duration = Duration::from_hours(8784);

fn idempotency(
    namespace: &Section<'_, '_>,
    slots: &BTreeMap<String, Slot>,
    backends: &Backends,
    pattern: Option<&Pattern>,
) -> Option<Idempotency> {
    let section = namespace.section("idempotency");
    let reader = section.reader;
    let default = Idempotency::default();
    let flag = |text: &str| text.parse().ok();
    let required = section.parsed("required", "true or false", flag).is_some_and(|(required, _)| required);
    let retention = section.duration("retention").unwrap_or(default.retention);
    if retention.is_zero() {
        reader.problem(section.position_of("retention"), "`retention` must be longer than 0s");
    } else if retention > MAX_RETENTION {
        reader.problem(section.position_of("retention"), "`retention` must be at most 8784h, a year");
    }
    let slot = section.text("slot");
    let position = section.position_of("required").clone();
    section.finish();
    if namespace.node("remote").is_some() {
        if let Some((_, position)) = namespace.node("idempotency") {
            reader.problem(position, "a namespace with `remote` passes keys on; say this in the configuration of the other Prism");
        }
        return None;
    }
    // Problems of the backend itself are reported where it is defined.
    let lacks = |slot: &Slot| {
        let kind = reader.known.registry.backend(&backends.get(&slot.backend)?.as_ref()?.kind)?;
        let missing: Vec<_> = IDEMPOTENCY_INTERFACES.into_iter().filter(|interface| !kind.implements(interface)).collect();
        (!missing.is_empty()).then(|| format!("{}, which the {} driver does not implement", missing.join(", "), kind.name))
    };
    if let Some((name, position)) = &slot {
        match slots.get(name) {
            Some(slot) => {
                if let Some(lack) = lacks(slot) {
                    reader.problem(position, format!("`slot`: to keep replies, the slot `{name}` needs {lack}"));
                }
            }
            None => {
                if let Some(pattern) = pattern.filter(|pattern| !pattern.slots.contains_key(name)) {
                    let what = format!("slot of the pattern `{}`", pattern.name);
                    reader.problem(position, unknown_name(&what, name, pattern.slots.keys().map(String::as_str)));
                } else if pattern.is_some_and(|pattern| pattern.slots[name].optional) {
                    reader.problem(position, format!("the slot `{name}` is empty; fill it, or choose another one"));
                }
            }
        }
    } else if required && !slots.is_empty() && slots.values().all(|slot| lacks(slot).is_some()) {
        let lack = slots.iter().find_map(|(name, slot)| Some(format!("the slot `{name}` needs {}", lacks(slot)?)));
        reader.problem(&position, format!("`required`: no backend of this namespace can keep replies; {}", lack.unwrap_or_default()));
    }
    Some(Idempotency { required, retention, slot: slot.map(|(name, _)| name) })
}

/// Reads the settings of the pattern.
fn settings(namespace: &Section<'_, '_>, pattern: Option<&Pattern>) -> ResolvedSettings {
    let reader = namespace.reader;
    let found = namespace.node("settings");
    if namespace.node("remote").is_some() {
        if let Some((_, position)) = found {
            reader.problem(position, "the other Prism has the settings of a namespace with `remote`; set them there");
        }
        return ResolvedSettings::default();
    }
    // A pattern that is not served is a problem of its own.
    let Some(known) = pattern.and_then(|pattern| reader.known.pattern(&pattern.name)) else { return ResolvedSettings::default() };
    let source = SettingsSource {
        path: &namespace.path_of("settings"),
        position: namespace.position_of("settings"),
        entries: found.map_or(&[], |(node, _)| reader.entries("settings", node)),
        schema: &known.schema,
        others: &[],
    };
    source.read(reader, known.check)
}
/// What a request is routed by: protocol, definition, host and base path.
type RouteKey = (FrontendKind, Option<String>, Option<String>, String);

/// The namespaces and listeners of each route.
type BoundRoutes = HashMap<RouteKey, Vec<(String, Option<String>)>>;

/// Reports slots that share the data of another namespace, and have another backend than it.
fn check_keyspaces(reader: &Reader<'_>, all: &[Namespace], namespace: &Namespace, position: &Position) {
    for (name, slot) in &namespace.slots {
        let owner = slot.keyspace.as_ref().and_then(|keyspace| all.iter().find(|other| other.name == *keyspace));
        // The namespace may be in the configuration of other gateways only.
        let Some(owner) = owner.filter(|owner| owner.remote.is_none()) else { continue };
        match owner.slots.get(name) {
            Some(_) if owner.scope.as_ref().map(|scope| scope.by) != namespace.scope.as_ref().map(|scope| scope.by) => {
                let message =
                    format!("the slot `{name}` has the keyspace of `{}`, so both namespaces need the same `scope.by`, or none", owner.name);
                reader.problem(position, message);
            }
            Some(shared) if shared.backend == slot.backend => {}
            Some(shared) => {
                let (ours, theirs) = (&slot.backend, &shared.backend);
                reader.problem(
                    position,
                    format!("the slot `{name}` has the keyspace of `{}`, which is in the backend `{theirs}`, not `{ours}`", owner.name),
                );
            }
            None => reader
                .problem(position, format!("the slot `{name}` has the keyspace of `{}`, which does not fill a slot `{name}`", owner.name)),
        }
    }
}

/// Reports two namespaces that the same request would reach.
fn check_collision(reader: &Reader<'_>, bound: &mut BoundRoutes, name: &str, binding: &Binding, position: &Position) {
    if binding.shared {
        return;
    }
    let overlap = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    // All APIs of GraphQL have their endpoints at the same paths.
    let definition = binding.definition.clone().filter(|_| binding.kind == FrontendKind::Definition);
    let key = (binding.kind, definition, binding.host.clone(), binding.base_path.clone());
    let others = bound.entry(key).or_default();
    let other = others.iter().find(|(_, listener)| overlap(listener, &binding.listener)).map(|(other, _)| other.clone());
    others.push((name.to_owned(), binding.listener.clone()));
    let Some(other) = other else { return };
    let (kind, path) = (binding.kind.name(), if binding.base_path.is_empty() { "/" } else { &binding.base_path });
    let route = binding.host.as_ref().map_or_else(|| format!("`{path}`"), |host| format!("`{host}{path}`"));
    let message = if other == name {
        format!("`{name}` is reached by {kind} under {route} twice; remove one of the two")
    } else {
        format!("`{name}` and `{other}` are both reached by {kind} under {route}; give one another host or base_path")
    };
    reader.problem(position, message);
}
