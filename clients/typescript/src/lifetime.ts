import { type PrismError, aborted, deadlineExceeded } from "./error.js";

/** How long a call may last: until its deadline, until its caller cancels it, or until the client is closed. */
export class Lifetime {
  readonly #controller = new AbortController();
  readonly #deadline: number | undefined;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    timeoutMs: number | undefined,
    private readonly source: AbortSignal | undefined,
  ) {
    source?.addEventListener("abort", this.#follow);
    if (source?.aborted) this.abort(aborted(source));
    if (timeoutMs !== undefined) {
      this.#deadline = performance.now() + timeoutMs;
      // Longer timers end at once.
      if (timeoutMs < 2 ** 31) this.#timer = setTimeout(() => this.abort(deadlineExceeded()), timeoutMs);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The time that is left, for the gateway. */
  get timeoutMs(): number | undefined {
    return this.#deadline === undefined ? undefined : Math.min(2 ** 32 - 1, Math.max(1, Math.ceil(this.#deadline - performance.now())));
  }

  abort(error: PrismError) {
    this.#controller.abort(error);
  }

  end() {
    clearTimeout(this.#timer);
    this.source?.removeEventListener("abort", this.#follow);
  }

  #follow = () => this.source && this.abort(aborted(this.source));
}
