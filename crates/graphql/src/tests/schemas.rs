//! The schemas of contracts.

use async_graphql::parser::parse_schema;

use super::*;
use prism_call::proto::patterns::slots::v1::{Operation, Support};

#[test]
fn rpcs_become_fields_by_their_effects() {
    let sdl = key_value().sdl();
    for part in [
        "  retrieve(\n    \"\"\"\n    The key.\n    \"\"\"\n    key: String!\n  ): RetrieveResponse\n",
        "type Mutation {",
        "\n  scan(",
        "input TransactOperationInput @oneOf {",
        "  test: ConditionTestInput!\n",
        "input ConditionTestInput @oneOf {",
        "  value: Bytes!\n",
        "  revision: UInt64!\n",
        "  expireTime: Timestamp\n",
        "  results: [RetrieveBatchResponseResult!]!\n",
        "scalar UInt64",
        "\"\"\"\n  Reads a value.",
    ] {
        assert!(sdl.contains(part), "{part} is missing in\n{sdl}");
    }
    let (query, mutation) = (sdl.find("type Query {").unwrap(), sdl.find("type Mutation {").unwrap());
    let within = |start: usize, name: &str| sdl[start..][..sdl[start..].find("\n}").unwrap()].contains(&format!("\n  {name}"));
    assert!(within(query, "retrieve(") && within(query, "getCapabilities:") && !within(query, "store("), "{sdl}");
    assert!(within(mutation, "store(") && within(mutation, "transact(") && !within(mutation, "retrieve("), "{sdl}");
    assert!(!sdl.contains("scalar FieldMask") && !sdl.contains("scalar JSON"), "unused scalars are absent");
}

#[test]
fn unavailable_rpcs_are_absent_and_emulated_ones_are_marked() {
    let operation = |rpc: &str, support: Support, note: &str| Operation {
        rpc: rpc.to_owned(),
        support: support.into(),
        note: note.to_owned(),
        ..Operation::default()
    };
    let operations = vec![
        operation("Transact", Support::Unavailable, "no"),
        operation("StoreBatch", Support::Emulated, "single calls"),
        operation("Scan", Support::Unavailable, ""),
        operation("Watch", Support::Unavailable, ""),
    ];
    let methods = Method::of_service(proto::descriptors(), KEY_VALUE).unwrap();
    let schema = GraphqlSchema::of_namespace(&methods, &Capabilities { operations, ..Capabilities::default() }).unwrap();
    let sdl = schema.sdl();
    assert!(!sdl.contains("transact(") && !sdl.contains("TransactOperation") && !sdl.contains("Subscription"), "{sdl}");
    assert!(sdl.contains("Emulated in this namespace: single calls."), "{sdl}");
    assert!(!Arc::ptr_eq(&schema, &key_value()) && Arc::ptr_eq(&key_value(), &key_value()), "namespaces with equal RPCs share a schema");
}

#[test]
fn every_contract_has_a_schema() {
    let mut pools: Vec<(&DescriptorPool, Vec<String>)> = Vec::new();
    let patterns = proto::descriptors().services().map(|service| service.full_name().to_owned()).collect();
    pools.push((proto::descriptors(), patterns));
    pools.push((proto::all_descriptors(), proto::INTERFACE_SERVICES.iter().map(|&name| name.to_owned()).collect()));
    for (pool, services) in pools {
        for service in &services {
            let methods = Method::of_service(pool, service).unwrap();
            let model = Model::new(&methods, &Availability::default());
            if !model.groups[0].queries.is_empty() {
                parse_schema(GraphqlSchema::new(model).unwrap().sdl()).unwrap_or_else(|error| panic!("{service}: {error}"));
            }
        }
        // All of them together, as the pattern `interfaces` serves them.
        let names: Vec<&str> = services.iter().map(String::as_str).collect();
        let methods = Method::of_services(pool, &names).unwrap();
        let sdl = GraphqlSchema::new(Model::new(&methods, &Availability::default())).unwrap().sdl();
        parse_schema(&sdl).unwrap_or_else(|error| panic!("{error}: {sdl}"));
    }
    parse_schema(TRANSCODING.sdl()).unwrap();
}
