// The frames of the protocol (docs/websocket.md). `message` is in the form of the subprotocol: JSON, or bytes.

import type { FieldViolation } from "./error.js";

export type Metadata = Record<string, string>;

/** Who calls. An empty object: nobody. */
export interface Credentials {
  /** The header `authorization`, as `Bearer …`. */
  authorization?: string;
  /** The header `x-api-key`. */
  apiKey?: string;
}

export interface CallFrame {
  method: string;
  namespace?: string;
  metadata?: Metadata;
  timeoutMs?: number;
  credits?: number;
}

export interface ClientFrame {
  id: number;
  call?: CallFrame;
  message?: unknown;
  end?: boolean;
  credits?: number;
  cancel?: boolean;
  authenticate?: Credentials;
}

export interface Welcome {
  maxCalls: number;
  maxFrameBytes: number;
  requestCredits: number;
  replyCredits: number;
}

export interface ErrorFrame {
  code: string;
  reason: string;
  message: string;
  metadata?: Metadata;
  violations?: FieldViolation[];
  retryAfterMs?: number;
}

export interface EndFrame {
  error?: ErrorFrame;
  metadata?: Metadata;
  requestId: string;
}

export interface GoAway {
  reason: string;
  reconnectAfterMs: number;
}

export interface ServerFrame {
  id: number;
  welcome?: Welcome;
  metadata?: Metadata;
  message?: unknown;
  end?: EndFrame;
  credits?: number;
  goAway?: GoAway;
}

/** One of the two forms of frames. */
export interface Codec {
  subprotocol: string;
  encode(frame: ClientFrame): string | Uint8Array<ArrayBuffer>;
  /** Throws if the data are no frame. */
  decode(data: unknown): ServerFrame;
}

/** Frames as text, with messages as JSON. */
export const json: Codec = {
  subprotocol: "prism.v1.json",
  encode: (frame) => JSON.stringify(frame),
  decode: (data) => {
    if (typeof data !== "string") throw new Error("a frame of prism.v1.json is not a text");
    return JSON.parse(data) as ServerFrame;
  },
};
