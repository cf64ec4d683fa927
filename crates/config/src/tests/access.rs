use super::{assert_problems, valid};
use crate::{PolicyAccess, PolicyEffect, Position};

const NAMESPACES: &str = "
backends: {memory: {type: memory}}
namespaces: [{name: one, pattern: keyvalue, slots: {storage: memory}}]
";

#[test]
fn authenticators_are_chosen_by_listeners_and_namespaces() {
    let text = "authenticators:
  keys: {type: api-key, file: keys.yaml}
  mesh: {type: mtls}
listeners:
  main: {authentication: [mesh, keys]}
  open: {address: '0.0.0.0:1', authentication: [anonymous]}
backends: {memory: {type: memory}}
namespaces:
  - {name: one, pattern: keyvalue, slots: {storage: memory}, authentication: [keys, anonymous]}
  - {name: two, pattern: keyvalue, slots: {storage: memory}}
";
    let config = valid(text, &[]);
    assert_eq!(config.listeners["main"].authentication, ["mesh", "keys"]);
    assert_eq!(config.namespaces[0].authentication, ["keys", "anonymous"]);
    assert!(config.namespaces[1].authentication.is_empty());
    let config = valid(text, &[("PRISM_LISTENERS_MAIN_AUTHENTICATION", "keys, anonymous"), ("PRISM_AUTHENTICATORS_KEYS_FILE", "other")]);
    assert_eq!(config.listeners["main"].authentication, ["keys", "anonymous"]);
    assert_eq!(config.authenticators["keys"].settings.values()["file"], "other");
}

#[test]
fn authenticators_are_checked() {
    let text = format!(
        "authenticators:
  keys: {{type: api-key, path: x}}
  other: {{}}
  anonymous: {{type: mtls}}
  wrong: {{type: kerberos}}
listeners:
  main: {{authentication: []}}
  more: {{address: 127.0.0.1:1, authentication: [keys, keys, kyes, wrong]}}
{NAMESPACES}"
    );
    let expected = [
        "prism.yaml:2:3: `file` is missing",
        "prism.yaml:2:25: unknown setting `path`; there are: type, file",
        "prism.yaml:3:3: `type` is missing; it is one of api-key, mtls",
        "prism.yaml:4:3: `anonymous` always exists, and stands for no authentication; choose another name",
        "prism.yaml:5:17: unknown type of authenticator `kerberos`; there are: api-key, mtls",
        "prism.yaml:7:10: `authentication` must name an authenticator, or `anonymous` for no authentication",
        "prism.yaml:8:55: `keys` is in this list twice; remove one",
        "prism.yaml:8:61: unknown authenticator `kyes`; did you mean `keys`? There are: keys, other, wrong, anonymous",
    ];
    assert_problems(&text, &[], &expected);
}

#[test]
fn an_open_listener_must_be_intended() {
    let message = |setting: &str| {
        format!(
            "everybody in the network of the listener `main` could read and change all data; set `authentication`, or {setting} if nobody needs \
             to authenticate"
        )
    };
    let text = format!("listeners: {{main: {{address: '0.0.0.0:80'}}}}{NAMESPACES}");
    let expected = format!("prism.yaml:1:29: {}", message("`authentication: [anonymous]`"));
    assert_problems(&text, &[], &[&expected]);
    let variable = "PRISM_LISTENERS_MAIN_AUTHENTICATION";
    let expected = format!("PRISM_LISTENERS_MAIN_ADDRESS: {}", message(&format!("{variable}=anonymous")));
    assert_problems(NAMESPACES, &[("PRISM_LISTENERS_MAIN_ADDRESS", "[::]:80")], &[&expected]);
    valid(&text, &[(variable, "anonymous")]);
    valid(&text.replace("'0.0.0.0:80'", "127.0.0.1:80"), &[]);
    // Every namespace authenticates its callers itself.
    let own = NAMESPACES.replace("pattern: keyvalue,", "pattern: keyvalue, authentication: [mesh],");
    valid(&format!("authenticators: {{mesh: {{type: mtls}}}}\nlisteners: {{main: {{address: '0.0.0.0:80'}}}}{own}"), &[]);
}

