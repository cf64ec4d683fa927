//! What a document becomes, and which problems and warnings it has.

use std::{fmt::Write as _, fs};

use serde_json::{Value as Json, json};

use super::*;

/// Reads a document. Returns it, or its problems, with its warnings.
fn read(text: &str) -> Result<Document, Vec<String>> {
    read_in("api.yaml", text, &DocumentFolders::default())
}

fn read_in(name: &str, text: &str, folders: &DocumentFolders) -> Result<Document, Vec<String>> {
    let files = DocumentFiles::parse(name, text, folders);
    Document::read(&files, Thoroughness::Lint).ok_or_else(|| {
        let problems = files.list.into_iter().map(|file| file.source.finish()).filter(|problems| !problems.list.is_empty());
        problems.flat_map(|problems| problems.to_string().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    })
}

fn warnings(document: &Document) -> Vec<String> {
    document.warnings.iter().flat_map(|problems| problems.to_string().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// A document with one operation and these components.
fn with(version: &str, operation: &str, components: &str) -> String {
    format!(
        "openapi: {version}\ninfo: {{title: T, version: '1'}}\npaths:\n  /a:\n    post:\n      operationId: a\n{operation}      responses: {{'200': \
         {{description: ok}}}}\n{components}"
    )
}

/// The converted schema of the body of the only operation.
fn body_schema(version: &str, schema: &str) -> Json {
    let operation = format!("      requestBody: {{content: {{application/json: {{schema: {schema}}}}}}}\n");
    let document = read(&with(version, &operation, "")).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    document.value["paths"]["/a"]["post"]["requestBody"]["content"]["application/json"]["schema"].clone()
}

#[test]
fn schemas_of_openapi_3_0_become_json_schema_wherever_they_are() {
    for (schema, wanted) in [
        ("{type: string, nullable: true}", json!({"type": ["string", "null"]})),
        ("{type: integer, minimum: 1, exclusiveMinimum: true}", json!({"type": "integer", "exclusiveMinimum": 1})),
        ("{type: integer, maximum: 9, exclusiveMaximum: false}", json!({"type": "integer", "maximum": 9})),
        (
            "{type: array, items: {not: {type: number, nullable: true}}}",
            json!({"type": "array", "items": {"not": {"type": ["number", "null"]}}}),
        ),
        (
            "{type: object, properties: {nullable: {type: boolean, nullable: true}}, additionalProperties: {type: string, nullable: false}}",
            json!({"type": "object", "properties": {"nullable": {"type": ["boolean", "null"]}}, "additionalProperties": {"type": "string"}}),
        ),
        // Data stays as it is.
        (
            "{example: {type: string, nullable: true}, default: {minimum: 1, exclusiveMinimum: true}, enum: [{nullable: true, type: a}], x-a: {type: b, nullable: true}}",
            json!({"example": {"type": "string", "nullable": true}, "default": {"minimum": 1, "exclusiveMinimum": true}, "enum": [{"nullable": true, "type": "a"}], "x-a": {"type": "b", "nullable": true}}),
        ),
    ] {
        assert_eq!(body_schema("3.0.3", schema), wanted, "{schema}");
    }
    let operation =
        "      parameters: [{name: id, in: query, schema: {type: integer, nullable: true}, example: {type: integer, nullable: true}}]\n";
    let components =
        "components:\n  headers: {H: {schema: {type: string, nullable: true}}}\n  examples: {E: {value: {type: a, nullable: true}}}\n";
    let document = read(&with("3.0.3", operation, components)).unwrap();
    let parameter = &document.value["paths"]["/a"]["post"]["parameters"][0];
    assert_eq!(parameter["schema"], json!({"type": ["integer", "null"]}));
    assert_eq!(parameter["example"], json!({"type": "integer", "nullable": true}));
    assert_eq!(document.value["components"]["headers"]["H"]["schema"]["type"], json!(["string", "null"]));
    assert_eq!(document.value["components"]["examples"]["E"]["value"], json!({"type": "a", "nullable": true}));
    assert_eq!(body_schema("3.1.0", "{type: integer, exclusiveMinimum: 1}"), json!({"type": "integer", "exclusiveMinimum": 1}));
}

#[test]
fn keywords_of_the_wrong_version_are_reported() {
    let problems = |version: &str, schema: &str| {
        let operation = format!("      requestBody: {{content: {{application/json: {{schema: {schema}}}}}}}\n");
        match read(&with(version, &operation, "")) {
            Ok(document) => warnings(&document),
            Err(problems) => problems,
        }
    };
    for (version, schema, wanted) in [
        ("3.0.3", "{exclusiveMinimum: 3}", "api.yaml:7:59: `exclusiveMinimum` is true or false in OpenAPI 3.0; the bound is `minimum`"),
        ("3.1.0", "{exclusiveMinimum: true}", "api.yaml:7:77: a schema can't be used: true is not of type \"number\""),
        ("3.1.0", "{type: string, nullable: true}", "api.yaml:7:73: `nullable` has no effect in OpenAPI 3.1; add \"null\" to `type`"),
        ("3.0.3", "{nullable: true, allOf: [{type: string}]}", "api.yaml:7:59: `nullable` has no effect without `type` beside it"),
        (
            "3.1.0",
            "{items: [{type: string}]}",
            "api.yaml:7:66: `items` must be a schema; a list of schemas is `prefixItems` in OpenAPI 3.1",
        ),
        ("3.1.0", "{type: sting}", ""),
        ("3.1.0", "{pattern: '('}", "api.yaml:7:68: `(` is not a regular expression of ECMA-262 that Prism can run"),
        ("3.1.0", "{patternProperties: {'(': {}}}", "api.yaml:7:79: `(` is not a regular expression of ECMA-262 that Prism can run"),
        ("3.1.0", "{$dynamicRef: '#x'}", "api.yaml:7:59: `$dynamicRef` is not supported; use `$ref`"),
        (
            "3.1.0",
            "{$schema: 'http://json-schema.org/draft-07/schema#'}",
            "api.yaml:7:68: schemas must be of JSON Schema 2020-12, the dialect of OpenAPI 3.1",
        ),
        ("3.1.0", "{minLenght: 1}", "api.yaml:7:59: `minLenght` is not a keyword of schemas and has no effect"),
        ("3.1.0", "[]", "api.yaml:7:58: a schema must be a mapping, not a list"),
    ] {
        let found = problems(version, schema);
        assert!(if wanted.is_empty() { !found.is_empty() } else { found == [wanted] }, "{schema}: {found:#?}");
    }
}

#[test]
fn references_resolve_in_all_forms() {
    let components = "components:
  schemas:
    Note: {type: object, properties: {a: {type: string, maxLength: 3}}, allOf: [{type: object}, {properties: {b: {type: integer}}}]}
    'a/b c': {type: boolean}
    Root: {$id: 'https://example.com/root', $defs: {inner: {$anchor: here, type: integer}}, properties: {x: {$ref: '#/$defs/inner'}, y: {$ref: '#here'}, z: {$ref: other}}}
    Other: {$id: 'https://example.com/other', type: string}
    Tree: {type: object, properties: {next: {$ref: '#/components/schemas/Tree'}}}
    Alias: {$ref: '#/components/schemas/Note'}
  parameters:
    P: {name: p, in: query, schema: {type: integer, minimum: 1}}
  requestBodies:
    B: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
  responses:
    R: {description: ok, headers: {H: {$ref: '#/components/headers/H'}}, links: {L: {$ref: '#/components/links/L'}}}
  headers: {H: {schema: {type: string}}}
  links: {L: {operationId: a}}
  pathItems:
    I: {get: {operationId: i, responses: {'200': {$ref: '#/components/responses/R'}}}}
";
    let text = "openapi: 3.1.0
info: {title: T, version: '1'}
paths:
  /a:
    parameters: [{name: q, in: query, schema: {type: integer, maximum: 9}}]
    post:
      operationId: a
      parameters:
        - {$ref: '#/components/parameters/P'}
        - {name: r, in: query, schema: {$ref: '#/paths/~1a/parameters/0/schema'}}
        - {name: s, in: query, schema: {$ref: '#/components/parameters/P/schema'}}
        - {name: t, in: query, schema: {$ref: '#/components/schemas/Note/allOf/1/properties/b'}}
        - {name: u, in: query, schema: {$ref: '#/components/schemas/a~1b%20c'}}
        - {name: v, in: query, schema: {$ref: 'https://example.com/root#here'}}
        - {name: w, in: query, schema: {$ref: '#/components/schemas/Alias/properties/a'}}
      requestBody: {$ref: '#/components/requestBodies/B'}
      responses: {'200': {$ref: '#/components/responses/R'}}
  /b:
    $ref: '#/components/pathItems/I'
  /c:
    put: {operationId: c, parameters: [{$ref: '#/paths/~1a/post/parameters/1'}], responses: {default: {$ref: '#/paths/~1a/post/responses/200'}}}
";
    let document = read(&format!("{text}{components}")).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    let first = &document.operations[0];
    let kinds: Vec<String> = first.parameters.iter().map(|parameter| format!("{}:{:?}", parameter.name, parameter.value)).collect();
    assert_eq!(kinds, ["q:Int", "p:Int", "r:Int", "s:Int", "t:Int", "u:Bool", "v:Int", "w:String"]);
    assert_eq!(first.body.as_ref().unwrap().contents[0].media, "application/json");
    let names: Vec<String> = document.operations.iter().map(Operation::name).collect();
    assert_eq!(names, ["a", "i", "c"]);
    assert_eq!(document.operations[2].parameters[0].name, "r");
    let root = &document.value["components"]["schemas"]["Root"];
    assert_eq!(root["properties"]["x"], json!({"$ref": "#/components/schemas/Root/$defs/inner"}));
    assert_eq!(root["properties"]["y"], root["properties"]["x"]);
    assert_eq!(root["properties"]["z"], json!({"$ref": "#/components/schemas/Other"}));
    assert_eq!((root.get("$id"), root.pointer("/$defs/inner/$anchor")), (None, None));
    // Every reference of the served document leads somewhere.
    let mut references = Vec::new();
    collect_references(&document.value, &mut references);
    for reference in references {
        let pointer = percent_encoding::percent_decode_str(reference.strip_prefix('#').unwrap()).decode_utf8_lossy().into_owned();
        assert!(pointer.starts_with("/components/") && document.value.pointer(&pointer).is_some(), "{reference}");
    }
}

#[test]
fn anchors_are_found_in_parts_that_have_the_names_of_keywords() {
    let operation = "      parameters: [{name: p, in: query, schema: {$ref: '#here'}}]\n";
    let components = "components:
  responses: {default: {description: ok, content: {a/b: {schema: {$anchor: here, type: integer}}}}}
";
    let document = read(&with("3.1.0", operation, components)).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    assert_eq!(document.operations[0].parameters[0].value, Type::Int);
}

#[test]
fn references_through_many_references_end() {
    let mut components = String::from("components:\n  schemas:\n    A500: {type: string}\n");
    for number in 0..500 {
        // Writing into a String can't fail.
        let _ = writeln!(components, "    A{number}: {{$ref: '#/components/schemas/A{}/items'}}", number + 1);
    }
    let problems = read(&with("3.1.0", "", &components)).unwrap_err();
    assert!(problems[0].contains("references that lead to each other"), "{}", problems[0]);
}

fn collect_references(value: &Json, found: &mut Vec<String>) {
    match value {
        Json::Object(members) => members.iter().for_each(|(name, value)| match value {
            Json::String(reference) if name == "$ref" => found.push(reference.clone()),
            value => collect_references(value, found),
        }),
        Json::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[test]
fn references_that_lead_to_nothing_have_a_position() {
    let components = "components: {schemas: {Note: {type: object}, Loop: {$ref: '#/components/schemas/Pool'}, Pool: {$ref: '#/components/schemas/Loop'}}}\n";
    for (reference, wanted) in [
        ("#/components/schemas/Nte", "`#/components/schemas/Nte` does not exist; did you mean `Note`?"),
        ("#/components/schemas/Note/properties/a", "`#/components/schemas/Note/properties/a` does not exist: there is no `properties`"),
        ("#nowhere", "`#nowhere` does not exist: there is no `nowhere`"),
        ("other.yaml#/a", "the file of `other.yaml#/a` can't be read: a document without a folder can't refer to files"),
        (
            "https://example.com/x",
            "`https://example.com/x` is not in this document; references lead to its own parts, or to files in its folder",
        ),
        ("#/components/schemas/Loop", "`#/components/schemas/Loop` refers to itself"),
        ("#/paths/~1a/post/parameters/1", "`#/paths/~1a/post/parameters/1` does not exist: there is no `1`"),
        ("#/%zz", "`#/%zz` has a % without two hexadecimal digits after it"),
    ] {
        let operation = format!("      parameters:\n        - {{name: p, in: query, schema: {{$ref: '{reference}'}}}}\n");
        let problems = read(&with("3.1.0", &operation, components)).unwrap_err();
        assert!(problems.contains(&format!("api.yaml:8:47: {wanted}")), "{reference}: {problems:#?}");
        let response =
            format!("      callbacks: {{}}\n      requestBody: {{content: {{a/b: {{schema: {{items: {{$ref: '{reference}'}}}}}}}}}}\n");
        assert!(read(&with("3.1.0", &response, components)).is_err(), "{reference}");
    }
    let operation = "      parameters: [{$ref: '#/components/schemas/Note'}]\n";
    let problems = read(&with("3.1.0", operation, "components: {schemas: {Note: {type: object}}}\n")).unwrap_err();
    assert_eq!(problems, ["api.yaml:7:27: `#/components/schemas/Note` leads to `components.schemas`, but a parameter is expected"]);
}

#[test]
fn documents_of_several_files_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join("api").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let root = "openapi: 3.0.3
info: {title: T, version: '1', description: {$ref: 'text.yml#/introduction'}}
paths:
  /a: {$ref: 'paths/a.yml'}
  /b: {get: {$ref: 'resources/get.yml'}}
components:
  schemas:
    Own: {type: object, properties: {next: {$ref: 'models/node.yml'}}}
    v1.Own: {type: object}
    Any: {type: object, discriminator: {propertyName: kind, mapping: {a: models/leaf.yml, b: v1.Own, c: Own}}}
";
    write("openapi.yaml", root);
    write("text.yml", "introduction: Hello.\n");
    write(
        "paths/a.yml",
        "post: {operationId: a, requestBody: {content: {application/json: {schema: {$ref: '../models/node.yml'}}}}, responses: {'200': {$ref: '../shared.yml#/ok'}}}\n",
    );
    write(
        "resources/get.yml",
        "operationId: b\nparameters: [{$ref: '../shared.yml#/limit'}]\nresponses: {'200': {$ref: '../shared.yml#/ok'}}\n",
    );
    write(
        "models/node.yml",
        "type: object\nproperties:\n  value: {type: string, nullable: true}\n  next: {$ref: node.yml}\n  own: {$ref: '../openapi.yaml#/components/schemas/Own'}\n",
    );
    write("models/leaf.yml", "type: object\n");
    write("shared.yml", "ok: {description: ok}\nlimit: {name: limit, in: query, schema: {type: integer}}\n");
    let name = folder.path().join("api/openapi.yaml").display().to_string();
    let folders = DocumentFolders::of_files(&[&name]);
    let document = read_in(&name, root, &folders).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    assert_eq!(document.operations.iter().map(Operation::name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(document.operations[1].parameters[0].name, "limit");
    assert_eq!(document.value["info"]["description"], "Hello.");
    let node = &document.value["components"]["schemas"]["node"];
    assert_eq!(node["properties"]["value"]["type"], json!(["string", "null"]));
    assert_eq!(node["properties"]["next"]["$ref"], "#/components/schemas/node");
    let mapping = &document.value["components"]["schemas"]["Any"]["discriminator"]["mapping"];
    assert_eq!(*mapping, json!({"a": "#/components/schemas/leaf", "b": "v1.Own", "c": "Own"}));
    assert_eq!(document.files.len(), 7);

    let problems = |from: &str, to: &str| {
        let text = fs::read_to_string(&name).unwrap().replace(from, to);
        let problems = read_in(&name, &text, &folders).unwrap_err();
        problems.into_iter().map(|problem| problem.replace(&format!("{}/", folder.path().display()), "")).collect::<Vec<_>>()
    };
    fs::write(folder.path().join("secret.yml"), "a: 1\n").unwrap();
    assert_eq!(
        problems("paths/a.yml", "../secret.yml"),
        ["api/openapi.yaml:4:14: the file of `../secret.yml` can't be read: it is outside of the folder of the document"]
    );
    assert!(
        problems("paths/a.yml", "missing.yml")[0]
            .starts_with("api/openapi.yaml:4:14: the file of `missing.yml` can't be read: No such file")
    );
    write(
        "shared.yml",
        "ok: {description: ok, content: {application/json: {schema: {$ref: '#/nothing'}}}}\nlimit: {name: limit, in: query, style: label}\n",
    );
    assert_eq!(
        problems("nothing", "nothing"),
        [
            "api/shared.yml:1:67: `#/nothing` does not exist: there is no `nothing`",
            "api/shared.yml:2:40: `style: label` is not allowed in `query`; there are: form, spaceDelimited, pipeDelimited, deepObject",
        ]
    );
    write("shared.yml", "a: [\n");
    assert!(problems("nothing", "nothing")[0].starts_with("api/shared.yml:"));
}

#[test]
fn other_versions_are_told_by_name() {
    for (first, wanted) in [
        ("openapi: 3.0", "api.yaml:1:10: `openapi: 3.0` is a number; the version is a text with three parts, such as 3.0.3 or 3.1.0"),
        ("openapi: '3.1'", "api.yaml:1:10: `openapi: 3.1` is not a complete version; write 3.1.0"),
        ("openapi: 3.2.0", "api.yaml:1:10: OpenAPI 3.2.0 is not supported; Prism reads 3.0 and 3.1"),
        ("openapi: [1]", "api.yaml:1:10: `openapi` must be a version such as 3.1.0, not a list"),
        (
            "swagger: '2.0'",
            "api.yaml:1:10: this is a document of Swagger 2.0; convert it to OpenAPI 3.0 or 3.1 first, for example with swagger2openapi",
        ),
        (
            "swagger: 2.0",
            "api.yaml:1:10: this is a document of Swagger 2.0; convert it to OpenAPI 3.0 or 3.1 first, for example with swagger2openapi",
        ),
        ("a: 1", "api.yaml:1:1: this is no OpenAPI document of version 3.0 or 3.1: `openapi: 3.1.0` is missing"),
    ] {
        assert_eq!(read(&format!("{first}\npaths: {{}}\n")).unwrap_err(), [wanted]);
    }
    for version in ["3.0.0", "3.0.4", "3.1.1"] {
        assert!(read(&with(version, "", "")).is_ok());
    }
}

#[test]
fn what_is_not_read_is_told() {
    let operation = "      parameters:
        - {name: a, in: body}
        - {name: b, in: header, style: form, schema: {}}
        - {name: c, in: query, content: {image/png: {}}}
        - {name: d, in: query, schema: {}, content: {}}
        - {name: e, in: query, explode: 'no', schema: {}}
        - {in: query, schema: {}}
";
    assert_eq!(
        read(&with("3.1.0", operation, "")).unwrap_err(),
        [
            "api.yaml:8:25: a parameter can't be in the body: that was Swagger 2.0; use `requestBody`",
            "api.yaml:9:40: `style: form` is not allowed in `header`; there are: simple",
            "api.yaml:10:42: a parameter of the type `image/png` can't be read; use application/json or text/plain",
            "api.yaml:11:44: a parameter has either `schema` or `content`, not both",
            "api.yaml:12:41: `explode` must be true or false, not text",
            "api.yaml:13:11: the parameter needs `name`",
        ]
    );
    let operation = "      security: [{key: []}]
      callbacks: {c: {'{$request.body#/url}': {post: {responses: {'200': {description: ok}}}}}}
      servers: [{url: /x}]
      parameters: [{name: Accept, in: header, schema: {type: string}}, {name: q, in: query}, {name: q, in: query, schema: {}}]
      requestBody: {content: {multipart/form-data: {schema: {type: object, properties: {f: {type: string}}}, encoding: {f: {contentType: a/b}}}, image/png: {schema: {type: string, format: binary}}, application/xml: {schema: {type: object}}}}
      sumary: x
";
    assert_eq!(
        warnings(&read(&with("3.1.0", operation, "")).unwrap()),
        [
            "api.yaml:7:7: `security` has no effect: Prism does not check who calls an operation",
            "api.yaml:8:7: `callbacks` has no effect: Prism does not call clients",
            "api.yaml:9:7: `servers` has no effect: the base path of the binding applies to all operations",
            "api.yaml:10:20: OpenAPI ignores the header parameter `Accept`; the media types and `security` describe it",
            "api.yaml:10:72: the parameter has no `schema`, so it is any text",
            "api.yaml:10:94: the parameter query.q appears twice in this list; the last one counts",
            "api.yaml:11:61: a body of the type multipart/form-data is read as bytes, so this schema has no effect",
            "api.yaml:11:121: `encoding` has no effect in multipart/form-data; Prism reads it in application/x-www-form-urlencoded",
            "api.yaml:11:225: a body of the type application/xml is read as bytes, so this schema has no effect",
            "api.yaml:12:7: `sumary` is not a member of an operation and has no effect; did you mean `summary`?",
        ]
    );
}

#[test]
fn read_only_members_are_not_required_in_requests() {
    let components = "components:
  schemas:
    Note:
      type: object
      required: [id, k, inner]
      properties:
        id: {type: string, readOnly: true}
        k: {type: string}
        inner: {allOf: [{$ref: '#/components/schemas/Inner'}, {required: [at, n]}]}
        secret: {type: string, writeOnly: true}
    Inner: {type: object, properties: {at: {$ref: '#/components/schemas/Time'}, n: {type: integer}}}
    Time: {type: string, readOnly: true}
";
    let operation = "      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}\n";
    for version in ["3.0.3", "3.1.0"] {
        let document = read(&with(version, operation, components)).unwrap();
        let body = document.operations[0].body.clone().unwrap();
        let checks = crate::mapping::RequestSchemas::new(
            std::sync::Arc::new(document.components),
            vec![(crate::mapping::BodyFormat::Json, body.contents[0].schema.clone().unwrap())],
            Vec::new(),
        );
        let valid = |body: Json| checks.body(crate::mapping::BodyFormat::Json, &body).is_ok();
        assert!(valid(json!({"k": "a", "inner": {"n": 1}})));
        assert!(valid(json!({"id": "1", "k": "a", "inner": {"n": 1, "at": "x"}})));
        assert!(!valid(json!({"inner": {"n": 1}})) && !valid(json!({"k": "a", "inner": {}})));
        assert_eq!(document.value["components"]["schemas"]["Note"]["required"], json!(["id", "k", "inner"]));
    }
}
