import { type Grant, type Receiver, type Requests, run } from "./call.js";
import { Connector, type ConnectionState } from "./connector.js";
import { PrismError, aborted, cancelled, clientClosed } from "./error.js";
import { type Credentials, type Metadata, json } from "./frames.js";
import { Lifetime } from "./lifetime.js";
import { type MethodName, type Resume, toMethod, toResume } from "./method.js";
import { proto } from "./proto.js";
import { DEFAULT_RETRY, type Retry, backoff, isRefused, isTransient, needsCredentials, sleep } from "./retry.js";
import { ReplyStream } from "./stream.js";

export interface ClientOptions {
  /** Where to connect: `ws://localhost:8980/default/websocket` for one namespace, `ws://localhost:8980/websocket` for all. */
  url: string | URL;
  /** The form of messages: JSON (default), or bytes of Protocol Buffers. */
  protocol?: "json" | "proto";
  /** Who calls. A function is asked for each connection, and when the credentials are no longer valid. */
  credentials?: Credentials | (() => Credentials | Promise<Credentials>);
  retry?: Partial<Retry>;
  /** The WebSocket to use where there is no global one: in Node.js before 22, that of the package `ws`. */
  WebSocket?: unknown;
  /** Is told how the connection is. */
  onState?: (state: ConnectionState, error?: PrismError) => void;
}

export interface CallOptions {
  /** Default: that of the path of the connection. */
  namespace?: string;
  /** Headers of the call, such as `idempotency-key`. */
  metadata?: Metadata;
  /** The deadline, with the time for connections. */
  timeoutMs?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
}

export interface UnaryOptions extends CallOptions {
  /** The call may be repeated when nobody knows whether it has happened. */
  isIdempotent?: boolean;
  /** Takes the metadata of the reply: that before its message, and that after it. */
  onMetadata?: (headers: Metadata, trailers: Metadata) => void;
}

export interface DuplexOptions extends CallOptions {
  /** How many replies may wait to be read. Default: 32. */
  window?: number;
}

export interface StreamOptions<Request, Reply> extends DuplexOptions {
  /** How the stream continues after interruptions; `false`: an interruption ends it with an error. */
  resume?: false | Partial<Resume<Request, Reply>>;
}

const DEFAULT_WINDOW = 32;

/** Calls over one WebSocket connection, which is made when the first call needs it, and again when it was lost. */
export class PrismClient {
  readonly #retry: Retry;
  readonly #connector: Connector;
  readonly #closing = new AbortController();
  /** Those of the open calls. A signal with a listener for each call would be taken for a leak. */
  readonly #lifetimes = new Set<Lifetime>();

