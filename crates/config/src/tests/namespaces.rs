use super::assert_problems;

/// Namespaces over two backends.
fn over(namespaces: &str) -> String {
    format!("backends: {{memory: {{type: memory}}, cache: {{type: redis, url: 'redis://h'}}}}\nnamespaces:\n{namespaces}")
}

#[test]
fn names_are_unique_and_plain() {
    assert_problems(
        &over(
            "  - {name: one, pattern: keyvalue, slots: {storage: memory}}
  - {name: one, pattern: keyvalue, slots: {storage: memory}}
  - {name: /one, pattern: keyvalue, slots: {storage: memory}}
  - {pattern: keyvalue, slots: {storage: memory}}
  - text
",
        ),
        &[],
        &[
            "prism.yaml:4:12: there is a namespace `one` already; names are unique",
            "prism.yaml:5:12: `/one` can't be a name in `namespaces`: a lower-case letter, then letters, digits, `-` and `_`, at most 63 characters",
            "prism.yaml:6:5: `name` is missing; every namespace has one",
            "prism.yaml:7:5: `namespaces` must be a mapping, not text",
        ],
    );
}

#[test]
fn patterns() {
    assert_problems(
        &over(
            "  - {name: a, slots: {storage: memory}}
  - {name: b, pattern: saga}
  - {name: c, pattern: keyvalue, pattern_version: v2, slots: {storage: memory}}
",
        ),
        &[],
        &[
            "prism.yaml:3:12: `pattern` is missing; it is one of consumer, event-sourcing, interfaces, keyvalue, multicast-registry, object-store, producer, schema-registry, session-store, work-queue",
            "prism.yaml:4:12: the slot `state` of the pattern `saga` needs a backend: one of cache, memory",
            "prism.yaml:4:12: the slot `steps` of the pattern `saga` needs a backend: one of cache, memory",
            "prism.yaml:4:24: the pattern `saga` is planned, but can't be served yet; there are: consumer, event-sourcing, interfaces, keyvalue, multicast-registry, object-store, producer, schema-registry, session-store, work-queue",
            "prism.yaml:5:51: the pattern `keyvalue` has the version `v1`, not `v2`",
        ],
    );
}

#[test]
fn slots() {
    assert_problems(
        &over(
            "  - {name: a, pattern: keyvalue, slots: {storag: memory}}
  - {name: b, pattern: keyvalue, slots: {storage: memroy}}
  - {name: c, pattern: keyvalue, slots: {storage: {backend: memory, interfaces: [keyvalue_sacn, pubsub_basic]}}}
  - {name: d, pattern: keyvalue, slots: {storage: {backend: memory, config: {url: x}}}}
  - {name: e, pattern: keyvalue, slots: {storage: {}}}
  - {name: f, pattern: keyvalue}
",
        ),
        &[],
        &[
            "prism.yaml:3:34: the slot `storage` of the pattern `keyvalue` needs a backend: one of cache, memory",
            "prism.yaml:3:42: unknown slot of the pattern `keyvalue` `storag`; did you mean `storage`? There are: storage, cache, messaging",
            "prism.yaml:4:51: unknown backend `memroy`; did you mean `memory`? There are: cache, memory",
            "prism.yaml:5:82: unknown interface of the slot `storage` `keyvalue_sacn`; did you mean `keyvalue_scan`? There are: keyvalue_basic, keyvalue_scan, keyvalue_batch, keyvalue_ttl, keyvalue_cas, keyvalue_transactional, keyvalue_watch",
            "prism.yaml:5:97: unknown interface of the slot `storage` `pubsub_basic`; there are: keyvalue_basic, keyvalue_scan, keyvalue_batch, keyvalue_ttl, keyvalue_cas, keyvalue_transactional, keyvalue_watch",
            "prism.yaml:6:69: the settings of a backend stand under `backends`, for all namespaces: `backends.memory`",
            "prism.yaml:7:42: `backend` is missing; it is one of cache, memory",
            "prism.yaml:8:12: the slot `storage` of the pattern `keyvalue` needs a backend: one of cache, memory",
        ],
    );
}

#[test]
fn interfaces_that_a_slot_needs_and_the_driver_lacks() {
    assert_problems(
        &over(
            "  - name: a
    pattern: work-queue
    slots: {jobs: cache}
  - name: b
    pattern: multicast-registry
    slots:
      registry: memory
      messaging: {backend: cache, interfaces: [queue_visibility]}
",
        ),
        &[],
        &[
            "prism.yaml:5:19: slot `jobs` needs queue_basic, queue_visibility, queue_dead_letter, which the redis driver does not implement",
            "prism.yaml:10:48: the redis driver does not implement queue_visibility; remove it, or choose another backend",
        ],
    );
}

