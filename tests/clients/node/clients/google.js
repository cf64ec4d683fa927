// `grpc-web`, of the gRPC project. Its generated code is a thin layer over GrpcWebClientBase, which is used here directly, with
// the codecs of Protobuf-ES.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import grpcWeb from "grpc-web";

import { ErrorInfoSchema } from "../generated/es/google/rpc/error_details_pb.js";
import { StatusSchema } from "../generated/es/google/rpc/status_pb.js";
import { KeyValueService } from "../generated/es/prism/patterns/keyvalue/v1/keyvalue_pb.js";
import { Failure } from "../support/failure.js";
import "../support/xhr.js";

function failure({ code, message, metadata }) {
  const details = metadata?.["grpc-status-details-bin"];
  const status = details && fromBinary(StatusSchema, Buffer.from(details, "base64"));
  const info = status?.details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find(Boolean);
  return new Failure(code, message, info?.reason);
}

/** A client with the format `text` or `binary`. */
export function google(format) {
  const client = new grpcWeb.GrpcWebClientBase({ format });

  function prepare(rpc, request, { base, headers, timeoutMs }) {
    const { name, input, output, methodKind } = KeyValueService.method[rpc];
    const path = `/${KeyValueService.typeName}/${name}`;
    const kind = methodKind === "unary" ? grpcWeb.MethodType.UNARY : grpcWeb.MethodType.SERVER_STREAMING;
    const write = (message) => toBinary(input, message);
    const read = (bytes) => fromBinary(output, bytes);
    const descriptor = new grpcWeb.MethodDescriptor(path, kind, Object, Object, write, read);
    const deadline = timeoutMs && { deadline: String(Date.now() + timeoutMs) };
    return [base + path, create(input, request), { ...headers, ...deadline }, descriptor];
  }

  return {
    name: `grpc-web ${format}`,
    protocol: "grpc_web",
    // The client stops by itself one second after it began, or shortly after the deadline.
    ownTimer: true,
    // In the binary format, the client delivers messages only at the end of the stream.
    hoards: format === "binary",
    unary(rpc, request, options) {
      return new Promise((resolve, reject) => {
        let headers;
        client
          .rpcCall(...prepare(rpc, request, options), (error, message) => (error ? reject(failure(error)) : resolve({ message, headers })))
          .on("metadata", (metadata) => (headers = metadata));
      });
    },
    stream(rpc, request, options) {
      const call = client.serverStreaming(...prepare(rpc, request, options));
      const messages = new ReadableStream({
        start(queue) {
          let open = true;
          const end = (close) => {
            if (open) close();
            open = false;
          };
          call.on("data", (message) => open && queue.enqueue(message));
          call.on("error", (error) => end(() => queue.error(failure(error))));
          call.on("end", () => end(() => queue.close()));
        },
      });
      return { messages: messages.values(), cancel: () => call.cancel() };
    },
  };
}
