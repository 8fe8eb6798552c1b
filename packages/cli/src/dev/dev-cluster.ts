/** The nodes of a local cluster while `flotilla dev` runs: what each of them does, and what is said about it. */
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DevNode } from "./dev-plan.ts";
import { processLives, readNodeFile } from "./node-file.ts";
import type { FromNode } from "./node-messages.ts";
import { NodeProcess } from "./node-process.ts";
import type { NodeExit } from "./node-process.ts";

const pollMs = 500;
const killAfterMs = 20_000;

export interface DevOutput {
  line(text: string): void;
}

/**
 * starting → ready → down. `foreign`: somebody started it again by hand; it is watched through its files and its pid.
 * `down` may become `foreign`, and `foreign` `down`; `dev` itself starts nothing twice.
 */
type NodeState = "starting" | "ready" | "down" | "foreign";

interface Member {
  readonly node: DevNode;
  state: NodeState;
  pid: number | null;
  process: NodeProcess | undefined;
}

export class DevCluster {
  readonly #root: string;
  readonly #members: Member[];
  readonly #output: DevOutput;
  #stopping = false;
  #poll: NodeJS.Timeout | undefined;
  /** The last write of `cluster.json`; they follow one another. */
  #written: Promise<void> = Promise.resolve();
  #onSettled: () => void = () => {};
  #failedStarts: NodeExit[] = [];

  constructor(root: string, nodes: readonly DevNode[], output: DevOutput) {
    this.#root = root;
    this.#output = output;
    this.#members = nodes.map((node) => ({ node, state: "starting", pid: null, process: undefined }));
  }

  /** Resolves when every node is ready or has ended; with the number that is ready, and the exits of the others. */
  async start(): Promise<{ readonly ready: number; readonly failed: readonly NodeExit[] }> {
    for (const member of this.#members) this.#spawn(member);
    await this.#writeFile();
    this.#poll = setInterval(() => void this.#lookAround(), pollMs);
    await new Promise<void>((resolve) => {
      this.#onSettled = resolve;
      this.#checkSettled();
    });
    return { ready: this.#members.filter(({ state }) => state === "ready").length, failed: this.#failedStarts };
  }

  /** One node after the other, those included that were started by hand. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#poll);
    for (const member of this.#members) {
      if (member.process !== undefined) await member.process.stop(killAfterMs);
      else if (member.state === "foreign") await this.#stopForeign(member);
    }
    await this.#writeFile();
  }

  /** At once, without order. */
  kill(): void {
    for (const { process } of this.#members) process?.kill();
  }

  #spawn(member: Member): void {
    const { node } = member;
    const child = new NodeProcess(node, {
      onMessage: (message) => this.#told(member, message),
      onExit: (exit) => this.#exited(member, exit),
    });
    member.process = child;
    member.pid = child.pid;
    this.#output.line(`node ${node.node}  ${node.address}  http ${node.httpAddress}  pid ${child.pid}  ${node.path}`);
  }

  #told(member: Member, message: FromNode): void {
    if (message.type !== "ready" || member.state !== "starting") return;
    member.state = "ready";
    this.#checkSettled();
  }

  #exited(member: Member, exit: NodeExit): void {
    const wasStarting = member.state === "starting";
    const { pid } = member;
    member.state = "down";
    member.process = undefined;
    member.pid = null;
    if (!this.#stopping) {
      const why = exit.failure === undefined ? "" : `: ${exit.failure.message}`;
      const lines = [`node ${member.node.node}  ${describeExit(exit)}  pid ${pid}${why}`];
      if (exit.failure !== undefined && exit.failure.hint !== "") lines.push(`        ${exit.failure.hint}`);
      this.#tell(...lines, howToStart(member));
    }
    if (wasStarting) this.#failedStarts.push(exit);
    this.#checkSettled();
  }

  /** Of a change: `cluster.json` shows it before anybody reads of it. */
  #tell(...lines: string[]): void {
    void this.#writeFile().then(() => {
      for (const line of lines) this.#output.line(line);
    });
  }

  #checkSettled(): void {
    if (this.#members.every(({ state }) => state !== "starting")) this.#onSettled();
  }

  /** Nodes that came back by hand, and went again. */
  async #lookAround(): Promise<void> {
    for (const member of this.#members) {
      if (member.state === "down") {
        const found = await readNodeFile(member.node.dataDir);
        if (found === undefined || !processLives(found.pid) || this.#stopping || member.state !== "down") continue;
        member.state = "foreign";
        member.pid = found.pid;
        this.#tell(`node ${member.node.node}  is back  pid ${found.pid}`);
      } else if (member.state === "foreign" && !processLives(member.pid!)) {
        const { pid } = member;
        member.state = "down";
        member.pid = null;
        this.#tell(`node ${member.node.node}  has ended  pid ${pid}`, howToStart(member));
      }
    }
  }

  async #stopForeign({ node, pid }: Member): Promise<void> {
    const found = await readNodeFile(node.dataDir);
    // The file goes with a clean stop; a pid alone might be somebody else's by now.
    if (pid === null || found?.pid !== pid || !processLives(pid)) return;
    process.kill(pid, "SIGTERM");
    for (let waitedMs = 0; waitedMs < killAfterMs && processLives(pid); waitedMs += 50) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** `cluster.json`: an array of `{ node, pid, address, httpAddress, path }`; pid `null` = not running. */
  #writeFile(): Promise<void> {
    const content = this.#members.map(({ node, pid }) => ({
      node: node.node,
      pid,
      address: node.address,
      httpAddress: node.httpAddress,
      path: node.path,
    }));
    const path = join(this.#root, "cluster.json");
    this.#written = this.#written
      .then(() => writeFile(`${path}.new`, JSON.stringify(content, null, 2) + "\n"))
      .then(() => rename(`${path}.new`, path))
      .catch((error: unknown) =>
        this.#output.line(`cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`),
      );
    return this.#written;
  }
}

const howToStart = ({ node }: Member): string =>
  `start it again: npx flotilla start --config ${join(node.path, "flotilla.toml")}`;

function describeExit({ code, signal }: NodeExit): string {
  if (signal !== null) return `died of ${signal}`;
  return code === null ? "could not be started" : `ended with exit code ${code}`;
}
