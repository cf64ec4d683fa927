// One stream over five protocols. Each subscription delivers records with their cursors, and can continue after a cursor.

export interface StreamRecord {
  offset: string;
  payload: string;
  cursor: string;
}

export type Status = "connecting" | "live" | "paused" | "disconnected" | "failed";

export interface Handlers {
  record(record: StreamRecord): void;
  status(status: Status, detail?: string): void;
}

/** Where to subscribe: the base path of the namespace, the stream, and the cursor to continue after. */
export interface Place {
  base: string;
  stream: string;
  cursor: string;
}

export interface Subscription {
  pause(): void;
  resume(): void;
  close(): void;
}

/** A pause of a subscription. Records wait for its end. */
export class Pause {
  #end: (() => void) | undefined;
  #over: Promise<void> = Promise.resolve();

  get isActive(): boolean {
    return this.#end !== undefined;
  }

  begin() {
    if (!this.#end) this.#over = new Promise((resolve) => (this.#end = resolve));
  }

  end() {
    this.#end?.();
    this.#end = undefined;
  }

  /** Waits for its end. */
  over(): Promise<void> {
    return this.#over;
  }
}

export type Transport = (place: Place, handlers: Handlers) => Subscription;

export const METHOD = "prism.interfaces.stream.v1.StreamBasicService/Read";

/** The request message. Without a cursor, the stream begins with its oldest record. */
export const readRequest = ({ stream, cursor }: Place) => ({ stream, follow: true, ...(cursor ? { cursor } : {}) });
