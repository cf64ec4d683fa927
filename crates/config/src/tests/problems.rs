use super::{REST, assert_problems, known};
use crate::{Source, check};

#[test]
fn all_problems_are_reported_in_the_order_of_the_file() {
    assert_problems(
        "listners: {}
log: {level: inf, format: 3}
shutdown:
  drain_timeout: 30
backends:
  store: {type: sqllite, path: x}
namespaces:
  - name: one
    pattern: keyvale
    slots: {storage: stor}
",
        &[],
        &[
            "prism.yaml:1:1: unknown setting `listners`; did you mean `listeners`? There are: admin, authenticators, backends, frontends, listeners, log, namespaces, policy, shutdown, telemetry, tickets",
            "prism.yaml:2:14: unknown level `inf`; did you mean `info`? There are: off, error, warn, info, debug, trace",
            "prism.yaml:2:27: unknown format `3`; there are: text, json",
            "prism.yaml:4:18: `drain_timeout` must be a duration such as 100ms, 30s or 5m, not `30`",
            "prism.yaml:6:17: unknown type of backend `sqllite`; did you mean `sqlite`? There are: memory, redis, sqlite",
            "prism.yaml:9:14: unknown pattern `keyvale`; did you mean `keyvalue`? There are: consumer, event-sourcing, interfaces, keyvalue, multicast-registry, object-store, producer, schema-registry, session-store, work-queue, cache-aside, saga",
        ],
    );
}

#[test]
fn a_file_that_is_not_yaml_has_one_problem() {
    assert_problems("a: b: c", &[], &["prism.yaml:1:5: this is no YAML: mapping values are not allowed in this context"]);
}

#[test]
fn a_missing_file_is_reported() {
    let source = Source { file: Some("/no/such/prism.yaml".into()), ..Source::default() };
    let expected = "/no/such/prism.yaml: the file can't be read: No such file or directory (os error 2)";
    assert_eq!(check(&source, &known()).problems.to_string(), expected);
}

#[test]
fn an_empty_file_has_nothing_to_serve() {
    assert_problems("", &[], &["prism.yaml: `namespaces` is missing; without one there is nothing to serve"]);
}

#[test]
fn listeners() {
    let text = format!(
        "listeners:
  main: {{address: 'example.com:80', adress: x}}
  second: {{tls: {{certificate: /no/cert.pem}}}}
  Third: {{address: 127.0.0.1:1, cors: {{allowed_origins: [example.com], max_age: 1}}}}
  fourth: {{address: 127.0.0.1:1}}
  fifth: {{address: 0.0.0.0:1}}
admin: {{address: 127.0.0.1:1}}{REST}"
    );
    assert_problems(
        &text,
        &[],
        &[
            "prism.yaml:2:19: `address` must be IP:PORT, as 127.0.0.1:8980, or 0.0.0.0:8980 for all interfaces, not `example.com:80`",
            "prism.yaml:2:37: unknown setting `adress`; did you mean `address`? There are: address, allowed_hosts, authentication, cors, graphql, header_timeout, idle_timeout, max_connections, max_connections_per_peer, max_unsent_bytes, max_unsent_bytes_per_connection, tls, trusted_proxies, web_demo, write_timeout",
            "prism.yaml:3:3: `address` is missing; write IP:PORT, as 0.0.0.0:8443",
            "prism.yaml:3:12: `key` is missing; TLS needs a certificate and its key, as PEM files",
            "prism.yaml:4:3: `Third` can't be a name in `listeners`: a lower-case letter, then letters, digits, `-` and `_`, at most 63 characters",
            "prism.yaml:4:58: `example.com` is no origin; write https://app.example.com, http://localhost:* or *",
            "prism.yaml:4:81: `max_age` must be a duration such as 100ms, 30s or 5m, not `1`",
            "prism.yaml:5:21: the listener `fourth` has the same address as the listener `Third`, 127.0.0.1:1; give each its own port",
            "prism.yaml:6:20: the listener `fifth` needs a port that the listener `Third` has on 127.0.0.1:1; give each its own port",
            "prism.yaml:6:20: everybody in the network of the listener `fifth` could read and change all data; set `authentication`, or `authentication: [anonymous]` if nobody needs to authenticate",
            "prism.yaml:7:18: `admin` has the same address as the listener `Third`, 127.0.0.1:1; give each its own port",
        ],
    );
}

#[test]
fn shapes() {
    assert_problems(
        "listeners: [a]\nadmin: 127.0.0.1:1\nlog: {level: [info]}\nbackends: x\nfrontends: 3\nnamespaces: {}\n",
        &[],
        &[
            "prism.yaml:1:12: `listeners` must be a mapping, not a list",
            "prism.yaml:2:8: `admin` must be a mapping, not text",
            "prism.yaml:3:14: `level` must be a single value, not a list",
            "prism.yaml:4:11: `backends` must be a mapping, not text",
            "prism.yaml:5:12: `frontends` must be a mapping, not a number",
            "prism.yaml:6:13: `namespaces` must be a list, not a mapping",
        ],
    );
}

#[test]
fn frontends() {
    let text = "
backends: {memory: {type: memory}}
frontends:
  rest: {type: rest}
  a: {listener: man}
  b: {type: rst, host: 'x:80', base_path: kv}
namespaces:
  - name: one
    pattern: keyvalue
    slots: {storage: memory}
    frontends: [gprc, {host: x}, {frontend: rest, bas_path: /x, listener: 3}]
";
    assert_problems(
        text,
        &[],
        &[
            "prism.yaml:4:3: the frontend `rest` is there already; give yours another name",
            "prism.yaml:5:3: `type` is missing; it is one of grpc, grpc-web, connect, rest, websocket, graphql, mcp, or there is a `definition`",
            "prism.yaml:5:17: unknown listener `man`; did you mean `main`? There are: main",
            "prism.yaml:6:13: unknown type `rst`; did you mean `rest`? There are: grpc, grpc-web, connect, rest, websocket, graphql, mcp, definition",
            "prism.yaml:6:24: `host` must be a host name without port, as api.example.com, not `x:80`",
            "prism.yaml:6:43: `base_path` must be a path such as /kv, /{namespace} or /, not `kv`",
            "prism.yaml:11:17: unknown frontend `gprc`; did you mean `grpc`? There are: grpc, grpc-web, connect, rest, websocket, graphql, mcp, rest, notes",
            "prism.yaml:11:23: `frontend` is missing; it is the name of a frontend, as rest",
            "prism.yaml:11:51: unknown setting `bas_path`; did you mean `base_path`? There are: base_path, documentation, enabled, frontend, host, listener, settings",
            "prism.yaml:11:75: `listener` must be text, not a number; write \"3\" in quotes",
        ],
    );
}

#[test]
fn no_listeners() {
    let expected = "prism.yaml:1:1: there must be a listener; leave `listeners` out for the default one";
    assert_problems(&format!("listeners: {{}}{REST}"), &[], &[expected]);
}
