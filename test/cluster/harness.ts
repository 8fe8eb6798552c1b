/**
 * Clusters of real processes for tests: started with `flotilla dev` in a directory of their own on free ports, and gone
 * afterwards, whatever the test did. Uses the build.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { Server } from "node:net";
import { Readable } from "node:stream";
import { tmpdir } from "node:os";
import type { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "@flotilla/client";
import type { Client, ConnectionOptions } from "@flotilla/client";

const launcher: string = fileURLToPath(new URL("../../packages/cli/dist/flotilla.cjs", import.meta.url));
const httpPortOffset = 80;
const portsPerBlock = 100;
const startMsMax = 30_000;
const stopMsMax = 30_000;

export type SignalName = keyof typeof constants.signals;

export interface CommandResult {
  readonly exitCode: number | null;
  readonly signal: SignalName | null;
  readonly out: string;
  readonly notes: string;
  readonly elapsedMs: number;
}

export interface ClusterOptions {
  readonly nodes?: number;
  readonly ranges?: number;
  /** More arguments of `flotilla dev`. */
  readonly arguments?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export interface ClusterEntry {
  readonly node: number;
  readonly pid: number | null;
  readonly address: string;
  readonly httpAddress: string;
  readonly path: string;
}

export interface RangeRow {
  readonly rangeId: number;
  /** First key; empty for the first of the user's ranges, and for the meta range. */
  readonly start: string;
  readonly leaderStoreId: number | null;
  readonly replicas: readonly { readonly storeId: number; readonly role: string; readonly state: string | null }[];
}

/** What a process reads: all at once, or as it asks for more. */
export type Input = string | Uint8Array | AsyncIterable<string>;

/** `npm run test:long` does more of the same. */
export const isLong: boolean = process.env["FLOTILLA_TEST_LONG"] === "1";

/** A process that was started here, with all it said. `user`: by its number, where the tests may choose. */
export class StartedProcess {
  readonly arguments: readonly string[];
  readonly child: ChildProcess;
  readonly ended: Promise<CommandResult>;
  out = "";
  notes = "";
  /** Called whenever there is more to read. */
  #onOutput = new Set<() => void>();

