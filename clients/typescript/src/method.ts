/**
 * An RPC with types. The name is `package.Service/Rpc`, or only `Rpc` where the path of the connection or the call names the namespace.
 *
 * With `prism.v1.json`, `encode` returns a value for `JSON.stringify`. With `prism.v1.proto`, it returns the bytes of the message.
 */
export interface Method<Request, Reply> {
  name: string;
  encode(request: Request): unknown;
  decode(reply: unknown): Reply;
}

/** A name stands for a method whose messages are passed on as they are: JSON, or bytes. */
export type MethodName<Request, Reply> = string | Method<Request, Reply>;

export const toMethod = <Request, Reply>(method: MethodName<Request, Reply>): Method<Request, Reply> =>
  typeof method === "string" ? { name: method, encode: (request) => request, decode: (reply) => reply as Reply } : method;

/** How a stream continues after an interruption. */
export interface Resume<Request, Reply> {
  /** The cursor of a reply, or nothing. Default: its field `cursor`, or the one of a message in it. */
  cursorOf(reply: Reply): string | undefined;
  /** The request that continues after a cursor. Default: the request with the field `cursor`. */
  continueAfter(request: Request, cursor: string): Request;
}

/** Returns how streams of a method continue, with the defaults for what is not given. */
export const toResume = <Request, Reply>(given: Partial<Resume<Request, Reply>>): Resume<Request, Reply> => ({
  cursorOf: findCursor,
  continueAfter: (request, cursor) => ({ ...request, cursor }),
  ...given,
});

function findCursor(reply: unknown): string | undefined {
  if (!isObject(reply)) return undefined;
  for (const one of [reply, ...Object.values(reply)]) {
    if (isObject(one) && typeof one["cursor"] === "string" && one["cursor"] !== "") return one["cursor"];
  }
  return undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !(value instanceof Uint8Array);
