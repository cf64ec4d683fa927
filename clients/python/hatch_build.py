"""Compiles the contracts of the patterns into messages, and a typed client for each service.

Runs when the package is built. `python hatch_build.py` does the same in the source tree, for editors and type checkers.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodOptions,
    ServiceDescriptorProto,
)
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
PROTO = ROOT / "../../proto"
SOURCES = ROOT / "src"
PACKAGE = SOURCES / "prism_client"
# The folder of the messages. They keep the names of their contracts, and their files get names of this package: other packages may have
# files with the original names, and Python loads only one file of a name.
CONTRACTS = "prism_client/contracts"

# The patterns that have a client.
PATTERNS = ["consumer", "event_sourcing", "keyvalue", "multicast_registry", "object_store", "producer", "session_store", "work_queue"]

EFFECTS = {MethodOptions.NO_SIDE_EFFECTS: "READS", MethodOptions.IDEMPOTENT: "IDEMPOTENT"}


class ContractsHook(BuildHookInterface[Any]):
    """Generates before a build. A source distribution has the generated files, and not the contracts."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if PROTO.exists():
            generate()


def generate() -> None:
    """Replaces all generated files."""
    described = describe()
    # The messages of options annotate the contracts only.
    described.DiscardUnknownFields()
    patterns = [file for file in described.file if file.package.startswith("prism.patterns.")]
    shutil.rmtree(SOURCES / CONTRACTS, ignore_errors=True)
    compile_messages(described, patterns)
    for module in PACKAGE.glob("[!_]*.py"):
        module.unlink()
    for file in patterns:
        for index, service in enumerate(file.service):
            name = Path(file.name).stem
            (PACKAGE / f"{name}.py").write_text("".join(f"{line}\n" for line in client(file, index, service)), encoding="utf-8")


def run_protoc(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        raise RuntimeError("protoc has failed; its messages are above")


def describe() -> FileDescriptorSet:
    """Compiles the contracts with their comments."""
    with tempfile.TemporaryDirectory() as folder, as_file(files("grpc_tools") / "_proto") as common:
        output = Path(folder) / "contracts.pb"
        contracts = [f"prism/patterns/{name}/v1/{name}.proto" for name in PATTERNS]
        run_protoc(f"-I{PROTO}", f"-I{common}", "--include_imports", "--include_source_info", f"--descriptor_set_out={output}", *contracts)
        return FileDescriptorSet.FromString(output.read_bytes())


def compile_messages(described: FileDescriptorSet, contracts: Iterable[FileDescriptorProto]) -> None:
    """Writes the modules of the messages."""
    renamed = FileDescriptorSet(file=(file for file in described.file if file.package == "google.protobuf"))
    names = []
    for contract in contracts:
        file = renamed.file.add()
        file.CopyFrom(contract)
        file.name = f"{CONTRACTS}/{contract.name}"
        names.append(file.name)
        imports = [name for name in contract.dependency if not name.startswith(("google/api/", "prism/options/"))]
        file.dependency[:] = [f"{CONTRACTS}/{name}" if name.startswith("prism/") else name for name in imports]
    with tempfile.TemporaryDirectory() as folder:
        input = Path(folder) / "contracts.pb"
        input.write_bytes(renamed.SerializeToString())
        run_protoc(f"--descriptor_set_in={input}", f"--python_out={SOURCES}", f"--pyi_out={SOURCES}", *names)


def client(file: FileDescriptorProto, index: int, service: ServiceDescriptorProto) -> Iterator[str]:
    """Writes the module of a pattern: the messages, and a client of its service."""
    comments = {tuple(location.path): location.leading_comments for location in file.source_code_info.location}
    messages = {message.name: message for message in file.message_type}
    pattern = file.package.split(".")[2].replace("_", "-")
    name = f"{service.name.removesuffix('Service')}Client"
    exported = sorted([*messages, *(enum.name for enum in file.enum_type)])
    yield f'"""The client of the pattern `{pattern}` and its messages. Generated from `proto/{file.name}`."""'
    yield ""
    yield "from collections.abc import AsyncIterable, Iterable"
    yield ""
    yield "from ._client import PatternClient"
    yield "from ._replies import Replies"
    yield "from ._rpc import Effect, Rpc"
    yield f"from .contracts.{file.name.removesuffix('.proto').replace('/', '.')}_pb2 import ("
    yield from (f"    {message}," for message in exported)
    yield ")"
    yield ""
    yield f"__all__ = [{', '.join(repr(each) for each in [name, *exported])}]"
    yield ""
    for method in service.method:
        request, reply = local(method.input_type), local(method.output_type)
        yield f"_{snake_case(method.name).upper()} = Rpc("
        yield f'    path="/{file.package}.{service.name}/{method.name}",'
        yield f'    name="{method.name}",'
        yield f"    effect=Effect.{EFFECTS.get(method.options.idempotency_level, 'WRITES')},"
        yield f"    request={request},"
        yield f"    reply={reply},"
        yield f"    resumes={is_resumable(messages[request], messages[reply])},"
        yield ")"
    yield ""
    yield ""
    yield f"class {name}(PatternClient):"
    yield from docstring(comments.get((6, index), ""), "    ")
    yield ""
    yield f'    _pattern = "{pattern}"'
    yield "    _get_capabilities = _GET_CAPABILITIES"
    for position, method in enumerate(service.method):
        if method.name == "GetCapabilities":
            continue
        request, reply, rpc = local(method.input_type), local(method.output_type), f"_{snake_case(method.name).upper()}"
        requests = f"requests: AsyncIterable[{request}] | Iterable[{request}]"
        yield ""
        match method.client_streaming, method.server_streaming:
            case False, False:
                yield f"    async def {snake_case(method.name)}(self, request: {request}) -> {reply}:"
                body = f"return await self._caller.unary({rpc}, request)"
            case False, True:
                yield f"    def {snake_case(method.name)}(self, request: {request}) -> Replies[{reply}]:"
                body = f"return self._caller.replies({rpc}, request)"
            case True, False:
                yield f"    async def {snake_case(method.name)}(self, {requests}) -> {reply}:"
                body = f"return await self._caller.upload({rpc}, requests)"
            case _:
                yield f"    def {snake_case(method.name)}(self, {requests}) -> Replies[{reply}]:"
                body = f"return self._caller.duplex({rpc}, requests)"
        yield from docstring(comments.get((6, index, 2, position), ""), "        ")
        yield f"        {body}"


def is_resumable(request: DescriptorProto, reply: DescriptorProto) -> bool:
    """Whether a stream can continue: the reply names a cursor, and the request accepts it."""
    return all(
        any(field.name == "cursor" and field.type == FieldDescriptorProto.TYPE_STRING for field in message.field)
        for message in (request, reply)
    )


def local(type_name: str) -> str:
    return type_name.rsplit(".", 1)[-1]


def snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def docstring(comment: str, indent: str) -> Iterator[str]:
    text = comment.replace("\\", "\\\\").replace('"""', "'''").rstrip()
    lines = [line.removeprefix(" ").rstrip() for line in text.splitlines()]
    if not lines:
        return
    if len(lines) == 1 and not lines[0].endswith('"'):
        yield f'{indent}"""{lines[0]}"""'
        return
    yield f'{indent}"""{lines[0]}'
    yield from (f"{indent}{line}" if line else "" for line in lines[1:])
    yield f'{indent}"""'


if __name__ == "__main__":
    generate()
