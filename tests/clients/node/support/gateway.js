// The gateway under test and its metrics.

import { setTimeout as sleep } from "node:timers/promises";

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`Set ${name}; \`cargo test --test clients node::\` starts a gateway and does so.`);
  return value;
}

/** `http://HOST:PORT` of the listener. */
export const url = required("PRISM_URL");
/** `http://HOST:PORT` of the listener for operators. */
export const adminUrl = required("PRISM_ADMIN_URL");

/** Returns the value of a metric with these labels, or 0 if it does not exist yet. */
async function metric(name, labels) {
  const lines = (await (await fetch(`${adminUrl}/metrics`)).text()).split("\n");
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const line = lines.find((line) => line.startsWith(`${name}{`) && wanted.every((label) => line.includes(label)));
  return line ? Number(line.split(" ").at(-1)) : 0;
}

/** Calls of an RPC over a protocol that ended with a code, such as `CANCELLED`. */
export function ended(protocol, namespace, method, code) {
  return metric("prism_calls_total", { protocol, namespace, method, code });
}

/** Calls that have not ended. */
export function inFlight(namespace) {
  return metric("prism_calls_in_flight", { namespace });
}

/** Waits until a condition holds. The timeout allows for a busy machine. */
export async function eventually(what, holds) {
  for (const began = Date.now(); Date.now() - began < 30_000; await sleep(20)) {
    if (await holds()) return;
  }
  throw new Error(`after 30 seconds: ${what}`);
}
