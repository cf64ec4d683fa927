//! The JSON Schema of definitions, for editors. `docs/frontends.md` describes the language. A test compares this schema with
//! the parser.

use serde_json::{Map, Value, json};

use super::editor_parts::{choice, head, join, reference, section, text};

/// Returns the schema of a definition file. The compiler checks everything that needs the descriptors or the OpenAPI
/// document.
pub fn schema() -> Value {
    let http = section(
        "An HTTP API",
        "Maps an HTTP API, as an OpenAPI document describes it, onto the RPCs of a pattern.",
        &["frontend", "openapi", "pattern", "routes"],
        header(),
    );
    let mut schema = json!({
        "title": "A frontend of Prism",
        "if": {"properties": {"type": {"const": "graphql"}}, "required": ["type"]},
        "then": {"$ref": "#/definitions/GraphqlApi"},
        "else": {"$ref": "#/definitions/HttpApi"},
    });
    let definitions = [
        ("Expression", expression("An expression in CEL.")),
        ("Value", value()),
        ("Form", form()),
        ("Status", status()),
        ("Route", route()),
        ("Cases", one_or_list("Case", "One case, or a list of cases. The first case whose `when` is true is used.")),
        ("Case", case()),
        ("Step", step()),
        ("Forward", forward()),
        (
            "Response",
            one_or_list(
                "Answer",
                "The response for a reply: one response, or a list of responses. The first one whose `when` is true is used.",
            ),
        ),
        ("Answer", answer()),
        ("Refusal", refusal()),
        ("Errors", errors()),
        ("ErrorCases", error_cases()),
        ("ErrorCase", error_case()),
        ("Setting", setting()),
        ("Json", style()),
        ("Headers", headers()),
        ("HttpApi", http),
        ("GraphqlApi", super::editor_graphql::api()),
        ("Field", super::editor_graphql::field()),
    ];
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["definitions"] = definitions.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect::<Map<_, _>>().into();
    schema
}

fn expression(description: &str) -> Value {
    json!({"description": description, "type": ["string", "boolean"], "maxLength": 4096})
}

