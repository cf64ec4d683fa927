export { type CallOptions, type ClientOptions, type DuplexOptions, PrismClient, type StreamOptions, type UnaryOptions } from "./client.js";
export type { ConnectionState } from "./connector.js";
export { type ErrorDetails, type FieldViolation, PrismError, Reason } from "./error.js";
export type { Credentials, Metadata } from "./frames.js";
export type { Method, MethodName, Resume } from "./method.js";
export type { Retry } from "./retry.js";
export type { ReplyStream } from "./stream.js";
