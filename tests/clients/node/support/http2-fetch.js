// `fetch` over HTTP/2 without TLS. The `fetch` of Node.js supports only HTTP/1.1.

import http2 from "node:http2";
import { Readable } from "node:stream";

const sessions = new Map();

/** The connection to an origin. */
function session(origin) {
  let known = sessions.get(origin);
  if (!known || known.closed || known.destroyed) {
    known = http2.connect(origin);
    // Each request reports the error too.
    known.on("error", () => {});
    sessions.set(origin, known);
  }
  return known;
}

/** Closes all connections, so that the process can end. */
export function close() {
  for (const known of sessions.values()) known.close();
}

/** The part of the Fetch standard that the clients use. */
export async function fetch(input, init) {
  const request = new Request(input, init);
  const { origin, pathname, search } = new URL(request.url);
  const body = Buffer.from(await request.arrayBuffer());
  request.signal.throwIfAborted();
  const head = { ":method": request.method, ":path": pathname + search, ...Object.fromEntries(request.headers) };
  // Without the option, Node.js ends a GET request before its body, even if that is empty.
  const stream = session(origin).request(head, { endStream: false });
  const abort = () => {
    stream.close(http2.constants.NGHTTP2_CANCEL);
    stream.destroy(request.signal.reason);
  };
  request.signal.addEventListener("abort", abort);
  stream.once("close", () => request.signal.removeEventListener("abort", abort));
  stream.end(body);
  const headers = await new Promise((resolve, reject) => stream.once("response", resolve).once("error", reject));
  const { ":status": status, ...fields } = headers;
  return new Response(Readable.toWeb(stream), { status, headers: Object.entries(fields).map(([name, value]) => [name, String(value)]) });
}
