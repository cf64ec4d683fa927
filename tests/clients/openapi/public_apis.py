"""Rules of the generated documents in the styles of public APIs (public/generate.py)."""

import schemathesis


def _is_generated(operation):
    return operation.schema.raw_schema["info"]["title"].startswith("The API of ")


def _is_list(operation, name):
    parameters = [parameter for parameter in operation.iter_parameters() if parameter.name == name]
    return any(parameter.definition.get("schema", {}).get("type") == "array" for parameter in parameters)


@schemathesis.hook
def filter_case(context, case):
    """Skips requests that are meant to be invalid, but are valid in a URL, in headers or in a form."""
    if not _is_generated(case.operation) or case.meta is None or case.meta.generation.mode.is_positive:
        return True
    data = case.meta.phase.data
    description = (data.description or "").lower()
    keywords = {keyword for mutation in data.mutations for keyword in mutation.keywords}
    location = (data.location or "").rsplit("/", 1)
    # Clients may send more headers and cookies than an operation has.
    where = str(getattr(data.parameter_location, "value", ""))
    if where in ("header", "cookie") and ("unexpected propert" in description or "additionalProperties" in keywords):
        return False
    if "incorrect type" in description and where in ("path", "query", "header", "cookie") and _is_list(case.operation, data.parameter):
        return False
    # A list with one item is written like its item, and an empty list is not written at all.
    in_list = location[0].endswith("/tags") and location[-1] in ("type", "minItems")
    return not (in_list or keywords and keywords <= {"type", "minItems"} and case.media_type == "application/x-www-form-urlencoded")
