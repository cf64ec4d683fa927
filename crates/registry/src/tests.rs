use super::*;

const FILES: &[(&str, &str)] = &[
    (
        "registry/interfaces/keyvalue.yaml",
        "model: keyvalue\ntitle: KeyValue\ndescription: Values.\norder: 1\ninterfaces:\n  - name: keyvalue_basic\n    \
         description: Set.\n    capability: basic\n    proto_file: prism/interfaces/keyvalue/v1/keyvalue_basic.proto\n    \
         service: prism.interfaces.keyvalue.v1.KeyValueBasicService\n",
    ),
    ("registry/capabilities.yaml", "capabilities:\n  - {name: basic, title: B, description: D, interfaces: [keyvalue_basic]}\n"),
    (
        "registry/backends/box.yaml",
        "backend: box\ntitle: Box\ndescription: A box.\ndriver: implemented\nconnection:\n  setting: url\n  format: box\n  pattern: '^box$'\n  \
         example: box\nsettings:\n  - {name: url, type: string, description: U}\n  - {name: size, type: integer, default: 4, description: S}\nimplements:\n  - keyvalue_basic\n",
    ),
    (
        "registry/patterns/demo.yaml",
        "pattern: demo\ntitle: Demo\nversion: v1\ndescription: D\nexecutor: planned\nslots:\n  storage:\n    description: S\n    \
         required_interfaces:\n      - keyvalue_basic\n    recommended_backends: [box]\napi:\n  status: planned\n  \
         proto_file: p\n  service: s\n  methods: [Put]\nimplementation:\n  Put:\n    \
         - {slot: storage, interface: keyvalue_basic, operation: Set}\n",
    ),
];

/// Returns the problems of a small registry with one text replaced.
fn problems(from: &str, to: &str) -> String {
    let files = FILES.iter().map(|(path, text)| (*path, text.replace(from, to))).collect::<Vec<_>>();
    assert!(FILES.iter().any(|(_, text)| text.contains(from)), "nothing to replace: {from}");
    match Registry::from_files(&files) {
        Err(problems) => problems.to_string(),
        Ok(registry) => {
            let schema =
                serde_json::json!({"properties": {"url": {"type": "string"}, "size": {"type": ["integer", "null"], "default": 4}}});
            let drivers = [CompiledDriver { kind: "box", interfaces: vec!["keyvalue_basic"], schema }];
            let mut found = validate(&registry, &Compiled { drivers: drivers.into(), ..Compiled::default() });
            // The small registry has only one interface, and no matrix.
            found.0.retain(|problem| !problem.message.contains("is missing") || problem.file.contains("box.yaml"));
            found.to_string()
        }
    }
}

#[test]
fn the_embedded_registry_loads_in_the_order_of_listings() {
    let registry = Registry::embedded();
    assert_eq!(registry.interfaces().count(), 49);
    assert_eq!(registry.models.len(), 11);
    assert_eq!(registry.models[0].name.as_str(), "keyvalue");
    assert_eq!(registry.backends[0].driver, DriverStatus::Implemented);
    assert_eq!(registry.patterns[0].name.as_str(), "consumer");
    assert!(registry.interface("sortedset_lex").is_some_and(|one| one.model() == "sortedset" && one.flavour() == "lex"));
}

#[test]
fn the_small_registry_has_no_problems() {
    assert_eq!(problems("A box.", "A box"), "");
}

