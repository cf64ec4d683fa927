// The published TypeScript client, which checks every result against the output schema of its tool: over HTTP, and over `prism mcp`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const base = process.env.PRISM_URL;
const http = (namespace) => new StreamableHTTPClientTransport(new URL(`${base}/${namespace}/mcp`));
const bridge = (namespace) =>
  new StdioClientTransport({ command: process.env.PRISM_BIN, args: ["mcp", "--namespace", namespace, "--address", base] });

async function connect(transport) {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  return client;
}

for (const [name, transport] of [["HTTP", http], ["prism mcp", bridge]]) {
  describe(`the TypeScript client over ${name}`, () => {
    let client;
    before(async () => {
      client = await connect(transport("default"));
      await client.listTools();
    });
    after(() => client.close());
    const call = (tool, args) => client.callTool({ name: tool, arguments: args });

    test("initializes", async () => {
      assert.equal(client.getServerVersion().name, "prism");
      assert.match(client.getInstructions(), /namespace `default`/);
      assert.ok(client.getServerCapabilities().tools);
      await client.ping();
    });

    test("lists tools with hints and schemas", async () => {
      const { tools } = await client.listTools();
      const byName = Object.fromEntries(tools.map((tool) => [tool.name, tool]));
      assert.equal(byName.retrieve.annotations.readOnlyHint, true);
      assert.deepEqual(
        [byName.store.annotations.readOnlyHint, byName.store.annotations.destructiveHint, byName.store.annotations.idempotentHint],
        [false, true, true],
      );
      assert.deepEqual(byName.store.inputSchema.required, ["key"]);
      assert.ok(tools.every((tool) => tool.description && tool.outputSchema && tool.title));
    });

    test("stores, retrieves and scans", async () => {
      const stored = await call("store", { key: `${name}/a`, value: "Grüße" });
      assert.ok(Number(stored.structuredContent.revision) > 0);
      await call("store", { key: `${name}/b`, value: { base64: "//4=" } });
      assert.equal((await call("retrieve", { key: `${name}/a` })).structuredContent.value, "Grüße");
      const { structuredContent } = await call("scan", { prefix: `${name}/` });
      assert.deepEqual(structuredContent.items.map((item) => item.value), ["Grüße", { base64: "//4=" }]);
      assert.equal(structuredContent.truncated, false);
    });

    test("continues a long list with its cursor", async () => {
      for (let number = 0; number < 25; number += 1) {
        await call("store", { key: `${name}-list/${String(number).padStart(2, "0")}`, value: "x" });
      }
      const keys = [];
      let cursor = "";
      let pages = 0;
      do {
        const { structuredContent: page } = await call("scan", { prefix: `${name}-list/`, keysOnly: true, cursor });
        keys.push(...page.items.map((item) => item.key));
        cursor = page.nextCursor ?? "";
        pages += 1;
      } while (cursor);
      assert.equal(keys.length, 25);
      assert.equal(new Set(keys).size, 25);
      assert.equal(pages, 3);
    });

    test("gets errors that say what to do", async () => {
      const missing = await call("retrieve", { key: `${name}/nothing` });
      assert.equal(missing.isError, true);
      assert.match(missing.content[0].text, /^NOT_FOUND \(KEY_NOT_FOUND\).*What to do: /s);
      const wrong = await call("store", { kee: "a" });
      assert.match(wrong.content[0].text, /kee/);
      await assert.rejects(call("nothing", {}), /there is no tool/);
    });

    test("lists and reads resources", async () => {
      const key = `${name}-resources/ü x`;
      await call("store", { key, value: "{}" });
      const { resourceTemplates } = await client.listResourceTemplates();
      assert.equal(resourceTemplates[0].uriTemplate, "prism://default/keys/{+key}");
      const uris = [];
      let cursor;
      do {
        const page = await client.listResources({ cursor });
        uris.push(...page.resources.filter((resource) => resource.name === key).map((resource) => resource.uri));
        cursor = page.nextCursor;
      } while (cursor);
      assert.equal(uris.length, 1);
      const { contents } = await client.readResource({ uri: uris[0] });
      assert.deepEqual(contents, [{ uri: uris[0], mimeType: "application/json", text: "{}" }]);
      await assert.rejects(client.readResource({ uri: "prism://default/keys/nothing" }), { code: -32002 });
    });

    test("calls every tool that needs no arguments", async () => {
      const { tools } = await client.listTools();
      for (const tool of tools.filter((tool) => tool.annotations.readOnlyHint && !tool.inputSchema.required)) {
        const result = await call(tool.name, {});
        assert.notEqual(result.isError, true, `${tool.name}: ${JSON.stringify(result.content)}`);
      }
    });
  });
}

test("namespaces of all patterns list tools that the client takes", async () => {
  for (const namespace of ["interfaces", "registry", "producer", "queue", "objects", "sessions"]) {
    const client = await connect(http(namespace));
    const { tools } = await client.listTools();
    assert.ok(tools.length > 2, namespace);
    const { structuredContent } = await client.callTool({ name: "get_capabilities", arguments: {} });
    assert.equal(structuredContent.capabilities.namespace, namespace);
    await client.close();
  }
});

test("the bridge says where it looked for a gateway", async () => {
  const transport = new StdioClientTransport({
    command: process.env.PRISM_BIN,
    args: ["mcp", "--namespace", "default", "--address", "127.0.0.1:1"],
  });
  await assert.rejects(connect(transport), /can't be reached at http:\/\/127\.0\.0\.1:1\/default\/mcp/);
  const unknown = new StdioClientTransport({ command: process.env.PRISM_BIN, args: ["mcp", "-n", "nothing", "--address", base] });
  await assert.rejects(connect(unknown), /404.*prism frontend list/s);
});

test("the bridge ends without an error after a cancelled request", async () => {
  const child = spawn(process.env.PRISM_BIN, ["mcp", "-n", "default", "--address", base], { stdio: ["pipe", "ignore", "inherit"] });
  const request = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "watch", arguments: { prefix: "nothing/" } } };
  const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } };
  child.stdin.end(`${JSON.stringify(request)}\n${JSON.stringify(cancelled)}\n`);
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
});

test("subjects of a schema registry are resources", async () => {
  const client = await connect(http("registry"));
  const schema = '{"type":"string"}';
  const registered = await client.callTool({ name: "register_schema", arguments: { subject: "notes/a", schema: { schemaType: "AVRO", schema } } });
  assert.notEqual(registered.isError, true, JSON.stringify(registered.content));
  const { resources } = await client.listResources();
  assert.deepEqual(resources.map((resource) => resource.uri), ["prism://registry/subjects/notes/a"]);
  const { contents } = await client.readResource({ uri: resources[0].uri });
  assert.equal(contents[0].text, '"string"');
  await client.close();
});
