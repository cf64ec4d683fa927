import { PrismError, Reason, connectionLost, protocolViolation } from "./error.js";
import type { CallFrame, ClientFrame, Codec, Credentials, GoAway, Metadata, ServerFrame, Welcome } from "./frames.js";

/** What a call is told. */
export interface CallHandlers {
  headers(metadata: Metadata): void;
  message(message: unknown): void;
  /** The gateway takes further request messages. */
  credits(count: number): void;
  /** The call has ended. Nothing follows. */
  end(error: PrismError | undefined, trailers: Metadata): void;
}

/** What the owner of a connection is told. */
export interface ConnectionHandlers {
  goAway(connection: Connection, goAway: GoAway): void;
  /** The connection has ended, and so have its calls. */
  closed(connection: Connection, error: PrismError): void;
}

const CONNECT_TIMEOUT_MS = 10_000;
const MAX_ID = 2 ** 32 - 1;

/** The connection was closed because the client violated the protocol. */
const VIOLATIONS = [1002, 1007, 4400, 4409];
const FRAME_TOO_LARGE = 1009;

/** One WebSocket connection, and its open calls. */
export class Connection {
  readonly #calls = new Map<number, CallHandlers>();
  #lastId = 0;
  /** Why it has ended. */
  #ended: PrismError | undefined;
  /** Set when the gateway takes no further calls. */
  isDraining = false;

  private constructor(
    readonly welcome: Welcome,
    private readonly socket: WebSocket,
    private readonly codec: Codec,
    private readonly handlers: ConnectionHandlers,
  ) {
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#end(closed(code, reason));
    socket.onerror = () => {};
  }

  /** Waits for the welcome of the gateway. */
  static open(socket: WebSocket, codec: Codec, handlers: ConnectionHandlers, signal: AbortSignal): Promise<Connection> {
    socket.binaryType = "arraybuffer";
    return new Promise((resolve, reject) => {
      const fail = (error: PrismError) => {
        settle();
        socket.close();
        reject(error);
      };
      const abort = () => fail(connectionLost("the client was closed"));
      const timer = setTimeout(() => fail(connectionLost("the gateway did not answer")), CONNECT_TIMEOUT_MS);
      const settle = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      };
      signal.addEventListener("abort", abort);
      // A socket always ends with `close`, which says more.
      socket.onerror = () => {};
      socket.onclose = ({ code, reason }) => fail(closed(code, reason));
      socket.onmessage = ({ data }) => {
        let frame: ServerFrame;
        try {
          frame = codec.decode(data);
        } catch (error) {
          return fail(protocolViolation(String(error)));
        }
        if (!frame.welcome) return fail(protocolViolation("the first frame of the gateway is no welcome"));
        settle();
        resolve(new Connection(frame.welcome, socket, codec, handlers));
      };
    });
  }

  /** Tells whether new calls may begin. */
  get isUsable(): boolean {
    return this.#ended === undefined && !this.isDraining;
  }

  /** Begins a call, and returns its id. Throws if it can't be sent. */
  begin(call: CallFrame, message: unknown, end: boolean, handlers: CallHandlers): number {
    if (this.#ended) throw this.#ended;
    if (this.#calls.size >= this.welcome.maxCalls) {
      throw new PrismError("RESOURCE_EXHAUSTED", Reason.tooManyCalls, `${this.welcome.maxCalls} calls are open, the limit of a connection; end one`);
    }
    const id = this.#newId();
    this.#send({ id, call, ...(message === undefined ? {} : { message }), ...(end ? { end } : {}) });
    this.#calls.set(id, handlers);
    return id;
  }

  /** Sends a frame of an open call. */
  feed(id: number, frame: { message?: unknown; end?: boolean; credits?: number }) {
    if (this.#calls.has(id)) this.#send({ id, ...frame });
  }

  /** Ends a call without a word to its handlers. */
  cancel(id: number) {
    if (this.#calls.delete(id)) this.#send({ id, cancel: true });
  }

  /** Replaces the credentials of further calls. */
  authenticate(credentials: Credentials) {
    if (!this.#ended) this.#send({ id: 0, authenticate: credentials });
  }

  close() {
    this.socket.close(1000);
    this.#end(connectionLost("the client has closed it"));
  }

  #newId(): number {
    do {
      this.#lastId = this.#lastId >= MAX_ID ? 1 : this.#lastId + 1;
    } while (this.#calls.has(this.#lastId));
    return this.#lastId;
  }

  #send(frame: ClientFrame) {
    const data = this.codec.encode(frame);
    const limit = this.welcome.maxFrameBytes;
    if (byteLength(data, limit) > limit) {
      throw new PrismError("INVALID_ARGUMENT", Reason.messageTooLarge, `the message does not fit into a frame, which has at most ${limit} bytes`);
    }
    this.socket.send(data);
  }

  #receive(data: unknown) {
    let frame: ServerFrame;
    try {
      frame = this.codec.decode(data);
    } catch (error) {
      this.socket.close();
      return this.#end(protocolViolation(String(error)));
    }
    if (frame.goAway) {
      this.isDraining = true;
      this.handlers.goAway(this, frame.goAway);
    }
    const call = this.#calls.get(frame.id);
    if (!call) return;
    if (frame.metadata) call.headers(frame.metadata);
    if (frame.message !== undefined) call.message(frame.message);
    if (frame.credits) call.credits(frame.credits);
    if (frame.end) {
      this.#calls.delete(frame.id);
      const { error, metadata = {}, requestId } = frame.end;
      call.end(error && new PrismError(error.code, error.reason, error.message, error, requestId), metadata);
    }
  }

  #end(error: PrismError) {
    if (this.#ended) return;
    this.#ended = error;
    this.handlers.closed(this, error);
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.end(error, {});
  }
}

/** The error of a connection that was closed with a code. */
function closed(code: number, reason: string): PrismError {
  if (code === FRAME_TOO_LARGE) return new PrismError("INVALID_ARGUMENT", Reason.messageTooLarge, reason || "a frame was too large");
  const why = `closed with ${code}${reason && `: ${reason}`}`;
  return VIOLATIONS.includes(code) ? protocolViolation(why) : connectionLost(why);
}

/** The bytes of a frame, which are counted only if they may be more than a limit. */
function byteLength(data: string | Uint8Array, limit: number): number {
  if (typeof data !== "string") return data.length;
  return 3 * data.length <= limit ? data.length : new TextEncoder().encode(data).length;
}
