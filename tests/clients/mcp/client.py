"""The published Python client, against a gateway whose URL is in PRISM_URL: with the newest revision, with `initialize`, and over `prism mcp`."""

import asyncio
import os

from mcp import Client, StdioServerParameters

BASE = os.environ["PRISM_URL"]
BRIDGE = StdioServerParameters(command=os.environ["PRISM_BIN"], args=["mcp", "--namespace", "default", "--address", BASE])
CASES = [
    ("auto", f"{BASE}/default/mcp", "auto", "2026-07-28"),
    ("initialize", f"{BASE}/default/mcp", "legacy", "2025-11-25"),
    ("bridge", BRIDGE, "auto", "2026-07-28"),
    ("bridge-initialize", BRIDGE, "legacy", "2025-11-25"),
]


async def check(name, server, mode, revision):
    async with Client(server, mode=mode) as client:
        assert client.protocol_version == revision, client.protocol_version
        assert "namespace `default`" in client.instructions
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools["retrieve"].annotations.read_only_hint is True, tools["retrieve"]
        assert "transact" in tools and tools["store"].input_schema["required"] == ["key"]
        key = f"python/{name}"
        stored = await client.call_tool("store", {"key": key, "value": "Grüße"})
        assert stored.structured_content["revision"], stored
        found = await client.call_tool("retrieve", {"key": key})
        assert found.structured_content["value"] == "Grüße", found
        scanned = await client.call_tool("scan", {"prefix": key})
        assert [item["key"] for item in scanned.structured_content["items"]] == [key], scanned
        uris = [str(resource.uri) for resource in (await client.list_resources()).resources if resource.name == key]
        assert uris == [f"prism://default/keys/{key}"], uris
        content = (await client.read_resource(uris[0])).contents[0]
        assert content.text == "Grüße", content
        missing = await client.call_tool("retrieve", {"key": "python/nothing"})
        assert missing.is_error and "What to do: " in missing.content[0].text, missing


async def main():
    for case in CASES:
        await check(*case)
        print("passed", case[0])


asyncio.run(main())
