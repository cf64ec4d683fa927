// `@protobuf-ts/grpcweb-transport`.

import { GrpcStatusCode, GrpcWebFetchTransport } from "@protobuf-ts/grpcweb-transport";

import { Any } from "../generated/ts/google/protobuf/any.js";
import { ErrorInfo } from "../generated/ts/google/rpc/error_details.js";
import { Status } from "../generated/ts/google/rpc/status.js";
import { KeyValueServiceClient } from "../generated/ts/prism/patterns/keyvalue/v1/keyvalue.client.js";
import { Failure } from "../support/failure.js";

function failure({ code, message, meta }) {
  const details = meta?.["grpc-status-details-bin"];
  const status = details && Status.fromBinary(Buffer.from(details, "base64"));
  const info = status?.details.find((detail) => Any.contains(detail, ErrorInfo));
  // This client leaves the percent-encoding of messages to its caller.
  return new Failure(GrpcStatusCode[code], decodeURIComponent(message), info && Any.unpack(info, ErrorInfo).reason);
}

/** A client with the format `text` or `binary`, over a `fetch` of an HTTP version. */
export function protobufTs(format, version, fetch) {
  const start = (rpc, request, { base, headers: meta, timeoutMs: timeout }, abort) => {
    const client = new KeyValueServiceClient(new GrpcWebFetchTransport({ baseUrl: base, format, fetch }));
    const method = client.methods.find(({ localName }) => localName === rpc);
    return client[rpc](method.I.create(request), { meta, timeout, abort });
  };

  return {
    name: `protobuf-ts ${format} ${version}`,
    protocol: "grpc_web",
    async unary(rpc, request, options) {
      try {
        const { response, headers } = await start(rpc, request, options);
        return { message: response, headers };
      } catch (error) {
        throw failure(error);
      }
    },
    stream(rpc, request, options) {
      const abort = new AbortController();
      const call = start(rpc, request, options, abort.signal);
      // Every part of a call reports its failure; reading the messages is enough.
      for (const part of [call.headers, call.status, call.trailers]) part.catch(() => {});
      async function* messages() {
        try {
          yield* call.responses;
        } catch (error) {
          throw failure(error);
        }
      }
      return { messages: messages(), cancel: () => abort.abort() };
    },
  };
}
