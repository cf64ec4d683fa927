#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use prost_reflect::DescriptorPool;

use super::*;

const ROOT: &str = "../../proto";
const FILE: &str = "prism/patterns/keyvalue/v1/keyvalue.proto";

/// The problems in keyvalue.proto with the first occurrence of a text replaced.
fn problems(from: &str, to: &str) -> String {
    let text = fs::read_to_string(Path::new(ROOT).join(FILE)).unwrap();
    assert!(text.contains(from), "nothing to replace: {from}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let mut compiler = protox::Compiler::new([folder.path(), Path::new(ROOT)]).unwrap();
    compiler.include_source_info(true).include_imports(true).open_files([&path]).unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    let registry = Registry::embedded();
    let pattern = registry.pattern("keyvalue").unwrap();
    let mut problems = Problems::default();
    validate(registry, pattern, &pool.get_service_by_name(&pattern.api.service).unwrap(), &mut problems);
    problems.to_string()
}

/// The line of keyvalue.proto that a text is on.
fn line(text: &str) -> usize {
    let file = fs::read_to_string(Path::new(ROOT).join(FILE)).unwrap();
    file.lines().position(|line| line.contains(text)).unwrap() + 1
}

#[test]
fn the_contract_as_it_is_has_no_problems() {
    assert_eq!(problems("operation: \"Set\"", "operation: \"Set\""), "");
}

#[test]
fn each_broken_option_is_reported_with_file_line_and_rpc() {
    for (from, to, at, expected) in [
        (
            "option (prism.options.v1.implementation) = {gateway: true};",
            "",
            "rpc GetCapabilities",
            "rpc GetCapabilities: the option `(prism.options.v1.implementation)` is missing",
        ),
        (
            "{gateway: true}",
            "{}",
            "rpc GetCapabilities",
            "rpc GetCapabilities: exactly one of `gateway`, `same_as` and `alternatives` must be set",
        ),
        ("{gateway: true}", "{gateway: true same_as: \"Store\"}", "rpc GetCapabilities", "rpc GetCapabilities: exactly one of"),
        (
            "{gateway: true}",
            "{same_as: \"Stoer\"}",
            "rpc GetCapabilities",
            "rpc GetCapabilities: unknown RPC `Stoer`; did you mean `Store`?",
        ),
        (
            "{gateway: true}",
            "{same_as: \"GetCapabilities\"}",
            "rpc GetCapabilities",
            "must name an RPC with `alternatives`, and `GetCapabilities` has none",
        ),
        ("{gateway: true}", "{alternatives: {}}", "rpc GetCapabilities", "rpc GetCapabilities: an alternative needs `steps`"),
        (
            "operation: \"Set\"",
            "operation: \"Sit\"",
            "rpc Store(",
            "rpc Store: unknown operation of keyvalue_basic `Sit`; did you mean `Set`?",
        ),
        (
            "slot: \"storage\"\n          interface: \"keyvalue_basic\"",
            "slot: \"storge\"\n          interface: \"keyvalue_basic\"",
            "rpc Store(",
            "rpc Store: unknown slot `storge`; did you mean `storage`?",
        ),
        (
            "interface: \"keyvalue_scan\"",
            "interface: \"keyvalue_scna\"",
            "rpc Scan(",
            "rpc Scan: unknown interface `keyvalue_scna`; did you mean `keyvalue_scan`?",
        ),
        ("field: \"ttl\"", "field: \"\"", "rpc Store(", "rpc Store: an optional part needs `field`"),
        (
            "emulation: ",
            "interface: \"keyvalue_ttl\"\n emulation: ",
            "rpc RemoveRange(",
            "rpc RemoveRange: no step of the alternative uses its interface `keyvalue_ttl`",
        ),
        (
            "interface: \"keyvalue_cas\"\n          operation: \"CompareAndSwap\"",
            "interface: \"keyvalue_transactional\"\n          operation: \"Transact\"",
            "rpc CompareAndStore(",
            "rpc CompareAndStore: two alternatives have the steps keyvalue_transactional.Transact",
        ),
        (
            "name: \"storage\"",
            "name: \"storag\"",
            "service KeyValueService",
            "service KeyValueService: unknown slot `storag`; did you mean `storage`?",
        ),
        (
            "name: \"storage\"",
            "name: \"storag\"",
            "service KeyValueService",
            "slot `storage` of the pattern has no option `(prism.options.v1.slot)`",
        ),
        (
            "required: \"keyvalue_basic\"",
            "required: \"keyvalue_basics\"",
            "service KeyValueService",
            "unknown interface `keyvalue_basics`; did you mean `keyvalue_basic`?",
        ),
        (
            "required: \"keyvalue_basic\"",
            "required: [\"keyvalue_basic\", \"keyvalue_basic\"]",
            "service KeyValueService",
            "slot `storage`: interface `keyvalue_basic` is listed twice",
        ),
    ] {
        let found = problems(from, to);
        let expected_line = found.lines().find(|line| line.contains(expected));
        assert!(expected_line.is_some(), "{from} → {to}\nexpected: {expected}\nfound:\n{found}");
        let place = format!("proto/{FILE}:{}: ", line(at));
        assert!(expected_line.unwrap().starts_with(&place), "expected: {place}\nfound:\n{found}");
    }
}