#[test]
fn each_broken_rule_is_reported_with_file_and_line() {
    for (from, to, expected) in [
        (
            "implements:\n  - keyvalue_basic",
            "implements:\n  - keyvalue_baisc",
            "registry/backends/box.yaml:14: unknown interface `keyvalue_baisc`; did you mean `keyvalue_basic`?",
        ),
        (
            "implements:\n  - keyvalue_basic",
            "implements:\n  - keyvalue_basic\n  - keyvalue_basic",
            "box.yaml:15: interface `keyvalue_basic` is listed twice",
        ),
        (
            "implements:\n  - keyvalue_basic",
            "implements: []",
            "box.yaml:1: the box driver implements `keyvalue_basic`; list it under `implements`",
        ),
        ("driver: implemented", "driver: planned", "box.yaml:1: the driver exists"),
        ("driver: implemented", "driver: planned", "box.yaml:14: without a driver, `keyvalue_basic` belongs under `planned`"),
        ("example: box", "example: bag", "box.yaml:9: the example does not match the pattern"),
        ("'^box$'", "'^box('", "box.yaml:8: not a regular expression"),
        ("backend: box", "backend: bag", "box.yaml:1: `bag` must be in the file registry/backends/bag.yaml"),
        ("setting: url", "setting: urls", "box.yaml:6: unknown setting `urls`; did you mean `url`?"),
        ("name: size", "name: sice", "box.yaml:12: unknown setting `sice`; did you mean `size`?"),
        ("name: size", "name: sice", "box.yaml:1: setting `size` of the driver is missing"),
        ("  - {name: url,", "  - {name: url, type: string, description: U}\n  - {name: url,", "box.yaml:12: setting `url` is listed twice"),
        ("default: 4", "default: 5", "box.yaml:12: the driver's default of `size` is 4"),
        ("type: integer", "type: boolean", "box.yaml:12: `size` is `boolean`, but the driver reads: integer"),
        ("    capability: basic", "    capability: bsic", "keyvalue.yaml:8: unknown capability `bsic`; did you mean `basic`?"),
        ("KeyValueBasicService", "KeyValueBaseService", "keyvalue.yaml:10: the protos have no service"),
        (
            "v1/keyvalue_basic.proto",
            "v1/keyvalue.proto",
            "keyvalue.yaml:9: service `prism.interfaces.keyvalue.v1.KeyValueBasicService` is in proto/prism",
        ),
        ("interfaces: [keyvalue_basic]", "interfaces: []", "capabilities.yaml:2: no interface expresses `basic`"),
        ("recommended_backends: [box]", "recommended_backends: [bax]", "demo.yaml:11: unknown backend `bax`; did you mean `box`?"),
        (
            "required_interfaces:\n      - keyvalue_basic",
            "optional_interfaces:\n      - keyvalue_basic",
            "demo.yaml:10: slot `storage` needs `required_interfaces` or `any_of`",
        ),
        ("executor: planned", "executor: implemented", "demo.yaml:1: an implemented executor needs an implemented API"),
        ("executor: planned", "executor: implemented", "demo.yaml:1: there is no executor `demo` in crates/pattern"),
        ("  status: planned", "  status: implemented", "demo.yaml:15: the protos have no service `s`; write proto/p"),
        ("operation: Set", "operation: Sit", "demo.yaml:19: unknown operation `Sit`; did you mean `Set`?"),
        ("{slot: storage", "{slot: storge", "demo.yaml:19: unknown slot `storge`; did you mean `storage`?"),
        ("methods: [Put]", "methods: [Put, Take]", "demo.yaml:16: `implementation` has no entry for `Take`"),
        (
            "service: s\n",
            "service: prism.patterns.keyvalue.v1.KeyValueService\n",
            "demo.yaml:10: `required_interfaces` is read from the options in proto/prism/patterns/keyvalue/v1/keyvalue.proto; remove it here",
        ),
        ("service: s\n", "service: prism.patterns.keyvalue.v1.KeyValueService\n", "demo.yaml:16: `methods` is read from"),
        ("service: s\n", "service: prism.patterns.keyvalue.v1.KeyValueService\n", "demo.yaml:19: `implementation` is read from"),
        (
            "    description: S\n",
            "    optional: true\n    description: S\n",
            "demo.yaml:1: a pattern needs at least one slot that has to be filled",
        ),
    ] {
        let found = problems(from, to);
        assert!(found.contains(expected), "{from} → {to}\nexpected: {expected}\nfound:\n{found}");
    }
}

