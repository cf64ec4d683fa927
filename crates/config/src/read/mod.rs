//! Reads a tree into a [`Config`]. Each part of the configuration has a file.

mod access;
mod backend;
mod frontend;
mod listener;
mod namespace;
mod policy;
mod settings;
mod telemetry;
mod tickets;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    log::{AccessLog, Log, LogFormat, LogLevel},
    model::{Admin, Config, Origin, Shutdown},
    reader::{Reader, Section},
};
use prism_yaml::{Node, Position};

/// Reads everything. The reader collects the problems. Settings with problems are absent or have their defaults.
pub(super) fn config(reader: &Reader<'_>, root: &Node, origin: Origin) -> Config {
    let top = Section::new(reader, String::new(), &Position::WHOLE_FILE, Some(root));
    let authenticators = access::authenticators(&top);
    let listeners = listener::listeners(&top, &authenticators);
    let admin = admin(&top, &authenticators);
    listener::same_address(reader, &listeners, &admin);
    let log = log(&top);
    let telemetry = telemetry::telemetry(&top);
    let shutdown = shutdown(&top);
    let backends = backend::backends(&top);
    let listener_names = listeners.keys().cloned().collect::<Vec<_>>();
    let frontends = frontend::frontends(&top, &listener_names);
    let names =
        namespace::Names { listeners: &listener_names, authenticators: &authenticators, backends: &backends, frontends: &frontends };
    let namespaces = namespace::namespaces(&top, &names);
    let policy = policy::policy(&top);
    let tickets = tickets::tickets(&top);
    listener::require_admin_authentication(reader, &admin);
    listener::require_authentication(reader, &listeners, &namespaces);
    top.finish();
    Config {
        listeners: listeners.into_iter().map(|(name, (listener, _))| (name, listener)).collect(),
        admin: admin.0,
        log,
        telemetry,
        shutdown,
        authenticators: authenticators.into_iter().filter_map(|(name, authenticator)| Some((name, authenticator?))).collect(),
        tickets,
        policy,
        backends: backends.into_iter().filter_map(|(name, backend)| Some((name, backend?))).collect::<BTreeMap<_, _>>(),
        frontends,
        namespaces,
        origin,
        warnings: Vec::new(),
        files: BTreeSet::new(),
        positions: BTreeMap::new(),
    }
}

/// Returns the listener for operators and the position of its address, or `None` instead of the position if the address is wrong.
fn admin(top: &Section<'_, '_>, authenticators: &access::Authenticators) -> (Admin, Option<Position>) {
    let section = top.section("admin");
    let there = section.node("address").is_some();
    let address = section.address("address");
    let allowed_hosts = listener::hosts(&section);
    let authentication = access::methods(&section, authenticators);
    let position = section.position.clone();
    section.finish();
    match address {
        Some((address, position)) => (Admin { address, allowed_hosts, authentication }, Some(position)),
        None => (Admin { allowed_hosts, authentication, ..Admin::default() }, (!there).then_some(position)),
    }
}

fn log(top: &Section<'_, '_>) -> Log {
    let section = top.section("log");
    let levels = [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let log = Log {
        format: section.choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]).unwrap_or_default(),
        level: section.choice("level", &levels.map(|level| (level.name(), level))).unwrap_or_default(),
        access: section
            .choice("access", &[("off", AccessLog::Off), ("errors", AccessLog::Errors), ("all", AccessLog::All)])
            .unwrap_or_default(),
    };
    section.finish();
    log
}

fn shutdown(top: &Section<'_, '_>) -> Shutdown {
    let section = top.section("shutdown");
    let drain_timeout = section.duration("drain_timeout").unwrap_or(Shutdown::default().drain_timeout);
    section.finish();
    Shutdown { drain_timeout }
}
