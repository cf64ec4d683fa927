// Requests to the gateway. Each is recorded, so that the page can show its headers and its time.

import { signal } from "@preact/signals";

export interface Namespace {
  name: string;
  pattern: string;
  frontends: { name: string; path: string }[];
}

/** A request that was sent, as the page shows it. */
export interface Recorded {
  id: number;
  method: string;
  path: string;
  status: number;
  milliseconds: number;
  sent: [string, string][];
  received: [string, string][];
}

const MAX_RECORDED = 50;
let lastId = 0;

export const recorded = signal<Recorded[]>([]);

/** A refusal of the gateway. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

/** `fetch`, with an entry in the list of requests when the headers of the response are there. */
export const recordedFetch: typeof fetch = async (input, init) => {
  const began = performance.now();
  const response = await fetch(input, init);
  const url = new URL(input instanceof Request ? input.url : input, location.href);
  const entry: Recorded = {
    id: ++lastId,
    method: init?.method ?? "GET",
    path: url.origin === location.origin ? url.pathname + url.search : url.href,
    status: response.status,
    milliseconds: performance.now() - began,
    sent: [...new Headers(init?.headers)],
    received: [...response.headers],
  };
  recorded.value = [entry, ...recorded.value].slice(0, MAX_RECORDED);
  return response;
};

const request = (method: string, path: string, headers: Record<string, string>, body?: BodyInit) =>
  recordedFetch(path, { method, headers, ...(body === undefined ? {} : { body }) });

/** Returns the response, or throws what the gateway says. */
export async function expectOk(response: Response): Promise<Response> {
  if (response.ok) return response;
  const text = await response.text();
  let message = text;
  let reason = "";
  try {
    const problem = JSON.parse(text) as { detail?: string; message?: string; reason?: string };
    message = problem.detail ?? problem.message ?? text;
    reason = problem.reason ?? "";
  } catch {
    // The text is the message.
  }
  throw new Problem(response.status, reason, message || `status ${response.status}`);
}

export async function getJson<T>(path: string): Promise<T> {
  return (await expectOk(await request("GET", path, { accept: "application/json" }))).json() as Promise<T>;
}

export async function postJson<T>(path: string, body: unknown, type = "application/json"): Promise<T> {
  const headers = { "content-type": type, accept: "application/json" };
  return (await expectOk(await request("POST", path, headers, JSON.stringify(body)))).json() as Promise<T>;
}

export const namespaces = () => getJson<Namespace[]>("/_demo/namespaces.json");

/** Returns the base path of a frontend of a namespace. */
export function pathOf(namespace: Namespace, frontend: string): string | undefined {
  return namespace.frontends.find(({ name }) => name === frontend)?.path;
}

export const message = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Base64 of bytes. */
export const toBase64Bytes = (bytes: Uint8Array) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
/** Text and base64 of UTF-8. */
export const toBase64 = (text: string) => toBase64Bytes(new TextEncoder().encode(text));
export const fromBase64 = (text: string) => new TextDecoder().decode(Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)));
