//! The JSON Schema of definitions, for editors. `docs/frontends.md` describes the language. A test compares this schema with
//! the parser.

use serde_json::{Map, Value, json};

/// Returns the schema of a definition file. The compiler checks everything that needs the descriptors or the OpenAPI
/// document.
pub fn schema() -> Value {
    let mut schema = section(
        "A frontend of Prism",
        "Maps an HTTP API, as an OpenAPI document describes it, onto the RPCs of a pattern.",
        &["frontend", "openapi", "pattern", "routes"],
        header(),
    );
    let definitions = [
        ("Expression", expression("An expression in CEL.")),
        ("Value", value()),
        ("Form", form()),
        ("Status", status()),
        ("Route", one_or_list("Case", "What an operation leads to: one case, or a list of which the first whose `when` holds is taken.")),
        ("Case", case()),
        (
            "Response",
            one_or_list("Answer", "What a reply becomes: one response, or a list of which the first whose `when` holds is taken."),
        ),
        ("Answer", answer()),
        ("Refusal", refusal()),
        ("Errors", errors()),
        ("ErrorCases", error_cases()),
        ("ErrorCase", error_case()),
        ("Setting", setting()),
        ("Json", style()),
        ("Headers", headers()),
    ];
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["definitions"] = definitions.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect::<Map<_, _>>().into();
    schema
}

