//! `listeners`.

use std::{
    collections::BTreeMap,
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::access::{self, Authenticators};
use crate::{
    model::{ANONYMOUS, Admin, ClientCertificates, Cors, Listener, Namespace, Tls, TrustedProxies, parse_network},
    reader::{Reader, Section},
};
use prism_yaml::{Key, Node, Position, Value};

/// The listeners and the positions of their addresses. `None` for an address that is wrong.
pub(super) type Listeners = BTreeMap<String, (Listener, Option<Position>)>;

pub(super) fn listeners(top: &Section<'_, '_>, authenticators: &Authenticators) -> Listeners {
    let node = top.node("listeners");
    let Some(entries) = top.entries("listeners") else {
        let section = Section::new(top.reader, "listeners.main".to_owned(), &top.position, None);
        return Listeners::from([("main".to_owned(), listener(section, true, authenticators))]);
    };
    if matches!(&node, Some((Node { value: Value::Map(entries), .. }, _)) if entries.is_empty()) {
        top.reader.problem(top.position_of("listeners"), "there must be a listener; leave `listeners` out for the default one");
    }
    let read = |(name, node): &(Key, Node)| {
        let section = Section::new(top.reader, format!("listeners.{}", name.name), &name.position, Some(node));
        (name.name.clone(), listener(section, name.name == "main", authenticators))
    };
    entries.iter().map(read).collect()
}

fn listener(section: Section<'_, '_>, is_main: bool, authenticators: &Authenticators) -> (Listener, Option<Position>) {
    let tls = tls(&section);
    let cors = cors(&section);
    let trusted_proxies = trusted_proxies(&section);
    // An address that is wrong is not reported as missing.
    let there = section.node("address").is_some();
    let address = section.address("address");
    if address.is_none() && !there && !is_main {
        section.reader.problem(&section.position, "`address` is missing; write IP:PORT, as 0.0.0.0:8443");
    }
    let position = match &address {
        Some((_, position)) => Some(position.clone()),
        None => (is_main && !there).then(|| section.position.clone()),
    };
    let default = Listener::at(8980);
    let max_connections = section.count("max_connections").unwrap_or(default.max_connections);
    let max_connections_per_peer = section.count("max_connections_per_peer");
    let idle_timeout = positive(&section, "idle_timeout").unwrap_or(default.idle_timeout);
    let header_timeout = positive(&section, "header_timeout").unwrap_or(default.header_timeout);
    let write_timeout = positive(&section, "write_timeout").unwrap_or(default.write_timeout);
    let max_unsent_bytes = section.size("max_unsent_bytes").unwrap_or(default.max_unsent_bytes);
    let per_connection = section.size("max_unsent_bytes_per_connection").unwrap_or(default.max_unsent_bytes_per_connection);
    let allowed_hosts = hosts(&section);
    let authentication = access::methods(&section, authenticators);
    let graphql = section.text("graphql").map(|(name, _)| name);
    let web_demo = flag(&section, "web_demo");
    section.finish();
    let address = address.map_or(default.address, |(address, _)| address);
    let listener = Listener {
        address,
        tls,
        max_connections,
        max_connections_per_peer,
        idle_timeout,
        header_timeout,
        write_timeout,
        max_unsent_bytes,
        max_unsent_bytes_per_connection: per_connection,
        allowed_hosts,
        trusted_proxies,
        cors,
        authentication,
        graphql,
        web_demo,
    };
    (listener, position)
}

/// Reads a duration that is not zero.
fn positive(section: &Section<'_, '_>, key: &'static str) -> Option<Duration> {
    let duration = section.duration(key)?;
    if duration.is_zero() {
        section.reader.problem(section.position_of(key), format!("`{key}` must be longer than 0s"));
        return None;
    }
    Some(duration)
}

fn tls(listener: &Section<'_, '_>) -> Option<Tls> {
    let there = listener.node("tls").is_some();
    let section = listener.section("tls");
    let certificate = pem(&section, "certificate");
    let key = pem(&section, "key");
    if there || certificate.is_some() || key.is_some() {
        for (name, file) in [("certificate", &certificate), ("key", &key)] {
            if file.is_none() {
                section
                    .reader
                    .problem(&section.position, format!("`{name}` is missing; TLS needs a certificate and its key, as PEM files"));
            }
        }
    }
    let client_ca = pem(&section, "client_ca");
    let client_crls: Vec<_> = section.texts("client_crls").unwrap_or_default().into_iter().map(|(path, _)| path.into()).collect();
    if !client_crls.is_empty() && client_ca.is_none() {
        let message = "`client_crls` needs `client_ca`: the authorities that sign the certificates of clients, as a PEM file";
        section.reader.problem(section.position_of("client_crls"), message);
    }
    let modes = [("required", ClientCertificates::Required), ("optional", ClientCertificates::Optional)];
    let mode = section.choice("client_certificates", &modes);
    if mode.is_some() && client_ca.is_none() {
        let message = "`client_certificates` needs `client_ca`: the authorities that sign the certificates of clients, as a PEM file";
        section.reader.problem(section.position_of("client_certificates"), message);
    }
    section.finish();
    Some(Tls { certificate: certificate?, key: key?, client_ca, client_crls, client_certificates: mode.unwrap_or_default() })
}

fn pem(section: &Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
    section.text(key).map(|(path, _)| path.into())
}

fn flag(section: &Section<'_, '_>, key: &'static str) -> bool {
    section.parsed(key, "true or false", |text| text.parse().ok()).is_some_and(|(enabled, _)| enabled)
}

fn trusted_proxies(listener: &Section<'_, '_>) -> Option<TrustedProxies> {
    let there = listener.node("trusted_proxies").is_some();
    let section = listener.section("trusted_proxies");
    let texts = section.texts("addresses").unwrap_or_default();
    for (address, position) in &texts {
        match parse_network(address) {
            None => section.reader.problem(position, format!("`{address}` is no address and no network; write 10.0.0.7 or 10.0.0.0/8")),
            // Then everybody could be anybody.
            Some(network) if network.prefix_len() == 0 => {
                section.reader.problem(position, format!("`{address}` is everybody; name the addresses of the proxies"));
            }
            Some(_) => {}
        }
    }
    let proxies = TrustedProxies {
        addresses: texts.into_iter().map(|(address, _)| address).collect(),
        proxy_protocol: flag(&section, "proxy_protocol"),
        forwarded_for: flag(&section, "forwarded_for"),
        forwarded_client_cert: flag(&section, "forwarded_client_cert"),
    };
    let says_something = proxies.proxy_protocol || proxies.forwarded_for || proxies.forwarded_client_cert;
    if proxies.addresses.is_empty() && (there || says_something) {
        section.reader.problem(&section.position, "`addresses` is missing; it has the addresses of the proxies, as [10.0.0.0/8]");
    } else if !says_something && there {
        let message = "the proxies say nothing; set `proxy_protocol`, `forwarded_for` or `forwarded_client_cert`";
        section.reader.problem(&section.position, message);
    }
    section.finish();
    (there || !proxies.addresses.is_empty()).then_some(proxies)
}

fn cors(listener: &Section<'_, '_>) -> Cors {
    let section = listener.section("cors");
    let default = Cors::default();
    let max_age = section.duration("max_age").unwrap_or(default.max_age);
    let allowed_origins = origins(&section).unwrap_or(default.allowed_origins);
    section.finish();
    Cors { allowed_origins, max_age }
}

/// Reads the hosts that a listener answers to.
pub(super) fn hosts(section: &Section<'_, '_>) -> Vec<String> {
    let texts = section.texts("allowed_hosts").unwrap_or_default();
    for (host, position) in &texts {
        if !is_host(host) {
            let message = format!("`{host}` is no host; write api.example.com, *.example.com or *, without a port");
            section.reader.problem(position, message);
        }
    }
    texts.into_iter().map(|(host, _)| host.to_ascii_lowercase()).collect()
}

fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).is_some_and(|text| text.parse::<Ipv6Addr>().is_ok());
    let name = text.strip_prefix("*.").unwrap_or(text);
    text == "*" || is_address || (!name.is_empty() && name.bytes().all(plain))
}

