// `@connectrpc/connect-web`: its transport for gRPC-Web, which is always binary, and its default transport, which uses Connect.

import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { ErrorInfoSchema } from "../generated/es/google/rpc/error_details_pb.js";
import { KeyValueService } from "../generated/es/prism/patterns/keyvalue/v1/keyvalue_pb.js";
import { Failure } from "../support/failure.js";

function failure(cause) {
  const error = ConnectError.from(cause);
  return new Failure(error.code, error.rawMessage, error.findDetails(ErrorInfoSchema)[0]?.reason);
}

/** A client over a transport of a base URL. */
function client(name, protocol, transport) {
  const client = (base) => createClient(KeyValueService, transport(base));

  return {
    name,
    protocol,
    // The client may report the deadline before the gateway does.
    ownTimer: true,
    async unary(rpc, request, { base, headers: metadata, timeoutMs }) {
      let headers;
      const onHeader = (received) => (headers = Object.fromEntries(received));
      try {
        const message = await client(base)[rpc](request, { headers: metadata, timeoutMs, onHeader });
        return { message, headers };
      } catch (error) {
        throw failure(error);
      }
    },
    stream(rpc, request, { base, headers, timeoutMs }) {
      const abort = new AbortController();
      async function* messages() {
        try {
          yield* client(base)[rpc](request, { headers, timeoutMs, signal: abort.signal });
        } catch (error) {
          throw failure(error);
        }
      }
      return { messages: messages(), cancel: () => abort.abort() };
    },
  };
}

/** A client of gRPC-Web over a `fetch` of an HTTP version. */
export function connectGrpcWeb(version, fetch) {
  return client(`connect-web gRPC-Web ${version}`, "grpc_web", (baseUrl) => createGrpcWebTransport({ baseUrl, fetch }));
}

/** A client of Connect. `GET`: calls without side effects are GET requests. */
export function connect(format, method, version, fetch) {
  const options = { useBinaryFormat: format === "binary", useHttpGet: method === "GET" };
  const transport = (baseUrl) => createConnectTransport({ baseUrl, fetch, ...options });
  return client(`connect-web ${format} ${method} ${version}`, "connect", transport);
}