  constructor(
    args: readonly string[],
    directory: string,
    environment: Readonly<Record<string, string>> = {},
    input?: Input,
    stderr?: number,
    user?: number,
  ) {
    this.arguments = args;
    const startedMs = performance.now();
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FLOTILLA_")));
    this.child = spawn(process.execPath, [launcher, ...args], {
      cwd: directory,
      env: { ...inherited, ...environment },
      stdio: ["pipe", "pipe", stderr ?? "pipe"],
      ...(user === undefined || process.getuid!() !== 0 ? {} : { uid: user, gid: user }),
    });
    this.child.stdin!.on("error", () => {});
    if (input === undefined || typeof input === "string" || input instanceof Uint8Array) this.child.stdin!.end(input);
    else Readable.from(input, { highWaterMark: 1 }).pipe(this.child.stdin!);
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => this.#heard("out", text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#heard("notes", text));
    this.ended = new Promise((resolve) => {
      this.child.once("close", (exitCode, signal) => {
        resolve({ exitCode, signal, out: this.out, notes: this.notes, elapsedMs: performance.now() - startedMs });
        for (const listener of this.#onOutput) listener();
      });
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Resolves with the first match in what was written to standard output; rejects when the process ends without it. */
  async line(pattern: RegExp, timeoutMs: number = startMsMax): Promise<RegExpExecArray> {
    const untilMs = performance.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(this.out);
      if (match !== null) return match;
      if (this.hasEnded)
        throw new Error(
          `ended with ${this.child.exitCode ?? this.child.signalCode} before ${pattern}:\n${this.out}${this.notes}`,
        );
      if (performance.now() > untilMs)
        throw new Error(`no ${pattern} within ${timeoutMs} ms:\n${this.out}${this.notes}`);
      await new Promise<void>((resolve) => {
        const listener = (): void => {
          clearTimeout(timeout);
          this.#onOutput.delete(listener);
          resolve();
        };
        const timeout = setTimeout(listener, 200);
        this.#onOutput.add(listener);
      });
    }
  }

  signal(signal: SignalName): void {
    if (!this.hasEnded) this.child.kill(signal);
  }

  #heard(stream: "out" | "notes", text: string): void {
    this[stream] += text;
    for (const listener of this.#onOutput) listener();
  }
}

/** Everything that was started, so that nothing outlives the tests. */
const clusters = new Set<RealCluster>();
process.once("exit", () => {
  for (const cluster of clusters) cluster.killAll();
});

/** For `afterEach`: ends every cluster that a test has not closed itself. */
export async function closeAllClusters(): Promise<void> {
  for (const cluster of [...clusters]) await cluster.close();
}

export class RealCluster {
  /** The current directory of its commands; the cluster's own is `.flotilla` in it. */
  readonly directory: string;
  readonly port: number;
  readonly #options: ClusterOptions;
  #dev: StartedProcess | undefined;
  readonly #started: StartedProcess[] = [];
  readonly #clients: Client[] = [];
  /** Every process of a node ever seen in `cluster.json`. */
  readonly #pids = new Set<number>();

  private constructor(directory: string, port: number, options: ClusterOptions) {
    this.directory = directory;
    this.port = port;
    this.#options = options;
  }

  /** A directory and ports; nothing runs yet. */
  static async prepare(options: ClusterOptions = {}): Promise<RealCluster> {
    const directory = await realpath(await mkdtemp(join(tmpdir(), "flotilla-cluster-")));
    const cluster = new RealCluster(directory, await freePorts(options.nodes ?? 3), options);
    clusters.add(cluster);
    return cluster;
  }

  /** Runs, and every node is ready. */
  static async start(options: ClusterOptions = {}): Promise<RealCluster> {
    const cluster = await RealCluster.prepare(options);
    await cluster.startDev();
    return cluster;
  }

  /** `flotilla dev`; resolves when it says ready. */
  async startDev(more: readonly string[] = []): Promise<StartedProcess> {
    const dev = this.spawnDev(more);
    await dev.line(/^ready .*$/m);
    for (const { pid } of this.entries()) if (pid !== null) this.#pids.add(pid);
    return dev;
  }

  /** `flotilla dev` without waiting for anything. */
  spawnDev(more: readonly string[] = []): StartedProcess {
    const { nodes, ranges, arguments: given = [], environment = {} } = this.#options;
    const count = nodes === undefined || existsSync(this.path("node-1", "identity")) ? [] : ["--nodes", String(nodes)];
    const split =
      ranges === undefined || existsSync(this.path("node-1", "identity")) ? [] : ["--ranges", String(ranges)];
    this.#dev = this.spawn(["dev", "--port", String(this.port), ...count, ...split, ...given, ...more], environment);
    return this.#dev;
  }

  get dev(): StartedProcess {
    if (this.#dev === undefined) throw new Error("flotilla dev was not started");
    return this.#dev;
  }

  get endpoints(): string[] {
    return this.entries().map(({ address }) => address);
  }

  /** Below the cluster's own directory. */
  path(...parts: string[]): string {
    return join(this.directory, ".flotilla", ...parts);
  }

  entries(): ClusterEntry[] {
    return JSON.parse(readFileSync(this.path("cluster.json"), "utf8")) as ClusterEntry[];
  }

  /** Of a node that runs, from 1. */
  pid(node: number): number {
    const pid = this.entries().find((entry) => entry.node === node)?.pid;
    if (pid === undefined || pid === null) throw new Error(`node ${node} does not run`);
    this.#pids.add(pid);
    return pid;
  }

  kill(node: number, signal: SignalName = "SIGKILL"): void {
    process.kill(this.pid(node), signal);
  }

  pause(node: number): void {
    this.kill(node, "SIGSTOP");
  }

  resume(node: number): void {
    this.kill(node, "SIGCONT");
  }

  /** As a user would, with the command that `dev` printed; resolves when the node listens. */
  async restart(node: number, environment: Readonly<Record<string, string>> = {}): Promise<StartedProcess> {
    const started = this.spawn(["start", "--config", this.path(`node-${node}`, "flotilla.toml")], environment);
    await until(`node ${node} listens`, () => {
      if (started.hasEnded) throw new Error(`node ${node} ended: ${started.notes}`);
      return started.notes.includes('"msg":"listening"');
    });
    return started;
  }

  /** A process in the cluster's directory that is ended with the cluster. `stderr`: a file descriptor in place of `notes`. */
  spawn(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    input?: Input,
    stderr?: number,
  ): StartedProcess {
    const started = new StartedProcess(args, this.directory, environment, input, stderr);
    this.#started.push(started);
    this.#pids.add(started.pid);
    return started;
  }

  /** A command to its end. */
  async run(args: readonly string[], input?: Input): Promise<CommandResult> {
    return this.spawn(args, {}, input).ended;
  }

  /** Closed with the cluster. */
  client(options: Partial<ConnectionOptions> = {}): Client {
    const client = createClient({ endpoints: this.endpoints, ...options });
    this.#clients.push(client);
    return client;
  }

  async ranges(): Promise<RangeRow[]> {
    const { out, notes } = await this.run(["range", "list", "-o", "json"]);
    if (out === "") throw new Error(notes);
    return JSON.parse(out) as RangeRow[];
  }

  /** How many ranges each node leads. */
  async leaders(): Promise<number[]> {
    return Promise.all(this.entries().map(({ node }) => this.metric(node, "flotilla_leaders")));
  }

  /** Resolves with the time it took until every range is led, and no node leads many more than another. */
  async untilEven(ranges: number, timeoutMs: number = 20_000): Promise<number> {
    const startedMs = performance.now();
    let counts: number[] = [];
    const even = async (): Promise<boolean> => {
      counts = await this.leaders().catch(() => []);
      const sum = counts.reduce((a, b) => a + b, 0);
      return sum === ranges && Math.max(...counts) - Math.min(...counts) <= 1;
    };
    await until("leaders are spread evenly", even, timeoutMs).catch(async (error: unknown) => {
      const { out } = await this.run(["range", "list"]);
      throw new Error(`leaders ${counts.join(", ")}\n${out}`, { cause: error });
    });
    return performance.now() - startedMs;
  }

  /** While the other nodes stand still: what this one answers comes from its own replicas. */
  async alone<T>(node: number, job: () => Promise<T>): Promise<T> {
    const others = this.entries().filter((entry) => entry.node !== node && entry.pid !== null);
    for (const other of others) this.pause(other.node);
    try {
      return await job();
    } finally {
      for (const other of others) this.resume(other.node);
    }
  }

  /** A number from a node's `/metrics`. */
  async metric(node: number, name: string): Promise<number> {
    const entry = this.entries().find((candidate) => candidate.node === node)!;
    const text = await (await fetch(`http://${entry.httpAddress}/metrics`)).text();
    const match = new RegExp(`^${name} (\\S+)$`, "m").exec(text);
    if (match === null) throw new Error(`node ${node} has no metric ${name}`);
    return Number(match[1]);
  }

  /** Ctrl-C for `flotilla dev`. */
  async stop(signal: SignalName = "SIGINT"): Promise<CommandResult> {
    const { dev } = this;
    dev.signal(signal);
    return within(stopMsMax, "flotilla dev to stop", dev.ended);
  }

  killAll(): void {
    for (const { pid } of existsSync(this.path("cluster.json")) ? this.entries() : []) {
      if (pid !== null && isOurs(pid, this.directory)) this.#pids.add(pid);
    }
    for (const started of this.#started) started.signal("SIGKILL");
    for (const pid of this.#pids) if (isOurs(pid, this.directory)) tryKill(pid);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close();
    this.killAll();
    await Promise.all(this.#started.map(({ ended }) => ended));
    await until("all processes are gone", () => [...this.#pids].every((pid) => !isOurs(pid, this.directory)));
    await rm(this.directory, { recursive: true, force: true });
    clusters.delete(this);
  }
}

/** Listeners that hold the blocks of ports of this process until it ends. */
const heldBlocks: Server[] = [];

/**
 * A base port P such that P … P+n-1 and the HTTP ports behind them are free; below the ports of embedded clusters and the
 * ephemeral ones, above 10080, which `fetch` refuses. The block P … P+99 belongs to this process from now on, also while nothing of the cluster runs: other
 * tests that run at the same time find the last port of the block taken.
 */
export async function freePorts(nodes: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const base = 11_000 + Math.floor(Math.random() * 90) * portsPerBlock;
    const guard = await hold(base + portsPerBlock - 1);
    if (guard === undefined) continue;
    const ports = Array.from({ length: nodes }, (_, index) => [base + index, base + httpPortOffset + index]).flat();
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) {
      heldBlocks.push(guard.unref());
      return base;
    }
    guard.close();
  }
  throw new Error("no free ports");
}

/** Undefined: something listens there. */
function hold(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => resolve(server));
  });
}

export async function isFree(port: number): Promise<boolean> {
  const server = await hold(port);
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs: number = startMsMax,
): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > untilMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  let timeout: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timeout = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms for ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timeout);
  }
}

/** Whether the process lives and is one of ours, which all run in the cluster's directory: pids are used again. */
export function isOurs(pid: number, directory: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    if (/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2))) return false;
    return readlinkSync(`/proc/${pid}/cwd`) === directory;
  } catch {
    return false;
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended in between.
  }
}
