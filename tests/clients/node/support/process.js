// Gateways that a test starts, kills and starts again.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const program = process.env.PRISM_PROGRAM;
if (!program) throw new Error("Set PRISM_PROGRAM; `cargo test --test clients node::` does so.");

/** `prism serve` with a configuration, in a temporary folder. */
export class Gateway {
  #folder = mkdtempSync(join(tmpdir(), "prism-"));
  #process;
  #address = "127.0.0.1:0";

  /** Starts a gateway, which ends with the test. `prepare` is called before its start. */
  static async start(test, config, prepare = () => {}) {
    const gateway = new Gateway();
    test.after(() => gateway.#remove());
    gateway.write("prism.yaml", config);
    await prepare(gateway);
    await gateway.start();
    return gateway;
  }

  /** `http://HOST:PORT`. */
  get url() {
    return `http://${this.#address}`;
  }

  /** Starts it at the address that it had before. */
  async start() {
    const args = ["serve", "--listen", this.#address, "--admin", "127.0.0.1:0"];
    this.#process = spawn(program, args, { cwd: this.#folder, stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, PRISM_LOG: "error" } });
    let admin;
    for await (const line of createInterface({ input: this.#process.stdout })) {
      const [what, name, url] = line.trim().split(/\s+/);
      if (what === "listener" && name === "main") this.#address = new URL(url).host;
      if (what === "admin") admin = name;
      if (admin) break;
    }
    this.#process.stdout.resume();
    for (;;) {
      if ((await fetch(`${admin}/readyz`)).ok) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends it with a signal, and waits for its end. */
  async end(signal) {
    const ended = once(this.#process, "exit");
    this.#process.kill(signal);
    await ended;
  }

  write(name, text) {
    writeFileSync(join(this.#folder, name), text);
  }

  /** Runs another command of the program in its folder, and returns its output. */
  async run(...args) {
    const child = spawn(program, args, { cwd: this.#folder, stdio: ["ignore", "pipe", "inherit"] });
    const chunks = [];
    child.stdout.on("data", (chunk) => chunks.push(chunk));
    const [code] = await once(child, "close");
    if (code !== 0) throw new Error(`prism ${args.join(" ")} ended with ${code}`);
    return Buffer.concat(chunks).toString();
  }

  #remove() {
    this.#process?.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
