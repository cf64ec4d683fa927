//! Problems of definitions with steps, attempts, forwarded requests and cases by a text.

use super::tests::load;

const DOCUMENT: &str = "openapi: 3.1.0
info: {title: T, version: '1'}
paths:
  /run:
    post:
      operationId: run
      requestBody: {content: {application/json: {schema: {type: array, items: {type: string}}}}}
      responses: {'200': {description: ok, content: {application/json: {}}}}
  /batch:
    post:
      operationId: batch
      requestBody: {content: {application/json: {schema: {type: array, items: {}}}}}
      responses: {'200': {description: ok, content: {application/json: {}}}}
  /text/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: text
      responses: {'200': {description: ok, content: {text/plain: {}}}}
";

const DEFINITION: &str = "frontend: t
openapi: t.yaml
pattern: keyvalue
routes:
  run:
    switch: body[0]
    cases:
      store:
        first:
          before: {rpc: Retrieve, request: {key: 'body[1]'}}
        rpc: Store
        request: {key: 'body[1]', value: before.value}
        again: reply.revision == 0u
        response: {body: {old: before.revision}}
    else: {rpc: Exists, request: {key: 'body[1]'}}
  batch: {forward: {to: run, each: body, body: item}}
  text: {rpc: Retrieve, request: {key: path.id}, response: {body: reply.value}}
";

#[test]
fn what_can_not_work_is_reported() {
    assert!(load(DEFINITION, DOCUMENT).is_ok(), "{:?}", load(DEFINITION, DOCUMENT).err());
    for (from, to, wanted) in [
        ("switch: body[0]", "switch: size(body)", "notes.yaml:6:13: `switch` must be a text, but it is an int"),
        ("    else: {rpc: Exists, request: {key: 'body[1]'}}\n", "", "notes.yaml:6:5: `switch` needs `cases`, by their texts, and `else`"),
        ("    else: {rpc", "    other: {rpc", "unknown key of the route `other`"),
        ("before: {rpc: Retrieve", "before: {rpc: Retrive", "unknown RPC `Retrive`; did you mean `Retrieve`?"),
        ("before: {rpc", "reply: {rpc", "`reply` is not a valid name of a value"),
        ("value: before.value", "value: after.value", "there is no variable `after`"),
        ("again: reply.revision == 0u", "again: reply.revision", "the condition must be true or false, but it is a uint"),
        ("again: reply.revision == 0u", "again: reply.revisions == 0u", "revisions"),
        ("request: {key: 'body[1]'}}\n        rpc: Store", "requests: {}}\n        rpc: Store", "unknown key of the step `requests`"),
        (
            "{rpc: Exists, request: {key: 'body[1]'}}\n",
            "{rpc: Scan, again: 'true', response: {body: {$each: replies, $item: item.key}}}\n",
            "`again` needs one reply; Scan returns a stream",
        ),
        (
            "{rpc: Exists, request",
            "{rpc: Exists, first: {a: {rpc: Store, request: {key: 'body[1]'}}}, request",
            "the step calls Store, which writes, but Exists only reads; call it last",
        ),
        ("forward: {to: run", "forward: {to: rum", "unknown operation of the document `rum`; did you mean `run`?"),
        ("forward: {to: run", "forward: {to: text", "requests can't be forwarded to text: it has no JSON body"),
        ("forward: {to: run", "forward: {to: batch", "requests can't be forwarded to batch: it forwards requests itself"),
        ("{to: run, each: body, body: item}", "{to: run}", "`forward` needs `body`"),
        ("each: body, body: item", "each: size(body), body: item", "`$each` needs a list, but `size(body)` is an int"),
        ("{rpc: Exists, request: {key: 'body[1]'}}\n", "{rpc: Scan}\n", "requests can't be forwarded to run: it has a stream"),
    ] {
        assert!(DEFINITION.contains(from), "{from}");
        let problems = load(&DEFINITION.replacen(from, to, 1), DOCUMENT).map(drop).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(wanted)), "{to}: {problems:#?}");
    }
}

#[test]
fn the_document_names_all_rpcs_of_an_operation() {
    let definition = load(DEFINITION, DOCUMENT).unwrap();
    let document: serde_json::Value = serde_json::from_str(&definition.document).unwrap();
    for path in ["/run", "/batch"] {
        assert_eq!(document["paths"][path]["post"]["x-prism-rpc"], serde_json::json!(["Store", "Exists"]), "{path}");
    }
}