#[test]
fn an_unknown_field_and_broken_yaml_are_reported_with_their_line() {
    let found = problems("title: Box", "tilte: Box");
    assert!(found.starts_with("registry/backends/box.yaml:2: ") && found.contains("tilte") && found.contains("title"), "{found}");
    let found = problems("title: Box", "title: [Box");
    assert!(found.starts_with("registry/backends/box.yaml:"), "{found}");
}

#[test]
fn a_stale_matrix_is_reported_at_the_first_line_that_differs() {
    let mut files = FILES.to_vec();
    let registry = Registry::from_files(&files).unwrap();
    let text = registry.matrix_yaml().replace("backends: 1", "backends: 2");
    files.push(("registry/matrix.yaml", &text));
    let registry = Registry::from_files(&files).unwrap();
    let found = validate(&registry, &Compiled { left_out: vec!["box".to_owned()], ..Compiled::default() }).to_string();
    assert!(found.contains("registry/matrix.yaml:6: the file is out of date; run: prism registry matrix"), "{found}");
}

#[test]
fn a_slot_check_lists_present_and_missing_interfaces() {
    let registry = Registry::embedded();
    let pattern = registry.pattern("multicast-registry").unwrap();
    let check = SlotCheck::new("registry", &pattern.slots["registry"], registry.backend("redis").unwrap());
    assert!(check.is_satisfied());
    assert_eq!(
        check.to_string(),
        "Slot: registry\n  Backend: redis\n  Required interfaces:\n    ✓ keyvalue_basic         (redis implements)\n    \
         ✓ keyvalue_scan          (redis implements)\n  Optional interfaces:\n    ✓ keyvalue_ttl           (redis implements)\n"
    );
    let check = SlotCheck::new("durability", &pattern.slots["durability"], registry.backend("redis").unwrap());
    assert!(!check.is_satisfied() && !check.is_conceivable());
    assert_eq!(
        check.complaint(),
        "slot `durability` needs queue_basic, queue_visibility, queue_dead_letter, which the redis driver does not implement"
    );
    let schemas = registry.pattern("schema-registry").unwrap();
    let check = SlotCheck::new("storage", &schemas.slots["storage"], registry.backend("s3").unwrap());
    assert!(!check.is_conceivable());
    assert_eq!(check.missing(), [vec!["keyvalue_scan"]]);
    let check = SlotCheck::new("storage", &schemas.slots["storage"], registry.backend("etcd").unwrap());
    assert!(check.is_conceivable() && !check.is_satisfied());
}

#[test]
fn backends_are_found_by_interface_and_by_capability() {
    let registry = Registry::embedded();
    let find = |interfaces: &[&str], capabilities: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        registry.find(&Query { interfaces: owned(interfaces), capabilities: owned(capabilities) })
    };
    let names = |found: Result<Vec<Match<'_>>, String>| {
        found.unwrap().iter().filter(|one| one.implemented).map(|one| one.backend.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(find(&["keyvalue_scan"], &[])), ["memory", "nats", "postgres", "redis", "sqlite"]);
    assert_eq!(names(find(&["keyvalue"], &["scan_support", "ttl_support"])), ["memory", "nats", "postgres", "redis", "sqlite"]);
    assert_eq!(names(find(&["stream"], &["partitioning"])), ["kafka", "memory"]);
    assert_eq!(names(find(&[], &["wildcards"])), ["memory", "nats", "postgres", "redis"]);
    assert!(find(&["keyvalue"], &["wildcards"]).unwrap_err().contains("it is expressed in: pubsub"));
    assert!(find(&[], &["retention"]).unwrap_err().contains("add --interface with one of: stream, timeseries"));
    assert!(find(&["keyvalu"], &[]).unwrap_err().contains("did you mean `keyvalue`?"));
}

#[test]
fn rpcs_come_from_the_protos() {
    let found = rpcs("prism.interfaces.keyvalue.v1.KeyValueScanService");
    assert_eq!(found[0].signature(), "Scan(ScanRequest) returns (stream ScanResponse)");
    assert!(!found[0].description.is_empty());
}