fn origins(section: &Section<'_, '_>) -> Option<Vec<String>> {
    let texts = section.texts("allowed_origins")?;
    for (origin, position) in &texts {
        if !is_origin(origin) {
            let right = "write https://app.example.com, http://localhost:* or *";
            section.reader.problem(position, format!("`{origin}` is no origin; {right}"));
        }
    }
    Some(texts.into_iter().map(|(origin, _)| origin).collect())
}

fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return text == "*" };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (rest, "*"),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    !host.is_empty() && host.bytes().all(plain) && (port == "*" || port.parse::<u16>().is_ok())
}

/// Reports two listeners that need the same port of the same address.
pub(super) fn same_address(reader: &Reader<'_>, listeners: &Listeners, admin: &(Admin, Option<Position>)) {
    let all = listeners.iter().map(|(name, (listener, position))| (format!("the listener `{name}`"), listener.address, position));
    let all = all.chain([("`admin`".to_owned(), admin.0.address, &admin.1)]);
    let all = all.filter_map(|(name, address, position)| Some((name, address, position.as_ref()?))).collect::<Vec<_>>();
    for (index, (name, address, position)) in all.iter().enumerate() {
        if let Some((other, taken, _)) = all[..index].iter().find(|(_, other, _)| overlap(*other, *address)) {
            let message = if taken == address {
                format!("{name} has the same address as {other}, {address}; give each its own port")
            } else {
                format!("{name} needs a port that {other} has on {taken}; give each its own port")
            };
            reader.problem(position, message);
        }
    }
}

