import type { PrismError } from "./error.js";
import type { Metadata } from "./frames.js";

interface Item<Reply> {
  reply: Reply;
  cursor: string | undefined;
}

interface Waiter<Reply> {
  resolve(result: IteratorResult<Reply, undefined>): void;
  reject(error: unknown): void;
}

/** The replies of a call, for `for await`. Whoever stops reading ends the call. */
export class ReplyStream<Reply> implements AsyncIterableIterator<Reply, undefined> {
  /** The cursor of the last reply that was taken. A call with it continues there. */
  cursor: string | undefined;
  /** Metadata of the reply. */
  headers: Metadata = {};
  /** Metadata after the last message. */
  trailers: Metadata = {};
  readonly #items: Item<Reply>[] = [];
  readonly #waiters: Waiter<Reply>[] = [];
  /** Why it has ended; `undefined` in it: there are no more replies. */
  #end: { error: unknown } | undefined;
  /** Replies that were taken, and for which the gateway has no credits yet. */
  #owed = 0;
  #grant: ((credits: number) => void) | undefined;

  /**
   * @internal
   * @param window How many replies may wait here.
   */
  constructor(
    private readonly window: number,
    private readonly stop: () => void,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Reply, undefined>> {
    const item = this.#items.shift();
    if (item) return Promise.resolve({ done: false, value: this.#take(item) });
    if (this.#end) return this.#ended(this.#end);
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Ends the call. */
  return(): Promise<IteratorResult<Reply, undefined>> {
    this.#items.length = 0;
    this.finish(undefined);
    this.stop();
    return Promise.resolve({ done: true, value: undefined });
  }

  /**
   * Connects it to a call, and returns the credits of the call.
   * @internal
   */
  attach(grant: (credits: number) => void): number {
    this.#grant = grant;
    this.#owed = 0;
    return this.window - this.#items.length;
  }

  /** @internal */
  detach() {
    this.#grant = undefined;
  }

  /** @internal */
  add(reply: Reply, cursor: string | undefined) {
    if (this.#end) return;
    const waiter = this.#waiters.shift();
    if (waiter) waiter.resolve({ done: false, value: this.#take({ reply, cursor }) });
    else this.#items.push({ reply, cursor });
  }

  /**
   * Ends it after the replies that wait.
   * @internal
   */
  finish(error: PrismError | Error | undefined) {
    if (this.#end) return;
    this.#end = { error };
    for (const waiter of this.#waiters.splice(0)) this.#ended(this.#end).then(waiter.resolve, waiter.reject);
  }

  #take({ reply, cursor }: Item<Reply>): Reply {
    this.cursor = cursor ?? this.cursor;
    this.#owed += 1;
    // Credits are given in portions, so that not every reply costs a frame.
    if (this.#grant && this.#owed >= Math.ceil(this.window / 2)) {
      this.#grant(this.#owed);
      this.#owed = 0;
    }
    return reply;
  }

  /** Throws an error once, as generators do. */
  #ended(end: { error: unknown }): Promise<IteratorResult<Reply, undefined>> {
    const { error } = end;
    end.error = undefined;
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }
}
