use std::sync::Arc;

use super::*;
use prism_call::{AuthenticationMethod, Method, Peer, Principal, proto};
use prism_frontend::json;
use prism_yaml::{Node, Value};

const SERVICE: &str = "prism.patterns.keyvalue.v1.KeyValueService";

fn methods() -> Vec<Arc<Method>> {
    Method::of_service(proto::descriptors(), SERVICE).unwrap()
}

/// Reads rules as the configuration has them, one on each line: `name: {…}`.
fn source(roles: &[(&str, &str)], rules: &str) -> PolicySource {
    let (root, problems) = prism_yaml::parse(rules);
    assert!(problems.is_empty(), "{problems:?}");
    let texts = |node: &Node| match &node.value {
        Value::List(items) => items.iter().map(|item| item.to_json().as_str().unwrap().to_owned()).collect(),
        _ => vec![node.to_json().as_str().unwrap().to_owned()],
    };
    let Value::Map(rules) = root.value else { panic!("no mapping") };
    let rule = |(name, node): &(prism_yaml::Key, Node)| {
        let mut rule = RuleSource { name: name.name.clone(), ..RuleSource::default() };
        let Value::Map(settings) = &node.value else { return rule };
        for (key, value) in settings {
            match key.name.as_str() {
                "deny" => (rule.effect, rule.reason) = (Effect::Deny, Some(texts(value)[0].clone())),
                "namespaces" => rule.namespaces = texts(value),
                "methods" => rule.methods = texts(value),
                "access" => rule.access = Some(if texts(value)[0] == "read" { AccessKind::Read } else { AccessKind::Write }),
                "roles" => rule.roles = texts(value),
                "when" => rule.when = Some(texts(value)[0].clone()),
                other => panic!("{other}"),
            }
        }
        rule
    };
    let role = |(name, condition): &(&str, &str)| RoleSource { name: (*name).to_owned(), condition: (*condition).to_owned() };
    PolicySource { roles: roles.iter().map(role).collect(), rules: rules.iter().map(rule).collect() }
}

fn principal(subject: &str, groups: &[&str], claims: &str) -> Principal {
    Principal {
        tenant: "acme".into(),
        groups: groups.iter().map(|group| (*group).into()).collect(),
        claims: claims.into(),
        ..Principal::new(subject, AuthenticationMethod::Jwt)
    }
}

/// Decides about a call in the namespace `orders`, with a request in JSON.
fn decide(source: &PolicySource, principal: &Principal, rpc: &str, request: Option<&str>) -> String {
    let methods = methods();
    let namespaces = [PolicyNamespace { name: "orders", methods: &methods }, PolicyNamespace { name: "other", methods: &methods }];
    let policies = compile(source, &namespaces).unwrap_or_else(|problems| panic!("{problems:?}"));
    let method = methods.iter().find(|method| method.name == rpc).unwrap();
    let peer = Peer { address: Some("192.0.2.1:1".parse().unwrap()), listener: "main".into(), ..Peer::default() };
    let call = CallFacts { principal, peer: &peer, namespace: "orders", pattern: "keyvalue", method, protocol: "grpc" };
    let bytes = request.map(|request| {
        let types = MessageTypes::all();
        let mut bytes = Vec::new();
        json::decode(types, types.find(method.descriptor.input().full_name()).unwrap(), request.as_bytes(), &mut bytes).unwrap();
        bytes
    });
    match policies[0].decide(&call, bytes.as_deref()) {
        Decision::Allowed { rule } => format!("allowed by {rule}"),
        Decision::Denied { rule: None, .. } => "denied".to_owned(),
        Decision::Denied { rule: Some(rule), .. } => format!("denied by {rule}"),
        Decision::DependsOnRequest => "open".to_owned(),
    }
}

const ROLES: [(&str, &str); 2] = [("reader", "'readers' in principal.groups"), ("admin", "principal.claims.admin == true")];