fn header() -> Value {
    join(
        head("rest"),
        json!({
            "openapi": text("The OpenAPI document, YAML or JSON, relative to this file."),
            "content_type": {
                "description": "The content type of responses for which the document specifies none.", "type": "string", "default": "application/json",
            },
            "json": reference("Json", "The format of messages in JSON."),
            "paths": {
                "description": "Templates for paths that OpenAPI can't express, such as `/v1/kv/{key=**}`.",
                "type": "object", "additionalProperties": {"type": "string"},
            },
            "also_under": {
                "description": "A second prefix of all paths, such as `/contexts/{context}`. Without the prefix, `path.context` is absent.",
                "type": "string", "pattern": "^/.*\\{",
            },
            "unknown_parameters": choice(
                "Whether unknown query parameters, and members of JSON bodies without a field in the message, are refused.",
                &["refuse", "ignore"],
            ),
            "null_members": choice("Whether members of JSON bodies that are `null` count as absent, as in JSON of Protobuf messages.", &["keep", "drop"]),
            "repeated_parameters": choice("A query parameter that takes one value and appears twice: refused, or the first one counts.", &["refuse", "first"]),
            "request_content_type": {
                "description": "Whether a body whose content type is not in the document is refused with 415. A list: bodies of these types, and without one, are read as the first type in the document; others are refused.",
                "anyOf": [{"enum": ["check", "ignore"]}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
                "default": "check",
            },
            "accept": choice("Whether a request is refused with 406 if its `Accept` header allows none of the response's content types.", &["strict", "ignore"]),
            "trailing_slash": choice("Whether a path with an additional `/` at its end is refused.", &["refuse", "ignore"]),
            "namespace": {"description": "The path parameter that selects the namespace, such as `path.tenant`.", "type": "string", "pattern": "^path\\."},
            "max_gathered": {
                "description": "Maximum number of messages of a stream that are collected into one response.",
                "type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 10_000,
            },
            "settings": {
                "description": "Settings of bindings, by name. Expressions read them as `settings.<name>`.",
                "type": "object", "additionalProperties": {"$ref": "#/definitions/Setting"},
            },
            "errors": reference("Errors", "The format of errors. Default: problem documents (RFC 9457)."),
            "routes": {
                "description": "How each operation is handled, by its `operationId`, or by method and path such as `GET /notes/{id}`.",
                "type": "object", "maxProperties": super::MAX_ROUTES, "additionalProperties": {"$ref": "#/definitions/Route"},
            },
        }),
    )
}

/// Returns a schema for one value of a kind, or a list of them.
fn one_or_list(name: &str, description: &str) -> Value {
    let one = json!({"$ref": format!("#/definitions/{name}")});
    json!({"description": description, "anyOf": [one, {"type": "array", "minItems": 1, "items": one}]})
}

fn value() -> Value {
    json!({
        "description": "A number, true, false or null; a text, which is an expression; a mapping or a list of values; or a form.",
        "anyOf": [
            {"type": ["number", "boolean", "null"]},
            {"type": "string", "maxLength": 4096, "description": "An expression in CEL. A constant text has quotes within the expression: \"'text'\"."},
            {"type": "array", "items": {"$ref": "#/definitions/Value"}},
            {"$ref": "#/definitions/Form"},
            {
                "type": "object", "additionalProperties": false,
                "patternProperties": {"^(\\$\\$|[^$]|$)": {"$ref": "#/definitions/Value"}},
            },
        ],
    })
}

fn form() -> Value {
    let value = |description: &str| reference("Value", description);
    json!({"anyOf": [
        section("A list from another list", "One item for each item of a list.", &["$each", "$item"], json!({
            "$each": reference("Expression", "The list."),
            "$item": value("The new item. It can use `item`, and `index`, which counts from 0."),
        })),
        section("One of two values", "The value depends on a condition.", &["$when", "$then"], json!({
            "$when": reference("Expression", "The condition."),
            "$then": value("The value if the condition is true."),
            "$else": value("The value if the condition is false. Without `$else`, the value is then absent."),
        })),
        section("An error in the reply", "The error body according to `errors`; absent if the reply has no error.", &["$error"], json!({
            "$error": reference("Expression", "A path to a `google.rpc.Status` in the reply."),
        })),
        section("A value with a default or a translation", "A value that is translated, or replaced if it is absent.", &["$from"], json!({
            "$from": value("The value."),
            "$map": {"description": "Texts and their translations.", "type": "object"},
            "$else": value("The translation of texts that are not in `$map`. Without `$else`, such texts are refused."),
            "$default": value("The value if `$from` is absent."),
        })),
    ]})
}

fn status() -> Value {
    json!({
        "description": "A status, or an expression that returns one.",
        "anyOf": [{"type": "integer", "minimum": 200, "maximum": 599}, {"$ref": "#/definitions/Expression"}],
    })
}

fn headers() -> Value {
    json!({"description": "Headers. Headers with an absent value are not sent.", "type": "object", "additionalProperties": {"$ref": "#/definitions/Value"}})
}

fn route() -> Value {
    json!({
        "description": "Handles an operation: one case, a list of cases of which the first whose `when` is true is used, or cases by a text.",
        "anyOf": [
            {"$ref": "#/definitions/Cases"},
            section("Cases by a text", "Chooses the cases by a text in the request.", &["switch", "cases", "else"], json!({
                "let": {
                    "description": "Named values, which `switch` and all cases can use.",
                    "type": "object", "additionalProperties": {"$ref": "#/definitions/Value"},
                },
                "switch": reference("Value", "The text."),
                "cases": {"description": "The cases for each text.", "type": "object", "additionalProperties": {"$ref": "#/definitions/Cases"}},
                "else": reference("Cases", "The cases for all other texts."),
            })),
        ],
    })
}

fn step() -> Value {
    section(
        "A step",
        "A call before the RPC of the case, or a refusal.",
        &[],
        json!({
            "rpc": text("Name of the RPC."),
            "each": reference("Expression", "The list for whose items the step is repeated, as `item` and `index`. The result is then a list."),
            "when": reference("Expression", "The step runs only if this is true. The reply of a step that does not run is empty."),
            "request": reference("Value", "The request message."),
            "error": reference("Refusal", "Instead of `rpc`: the error that ends the request."),
        }),
    )
}

fn forward() -> Value {
    section(
        "A forwarded request",
        "Serves the request as one request, or several, of another operation.",
        &["to", "body"],
        json!({
            "to": text("The operation, by its `operationId`."),
            "each": reference("Expression", "The list with one request for each item, as `item` and `index`. The response is the list of their bodies."),
            "body": reference("Value", "The body of the request, as JSON."),
        }),
    )
}

fn case() -> Value {
    section(
        "A case",
        "A call of an RPC, a response without a call, or an error.",
        &[],
        json!({
            "rpc": text("Name of the RPC, such as `Retrieve`."),
            "when": reference("Expression", "The case is used only if this is true. The last case of a list has no condition."),
            "let": {
                "description": "Named values, which expressions of the case can use.",
                "type": "object", "additionalProperties": {"$ref": "#/definitions/Value"},
            },
            "first": {
                "description": "Steps before the RPC, by the names of their results.",
                "type": "object", "additionalProperties": {"$ref": "#/definitions/Step"},
            },
            "again": reference("Expression", "If this is true after the call, the steps and the call run again, a limited number of times."),
            "forward": reference("Forward", "Instead of `rpc`: another operation serves the request."),
            "request": reference("Value", "The request message: a value for each field, or one value for the whole message. Default: parameters and members of a JSON body set the fields with the same names."),
            "response": reference("Response", "The response. Default: the first 2xx status in the document, with the whole reply as JSON."),
            "errors": reference("ErrorCases", "Exceptions to `errors` for this route."),
            "error": reference("Refusal", "Instead of `rpc`: the error for a request that is not supported."),
        }),
    )
}

fn answer() -> Value {
    section(
        "A response",
        "Status, headers and body.",
        &[],
        json!({
            "when": reference("Expression", "The response is used only if this is true. The last response of a list has no condition."),
            "status": reference("Status", "The status. Default: the first 2xx status of the operation."),
            "headers": reference("Headers", "The headers of the response."),
            "content_type": text("The content type, if the document specifies none or several."),
            "body": reference("Value", "The body; `null` means no body. Default: the whole reply."),
            "error": reference("Refusal", "Treats the reply as this error."),
        }),
    )
}

fn refusal() -> Value {
    let codes: Vec<&str> = super::response::CODES.iter().map(|code| code.name()).collect();
    section(
        "An error",
        "An error that the definition raises. `errors` formats it like any other error.",
        &["code", "reason"],
        json!({
            "code": {"description": "The gRPC code.", "enum": codes},
            "reason": text("The reason for programs, such as KEY_NOT_FOUND."),
            "message": reference("Value", "The message for people."),
        }),
    )
}

fn errors() -> Value {
    section(
        "Errors",
        "The format of all errors.",
        &[],
        json!({
            "content_type": text("The content type of error bodies. Default: application/json."),
            "headers": reference("Headers", "Headers of all errors."),
            "body": reference("Value", "The body of all errors; `null` means no body. Default: a problem document."),
            "cases": reference("ErrorCases", "Exceptions for some errors."),
        }),
    )
}

fn error_cases() -> Value {
    json!({
        "description": "Exceptions by reason (KEY_NOT_FOUND), gRPC code (NOT_FOUND) or HTTP status (404). The first of these that matches is used.",
        "type": "object",
        "propertyNames": {"pattern": "^[A-Z0-9_]+$"},
        "additionalProperties": {"$ref": "#/definitions/ErrorCase"},
    })
}

fn error_case() -> Value {
    section(
        "An exception",
        "The differences for these errors.",
        &[],
        json!({
            "status": reference("Status", "The status."),
            "code": reference("Value", "The value of `error.code`. Default: the status."),
            "message": reference("Value", "The value of `error.message`."),
            "content_type": text("The content type."),
            "headers": reference("Headers", "Headers in addition to those of all errors."),
            "body": reference("Value", "The body; `null` means no body."),
        }),
    )
}

fn setting() -> Value {
    section(
        "A setting",
        "A setting that bindings may change.",
        &["default"],
        json!({
            "default": {"description": "The value if a binding does not set it. Bindings set values of the same type."},
            "description": text("A description for people."),
        }),
    )
}

fn style() -> Value {
    section(
        "JSON",
        "The format of messages, and of fields that are copied by a path.",
        &[],
        json!({
            "integers": choice("The type of 64-bit integers.", &["numbers", "strings"]),
            "names": choice("The names of members in whole messages.", &["camel", "proto"]),
            "zeros": choice("Whether members that are zero or empty are written.", &["keep", "omit", "omit_copied"]),
        }),
    )
}
