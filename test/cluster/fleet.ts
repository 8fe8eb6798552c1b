/** Nodes that are started one by one, as where `flotilla dev` is not used: no cluster is made for them. */
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@flotilla/client";
import type { Client } from "@flotilla/client";
import { StartedProcess, freePorts, isOurs, until } from "./harness.ts";
import type { CommandResult } from "./harness.ts";

const fleets = new Set<Fleet>();
process.once("exit", () => {
  for (const fleet of fleets) fleet.killAll();
});

/** For `afterEach`: ends every fleet that a test has not closed itself. */
export async function closeAllFleets(): Promise<void> {
  for (const fleet of [...fleets]) await fleet.close();
}

export class Fleet {
  readonly directory: string;
  /** Of node n at n - 1. */
  readonly addresses: readonly string[];
  readonly httpAddresses: readonly string[];
  readonly #started: StartedProcess[] = [];
  readonly #clients: Client[] = [];

  private constructor(directory: string, nodes: number, port: number) {
    this.directory = directory;
    this.addresses = Array.from({ length: nodes }, (_, index) => `127.0.0.1:${port + index}`);
    this.httpAddresses = Array.from({ length: nodes }, (_, index) => `127.0.0.1:${port + 80 + index}`);
    fleets.add(this);
  }

  static async prepare(nodes: number): Promise<Fleet> {
    const directory = await realpath(await mkdtemp(join(tmpdir(), "flotilla-fleet-")));
    return new Fleet(directory, nodes, await freePorts(nodes));
  }

  /** The nodes run, and are one cluster that is ready. `spare`: addresses for nodes that are to join it later. */
  static async start(
    nodes: number,
    initOptions: readonly string[] = [],
    { spare = 0, settings = [] }: { readonly spare?: number; readonly settings?: readonly string[] } = {},
  ): Promise<Fleet> {
    const fleet = await Fleet.prepare(nodes + spare);
    const peers = fleet.addresses.slice(0, nodes);
    for (let node = 1; node <= nodes; node++) fleet.startNode(node, settings, peers);
    await fleet.untilAllSay(fleet.#started, "has no cluster yet");
    const made = await fleet.run(["cluster", "init", "--endpoints", fleet.addresses[0]!, "--wait", ...initOptions]);
    if (made.exitCode !== 0) throw new Error(`no cluster: ${made.notes}`);
    return fleet;
  }

  /** A new node with an empty directory; resolves when it is a member. `through`: a node that runs. */
  async join(node: number, through: number, settings: readonly string[] = []): Promise<StartedProcess> {
    const where = ["--data-dir", this.dataDir(node), "--address", this.addresses[node - 1]!];
    const http = ["--http-address", this.httpAddresses[node - 1]!];
    const started = this.spawn(["start", ...where, ...http, "--join", this.addresses[through - 1]!, ...settings]);
    await this.untilAllSay([started], '"msg":"listening"');
    return started;
  }

  dataDir(node: number): string {
    return join(this.directory, `node-${node}`);
  }

  startNode(node: number, more: readonly string[] = [], peers: readonly string[] = this.addresses): StartedProcess {
    const settings = ["--data-dir", this.dataDir(node), "--address", this.addresses[node - 1]!];
    const http = ["--http-address", this.httpAddresses[node - 1]!];
    return this.spawn(["start", ...settings, ...http, "--peers", peers.join(","), ...more]);
  }

  /** Of a node, the process that was started last. */
  process(node: number): StartedProcess {
    const address = this.addresses[node - 1]!;
    const found = this.#started.findLast(
      ({ arguments: given }) => given[0] === "start" && given[given.indexOf("--address") + 1] === address,
    );
    if (found === undefined) throw new Error(`node ${node} was not started`);
    return found;
  }

  async untilAllSay(processes: readonly StartedProcess[], text: string): Promise<void> {
    for (const started of processes) {
      await until(`a node says "${text}"`, () => {
        if (started.hasEnded) throw new Error(`a node ended: ${started.notes}`);
        return started.notes.includes(text);
      });
    }
  }

  /** `user`: another one than that of the tests, where these may choose. */
  spawn(args: readonly string[], environment: Readonly<Record<string, string>> = {}, user?: number): StartedProcess {
    const started = new StartedProcess(args, this.directory, environment, undefined, undefined, user);
    this.#started.push(started);
    return started;
  }

  async run(args: readonly string[]): Promise<CommandResult> {
    return this.spawn(args).ended;
  }

  /** Closed with the fleet. */
  client(
    options: {
      readonly timeoutMs?: number;
      readonly endpoints?: readonly string[];
      readonly valueBytesMax?: number;
    } = {},
  ): Client {
    const client = createClient({ endpoints: this.addresses, ...options });
    this.#clients.push(client);
    return client;
  }

  killAll(): void {
    for (const started of this.#started) started.signal("SIGKILL");
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close();
    this.killAll();
    await Promise.all(this.#started.map(({ ended }) => ended));
    await until("all processes are gone", () => this.#started.every(({ pid }) => !isOurs(pid, this.directory)));
    await rm(this.directory, { recursive: true, force: true });
    fleets.delete(this);
  }
}
