"""Generates OpenAPI documents in the styles of public APIs, and definitions that answer every request with what was read of it.

    generate.py FOLDER [SEED]

Each API becomes FOLDER/<name>/openapi.json and FOLDER/<name>/frontend.yaml. JSON is YAML, so no library is needed. FOLDER/names lists the
names. The response of an operation has the schemas of its parameters, so a value that was read wrongly does not match its response.
"""

import json
import pathlib
import random
import sys

from schemas import WORDS, Parameters, Schemas

# Name, version, paths of a resource, kinds of parameters, and form or JSON bodies. `{}` stands for the name of the resource.
APIS = {
    # Prices and payments: forms with nested members, ranges in the query.
    "payments": ("3.0.0", ["/v1/{}s", "/v1/{}s/{id}"], ["query:range", "query:deep", "query:nested", "query:scalar", "query:list"], "form"),
    # Telephony: identifiers with a suffix, forms, capital names.
    "telephony": ("3.0.1", ["/2010/{}/{Sid}.json", "/2010/{}/{Sid}/Parts/{Part}.json"], ["query:scalar", "query:text", "query:csv"], "form"),
    # Cloud resources: several files, operations and responses in files of their own.
    "cloud": ("3.0.0", ["/v2/{}s", "/v2/{}s/{id}"], ["query:scalar", "query:reference", "query:csv", "header:scalar"], "json"),
    # A forge: ranges of two names in one segment, components of all kinds.
    "forge": ("3.0.3", ["/repos/{owner}/{}s", "/repos/{owner}/{}s/compare/{base}...{head}"], ["query:reference", "query:csv", "header:simple-list", "query:scalar"], "json"),
    # A cluster: parameters of paths, media types of patches.
    "cluster": ("3.0.0", ["/api/v1/namespaces/{namespace}/{}s", "/api/v1/namespaces/{namespace}/{}s/{name}"], ["query:scalar", "query:text", "query:list"], "patch"),
    # A web framework: a slash at the end, delimiters, members that are set by the server.
    "website": ("3.0.3", ["/api/{}s/", "/api/{}s/{id}/"], ["query:space", "query:pipe", "query:scalar"], "json"),
    # A typed framework: 3.1, choices with null, cookies.
    "typed": ("3.1.0", ["/{}s/", "/{}s/{item_id}"], ["query:scalar", "query:exploded", "cookie:scalar", "cookie:csv", "header:scalar"], "json"),
    # Expansions of RFC 6570 in paths.
    "expansions": ("3.1.1", ["/{}s/{a}", "/{}s/{a}/x/{b}"], ["query:exploded", "query:csv"], "json"),
    # Messages: names with dots, JSON in the query.
    "messages": ("3.0.0", ["/api/{}.list", "/api/{}.info"], ["query:content", "query:text", "query:csv", "header:scalar", "header:simple-object"], "form"),
    # Files: names with brackets, headers and cookies with several values.
    "files": ("3.0.2", ["/2.0/{}s/{id}", "/2.0/{}s/{id}/parts/{part_id}"], ["query:csv", "query:deep", "header:simple-list", "header:simple-object", "cookie:csv", "cookie:object"], "json"),
}
RESOURCES = 3
EXPANSIONS = [
    f"path:{style}{explode}-{shape}" for style in ("label", "matrix") for explode in ("", "-exploded") for shape in ("scalar", "list", "object")
] + ["path:simple-list", "path:simple-object"]


