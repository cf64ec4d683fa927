// Helper functions of the suites: the URL of the registry, and new names.

import { randomBytes } from "node:crypto";
import assert from "node:assert/strict";

/** The URL of the registry, without a slash at its end. */
export const url = process.env.REGISTRY_URL;
if (!url) {
  throw new Error("REGISTRY_URL is not set");
}

/** Returns a new name. */
export function unique() {
  return `t-${randomBytes(6).toString("hex")}`;
}

/** The text of an Avro record. */
export function record(fields, name = "Order") {
  return JSON.stringify({ type: "record", name, fields });
}

export const ID = { name: "id", type: "long" };
export const NOTE = { name: "note", type: "string", default: "none" };
export const MUST = { name: "must", type: "string" };

/** Returns the id after the magic byte. */
export function schemaId(data) {
  assert.equal(data[0], 0);
  return data.readInt32BE(1);
}