/// Returns the schema of a mapping with fixed keys. `x-` extensions are also allowed.
#[expect(clippy::needless_pass_by_value, reason = "callers make it on the spot")]
fn section(title: &str, description: &str, required: &[&str], properties: Value) -> Value {
    let mut schema = json!({
        "title": title,
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "patternProperties": {"^x-": {"description": "Left alone: a place for anchors, or for notes."}},
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn reference(name: &str, description: &str) -> Value {
    json!({"description": description, "allOf": [{"$ref": format!("#/definitions/{name}")}]})
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": "string"})
}

fn choice(description: &str, choices: &[&str]) -> Value {
    json!({"description": description, "enum": choices, "default": choices.first()})
}

fn expression(description: &str) -> Value {
    json!({"description": description, "type": ["string", "boolean"], "maxLength": 4096})
}

fn header() -> Value {
    json!({
        "frontend": {"description": "Its name, as namespaces bind it.", "type": "string", "pattern": "^[a-z0-9-]{1,63}$"},
        "title": text("For people."),
        "description": text("For people."),
        "type": choice("The protocol.", &["rest"]),
        "openapi": text("The OpenAPI document, YAML or JSON, relative to this file."),
        "pattern": text("The pattern whose RPCs are called; `prism registry patterns list` shows all."),
        "base_path": {
            "description": "Where paths begin if the binding doesn't say; `{namespace}` stands for the namespace's name.",
            "type": "string", "pattern": "^/", "default": "/{namespace}",
        },
        "content_type": {
            "description": "Of responses whose content type the document doesn't tell.", "type": "string", "default": "application/json",
        },
        "json": reference("Json", "How messages look in JSON."),
        "paths": {
            "description": "Templates for paths that the document can't say, as `/v1/kv/{key=**}`.",
            "type": "object", "additionalProperties": {"type": "string"},
        },
        "also_under": {
            "description": "Where all paths are served too, as `/contexts/{context}`; `path.context` is absent where they are not.",
            "type": "string", "pattern": "^/.*\\{",
        },
        "unknown_parameters": choice(
            "Query parameters that the document doesn't have, and members of objects in bodies that a message has no field for.",
            &["refuse", "ignore"],
        ),
        "request_content_type": choice("Whether a body of a type that the document doesn't have is refused with 415.", &["check", "ignore"]),
        "accept": choice("Whether a request is refused with 406 if `Accept` takes none of the response's types.", &["strict", "ignore"]),
        "trailing_slash": choice("A path with a `/` at its end that the document doesn't have.", &["refuse", "ignore"]),
        "namespace": {"description": "The path parameter that chooses the namespace, as `path.tenant`.", "type": "string", "pattern": "^path\\."},
        "max_gathered": {
            "description": "Most messages of a stream that are gathered into one response.",
            "type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 10_000,
        },
        "settings": {
            "description": "What a binding may decide, by name; in expressions `settings.<name>`.",
            "type": "object", "additionalProperties": {"$ref": "#/definitions/Setting"},
        },
        "errors": reference("Errors", "How errors are told. Default: problem documents (RFC 9457)."),
        "routes": {
            "description": "What each operation leads to, by its `operationId`, or by method and path as in `GET /notes/{id}`.",
            "type": "object", "maxProperties": super::MAX_ROUTES, "additionalProperties": {"$ref": "#/definitions/Route"},
        },
    })
}

/// Returns a schema for one value of a kind, or a list of them.
fn one_or_list(name: &str, description: &str) -> Value {
    let one = json!({"$ref": format!("#/definitions/{name}")});
    json!({"description": description, "anyOf": [one, {"type": "array", "minItems": 1, "items": one}]})
}

fn value() -> Value {
    json!({
        "description": "A number, true, false or null; a text is an expression; mappings and lists hold values; or a form.",
        "anyOf": [
            {"type": ["number", "boolean", "null"]},
            {"type": "string", "maxLength": 4096, "description": "An expression in CEL; a plain text is written \"'so'\"."},
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
        section("A list of another list", "One item for each item of a list.", &["$each", "$item"], json!({
            "$each": reference("Expression", "The list."),
            "$item": value("What is made of each: sees `item`, and `index` from 0."),
        })),
        section("One of two values", "What counts depends on a condition.", &["$when", "$then"], json!({
            "$when": reference("Expression", "The condition."),
            "$then": value("If it holds."),
            "$else": value("If not; without it the value is absent."),
        })),
        section("An error in the reply", "The body that `errors` makes of an error; absent if there is none.", &["$error"], json!({
            "$error": reference("Expression", "A path to a `google.rpc.Status` in the reply."),
        })),
        section("A value with a default or a translation", "A value, translated or replaced where it is absent.", &["$from"], json!({
            "$from": value("The value."),
            "$map": {"description": "Texts and what they become.", "type": "object"},
            "$else": value("What texts become that `$map` doesn't have; without it they are refused."),
            "$default": value("What counts if the value is absent."),
        })),
    ]})
}

fn status() -> Value {
    json!({
        "description": "A status, or an expression that gives one.",
        "anyOf": [{"type": "integer", "minimum": 200, "maximum": 599}, {"$ref": "#/definitions/Expression"}],
    })
}

fn headers() -> Value {
    json!({"description": "Headers; absent ones are not sent.", "type": "object", "additionalProperties": {"$ref": "#/definitions/Value"}})
}

fn case() -> Value {
    section(
        "A case",
        "An RPC with its mapping, an answer without one, or a refusal.",
        &[],
        json!({
            "rpc": text("Name of the RPC, as `Retrieve`."),
            "when": reference("Expression", "The case is taken only if this holds. The last case of a list has none."),
            "let": {
                "description": "Values with names of their own.",
                "type": "object", "additionalProperties": {"$ref": "#/definitions/Value"},
            },
            "request": reference("Value", "The request message: a value for each field, or the whole. Default: parameters and members of a JSON body go to the fields of their names."),
            "response": reference("Response", "What the reply becomes. Default: the first 2xx of the document with the whole reply as JSON."),
            "errors": reference("ErrorCases", "What is different for errors of this route."),
            "error": reference("Refusal", "Instead of `rpc`: the refusal of what can't be done."),
        }),
    )
}

fn answer() -> Value {
    section(
        "A response",
        "Status, headers and body.",
        &[],
        json!({
            "when": reference("Expression", "The response is taken only if this holds. The last one of a list has none."),
            "status": reference("Status", "Default: the first 2xx of the operation."),
            "headers": reference("Headers", "Its headers."),
            "content_type": text("Where the document leaves it open, or has several."),
            "body": reference("Value", "Default: the whole reply; `null`: no body."),
            "error": reference("Refusal", "The reply is an error after all."),
        }),
    )
}

fn refusal() -> Value {
    let codes: Vec<&str> = super::response::CODES.iter().map(|code| code.name()).collect();
    section(
        "An error",
        "An error that the definition raises; it takes its way through `errors`.",
        &["code", "reason"],
        json!({
            "code": {"description": "The gRPC code.", "enum": codes},
            "reason": text("A word for programs, as KEY_NOT_FOUND."),
            "message": reference("Value", "A sentence for people."),
        }),
    )
}

fn errors() -> Value {
    section(
        "Errors",
        "How every error is told.",
        &[],
        json!({
            "content_type": text("Of error bodies. Default: application/json."),
            "headers": reference("Headers", "Of every error."),
            "body": reference("Value", "Of every error; `null`: none. Default: a problem document."),
            "cases": reference("ErrorCases", "What is different for some."),
        }),
    )
}

fn error_cases() -> Value {
    json!({
        "description": "By reason (KEY_NOT_FOUND), then by gRPC code (NOT_FOUND), then by HTTP status (404).",
        "type": "object",
        "propertyNames": {"pattern": "^[A-Z0-9_]+$"},
        "additionalProperties": {"$ref": "#/definitions/ErrorCase"},
    })
}

fn error_case() -> Value {
    section(
        "A kind of errors",
        "What is different for it.",
        &[],
        json!({
            "status": reference("Status", "Another status."),
            "code": reference("Value", "What `error.code` is. Default: the status."),
            "message": reference("Value", "What `error.message` is."),
            "content_type": text("Another content type."),
            "headers": reference("Headers", "Added to those of every error."),
            "body": reference("Value", "Another body; `null`: none."),
        }),
    )
}

fn setting() -> Value {
    section(
        "A setting",
        "What a binding may decide.",
        &["default"],
        json!({
            "default": {"description": "What counts if the binding doesn't decide; the decision is of the same kind."},
            "description": text("For people."),
        }),
    )
}

fn style() -> Value {
    section(
        "JSON",
        "How messages, and fields that are copied by a path, are written.",
        &[],
        json!({
            "integers": choice("64-bit integers.", &["numbers", "strings"]),
            "names": choice("Members of whole messages.", &["camel", "proto"]),
            "zeros": choice("Members that are zero or empty.", &["keep", "omit", "omit_copied"]),
        }),
    )
}
