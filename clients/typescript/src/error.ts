/** What is wrong with one field of a request. */
export interface FieldViolation {
  field: string;
  description: string;
}

/** What an error says beside its code, its reason and its message. */
export interface ErrorDetails {
  metadata?: Record<string, string>;
  violations?: FieldViolation[];
  retryAfterMs?: number;
}

/** Reasons of errors that come from this client. All others come from the gateway. */
export const Reason = {
  /** The connection ended before the call did. */
  connectionLost: "CONNECTION_LOST",
  /** No connection was made in as many attempts as `retry` allows. */
  cannotConnect: "CANNOT_CONNECT",
  /** The caller cancelled the call. */
  cancelled: "CALL_CANCELLED",
  /** The client was closed. */
  clientClosed: "CLIENT_CLOSED",
  /** The deadline has passed. */
  deadlineExceeded: "CALL_DEADLINE",
  /** A frame violated the protocol. */
  protocolViolation: "PROTOCOL_VIOLATION",
  /** A request message is larger than a frame may be. */
  messageTooLarge: "FRAME_TOO_LARGE",
  /** As many calls are open as a connection may have. */
  tooManyCalls: "TOO_MANY_CALLS",
} as const;

/** The error of a call. */
export class PrismError extends Error {
  /** Facts that belong to the reason. */
  readonly metadata: Record<string, string>;
  /** The fields of the request that are wrong. */
  readonly violations: FieldViolation[];
  /** When the call may be repeated, if the gateway says so. */
  readonly retryAfterMs: number | undefined;

  /**
   * @param code A name of google.rpc.Code, as `NOT_FOUND`.
   * @param reason Stable and for programs, as `KEY_NOT_FOUND`.
   * @param requestId Identifies the call in the log of the gateway.
   */
  constructor(
    readonly code: string,
    readonly reason: string,
    message: string,
    details: ErrorDetails = {},
    readonly requestId = "",
  ) {
    super(message);
    this.name = "PrismError";
    this.metadata = details.metadata ?? {};
    this.violations = details.violations ?? [];
    this.retryAfterMs = details.retryAfterMs;
  }
}

export const connectionLost = (why: string) => new PrismError("UNAVAILABLE", Reason.connectionLost, `the connection has ended: ${why}`);
export const clientClosed = () => new PrismError("CANCELLED", Reason.clientClosed, "the client was closed");
export const protocolViolation = (what: string) => new PrismError("INTERNAL", Reason.protocolViolation, what);

/** The error of a signal that was aborted: that of a deadline, or a cancellation. */
export function aborted(signal: AbortSignal): PrismError {
  const { reason } = signal;
  if (reason instanceof PrismError) return reason;
  if (reason instanceof DOMException && reason.name === "TimeoutError") return deadlineExceeded();
  return cancelled();
}

export const cancelled = () => new PrismError("CANCELLED", Reason.cancelled, "the call was cancelled");

export const deadlineExceeded = () => new PrismError("DEADLINE_EXCEEDED", Reason.deadlineExceeded, "the deadline of the call has passed");