/// Whether only one of two addresses can be listened on. 0.0.0.0 is every IPv4 address, and [::] is every address.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |all: SocketAddr, one: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

/// Reports an admin listener that everybody in the network can use.
pub(super) fn require_admin_authentication(reader: &Reader<'_>, admin: &(Admin, Option<Position>)) {
    let (Admin { address, authentication, .. }, position) = admin;
    if address.ip().is_loopback() || !authentication.is_empty() {
        return;
    }
    let Some(position) = position else { return };
    let setting = match position {
        Position::Named(_) => "PRISM_ADMIN_AUTHENTICATION=anonymous".to_owned(),
        Position::File { .. } => format!("`authentication: [{ANONYMOUS}]`"),
    };
    let message = format!(
        "everybody in the network of `admin` could read its metrics and the problems of backends; set `authentication`, or {setting} if nobody \
         needs to authenticate"
    );
    reader.problem(position, message);
}

/// Reports listeners that everybody in the network can use.
pub(super) fn require_authentication(reader: &Reader<'_>, listeners: &Listeners, namespaces: &[Namespace]) {
    let all_authenticate = !namespaces.is_empty() && namespaces.iter().all(|namespace| !namespace.authentication.is_empty());
    for (name, (listener, position)) in listeners {
        let is_open = !listener.address.ip().is_loopback() && listener.authentication.is_empty() && !all_authenticate;
        let Some(position) = position.as_ref().filter(|_| is_open) else { continue };
        reader.problem(position, open_listener(name, position));
    }
}

fn open_listener(name: &str, position: &Position) -> String {
    // Who sets the address by a variable sets the rest by a variable too.
    let setting = match position {
        Position::Named(_) => format!("PRISM_LISTENERS_{}_AUTHENTICATION=anonymous", name.to_uppercase().replace('-', "_")),
        Position::File { .. } => format!("`authentication: [{ANONYMOUS}]`"),
    };
    format!(
        "everybody in the network of the listener `{name}` could read and change all data; set `authentication`, or {setting} if nobody needs \
         to authenticate"
    )
}