#[test]
fn calls_are_denied_unless_a_rule_allows_them() {
    let rules = source(
        &ROLES,
        "
readers: {roles: [reader, admin], access: read}
admins: {roles: [admin]}
others: {namespaces: [other]}
own: {methods: [Store, Retrieve], when: \"request.key.startsWith(principal.tenant + '/')\"}
night: {methods: [RemoveRange], deny: 'not now', when: \"peer.listener == 'main' && !('admins' in principal.groups)\"}
",
    );
    let (ada, bob) = (principal("ada", &["readers"], "{}"), principal("bob", &[], "{\"admin\": true}"));
    let eve = principal("eve", &[], "{\"admin\": \"yes\"}");
    let cases = [
        (&ada, "Retrieve", None, "allowed by readers"),
        (&ada, "Store", None, "open"),
        (&ada, "Store", Some("{\"key\": \"acme/1\"}"), "allowed by own"),
        (&ada, "Store", Some("{\"key\": \"other/1\"}"), "denied"),
        (&ada, "Store", Some("{}"), "denied"),
        (&ada, "Remove", None, "denied"),
        (&bob, "Remove", None, "allowed by admins"),
        (&bob, "Retrieve", None, "allowed by readers"),
        (&bob, "RemoveRange", None, "denied by night"),
        (&eve, "Count", None, "denied"),
        (&eve, "Retrieve", None, "open"),
    ];
    for (who, rpc, request, expected) in cases {
        assert_eq!(decide(&rules, who, rpc, request), expected, "{} {rpc} {request:?}", who.subject);
    }
    let nothing = PolicySource::default();
    assert_eq!(decide(&nothing, &ada, "Retrieve", None), "denied");
}

#[test]
fn a_condition_that_fails_counts_against_the_caller() {
    let nobody = principal("nobody", &[], "");
    let allow = source(&[], "a: {when: \"principal.claims.level > 3\"}");
    assert_eq!(decide(&allow, &nobody, "Retrieve", None), "denied");
    let deny = source(&[], "a: {}\nb: {deny: x, when: \"principal.claims.level > 3\"}");
    assert_eq!(decide(&deny, &nobody, "Retrieve", None), "denied by b");
    assert_eq!(decide(&deny, &principal("a", &[], "{\"level\": 3}"), "Retrieve", None), "allowed by a");
    let role = source(&ROLES, "a: {}\nb: {deny: x, roles: admin}");
    assert_eq!(decide(&role, &nobody, "Retrieve", None), "denied by b");
}

#[test]
fn a_rule_that_denies_by_the_request_keeps_the_decision_open() {
    let rules = source(&[], "all: {}\nsecret: {methods: [Retrieve], deny: x, when: \"request.key == 'secret'\"}");
    let ada = principal("ada", &[], "");
    assert_eq!(decide(&rules, &ada, "Retrieve", None), "open");
    assert_eq!(decide(&rules, &ada, "Retrieve", Some("{\"key\": \"secret\"}")), "denied by secret");
    assert_eq!(decide(&rules, &ada, "Retrieve", Some("{\"key\": \"other\"}")), "allowed by all");
    assert_eq!(decide(&rules, &ada, "Store", None), "allowed by all");
}

#[test]
fn rules_are_checked_against_the_contracts() {
    let methods = methods();
    let namespaces = [PolicyNamespace { name: "orders", methods: &methods }];
    let roles = [("reader", "call.method == 'x'"), ("text", "principal.subject"), ("typo", "principal.subjekt == 'a'")];
    let rules = source(
        &roles,
        "
a: {roles: [writer], namespaces: [order], methods: [Stor]}
b: {methods: [Stor]}
c: {methods: [Store], when: \"request.kye == 'a'\"}
d: {when: \"request.key == 'a'\"}
e: {when: \"call.write && \"}
f: {when: \"peer.address\"}
",
    );
    let problems = compile(&rules, &namespaces).map(drop).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| format!("{}: {}", problem.setting, problem.message)).collect();
    let expect = |start: &str, part: &str| {
        assert!(lines.iter().any(|line| line.starts_with(start) && line.contains(part)), "{start} {part}\n{}", lines.join("\n"));
    };
    expect("roles.reader:", "there is no variable `call`");
    expect("roles.text:", "must be true or false, not");
    expect("roles.typo:", "(did you mean `subject`?)");
    expect("rules.a.roles:", "unknown role `writer`");
    expect("rules.a.namespaces:", "unknown namespace `order`; did you mean `orders`?");
    expect("rules.b.methods:", "unknown RPC `Stor`; did you mean `Store`?");
    expect("rules.c.when:", "(did you mean `key`?)");
    expect("rules.d.when:", "(for ");
    expect("rules.e.when:", "");
    expect("rules.f.when:", "must be true or false, not a string");
    assert!(lines.iter().filter(|line| line.starts_with("rules.c.when")).count() == 1, "{lines:?}");
}