#[test]
fn an_open_admin_listener_must_be_intended() {
    let message = |setting: &str| {
        format!(
            "everybody in the network of `admin` could read its metrics and the problems of backends; set `authentication`, or {setting} if \
             nobody needs to authenticate"
        )
    };
    let text = format!("admin: {{address: '0.0.0.0:81'}}{NAMESPACES}");
    let expected = format!("prism.yaml:1:18: {}", message("`authentication: [anonymous]`"));
    assert_problems(&text, &[], &[&expected]);
    let variable = "PRISM_ADMIN_AUTHENTICATION";
    let expected = format!("PRISM_ADMIN_ADDRESS: {}", message(&format!("{variable}=anonymous")));
    assert_problems(NAMESPACES, &[("PRISM_ADMIN_ADDRESS", "[::]:81")], &[&expected]);
    assert_eq!(valid(&text, &[(variable, "anonymous")]).admin.authentication, ["anonymous"]);
    valid(&text.replace("0.0.0.0", "127.0.0.1"), &[]);
    let keys = format!(
        "authenticators: {{keys: {{type: api-key, file: k}}}}\nadmin: {{address: '0.0.0.0:81', authentication: [keys]}}{NAMESPACES}"
    );
    assert_eq!(valid(&keys, &[]).admin.authentication, ["keys"]);
    let unknown = format!("admin: {{authentication: [keys]}}{NAMESPACES}");
    assert_problems(&unknown, &[], &["prism.yaml:1:26: unknown authenticator `keys`; there are: anonymous"]);
}

#[test]
fn trusted_proxies_are_checked() {
    let with = |proxies: &str| format!("listeners: {{main: {{trusted_proxies: {proxies}}}}}{NAMESPACES}");
    let config = valid(&with("{addresses: [10.0.0.0/8, 192.0.2.7, '2001:db8::/32', '::1'], proxy_protocol: true}"), &[]);
    let proxies = config.listeners["main"].trusted_proxies.as_ref().unwrap();
    let networks: Vec<_> = proxies.networks().iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128"]);
    assert!(proxies.proxy_protocol && !proxies.forwarded_for && !proxies.forwarded_client_cert);
    assert!(valid(NAMESPACES, &[]).listeners["main"].trusted_proxies.is_none());
    let expected = [
        "prism.yaml:1:50: `proxy` is no address and no network; write 10.0.0.7 or 10.0.0.0/8",
        "prism.yaml:1:57: `10.0.0.0/33` is no address and no network; write 10.0.0.7 or 10.0.0.0/8",
        "prism.yaml:1:70: `0.0.0.0/0` is everybody; name the addresses of the proxies",
    ];
    assert_problems(&with("{addresses: [proxy, 10.0.0.0/33, 0.0.0.0/0], forwarded_for: true}"), &[], &expected);
    let expected = "prism.yaml:1:20: the proxies say nothing; set `proxy_protocol`, `forwarded_for` or `forwarded_client_cert`";
    assert_problems(&with("{addresses: [10.0.0.7]}"), &[], &[expected]);
    let expected = "prism.yaml:1:20: `addresses` is missing; it has the addresses of the proxies, as [10.0.0.0/8]";
    assert_problems(&with("{forwarded_for: true}"), &[], &[expected]);
}

