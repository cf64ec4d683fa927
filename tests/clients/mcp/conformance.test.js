// The server scenarios of the official suite that apply: those that ask for no tools, resources or prompts of a demonstration server.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const SCENARIOS = {
  "2025-06-18": ["server-initialize", "ping", "tools-list", "resources-list"],
  "2025-11-25": ["server-initialize", "ping", "tools-list", "resources-list", "dns-rebinding-protection"],
  "2026-07-28": [
    "server-stateless",
    "tools-list",
    "resources-list",
    "sep-2164-resource-not-found",
    "dns-rebinding-protection",
    "caching",
    "http-header-validation",
  ],
};

// Checks that call tools of the demonstration server, or list prompts, which Prism does not have.
const NOT_APPLICABLE = [
  "sep-2575-server-rejects-undeclared-capability",
  "sep-2575-missing-capability-http-400",
  "sep-2575-http-server-no-independent-requests-on-stream",
  "sep-2575-server-no-log-without-loglevel",
  "sep-2549-prompts-list-caching-hints",
];

const run = promisify(execFile);

for (const [revision, scenarios] of Object.entries(SCENARIOS)) {
  for (const scenario of scenarios) {
    test(`${scenario} (${revision})`, async () => {
      const folder = await mkdtemp(join(tmpdir(), "prism-mcp-"));
      const args = ["server", "--url", `${process.env.PRISM_URL}/default/mcp`, "--scenario", scenario, "--spec-version", revision, "-o", folder];
      const report = await run("node_modules/.bin/conformance", args).catch((failed) => failed);
      const [results] = await readdir(folder);
      assert.ok(results, `${report.stdout}${report.stderr}`);
      const checks = JSON.parse(await readFile(join(folder, results, "checks.json"), "utf8"));
      await rm(folder, { recursive: true });
      const applicable = checks.filter((check) => !NOT_APPLICABLE.includes(check.id));
      assert.ok(applicable.some((check) => check.status === "SUCCESS"), JSON.stringify(checks));
      assert.deepEqual(applicable.filter((check) => check.status === "FAILURE" || check.status === "WARNING"), []);
    });
  }
}
