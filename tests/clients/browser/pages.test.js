// Every page that `prism serve` shows, in both themes and with the width of a phone. Set PRISM_SCREENSHOTS to a folder to look at them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";

import { chromium } from "playwright-core";

import { Proxy } from "./proxy.js";

const url = process.env.PRISM_URL;
/** A gateway whose policy forbids watches. */
const otherUrl = process.env.PRISM_OTHER_URL;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const MAX_SCRIPT_BYTES = 150 * 1024;
/** The protocols of the page of streams. */
const READERS = ["Server-sent events", "WebSocket", "GraphQL", "Connect", "gRPC-Web"];

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
});
after(() => browser?.close());

/** Opens the pages until the end of a test, and collects failures of scripts. The policy of the pages would forbid the checks. */
async function open(scheme, test, at = url) {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width: 1200, height: 900 }, bypassCSP: true });
  test.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const failures = [];
  page.on("pageerror", (error) => failures.push(error.message));
  await page.goto(`${at}/`);
  return { page, failures };
}

/** Checks what people with screen readers or a keyboard need. */
async function check(page, name) {
  if (process.env.PRISM_SCREENSHOTS) await page.screenshot({ path: join(process.env.PRISM_SCREENSHOTS, `${name}.png`) });
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], name);
}

const field = (page, name) => page.getByRole("textbox", { name, exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const goTo = (page, name) => page.getByRole("link", { name, exact: true }).click();
const shows = (page, text) => page.getByText(text).first().waitFor();

/** Waits until each reader has received as many records, none of them twice. */
async function received(page, count) {
  const numbers = () => page.$$eval(".reader", (readers) => readers.map((reader) => [...reader.querySelectorAll("dd")].map((one) => Number(one.textContent))));
  for (const began = Date.now(); Date.now() - began < 30_000; await page.waitForTimeout(20)) {
    if ((await numbers()).every(([records, , duplicates]) => records === count && duplicates === 0)) return;
  }
  assert.fail(JSON.stringify(await numbers()));
}

for (const scheme of ["light", "dark"]) {
  describe(scheme, () => {
    test("namespaces", async (t) => {
      const { page, failures } = await open(scheme, t);
      await page.getByRole("rowheader", { name: "Store", exact: true }).waitFor();
      await check(page, `namespaces-${scheme}`);
      assert.equal(await page.getByRole("link", { name: "API documentation" }).count(), 4);
      assert.equal(await page.getByRole("link", { name: "GraphiQL" }).count(), 4);
      assert.deepEqual(failures, []);
    });

    test("values", async (t) => {
      const { page, failures } = await open(scheme, t);
      await goTo(page, "Values");
      const key = `a/${scheme} key`;
      await field(page, "Key").fill(key);
      await field(page, "Text").fill("one");
      await page.getByRole("spinbutton").fill("600");
      await page.keyboard.press("Enter");
      await shows(page, "Stored as revision");
      await page.getByRole("button", { name: /expires/ }).waitFor();
      // Somebody else writes in between.
      await page.evaluate(async (path) => fetch(path, { method: "PUT", body: "theirs" }), `/default/v1/values/a/${scheme}%20key`);
      await field(page, "Text").fill("mine");
      await page.getByRole("button", { name: /^Save/ }).click();
      await shows(page, "Somebody else has changed this value");
      await check(page, `values-${scheme}`);
      await button(page, "Take this").click();
      assert.equal(await field(page, "Text").inputValue(), "theirs");
      await page.getByRole("button", { name: /^Save/ }).click();
      await shows(page, "Stored as revision");
      await button(page, "Remove").click();
      await shows(page, "Removed");
      assert.deepEqual(failures, []);
    });

    test("values that others change", async (t) => {
      const proxy = await Proxy.start(url);
      t.after(() => proxy.close());
      const { page, failures } = await open(scheme, t, proxy.url);
      const scans = [];
      page.on("request", (request) => request.url().endsWith("/Scan") && scans.push(request));
      await goTo(page, "Values");
      await field(page, "Prefix").fill(`live-${scheme}/`);
      await shows(page, "No keys");
      await shows(page, "Changes of others: live");
      const row = (key, text) => page.getByRole("button", { name: new RegExp(`^live-${scheme}/${key} revision \\d+.*${text}`) });
      const store = (key, text) => fetch(`${url}/default/v1/values/live-${scheme}/${key}`, { method: "PUT", body: text });
      const remove = (key) => fetch(`${url}/default/v1/values/live-${scheme}/${key}`, { method: "DELETE" });
      await store("b", "one");
      await row("b", "new").waitFor();
      await store("a", "one");
      await row("a", "new").waitFor();
      assert.deepEqual(await page.$$eval(".list code", (keys) => keys.map((one) => one.textContent.split("/")[1])), ["a", "b"]);
      await row("b", "").click();
      await store("b", "two");
      await row("b", "changed").waitFor();
      await shows(page, "Somebody else has just changed this value.");
      await check(page, `values-live-${scheme}`);
      await button(page, "Take this").click();
      assert.equal(await field(page, "Text").inputValue(), "two");
      await remove("a");
      await row("a", "").waitFor({ state: "detached" });

      // What happens while the connection is lost is not missing afterwards, and nothing is read twice.
      const loaded = scans.length;
      proxy.cut();
      await shows(page, "Changes of others: reconnecting");
      await check(page, `values-reconnecting-${scheme}`);
      await remove("b");
      await store("c", "three");
      proxy.mend();
      await shows(page, "Changes of others: live");
      await row("c", "new").waitFor();
      await row("b", "").waitFor({ state: "detached" });
      await shows(page, "(removed)");
      assert.equal(scans.length, loaded, "the watch continues after its cursor");
      assert.deepEqual(failures, []);
    });

    test("values that can't be watched", async (t) => {
      const { page, failures } = await open(scheme, t, otherUrl);
      await goTo(page, "Values");
      await shows(page, "Changes of others: failed");
      await field(page, "Key").fill(`own-${scheme}`);
      await field(page, "Text").fill("one");
      await page.getByRole("button", { name: /^Save/ }).click();
      await page.getByRole("button", { name: new RegExp(`^own-${scheme} revision`) }).waitFor();
      await fetch(`${otherUrl}/quiet/v1/values/theirs-${scheme}`, { method: "PUT", body: "theirs" });
      await button(page, "Refresh").click();
      await page.getByRole("button", { name: new RegExp(`^theirs-${scheme} revision`) }).waitFor();
      await check(page, `values-unwatched-${scheme}`);
      assert.deepEqual(failures, []);
    });

    test("streams", async (t) => {
      const { page, failures } = await open(scheme, t);
      await goTo(page, "Streams");
      const each = async (action) => {
        for (const reader of READERS) await button(page, `${action} ${reader}`).click();
      };
      const publish = async (count) => {
        for (let index = 0; index < count; index++) await button(page, "Publish").click();
      };
      await page.waitForFunction(
        (count) => [...document.querySelectorAll(".reader [role=status]")].filter((one) => one.textContent.includes("live")).length === count,
        READERS.length,
      );
      await publish(3);
      await received(page, 3);
      await each("Pause");
      await publish(40);
      await check(page, `streams-paused-${scheme}`);
      await each("Continue");
      await received(page, 43);
      await each("Disconnect");
      await publish(5);
      await each("Resume");
      await received(page, 48);
      await check(page, `streams-${scheme}`);
      assert.deepEqual(failures, []);
    });

    test("schemas", async (t) => {
      const { page, failures } = await open(scheme, t);
      await goTo(page, "Schemas");
      const schema = (...fields) => field(page, "Schema (Avro)").fill(JSON.stringify({ type: "record", name: "Order", fields }));
      await field(page, "Subject").fill(`orders-${scheme}`);
      await button(page, "Register").click();
      await shows(page, "Registered with the id");
      await schema({ name: "id", type: "string" }, { name: "note", type: "string", default: "" });
      await button(page, "Check compatibility").click();
      await shows(page, "Compatible with the latest version");
      await button(page, "Register").click();
      await page.locator(".diff .added").first().waitFor();
      await schema({ name: "id", type: "int" });
      await button(page, "Check compatibility").click();
      await shows(page, "Not compatible");
      await check(page, `schemas-${scheme}`);
      await page.locator("footer summary").first().click();
      await page.setViewportSize({ width: 390, height: 800 });
      await check(page, `phone-${scheme}`);
      assert.deepEqual(failures, []);
    });
  });
}

test("the keyboard is enough", async (t) => {
  const { page } = await open("light", t);
  await page.getByRole("link", { name: "Values", exact: true }).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
});

test("the script is small, nothing is loaded from elsewhere, and files have tags", async () => {
  const script = await fetch(`${url}/_demo/app.js`, { headers: { "accept-encoding": "identity" } });
  assert.ok(gzipSync(await script.text()).length <= MAX_SCRIPT_BYTES);
  const page = await fetch(`${url}/`);
  assert.match(page.headers.get("content-security-policy"), /default-src 'self'/);
  assert.doesNotMatch(await page.text(), /(src|href)="https?:/);
  const again = await fetch(`${url}/_demo/app.js`, { headers: { "accept-encoding": "identity", "if-none-match": script.headers.get("etag") } });
  assert.equal(again.status, 304);
});