#[test]
fn slots_and_flows_of_a_pattern_with_a_proto_come_from_its_options() {
    let pattern = Registry::embedded().pattern("keyvalue").unwrap();
    let slot = &pattern.slots["storage"];
    let names = |names: &[Name]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&slot.required_interfaces), "keyvalue_basic");
    assert_eq!(
        names(&slot.optional_interfaces),
        "keyvalue_scan keyvalue_batch keyvalue_ttl keyvalue_cas keyvalue_transactional keyvalue_watch"
    );
    assert_eq!(pattern.api.methods.len(), 18);
    let steps = |rpc: &str| {
        let line = |step: &Step| format!("{}.{} {}", step.interface, step.operation, step.when.as_deref().unwrap_or("always"));
        pattern.implementation[rpc].iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(steps("GetCapabilities"), [""; 0]);
    assert_eq!(
        steps("RemoveRange"),
        [
            "keyvalue_scan.ScanKeys always",
            "keyvalue_batch.BatchDelete always",
            "keyvalue_basic.Delete the driver in the slot `storage` does not implement keyvalue_batch",
        ]
    );
    assert_eq!(
        steps("CompareAndStore"),
        [
            "keyvalue_cas.CompareAndSwap always",
            "keyvalue_transactional.Transact the driver in the slot `storage` does not implement keyvalue_cas"
        ]
    );
    let pattern = Registry::embedded().pattern("schema-registry").unwrap();
    assert!(pattern.slots["storage"].optional_interfaces.is_empty());
    assert_eq!(pattern.implementation["DeleteSubject"].len(), 4);
}

#[test]
fn the_matrix_counts_the_interfaces_in_the_files() {
    let registry = Registry::embedded();
    let matrix = registry.matrix();
    assert_eq!(matrix.backends["redis"].implemented, registry.backend("redis").unwrap().implements.len());
    assert_eq!(matrix.backends["redis"].interfaces["keyvalue_cas"], Cell::Implemented);
    assert_eq!(matrix.backends["kafka"].interfaces["list_basic"], Cell::Absent);
    let text: serde_json::Value = serde_saphyr::from_str(&registry.matrix_yaml()).unwrap();
    assert_eq!(text["totals"], serde_json::to_value(&matrix.totals).unwrap());
    for (name, row) in &matrix.backends {
        for (interface, cell) in &row.interfaces {
            let interface = registry.interface(interface).unwrap();
            let stored = &text["backends"][name]["interfaces"][interface.model()][interface.flavour()];
            assert_eq!(*stored, serde_json::to_value(cell).unwrap(), "{name} {}", interface.name);
        }
    }
}

#[test]
fn the_embedded_registry_keeps_every_rule() {
    // tests/gateway/cli checks that the drivers implement what the files declare; this crate does not know the drivers.
    let compiled = |(name, service)| CompiledPattern { name, version: "v1", service };
    let patterns = [
        ("consumer", "prism.patterns.consumer.v1.ConsumerService"),
        ("event-sourcing", "prism.patterns.event_sourcing.v1.EventSourcingService"),
        ("interfaces", "prism.patterns.interfaces.v1.InterfacesService"),
        ("keyvalue", "prism.patterns.keyvalue.v1.KeyValueService"),
        ("multicast-registry", "prism.patterns.multicast_registry.v1.MulticastRegistryService"),
        ("object-store", "prism.patterns.object_store.v1.ObjectStoreService"),
        ("producer", "prism.patterns.producer.v1.ProducerService"),
        ("schema-registry", "prism.patterns.schema_registry.v1.SchemaRegistryService"),
        ("session-store", "prism.patterns.session_store.v1.SessionStoreService"),
        ("work-queue", "prism.patterns.work_queue.v1.WorkQueueService"),
    ];
    let patterns = patterns.map(compiled).into();
    let left_out = ["files", "kafka", "memory", "nats", "postgres", "redis", "s3", "sqlite"].map(str::to_owned).to_vec();
    let found = validate(Registry::embedded(), &Compiled { drivers: Vec::new(), left_out, patterns });
    assert!(found.0.is_empty(), "{found}");
}