#[test]
fn a_slot_may_have_the_keyspace_of_another_namespace() {
    let config = |keyspace: &str, backend: &str| {
        over(&format!(
            "  - {{name: orders, pattern: producer, slots: {{messaging: memory}}}}
  - name: billing
    pattern: consumer
    slots: {{messaging: {{backend: {backend}, keyspace: {keyspace}}}}}
    frontends: [{{frontend: rest, base_path: /billing}}]
"
        ))
    };
    assert_problems(&config("orders", "memory"), &[], &[]);
    assert_problems(&config("elsewhere", "memory"), &[], &[]);
    let other = "prism.yaml:4:11: the slot `messaging` has the keyspace of `orders`, which is in the backend `memory`, not `cache`";
    assert_problems(&config("orders", "cache"), &[], &[other]);
}

#[test]
fn a_scope_says_what_separates_the_data_of_callers() {
    let one = |rest: &str| over(&format!("  - {{name: a, pattern: keyvalue, {rest}}}\n"));
    let scoped = |scope: &str| one(&format!("slots: {{storage: memory}}, scope: {scope}"));
    for scope in ["{by: tenant}", "{by: subject, max_open: 100000}"] {
        assert_problems(&scoped(scope), &[], &[]);
    }
    assert_problems(&scoped("{}"), &[], &["prism.yaml:3:60: `by` is missing; it is tenant or subject"]);
    assert_problems(&scoped("{by: team}"), &[], &["prism.yaml:3:72: unknown by `team`; did you mean `tenant`? There are: tenant, subject"]);
    let range = "prism.yaml:3:90: `max_open` must be a number from 1 to 100000, not `0`";
    assert_problems(&scoped("{by: tenant, max_open: 0}"), &[], &[range]);
    let remote = "prism.yaml:3:63: a namespace with `remote` has no `scope`; the other Prism separates the data of callers, if its configuration says so";
    assert_problems(&one("remote: {url: 'http://b:1'}, scope: {by: tenant}"), &[], &[remote]);
    let shared = |scope: &str| {
        over(&format!(
            "  - {{name: orders, pattern: producer, slots: {{messaging: memory}}, scope: {{by: tenant}}}}
  - name: billing
    pattern: consumer
    slots: {{messaging: {{backend: memory, keyspace: orders}}}}
    frontends: [{{frontend: rest, base_path: /billing}}]
    scope: {{by: {scope}}}
"
        ))
    };
    assert_problems(&shared("tenant"), &[], &[]);
    let other = "prism.yaml:4:11: the slot `messaging` has the keyspace of `orders`, so both namespaces need the same `scope.by`, or none";
    assert_problems(&shared("subject"), &[], &[other]);
}

#[test]
fn there_are_no_backends_at_all() {
    assert_problems(
        "namespaces:\n  - {name: a, pattern: keyvalue, slots: {storage: redis}}\n  - {name: b, pattern: keyvalue}\n",
        &[],
        &[
            "prism.yaml:2:51: unknown backend `redis`; define it under `backends`",
            "prism.yaml:3:12: the slot `storage` of the pattern `keyvalue` needs a backend: define one under `backends`",
        ],
    );
}

#[test]
fn a_wrong_backend_is_not_reported_where_it_is_used() {
    assert_problems(
        "backends: {pg: {type: postgres}}\nnamespaces:\n  - {name: a, pattern: keyvalue, slots: {storage: pg}}\n",
        &[],
        &["prism.yaml:1:23: this build has no driver for `postgres`; there are: memory, redis, sqlite"],
    );
}

#[test]
fn two_namespaces_with_the_same_route() {
    assert_problems(
        &over(
            "  - {name: a, pattern: keyvalue, slots: {storage: memory}, frontends: [{frontend: rest, base_path: /b}, {frontend: rest, host: h, base_path: /}]}
  - {name: b, pattern: keyvalue, slots: {storage: memory}}
  - {name: c, pattern: keyvalue, slots: {storage: memory}, frontends: [{frontend: rest, host: H, base_path: /}, rest, {frontend: rest, listener: main}]}
",
        ),
        &[],
        &[
            "prism.yaml:4:12: `b` and `a` are both reached by rest under `/b`; give one another host or base_path",
            "prism.yaml:5:83: `c` and `a` are both reached by rest under `h/`; give one another host or base_path",
            "prism.yaml:5:130: `c` is reached by rest under `/c` twice; remove one of the two",
        ],
    );
}

