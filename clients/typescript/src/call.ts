import type { CallHandlers, Connection } from "./connection.js";
import type { CallFrame, Metadata } from "./frames.js";
import { whileActive } from "./retry.js";

/** What a call does with its replies. */
export interface Receiver {
  headers?(metadata: Metadata): void;
  message(message: unknown): void;
  trailers?(metadata: Metadata): void;
}

/** The request messages of a call: one, or a stream, which is not touched before the call has begun. */
export type Requests = { one: unknown } | { stream: AsyncIterable<unknown> | Iterable<unknown>; encode: (request: unknown) => unknown };

/** How to give credits to a call. */
export type Grant = (credits: number) => void;

/** Runs one call on one connection until its end. Throws its error. */
export async function run(connection: Connection, call: CallFrame, requests: Requests, receiver: Receiver, signal: AbortSignal, begun?: (grant: Grant) => void) {
  const credits = new RequestCredits(connection.welcome.requestCredits);
  let id = 0;
  const end = whileActive<void>(signal, (resolve, reject) => {
    const handlers: CallHandlers = {
      headers: (metadata) => receiver.headers?.(metadata),
      message: (message) => {
        // A reply that can't be decoded is an error of its call, not one of the event handler of the socket.
        try {
          receiver.message(message);
        } catch (error) {
          reject(error);
        }
      },
      credits: (count) => credits.add(count),
      end: (error, trailers) => {
        receiver.trailers?.(trailers);
        if (error) reject(error);
        else resolve();
      },
    };
    const isOne = "one" in requests;
    id = connection.begin(call, isOne ? requests.one : undefined, isOne, handlers);
    begun?.((count) => connection.feed(id, { credits: count }));
    if (isOne) return () => {};
    const { stream, encode } = requests;
    const source = Symbol.asyncIterator in stream ? stream[Symbol.asyncIterator]() : stream[Symbol.iterator]();
    send(connection, id, source, encode, credits).catch(reject);
    return () => {
      credits.end();
      // It may be a stream whose next message never comes.
      Promise.resolve(source.return?.()).catch(() => {});
    };
  });
  try {
    await end;
  } finally {
    // Does nothing if the call has ended.
    connection.cancel(id);
  }
}

/** Sends a stream of requests as far as there are credits. */
async function send(
  connection: Connection,
  id: number,
  source: AsyncIterator<unknown> | Iterator<unknown>,
  encode: (request: unknown) => unknown,
  credits: RequestCredits,
) {
  for (;;) {
    const next = await source.next();
    if (next.done) return connection.feed(id, { end: true });
    if (!(await credits.take())) return;
    connection.feed(id, { message: encode(next.value) });
  }
}

/** How many request messages may be sent. */
class RequestCredits {
  #wake: (() => void) | undefined;
  #hasEnded = false;

  constructor(private count: number) {}

  add(count: number) {
    this.count += count;
    this.#wake?.();
  }

  end() {
    this.#hasEnded = true;
    this.#wake?.();
  }

  /** Waits for a credit. Returns `false` if the call has ended. */
  async take(): Promise<boolean> {
    while (this.count === 0 && !this.#hasEnded) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.count -= 1;
    return !this.#hasEnded;
  }
}