class Api:
    def __init__(self, name, seed):
        self.name = name
        self.version, self.paths, self.kinds, self.bodies = APIS[name]
        self.random = random.Random(f"{seed}:{name}")
        self.schemas = Schemas(self.random, self.version)
        self.parameters = Parameters(self.schemas)
        self.components = {"schemas": self.schemas.components, "parameters": {}, "requestBodies": {}, "responses": {}}
        self.routes = {}
        self.expansions = list(EXPANSIONS)

    def name_of(self, location, number):
        name = f"{self.random.choice(WORDS)}_{number}"
        if location == "header":
            return f"X-{name.title().replace('_', '-')}"
        if self.name == "files" and location == "query" and self.random.random() < 0.3:
            return f"page[{name}]"
        return name.title().replace("_", "") if self.name == "telephony" else name

    def path_parameter(self, name):
        if self.name == "expansions":
            return self.parameters.make(self.expansions.pop(0) if self.expansions else "path:scalar", name)
        if self.name == "forge" and name in ("base", "head"):
            return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[a-z0-9-]{1,12}$"}}
        schema = self.random.choice([{"type": "integer", "minimum": 1, "maximum": 10**6}, {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,12}$"}])
        return {"name": name, "in": "path", "required": True, "schema": schema}

    def others(self):
        """Parameters outside of the path, some of them in the components."""
        kinds = self.random.sample(self.kinds, min(len(self.kinds), self.random.randint(1, 3)))
        for number, kind in enumerate(kinds):
            parameter = self.parameters.make(kind, self.name_of(kind.partition(":")[0], number))
            yield parameter

    def body(self):
        if self.bodies == "form":
            schemas = self.schemas
            members = {"tags": schemas.list(), "meta": schemas.object(), "limit": schemas.integer()}
            schema = {"type": "object", "properties": members, "required": ["limit"], "additionalProperties": False}
            encoding = {"tags": {"style": "form", "explode": True}, "meta": {"style": "deepObject", "explode": True}}
            return schema, {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": schema, "encoding": encoding}}}
        schema = self.schemas.body()
        media = "application/merge-patch+json" if self.bodies == "patch" else "application/json"
        return schema, {"required": True, "content": {media: {"schema": self.schemas.reference(schema)}}}

    def operation(self, path, method, shared, number):
        identifier = f"{method}{self.random.choice(WORDS).title()}{number}"
        own = list(self.others())
        members, values, required = {}, {}, []
        for parameter in shared + own:
            schema = parameter.get("schema") or parameter["content"]["application/json"]["schema"]
            key = f"{parameter['in']}_{len(members)}"
            members[key] = schema
            name = parameter["name"].lower() if parameter["in"] == "header" else parameter["name"]
            values[key] = f'{parameter["in"]}["{name}"]'
            if parameter.get("required"):
                required.append(key)
        operation = {"operationId": identifier, "summary": f"The {number}th operation", "parameters": [self.reused(parameter) for parameter in own]}
        rpc, request = "Exists", {"key": f"'{identifier}'"}
        if method in ("post", "put", "patch"):
            schema, body = self.body()
            rpc, request = "Store", {"key": f"'{identifier}'", "value": "bytes(json.encode(body))"}
            operation["requestBody"] = body
            if self.random.random() < 0.5:
                self.components["requestBodies"][identifier] = body
                operation["requestBody"] = {"$ref": f"#/components/requestBodies/{identifier}"}
            # The server has set no identifiers in this echo.
            members["body"], values["body"] = {"type": "object"}, "body"
            required.append("body")
        echo = {"type": "object", "properties": members, "required": required, "additionalProperties": False}
        if not required:
            del echo["required"]
        responses = {"200": {"description": "What was read.", "content": {"application/json": {"schema": echo}}}}
        operation["responses"] = responses
        if self.random.random() < 0.3:
            self.components["responses"][identifier] = responses["200"]
            operation["responses"] = {"200": {"$ref": f"#/components/responses/{identifier}"}}
        self.routes[identifier] = {"rpc": rpc, "request": request, "response": {"body": values}}
        return operation

    def reused(self, parameter):
        if self.name not in ("forge", "cloud"):
            return parameter
        name = f"parameter{len(self.components['parameters'])}"
        self.components["parameters"][name] = parameter
        return {"$ref": f"#/components/parameters/{name}"}

    def document(self):
        paths, number = {}, 0
        for resource in self.random.sample(WORDS, RESOURCES):
            for template in self.paths:
                path = template.replace("{}", resource)
                names = [part.split("}")[0] for part in path.split("{")[1:]]
                shared = [self.path_parameter(name) for name in names]
                item = {"parameters": shared} if shared else {}
                methods = {"form": ("get", "post"), "patch": ("get", "patch"), "json": ("get", "put")}[self.bodies]
                for method in methods:
                    number += 1
                    item[method] = self.operation(path, method, shared, number)
                paths[path] = item
        components = {name: section for name, section in self.components.items() if section}
        return {
            "openapi": self.version,
            "info": {"title": f"The API of {self.name}", "version": "1"},
            "paths": paths,
            "components": components,
        }

    def definition(self):
        return {"frontend": self.name, "openapi": "openapi.json", "pattern": "keyvalue", "routes": self.routes}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1))


def split(folder, document):
    """Moves operations and responses into files of their own. References to components then lead back to the document."""

    def outside(value, root):
        if isinstance(value, dict):
            return {
                name: f"{root}{inner}" if name == "$ref" and isinstance(inner, str) and inner.startswith("#") else outside(inner, root)
                for name, inner in value.items()
            }
        return [outside(item, root) for item in value] if isinstance(value, list) else value

    for path, item in document["paths"].items():
        for method in ("get", "put"):
            operation = item[method]
            name = operation["operationId"]
            if "$ref" not in operation["responses"]["200"]:
                write(folder / "shared" / "responses" / f"{name}.yml", outside(operation["responses"]["200"], "../../openapi.json"))
                operation["responses"]["200"] = {"$ref": f"../shared/responses/{name}.yml"}
            write(folder / "resources" / f"{name}.yml", outside(operation, "../openapi.json"))
            item[method] = {"$ref": f"resources/{name}.yml"}


def main():
    folder, seed = pathlib.Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "1"
    for name in APIS:
        api = Api(name, seed)
        document = api.document()
        if name == "cloud":
            split(folder / name, document)
        write(folder / name / "openapi.json", document)
        write(folder / name / "frontend.yaml", api.definition())
    (folder / "names").write_text("\n".join(APIS))


if __name__ == "__main__":
    main()
