// Clients of the contracts, over gRPC-Web and Connect.

import { type Client, type Transport, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { StreamBasicService } from "../generated/prism/interfaces/stream/v1/stream_basic_pb";
import { KeyValueService } from "../generated/prism/patterns/keyvalue/v1/keyvalue_pb";
import { recordedFetch } from "./api";

/** Base paths are absolute URLs for these transports. */
const baseUrl = (base: string) => new URL(base, location.href).href;

export const overGrpcWeb = (base: string): Transport => createGrpcWebTransport({ baseUrl: baseUrl(base), fetch: recordedFetch });
export const overConnect = (base: string): Transport => createConnectTransport({ baseUrl: baseUrl(base), fetch: recordedFetch });

export const keyValue = (transport: Transport): Client<typeof KeyValueService> => createClient(KeyValueService, transport);
export const stream = (transport: Transport): Client<typeof StreamBasicService> => createClient(StreamBasicService, transport);