  constructor(options: ClientOptions) {
    this.#retry = { ...DEFAULT_RETRY, ...options.retry };
    const { url, WebSocket: given, credentials, onState } = options;
    this.#connector = new Connector({
      url: new URL(url),
      codec: options.protocol === "proto" ? proto : json,
      socket: (given ?? globalThis.WebSocket) as typeof WebSocket,
      retry: this.#retry,
      credentials,
      onState: onState ?? (() => {}),
      signal: this.#closing.signal,
    });
  }

  /** Calls an RPC with one request and one reply. */
  unary<Request, Reply>(method: MethodName<Request, Reply>, request: Request, options: UnaryOptions = {}): Promise<Reply> {
    const { encode } = toMethod(method);
    const mayRepeat = (error: PrismError) => isRefused(error) || (options.isIdempotent === true && isTransient(error));
    return this.#replyOf(method, () => ({ one: encode(request) }), options, mayRepeat, () => true);
  }

  /** Calls an RPC with a stream of requests and one reply. */
  upload<Request, Reply>(method: MethodName<Request, Reply>, requests: AsyncIterable<Request> | Iterable<Request>, options: UnaryOptions = {}): Promise<Reply> {
    const { encode } = toMethod(method);
    // Other iterables may give each request only once.
    const canBeReadAgain = () => Array.isArray(requests);
    return this.#replyOf(method, () => toRequests(requests, encode), options, () => false, canBeReadAgain);
  }

  /** Calls an RPC with one request and a stream of replies. After an interruption, the stream continues after the last reply that has come. */
  stream<Request, Reply>(method: MethodName<Request, Reply>, request: Request, options: StreamOptions<Request, Reply> = {}): ReplyStream<Reply> {
    const { name, encode, decode } = toMethod(method);
    const resume = options.resume === false ? undefined : toResume(options.resume ?? {});
    let hasReplies = false;
    let last: string | undefined;
    return this.#replies(options, async (stream, lifetime) => {
      const attempt = async (progress: () => void) => {
        const next = resume && last !== undefined ? resume.continueAfter(request, last) : request;
        const began = performance.now();
        try {
          await this.#attach(stream, { name, options, lifetime }, { one: encode(next) }, (message) => {
            progress();
            const reply = decode(message);
            const cursor = resume?.cursorOf(reply);
            hasReplies = true;
            last = cursor ?? last;
            stream.add(reply, cursor);
          });
        } finally {
          // A quiet stream has no replies, and may be interrupted as often as others.
          if (performance.now() - began > this.#retry.maxMs) progress();
        }
      };
      // Without a cursor, a stream that had replies would begin anew.
      const canContinue = () => !hasReplies || last !== undefined;
      await this.#attempts(lifetime, (error) => resume !== undefined && canContinue() && isTransient(error), canContinue, attempt);
    });
  }

  /** Calls an RPC with streams in both directions. */
  duplex<Request, Reply>(
    method: MethodName<Request, Reply>,
    requests: AsyncIterable<Request> | Iterable<Request>,
    options: DuplexOptions = {},
  ): ReplyStream<Reply> {
    const { name, encode, decode } = toMethod(method);
    return this.#replies(options, (stream, lifetime) => {
      const attempt = () =>
        this.#attach(stream, { name, options, lifetime }, toRequests(requests, encode), (message) => stream.add(decode(message), undefined));
      // Only one attempt, but it asks for new credentials, which the next call needs.
      return this.#attempts(lifetime, () => false, () => false, attempt);
    });
  }

  /** Replaces the credentials of further calls. */
  async authenticate(credentials: Credentials): Promise<void> {
    await this.#connector.authenticate(credentials);
  }

  /** Ends the connection and its calls. */
  close(): void {
    this.#closing.abort(clientClosed());
    this.#connector.close();
    for (const lifetime of this.#lifetimes) lifetime.abort(clientClosed());
  }

  async #replyOf<Request, Reply>(
    method: MethodName<Request, Reply>,
    requests: () => Requests,
    options: UnaryOptions,
    mayRepeat: (error: PrismError) => boolean,
    mayAuthenticate: () => boolean,
  ): Promise<Reply> {
    const { name, decode } = toMethod(method);
    const lifetime = this.#begin(options);
    let reply: { message: unknown } | undefined;
    let headers: Metadata = {};
    let trailers: Metadata = {};
    const receiver: Receiver = {
      headers: (metadata) => (headers = metadata),
      message: (message) => (reply = { message }),
      trailers: (metadata) => (trailers = metadata),
    };
    try {
      await this.#attempts(lifetime, mayRepeat, mayAuthenticate, () => this.#run({ name, options, lifetime }, requests(), receiver));
    } finally {
      this.#end(lifetime);
    }
    if (!reply) throw new PrismError("INTERNAL", "NO_REPLY", `${name} has ended without a reply`);
    options.onMetadata?.(headers, trailers);
    return decode(reply.message);
  }

  #replies<Reply>(options: DuplexOptions, work: (stream: ReplyStream<Reply>, lifetime: Lifetime) => Promise<void>): ReplyStream<Reply> {
    const lifetime = this.#begin(options);
    const stream = new ReplyStream<Reply>(Math.max(1, options.window ?? DEFAULT_WINDOW), () => lifetime.abort(cancelled()));
    work(stream, lifetime)
      .then(
        () => stream.finish(undefined),
        (error: PrismError) => stream.finish(error),
      )
      .finally(() => this.#end(lifetime));
    return stream;
  }

  #begin({ timeoutMs, signal }: CallOptions): Lifetime {
    const lifetime = new Lifetime(timeoutMs, signal);
    this.#lifetimes.add(lifetime);
    return lifetime;
  }

  #end(lifetime: Lifetime) {
    this.#lifetimes.delete(lifetime);
    lifetime.end();
  }

  /** Runs a call whose replies belong to a stream. */
  async #attach<Reply>(stream: ReplyStream<Reply>, call: Call, requests: Requests, message: (message: unknown) => void): Promise<void> {
    let grant: Grant = () => {};
    const receiver: Receiver = {
      headers: (metadata) => (stream.headers = metadata),
      message,
      trailers: (metadata) => (stream.trailers = metadata),
    };
    try {
      const credits = () => stream.attach((count) => grant(count));
      await this.#run(call, requests, receiver, credits, (given) => (grant = given));
    } finally {
      stream.detach();
    }
  }

  async #run({ name, options, lifetime }: Call, requests: Requests, receiver: Receiver, credits?: () => number, begun?: (grant: Grant) => void) {
    const connection = await this.#connector.connection(lifetime.signal);
    const { namespace, metadata } = options;
    const { timeoutMs } = lifetime;
    const call = {
      method: name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(metadata === undefined ? {} : { metadata }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(credits === undefined ? {} : { credits: credits() }),
    };
    const counted: Receiver = {
      ...receiver,
      message: (message) => {
        this.#connector.succeeded();
        receiver.message(message);
      },
    };
    await run(connection, call, requests, counted, lifetime.signal, begun);
  }

  /** Repeats a call after errors that allow it. `mayAuthenticate` tells whether it may be repeated with new credentials. */
  async #attempts(
    lifetime: Lifetime,
    mayRepeat: (error: PrismError) => boolean,
    mayAuthenticate: () => boolean,
    attempt: (progress: () => void) => Promise<void>,
  ): Promise<void> {
    let failures = 0;
    let hasNewCredentials = false;
    const progress = () => {
      failures = 0;
      hasNewCredentials = false;
    };
    for (;;) {
      try {
        return await attempt(progress);
      } catch (error) {
        if (lifetime.signal.aborted) throw aborted(lifetime.signal);
        if (!(error instanceof PrismError)) throw error;
        if (needsCredentials(error) && !hasNewCredentials && (await this.#connector.renewCredentials()) && mayAuthenticate()) {
          hasNewCredentials = true;
          continue;
        }
        failures += 1;
        if (!mayRepeat(error) || failures >= this.#retry.maxAttempts) throw error;
        await sleep(error.retryAfterMs ?? backoff(this.#retry, failures), lifetime.signal);
      }
    }
  }
}

interface Call {
  name: string;
  options: CallOptions;
  lifetime: Lifetime;
}

/** A stream of requests. */
function toRequests<Request>(requests: AsyncIterable<Request> | Iterable<Request>, encode: (request: Request) => unknown): Requests {
  return { stream: requests, encode: encode as (request: unknown) => unknown };
}
