//! Measures how long a large definition takes to load.

use std::{collections::BTreeMap, fmt::Write as _, time::Instant};

use prism::{
    call::Method,
    frontend::definition::{DocumentFolders, Texts, compile},
    proto,
};

use crate::{Result, measure::median};

/// Number of routes in the definition.
pub const ROUTES: u32 = 500;

/// Returns the milliseconds from the texts of the definition and its document to a compiled API.
pub fn measure() -> Result<f64> {
    let mut document = String::from("openapi: 3.1.0\ninfo: {title: Many, version: '1'}\npaths:\n");
    let mut text = String::from("frontend: many\nopenapi: many.yaml\npattern: keyvalue\nroutes:\n");
    for number in 0..ROUTES {
        write!(
            document,
            "  /things{number}/{{id}}:\n    get:\n      operationId: read{number}\n      parameters:\n        - {{name: id, in: path, required: true, schema: {{type: string}}}}\n        \
             - {{name: limit, in: query, schema: {{type: integer, minimum: 1}}}}\n      responses: {{'200': {{description: ok, content: {{application/json: {{}}}}}}}}\n"
        )?;
        write!(
            text,
            "  read{number}:\n    - when: has(query.limit) && query.limit > {number}\n      rpc: Scan\n      request: {{prefix: path.id, limit: query.limit}}\n    - rpc: Retrieve\n      \
             request: {{key: path.id}}\n      response: {{headers: {{ETag: string(reply.revision)}}, body: {{value: reply.value, revision: reply.revision}}}}\n"
        )?;
    }
    let texts =
        Texts { name: "many".into(), text, document_name: "many.yaml".into(), document: Ok(document), folders: DocumentFolders::default() };
    let methods = |_: &str| Method::of_service(proto::descriptors(), "prism.patterns.keyvalue.v1.KeyValueService");
    let mut times = Vec::new();
    for _ in 0..15 {
        let began = Instant::now();
        let definition = compile(&texts, &methods, &["keyvalue"], &BTreeMap::new())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(definition.api.routes.routes().count(), ROUTES as usize);
    }
    Ok(median(times))
}
