// A TCP proxy in front of a gateway, whose connections can be cut.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Proxy {
  #server;
  #open = new Set();
  #isCut = false;

  /** Starts a proxy for the gateway at a URL. */
  static async start(url) {
    const { hostname, port } = new URL(url);
    const proxy = new Proxy();
    proxy.#server = createServer((client) => proxy.#connect(client, { host: hostname, port: Number(port) }));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  #connect(client, target) {
    if (this.#isCut) return client.destroy();
    const gateway = connect(target);
    client.pipe(gateway).pipe(client);
    for (const socket of [client, gateway]) {
      this.#open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#open.delete(socket);
        client.destroy();
        gateway.destroy();
      });
    }
  }

  /** Cuts all connections, and refuses new ones. */
  cut() {
    this.#isCut = true;
    for (const socket of this.#open) socket.destroy();
  }

  /** Accepts connections again. */
  mend() {
    this.#isCut = false;
  }

  close() {
    this.cut();
    this.#server.close();
  }
}
