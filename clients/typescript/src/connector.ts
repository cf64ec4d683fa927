import { Connection, type ConnectionHandlers } from "./connection.js";
import { PrismError, Reason, clientClosed, connectionLost } from "./error.js";
import type { Codec, Credentials, GoAway } from "./frames.js";
import { type Retry, backoff, sleep, unlessAborted } from "./retry.js";

/** `draining`: the gateway shuts down, open calls go on, and the next call gets a new connection. */
export type ConnectionState = "connecting" | "connected" | "draining" | "disconnected" | "closed";

export interface ConnectorOptions {
  url: URL;
  codec: Codec;
  socket: typeof WebSocket;
  retry: Retry;
  credentials: Credentials | (() => Credentials | Promise<Credentials>) | undefined;
  onState: (state: ConnectionState, error?: PrismError) => void;
  /** The end of the client. */
  signal: AbortSignal;
}

/** Makes the connection of a client, and makes it again. */
export class Connector {
  #current: Connection | undefined;
  #connecting: Promise<Connection> | undefined;
  /** Connections of gateways that shut down, until their last calls have ended. */
  readonly #draining = new Set<Connection>();
  #credentials: Credentials | undefined;
  #renewing: Promise<boolean> | undefined;
  /** Connections in a row that failed, or were lost before a message came. */
  #failures = 0;
  /** When the gateway asked to connect again. */
  #notBefore = 0;

  constructor(private readonly options: ConnectorOptions) {
    const { url } = options;
    if (url.protocol === "http:") url.protocol = "ws:";
    if (url.protocol === "https:") url.protocol = "wss:";
    if (!options.socket) throw new TypeError("there is no global WebSocket; pass the one of the package ws in the option WebSocket");
    if (typeof options.credentials !== "function") this.#credentials = options.credentials;
  }

  /** Returns a connection for a new call. */
  async connection(signal: AbortSignal): Promise<Connection> {
    if (this.options.signal.aborted) throw clientClosed();
    if (this.#current?.isUsable) return this.#current;
    return unlessAborted((this.#connecting ??= this.#connectOnce()), signal);
  }

  /** Ends the row of failures. */
  succeeded() {
    this.#failures = 0;
  }

  /** Replaces the credentials. */
  authenticate(credentials: Credentials) {
    this.#credentials = credentials;
    this.#current?.authenticate(credentials);
  }

  /** Asks for new credentials. Returns `false` if nobody has any. Calls that ask at the same time share the answer. */
  renewCredentials(): Promise<boolean> {
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  close() {
    for (const connection of [this.#current, ...this.#draining]) connection?.close();
    this.options.onState("closed");
  }

  async #renew(): Promise<boolean> {
    const { credentials } = this.options;
    if (typeof credentials !== "function") return false;
    this.authenticate(await credentials());
    return true;
  }

  /** Connects. It goes on if the call that needs it is cancelled, because the next one needs it too. */
  #connectOnce(): Promise<Connection> {
    const connecting = this.#connect().finally(() => (this.#connecting = undefined));
    connecting.catch(() => {});
    return connecting;
  }

  async #connect(): Promise<Connection> {
    const { retry, signal, credentials, onState } = this.options;
    for (;;) {
      const delay = Math.max(this.#notBefore - performance.now(), backoff(retry, this.#failures));
      if (delay > 0) await sleep(delay, signal);
      onState("connecting");
      if (this.#credentials === undefined && typeof credentials === "function") this.#credentials = await credentials();
      if (signal.aborted) throw clientClosed();
      try {
        return await this.#open();
      } catch (error) {
        if (signal.aborted) throw clientClosed();
        if (!(error instanceof PrismError)) throw error;
        this.#failures += 1;
        onState("disconnected", error);
        if (this.#failures >= retry.maxAttempts) {
          this.#failures = 0;
          throw new PrismError("UNAVAILABLE", Reason.cannotConnect, `${retry.maxAttempts} attempts have failed, the last one because ${error.message}`);
        }
      }
    }
  }

  async #open(): Promise<Connection> {
    const { url, codec, socket: WebSocketClass, signal, onState } = this.options;
    const handlers: ConnectionHandlers = {
      goAway: (connection, goAway) => this.#drain(connection, goAway),
      closed: (connection, error) => this.#lost(connection, error),
    };
    const connection = await Connection.open(new WebSocketClass(url.href, codec.subprotocol), codec, handlers, signal);
    // What came with the welcome has been handled already.
    if (!connection.isUsable) throw connectionLost("the gateway shuts down");
    if (this.#credentials) connection.authenticate(this.#credentials);
    this.#current = connection;
    onState("connected");
    return connection;
  }

  #drain(connection: Connection, { reconnectAfterMs }: GoAway) {
    this.#notBefore = performance.now() + reconnectAfterMs;
    this.#draining.add(connection);
    if (this.#current === connection) this.#current = undefined;
    this.options.onState("draining");
  }

  #lost(connection: Connection, error: PrismError) {
    if (this.#draining.delete(connection)) return;
    if (this.#current === connection) this.#current = undefined;
    this.#failures += 1;
    if (!this.options.signal.aborted) this.options.onState("disconnected", error);
  }
}
