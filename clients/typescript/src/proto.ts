import type { FieldViolation } from "./error.js";
import type { ClientFrame, Codec, EndFrame, ErrorFrame, GoAway, ServerFrame, Welcome } from "./frames.js";
import { type Field, Writer, fields } from "./wire.js";

/** Frames as messages of `prism.websocket.v1`, whose `message` has the bytes of a message. */
export const proto: Codec = {
  subprotocol: "prism.v1.proto",
  encode: (frame) => encode(frame),
  decode: (data) => {
    if (!(data instanceof ArrayBuffer)) throw new Error("a frame of prism.v1.proto is not binary");
    return decode(new Uint8Array(data));
  },
};

function encode({ id, call, message, end, credits, cancel, authenticate }: ClientFrame): Uint8Array<ArrayBuffer> {
  const frame = new Writer().uint32(1, id);
  if (call) {
    frame.message(2, (writer) =>
      writer.string(1, call.method).string(2, call.namespace).map(3, call.metadata).uint32(4, call.timeoutMs).optionalUint32(5, call.credits),
    );
  }
  if (message !== undefined) {
    if (!(message instanceof Uint8Array)) throw new TypeError("messages of prism.v1.proto are bytes: pass a Uint8Array, or a method with `encode`");
    frame.bytes(3, message);
  }
  frame.bool(4, end).uint32(5, credits).bool(6, cancel);
  if (authenticate) frame.message(7, (writer) => writer.string(1, authenticate.authorization).string(2, authenticate.apiKey));
  return frame.finish();
}

/** Calls a function for each field of a message, and returns the object that it fills. */
function read<T>(bytes: Uint8Array, into: T, take: (into: T, field: Field) => void): T {
  for (const field of fields(bytes)) take(into, field);
  return into;
}

const decode = (bytes: Uint8Array): ServerFrame =>
  read<ServerFrame>(bytes, { id: 0 }, (frame, field) => {
    switch (field.number) {
      case 1:
        frame.id = field.uint32;
        break;
      case 2:
        frame.welcome = welcome(field.bytes);
        break;
      case 3:
        field.addTo((frame.metadata ??= {}));
        break;
      case 4:
        frame.message = field.bytes;
        break;
      case 5:
        frame.end = end(field.bytes);
        break;
      case 6:
        frame.credits = field.uint32;
        break;
      case 7:
        frame.goAway = goAway(field.bytes);
        break;
    }
  });

const welcome = (bytes: Uint8Array): Welcome =>
  read<Welcome>(bytes, { maxCalls: 0, maxFrameBytes: 0, requestCredits: 0, replyCredits: 0 }, (into, field) => {
    if (field.number === 1) into.maxCalls = field.uint32;
    if (field.number === 2) into.maxFrameBytes = field.uint32;
    if (field.number === 3) into.requestCredits = field.uint32;
    if (field.number === 4) into.replyCredits = field.uint32;
  });

const end = (bytes: Uint8Array): EndFrame =>
  read<EndFrame>(bytes, { requestId: "" }, (into, field) => {
    if (field.number === 1) into.error = error(field.bytes);
    if (field.number === 2) field.addTo((into.metadata ??= {}));
    if (field.number === 3) into.requestId = field.string;
  });

const error = (bytes: Uint8Array): ErrorFrame =>
  read<ErrorFrame>(bytes, { code: "", reason: "", message: "" }, (into, field) => {
    if (field.number === 1) into.code = field.string;
    if (field.number === 2) into.reason = field.string;
    if (field.number === 3) into.message = field.string;
    if (field.number === 4) field.addTo((into.metadata ??= {}));
    if (field.number === 5) (into.violations ??= []).push(violation(field.bytes));
    if (field.number === 6) into.retryAfterMs = field.uint32;
  });

const violation = (bytes: Uint8Array): FieldViolation =>
  read<FieldViolation>(bytes, { field: "", description: "" }, (into, field) => {
    if (field.number === 1) into.field = field.string;
    if (field.number === 2) into.description = field.string;
  });

const goAway = (bytes: Uint8Array): GoAway =>
  read<GoAway>(bytes, { reason: "", reconnectAfterMs: 0 }, (into, field) => {
    if (field.number === 1) into.reason = field.string;
    if (field.number === 2) into.reconnectAfterMs = field.uint32;
  });
