// A certified OpenID provider on a port of this machine: discovery, keys, tokens for clients, introspection and revocation.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

/** Creates a key pair for signatures, as a JSON Web Key. */
export function createKey(id, algorithm) {
  const pair =
    algorithm === "ES256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...pair.privateKey.export({ format: "jwk" }), kid: id, alg: algorithm, use: "sig" };
}

/** An issuer that can change its keys, and that can be away. */
export class Issuer {
  constructor(port) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Serves with these keys, of which the first one of an algorithm signs. */
  async start(keys) {
    const algorithm = keys[0].alg;
    const provider = new Provider(this.url, {
      clients: ["app", "prism"].map((id) => ({
        client_id: id,
        client_secret: `${id}-secret`,
        id_token_signed_response_alg: algorithm,
        grant_types: id === "app" ? ["client_credentials"] : [],
        redirect_uris: [],
        response_types: [],
      })),
      jwks: { keys },
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === "prism" },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_, resource) => ({
            scope: "read",
            audience: resource.split(":")[2],
            accessTokenFormat: resource.split(":")[1],
            accessTokenTTL: 300,
            jwt: { sign: { alg: algorithm } },
          }),
        },
      },
    });
    const serve = provider.callback();
    this.server = createServer((request, response) => {
      // No connection outlives the server.
      response.shouldKeepAlive = false;
      return serve(request, response);
    });
    await new Promise((resolve) => this.server.listen(this.port, "127.0.0.1", resolve));
  }

  /** Is away until the next start. */
  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Serves with other keys. */
  async restart(keys) {
    await this.stop();
    await this.start(keys);
  }

  /** Returns a token of a client. `format` is `jwt` or `opaque`. */
  async token(format, audience) {
    const answer = await this.#post("/token", { grant_type: "client_credentials", resource: `urn:${format}:${audience}`, scope: "read" });
    return (await answer.json()).access_token;
  }

  /** Revokes a token (RFC 7009). */
  async revoke(token) {
    await this.#post("/token/revocation", { token });
  }

  async #post(path, form) {
    const authorization = `Basic ${Buffer.from("app:app-secret").toString("base64")}`;
    const answer = await fetch(this.url + path, { method: "POST", headers: { authorization }, body: new URLSearchParams(form) });
    if (!answer.ok) {
      throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    }
    return answer;
  }
}
