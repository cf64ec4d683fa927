"""Asks protoc about files: one JSON object a line with `name`, `text` and `imports`. Prints the names of those that it accepts, a line each.

A file is refused if protoc ends with an error. Each runs in a process of its own, because protoc can abort.
"""

import json
import os
import sys
import tempfile

import grpc_tools
from grpc_tools import protoc

INCLUDED = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")


def accepts(text, imports):
    with tempfile.TemporaryDirectory() as folder:
        for path, content in {**imports, "schema.proto": text}.items():
            with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
                file.write(content)
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            arguments = ["protoc", f"-I{folder}", f"-I{INCLUDED}", f"--descriptor_set_out={os.devnull}"]
            os._exit(protoc.main([*arguments, os.path.join(folder, "schema.proto")]))
        return os.waitpid(child, 0)[1] == 0


for line in sys.stdin:
    case = json.loads(line)
    if accepts(case["text"], case.get("imports", {})):
        print(json.dumps(case["name"]))
