"""Generates schemas, and parameters in all styles, with a seeded random generator."""

WORDS = "account amount batch branch charge cluster comment device event field group image invoice item label member note order page".split()


class Schemas:
    """Makes schemas. `version` is the version of OpenAPI."""

    def __init__(self, random, version):
        self.random = random
        self.version = version
        self.components = {}

    def nullable(self, schema):
        """Adds `null` in the way of the version."""
        if self.version.startswith("3.0"):
            return {**schema, "nullable": True}
        return {**schema, "type": [schema["type"], "null"]}

    def word(self):
        return {"type": "string", "pattern": "^[a-z]{1,8}$"}

    def integer(self):
        low = self.random.randint(-50, 50)
        schema = {"type": "integer", "minimum": low, "maximum": low + self.random.randint(5, 1000)}
        if self.random.random() < 0.3:
            # An exclusive bound is a boolean in 3.0 and a number in 3.1.
            if self.version.startswith("3.0"):
                schema["exclusiveMaximum"] = True
            else:
                schema["exclusiveMaximum"] = schema.pop("maximum")
        return schema

    def scalar(self):
        """A value that has the same form in all styles."""
        return self.random.choice(
            [
                self.word,
                self.integer,
                lambda: {"type": "boolean"},
                lambda: {"type": "number", "minimum": -1000, "maximum": 1000},
                lambda: {"type": "string", "enum": self.random.sample(WORDS, 3)},
                lambda: {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,10}$"},
                lambda: {"allOf": [self.reference(self.word()), {"maxLength": 6}]},
            ]
        )()

    def reference(self, schema):
        """Puts a schema into the components, and refers to it."""
        name = f"{self.random.choice(WORDS).title()}{len(self.components)}"
        self.components[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}

    def list(self, items=None):
        return {"type": "array", "items": items or self.random.choice([self.word(), self.integer()]), "minItems": 1, "maxItems": 4}

    def object(self, members=None):
        names = self.random.sample(WORDS, 3)
        properties = {name: self.random.choice([self.word, self.integer])() for name in names}
        properties.update(members or {})
        return {"type": "object", "properties": properties, "required": names[:1], "additionalProperties": False}

    def value(self, depth=0):
        """A value of a JSON body."""
        if depth > 2 or self.random.random() < 0.5:
            return self.nullable({"type": "string", "maxLength": 30}) if self.random.random() < 0.3 else self.scalar()
        return self.random.choice(
            [
                lambda: self.list(self.value(depth + 1)),
                lambda: self.body(depth + 1),
                lambda: self.reference(self.body(depth + 1)),
                lambda: {"oneOf": [self.integer(), self.list()]},
                lambda: {"type": "object", "additionalProperties": self.integer(), "maxProperties": 3},
            ]
        )()

    def body(self, depth=0):
        """An object of a JSON body. Its identifier is set by the server."""
        names = self.random.sample(WORDS, 4)
        properties = {name: self.value(depth + 1) for name in names}
        properties["id"] = {"type": "string", "readOnly": True}
        return {
            "type": "object",
            "properties": properties,
            "required": ["id", *names[:2]],
            "additionalProperties": False,
            "example": {"nullable": True, "type": "data"},
        }


class Parameters:
    """Makes parameters in the styles of one API."""

    def __init__(self, schemas):
        self.schemas = schemas
        self.random = schemas.random

    def make(self, kind, name):
        """Returns the parameter of a kind such as `query:form-list`."""
        location, _, form = kind.partition(":")
        schemas = self.schemas
        if form.startswith(("label", "matrix")):
            style, _, shape = form.partition("-")
            explode, shape = shape.startswith("exploded"), shape.removeprefix("exploded-")
            return {"name": name, "in": location, "required": True, "style": style, "explode": explode, "schema": getattr(schemas, shape)()}
        shape = {
            "scalar": lambda: {"schema": schemas.scalar()},
            "reference": lambda: {"schema": schemas.reference(schemas.scalar())},
            "text": lambda: {"schema": {"type": "string", "minLength": 1, "maxLength": 20}},
            "list": lambda: {"schema": schemas.list()},
            "csv": lambda: {"explode": False, "schema": schemas.list({"type": "string", "minLength": 1, "maxLength": 8})},
            "space": lambda: {"style": "spaceDelimited", "explode": False, "schema": schemas.list()},
            "pipe": lambda: {"style": "pipeDelimited", "explode": False, "schema": schemas.list()},
            "simple-list": lambda: {"style": "simple", "schema": schemas.list()},
            "simple-object": lambda: {"style": "simple", "explode": self.random.random() < 0.5, "schema": schemas.object()},
            "object": lambda: {"explode": False, "schema": schemas.object()},
            "exploded": lambda: {"explode": True, "schema": schemas.object({f"{name}_{word}": schemas.word() for word in ("from", "to")})},
            "deep": lambda: {"style": "deepObject", "explode": True, "schema": schemas.object()},
            "nested": lambda: {
                "style": "deepObject",
                "explode": True,
                "schema": schemas.reference(schemas.object({"inner": schemas.object()})),
            },
            "range": lambda: {
                "style": "deepObject",
                "explode": True,
                "schema": {"anyOf": [self.range(), {"type": "integer", "minimum": 0, "maximum": 9}]},
            },
            "content": lambda: {"content": {"application/json": {"schema": schemas.object({"list": schemas.list()})}}},
        }[form]()
        parameter = {"name": name, "in": location, **shape}
        if location == "path":
            parameter["required"] = True
        elif self.random.random() < 0.2:
            parameter["required"] = True
        return parameter

    def range(self):
        bound = {"type": "integer", "minimum": 0, "maximum": 99}
        properties = {name: bound for name in ("gt", "gte", "lt", "lte")}
        return {"type": "object", "properties": properties, "required": ["gte"], "additionalProperties": False}
