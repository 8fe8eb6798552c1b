/** One node that `dev` runs as a process of its own. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { openSync, closeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { environmentVariableOf } from "@flotilla/server/settings";
import type { DevNode } from "./dev-plan.ts";
import { isFromNode } from "./node-messages.ts";
import type { FromNode, ToNode } from "./node-messages.ts";

export interface NodeExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the node said about it before. */
  readonly failure: Extract<FromNode, { type: "failed" }> | undefined;
}

export interface NodeProcessEvents {
  onMessage(message: FromNode): void;
  onExit(exit: NodeExit): void;
}

/** Settings that each node takes from its own file: one value in the environment would be the same for all of them. */
const ownSettings = ["CONFIG", "DATA_DIR", "ADDRESS", "HTTP_ADDRESS", "PEERS"];

/**
 * glibc's allocator as deploy/flotilla.service sets it for a node: one heap for all threads, which grows in large steps and
 * does not give back at once what it will need again. Other platforms ignore it.
 */
const allocator: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_TOP_PAD_: String(4 * 1024 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(64 * 1024 * 1024),
  MALLOC_MMAP_THRESHOLD_: String(16 * 1024 * 1024),
};

const launcher: string = fileURLToPath(new URL("../flotilla.cjs", import.meta.url));

export class NodeProcess {
  readonly #child: ChildProcess;
  #failure: Extract<FromNode, { type: "failed" }> | undefined;
  #exited = false;
  readonly exited: Promise<void>;

  /** `flags`: of Node itself, beside those that this process was given. */
  constructor(node: DevNode, events: NodeProcessEvents, flags: readonly string[] = []) {
    const environment = { ...allocator, ...process.env };
    for (const name of ownSettings) delete environment[`FLOTILLA_${name}`];
    // What `dev` was given as a flag goes over the environment.
    for (const name of Object.keys(node.settings)) delete environment[environmentVariableOf(name)];
    const log = openSync(join(node.dataDir, "log.jsonl"), "a", 0o600);
    // With the flags that Node itself was given (heap size, profiling). In a group of its own: Ctrl-C on the terminal
    // reaches `dev` alone, which stops the nodes in order. Should `dev` be killed, the channel closes and the node stops
    // by itself.
    this.#child = spawn(
      process.execPath,
      [...process.execArgv, ...flags, launcher, "start", "--config", join(node.dataDir, "flotilla.toml")],
      {
        detached: true,
        env: environment,
        stdio: ["ignore", "ignore", log, "ipc"],
      },
    );
    closeSync(log);
    let settle: () => void = () => {};
    this.exited = new Promise((resolve) => (settle = resolve));
    const end = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (this.#exited) return;
      this.#exited = true;
      events.onExit({ code, signal, failure: this.#failure });
      settle();
    };
    this.#child.on("message", (message: unknown) => {
      if (!isFromNode(message)) return;
      if (message.type === "failed") this.#failure = message;
      events.onMessage(message);
    });
    this.#child.once("exit", end);
    this.#child.once("error", (error) => {
      this.#failure = { type: "failed", code: "Internal", message: error.message, hint: "" };
      end(null, null);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Ends it as by a crash when it does not stop in time. `transferMs`: how long it may take to hand its leaderships over. */
  async stop(killAfterMs: number, transferMs = 0): Promise<void> {
    if (this.#exited) return;
    const message: ToNode = { type: "stop", transferMs };
    if (this.#child.connected) this.#child.send(message, () => {});
    else this.#child.kill("SIGTERM");
    const timeout = setTimeout(() => this.#child.kill("SIGKILL"), killAfterMs);
    await this.exited;
    clearTimeout(timeout);
  }

  kill(): void {
    if (!this.#exited) this.#child.kill("SIGKILL");
  }
}
