import { PrismError, Reason, aborted } from "./error.js";

/** When connections and calls are repeated. */
export interface Retry {
  /** The delay after the first failure. It doubles with each further one. */
  initialMs: number;
  maxMs: number;
  /** Failures in a row after which calls fail. A message of a call ends the row, and so does an attempt of a stream that lasted longer than `maxMs`. */
  maxAttempts: number;
}

export const DEFAULT_RETRY: Retry = { initialMs: 250, maxMs: 30_000, maxAttempts: 20 };

/** The delay after failures in a row. It is random between a half and the whole, so that clients do not come back together. */
export function backoff({ initialMs, maxMs }: Retry, failures: number): number {
  if (failures === 0) return 0;
  return Math.min(maxMs, initialMs * 2 ** Math.min(failures - 1, 30)) * (0.5 + Math.random() / 2);
}

/** Waits. Throws when the signal is aborted. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return whileActive(signal, (resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    return () => clearTimeout(timer);
  });
}

/** Waits for a promise. Throws when the signal is aborted; the promise goes on. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return whileActive(signal, (resolve, reject) => {
    promise.then(resolve, reject);
    return () => {};
  });
}

/** A promise that a signal rejects. `begin` returns what is to be done at its end. */
export function whileActive<T>(
  signal: AbortSignal,
  begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
): Promise<T> {
  let abort = () => {};
  let end = () => {};
  const promise = new Promise<T>((resolve, reject) => {
    if (signal.aborted) throw aborted(signal);
    abort = () => reject(aborted(signal));
    signal.addEventListener("abort", abort);
    end = begin(resolve, reject);
  });
  return promise.finally(() => {
    signal.removeEventListener("abort", abort);
    end();
  });
}

/** The gateway has refused the call before it began, because it shuts down. */
export const isRefused = ({ reason }: PrismError) => reason === "SHUTTING_DOWN";

/** The credentials are no longer valid. New ones may be. */
export const needsCredentials = ({ code }: PrismError) => code === "UNAUTHENTICATED";

/** Tells whether another attempt may succeed. */
export const isTransient = ({ code, reason, retryAfterMs }: PrismError) =>
  (code === "UNAVAILABLE" && reason !== Reason.cannotConnect) || (code === "RESOURCE_EXHAUSTED" && retryAfterMs !== undefined);