#[test]
fn remotes() {
    assert_problems(
        &over(
            "  - {name: a, pattern: keyvalue, remote: {}}
  - {name: b, pattern: keyvalue, remote: {url: 'other:8980/x'}, slots: {storage: memory}}
  - {name: c, pattern: keyvalue, remote: {url: 'http://other:8980', nmespace: x}}
",
        ),
        &[],
        &[
            "prism.yaml:3:34: `url` is missing; it is where the other Prism listens, as http://other-prism:8980",
            "prism.yaml:4:48: `url` must be a URL without path, as http://other-prism:8980, not `other:8980/x`",
            "prism.yaml:4:65: a namespace has `slots` or `remote`, not both; remove one",
            "prism.yaml:5:69: unknown setting `nmespace`; did you mean `namespace`? There are: forward_credentials, namespace, url",
        ],
    );
}

#[test]
fn limits() {
    assert_problems(
        &over(
            "  - name: a
    pattern: keyvalue
    slots: {storage: memory}
    limits: {max_message_bytes: 4MB!, max_concurrent_calls: 0, timeout: 2m, max_timeout: 1m, max_key_bytes: 0}
  - name: b
    pattern: keyvalue
    slots: {storage: memory}
    limits: {timeout: 0s, max_concurent_calls: 1}
",
        ),
        &[],
        &[
            "prism.yaml:6:33: `max_message_bytes` must be a size such as 64KiB or 4MiB, greater than 0, not `4MB!`",
            "prism.yaml:6:61: `max_concurrent_calls` must be a whole number greater than 0, not `0`",
            "prism.yaml:6:64: `timeout` is longer than `max_timeout`; make it shorter",
            "prism.yaml:6:109: `max_key_bytes` must be a size such as 64KiB or 4MiB, greater than 0, not `0`",
            "prism.yaml:10:14: `timeout` must be longer than 0s",
            "prism.yaml:10:27: unknown setting `max_concurent_calls`; did you mean `max_concurrent_calls`? There are: max_batch_items, max_concurrent_calls, max_key_bytes, max_message_bytes, max_streams, max_timeout, max_value_bytes, timeout",
        ],
    );
}

#[test]
fn idempotency() {
    let config = super::valid(
        &over(
            "  - {name: a, pattern: keyvalue, slots: {storage: memory}, idempotency: {required: true, retention: 10m, slot: storage}}
  - {name: b, pattern: keyvalue, slots: {storage: memory}}
",
        ),
        &[("PRISM_NAMESPACES_B_IDEMPOTENCY_REQUIRED", "true")],
    );
    let [a, b] = [0, 1].map(|index| config.namespaces[index].idempotency.clone().unwrap());
    assert_eq!((a.required, a.retention.as_secs(), a.slot.as_deref()), (true, 600, Some("storage")));
    assert_eq!((b.required, b.retention.as_secs(), b.slot.as_deref()), (true, 86_400, None));

    assert_problems(
        &over(
            "  - {name: a, pattern: keyvalue, slots: {storage: memory}, idempotency: {required: maybe, retention: 0s, slot: stroage}}
  - {name: b, pattern: keyvalue, remote: {url: 'http://other:8980'}, idempotency: {required: true}}
  - {name: c, pattern: keyvalue, slots: {storage: memory}, idempotency: {requierd: true}}
  - {name: d, pattern: keyvalue, slots: {storage: memory}, idempotency: {retention: 9000h}}
",
        ),
        &[],
        &[
            "prism.yaml:3:84: `required` must be true or false, not `maybe`",
            "prism.yaml:3:91: `retention` must be longer than 0s",
            "prism.yaml:3:112: unknown slot of the pattern `keyvalue` `stroage`; did you mean `storage`? There are: storage, cache, messaging",
            "prism.yaml:4:70: a namespace with `remote` passes keys on; say this in the configuration of the other Prism",
            "prism.yaml:5:74: unknown setting `requierd`; did you mean `required`? There are: required, retention, slot",
            "prism.yaml:6:74: `retention` must be at most 8784h, a year",
        ],
    );
}