#[test]
fn policies_and_quotas_are_read() {
    let text = "policy:
  roles: {reader: \"'readers' in principal.groups\"}
  rules:
    - {name: readers, roles: [reader], access: read, namespaces: one}
    - {name: night, effect: deny, methods: [Store, Remove], when: peer.tls, reason: not now}
backends: {memory: {type: memory}}
namespaces:
  - name: one
    pattern: keyvalue
    slots: {storage: memory}
    quotas: {principal: {rate: 100/m, burst: 5}, namespace: {max_concurrent: 7}, cost: {Scan: 5, queue_basic.Enqueue: 2}}
"
    .replace("namespaces: one", "namespaces: [one]");
    let config = valid(&text, &[]);
    let policy = config.policy.as_ref().expect("a policy");
    assert_eq!(policy.roles["reader"], "'readers' in principal.groups");
    assert_eq!((policy.rules[0].access, policy.rules[1].effect), (Some(PolicyAccess::Read), PolicyEffect::Deny));
    assert_eq!((policy.rules[1].methods.len(), policy.rules[1].reason.as_deref()), (2, Some("not now")));
    let line = |setting: &str| match config.position(setting) {
        Position::File { line, .. } => line,
        Position::Named(name) => panic!("{name}"),
    };
    assert_eq!((line("policy.roles.reader"), line("policy.rules.night.when")), (2, 5));
    let quotas = &config.namespaces[0].quotas;
    assert_eq!(quotas.principal.and_then(|quota| quota.rate).map(|rate| rate.to_string()).as_deref(), Some("100/m"));
    assert_eq!(
        quotas.cost.iter().map(|(name, cost)| (name.as_str(), cost.get())).collect::<Vec<_>>(),
        [("Scan", 5), ("queue_basic.Enqueue", 2)]
    );
    assert_eq!(line("namespaces.one.quotas.cost.Scan"), 11);
    assert_eq!((quotas.peer, quotas.namespace.and_then(|quota| quota.max_concurrent)), (None, Some(7)));
}

#[test]
fn policies_and_quotas_are_checked() {
    let text = "policy:
  rules:
    - {effect: allow}
    - {name: a, effect: permit, access: all, reason: x}
    - {name: a}
backends: {memory: {type: memory}}
namespaces:
  - name: one
    pattern: keyvalue
    slots: {storage: memory}
    quotas: {principal: {rate: 100, burst: 0}, peer: {burst: 3}}
";
    let expected = [
        "prism.yaml:3:7: `name` is missing; every rule has one",
        "prism.yaml:4:25: unknown effect `permit`; there are: allow, deny",
        "prism.yaml:4:41: unknown access `all`; there are: read, write",
        "prism.yaml:4:46: `reason` is for rules with `effect: deny`",
        "prism.yaml:5:14: there is a rule `a` already; names are unique",
        "prism.yaml:11:32: `rate` must be a number of calls and a period, as 100/s, 500/m or 1000/h, not `100`",
        "prism.yaml:11:44: `burst` must be a whole number greater than 0, not `0`",
        "prism.yaml:11:55: `burst` needs `rate`",
    ];
    assert_problems(text, &[], &expected);
}

#[test]
fn costs_of_rpcs_are_checked() {
    let with = |quotas: &str| {
        format!(
            "backends: {{memory: {{type: memory}}}}\nnamespaces:\n  - name: one\n    pattern: keyvalue\n    slots: {{storage: memory}}\n    quotas: {quotas}\n"
        )
    };
    let too_much =
        "prism.yaml:6:92: `Scan` can't cost 6, because the quota `principal` never has more than 5 calls; lower the cost, or raise `burst`";
    assert_problems(&with("{peer: {rate: 9/s}, principal: {rate: 100/s, burst: 5}, cost: {Store: 5, Scan: 6}}"), &[], &[too_much]);
    let expected = [
        "prism.yaml:6:14: `cost` needs `rate` in one of the quotas",
        "prism.yaml:6:27: `Scan` must be a whole number greater than 0, not `0`",
    ];
    assert_problems(&with("{cost: {Scan: 0}}"), &[], &expected);
}

#[test]
fn keys_of_tickets_are_read_and_never_shown() {
    let text = format!("tickets: {{keys: ['${{env:KEY}}', 0123456789abcdef0123456789abcdef], lifetime: 2m}}\n{NAMESPACES}");
    let config = valid(&text, &[("KEY", "a secret of more than 32 characters")]);
    assert_eq!(
        config.tickets.keys.values().collect::<Vec<_>>(),
        ["a secret of more than 32 characters", "0123456789abcdef0123456789abcdef"]
    );
    assert_eq!(config.tickets.lifetime.as_secs(), 120);
    let shown = serde_saphyr::to_string(&config).expect("YAML");
    assert!(shown.contains("${env:KEY}") && !shown.contains("a secret") && !shown.contains("0123456789"), "{shown}");
    assert!(!format!("{config:?}").contains("a secret"));
    let config = valid(NAMESPACES, &[("PRISM_TICKETS_KEYS", "0123456789abcdef0123456789abcdef,fedcba9876543210fedcba9876543210")]);
    assert_eq!(config.tickets.keys.values().count(), 2);
    let expected = [
        "prism.yaml:1:18: each of the `keys` must be a random text of 32 to 1,024 characters, as `openssl rand -base64 32` writes it",
        "prism.yaml:1:28: `lifetime` must be from 1s to 10m",
    ];
    assert_problems(&format!("tickets: {{keys: [hunter2], lifetime: 1h}}\n{NAMESPACES}"), &[], &expected);
}
