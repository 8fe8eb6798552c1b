/** The nodes of a benchmark's own cluster, each of which can be started, stopped and killed by itself. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "@flotilla/base";
import { formatSettingsFile } from "@flotilla/server/settings";
import type { NumberSettings } from "@flotilla/server/settings";
import { devNodes, parseDevOptions } from "../../dev/dev-plan.ts";
import type { DevNode } from "../../dev/dev-plan.ts";
import { NodeProcess } from "../../dev/node-process.ts";
import type { NodeExit } from "../../dev/node-process.ts";
import { lockRoot, prepareCluster } from "../../dev/prepare-directories.ts";
import { findFreePorts } from "../free-ports.ts";
import { httpText } from "../http-metrics.ts";

export interface NodeFleetOptions {
  readonly directory: string;
  readonly nodes: number;
  readonly ranges: number;
  readonly settings: NumberSettings;
}

/** As `flotilla dev` places them: HTTP so far above. */
const httpOffset = 80;
const killAfterMs = 30_000;

interface Member {
  readonly node: DevNode;
  process: NodeProcess | undefined;
  pid: number;
  /** Why it is not running, when nobody stopped it. */
  ended: string | undefined;
}

export class NodeFleet {
  readonly #root: string;
  readonly #members: readonly Member[];
  readonly #releaseLock: () => Promise<void>;

  private constructor(root: string, nodes: readonly DevNode[], releaseLock: () => Promise<void>) {
    this.#root = root;
    this.#members = nodes.map((node) => ({ node, process: undefined, pid: 0, ended: undefined }));
    this.#releaseLock = releaseLock;
  }

  /** The directories of a new cluster; no node runs yet. */
  static async prepare({ directory, nodes: count, ranges, settings }: NodeFleetOptions): Promise<NodeFleet> {
    const root = join(directory, "flotilla");
    const offsets = Array.from({ length: count }, (_, at) => [at, httpOffset + at]).flat();
    const port = String(await findFreePorts(offsets));
    const asked = {
      ...parseDevOptions({ dataDir: root, nodes: String(count), ranges: String(ranges), port }, directory),
      settings,
    };
    const lock = await lockRoot(root);
    await prepareCluster(asked);
    const nodes = devNodes(asked, count, directory);
    const peers = nodes.map(({ address }) => address);
    for (const { dataDir, address, httpAddress } of nodes) {
      await mkdir(dataDir, { recursive: true });
      const content = formatSettingsFile({ dataDir: ".", address, httpAddress, peers }, settings);
      await writeFile(join(dataDir, "flotilla.toml"), content);
    }
    return new NodeFleet(root, nodes, () => lock.release());
  }

  get size(): number {
    return this.#members.length;
  }

  /** From 0. */
  httpAddress(node: number): string {
    return this.#members[node]!.node.httpAddress;
  }

  /** Of the process that runs, or ran last. */
  pid(node: number): number {
    return this.#members[node]!.pid;
  }

  /** Those that were started and not stopped or killed. */
  get running(): readonly number[] {
    return this.#members.flatMap(({ process }, at) => (process === undefined ? [] : [at]));
  }

  /** Returns at once: the node takes part some time later. */
  start(node: number): void {
    const member = this.#members[node]!;
    const onExit = ({ code, signal, failure }: NodeExit): void => {
      if (member.process === child) member.ended = failure?.message ?? `exit code ${code}, signal ${signal}`;
    };
    const child: NodeProcess = new NodeProcess(member.node, { onMessage: () => {}, onExit }, ["--expose-gc"]);
    member.process = child;
    member.pid = child.pid;
    member.ended = undefined;
  }

  startAll(): void {
    for (let node = 0; node < this.size; node++) this.start(node);
  }

  /** In order; with `transferMs` it hands its leaderships over first. */
  async stop(node: number, transferMs = 0): Promise<void> {
    const member = this.#members[node]!;
    const { process } = member;
    member.process = undefined;
    await process?.stop(killAfterMs, transferMs);
  }

  async stopAll(): Promise<void> {
    for (const node of this.running) await this.stop(node);
  }

  async kill(node: number): Promise<void> {
    const member = this.#members[node]!;
    const { process } = member;
    member.process = undefined;
    process?.kill();
    await process?.exited;
  }

  /** Of all nodes that run: what they say of memory afterwards is alive. */
  async collectGarbage(): Promise<void> {
    const answers = await Promise.all(
      this.running.map((node) => httpText(`http://${this.httpAddress(node)}/collect-garbage`)),
    );
    if (answers.includes(null)) throw new Failure("Internal", "a node did not collect its garbage");
  }

  /** Throws when a node ended by itself: what was measured then means nothing. */
  requireAlive(): void {
    for (const [at, { ended }] of this.#members.entries())
      if (ended !== undefined) throw new Failure("Internal", `node ${at + 1} ended by itself: ${ended}`);
  }

  /** Nothing of it is left. */
  async remove(): Promise<void> {
    await this.stopAll();
    await this.#releaseLock();
    await rm(this.#root, { recursive: true, force: true });
  }
}
