// The common form of errors for all clients.

/** Numbers of status codes (google.rpc.Code). */
export const Code = { CANCELLED: 1, INVALID_ARGUMENT: 3, DEADLINE_EXCEEDED: 4, NOT_FOUND: 5, UNIMPLEMENTED: 12 };

/** A call that failed, with the reason of the ErrorInfo among its details. */
export class Failure extends Error {
  constructor(code, message, reason) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}
