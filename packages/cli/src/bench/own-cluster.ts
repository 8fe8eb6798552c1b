/** Three nodes of Flotilla that a benchmark starts for itself, as `flotilla dev` would, and stops again. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "@flotilla/base";
import { formatSettingsFile } from "@flotilla/server/settings";
import { DevCluster } from "../dev/dev-cluster.ts";
import { devNodes, parseDevOptions } from "../dev/dev-plan.ts";
import type { DevNode, DevOptions } from "../dev/dev-plan.ts";
import { processLives } from "../dev/node-file.ts";
import { lockRoot, prepareCluster } from "../dev/prepare-directories.ts";
import { findFreePorts } from "./free-ports.ts";
import type { MeasuredServers } from "./node-meters.ts";

const nodeCount = 3;
/** As `flotilla dev` places them: HTTP 80 above. */
const portOffsets: readonly number[] = [0, 1, 2, 80, 81, 82];

export interface OwnClusterOptions {
  readonly directory: string;
  /** For the nodes alone. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Of what the nodes say about themselves: only when something went wrong. */
  note(text: string): void;
}

export class OwnCluster {
  readonly endpoints: readonly string[];
  readonly #options: OwnClusterOptions;
  readonly #root: string;
  readonly #nodes: readonly DevNode[];
  readonly #releaseLock: () => Promise<void>;
  #running: DevCluster | undefined;
  #servers: MeasuredServers | undefined;
  #stopping = false;

  private constructor(
    options: OwnClusterOptions,
    root: string,
    nodes: readonly DevNode[],
    releaseLock: () => Promise<void>,
  ) {
    this.#options = options;
    this.#root = root;
    this.#nodes = nodes;
    this.#releaseLock = releaseLock;
    this.endpoints = nodes.map(({ address }) => address);
  }

  /** A new cluster, started: every range has a leader. */
  static async start(options: OwnClusterOptions): Promise<OwnCluster> {
    const root = join(options.directory, "flotilla");
    const asked: DevOptions = parseDevOptions(
      { dataDir: root, nodes: String(nodeCount), port: String(await findFreePorts(portOffsets)) },
      options.directory,
    );
    const lock = await lockRoot(root);
    await prepareCluster(asked);
    const nodes = devNodes(asked, nodeCount, options.directory);
    const peers = nodes.map(({ address }) => address);
    for (const { dataDir, address, httpAddress } of nodes) {
      await mkdir(dataDir, { recursive: true });
      await writeFile(
        join(dataDir, "flotilla.toml"),
        formatSettingsFile({ dataDir: ".", address, httpAddress, peers }),
      );
    }
    const cluster = new OwnCluster(options, root, nodes, () => lock.release());
    try {
      await cluster.startNodes();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** The nodes, after `stopNodes`, on the same data. */
  async startNodes(): Promise<void> {
    this.#stopping = false;
    const running = new DevCluster(this.#root, this.#nodes, {
      // Their starts and stops are ours; what is left is a node that ended by itself.
      line: (text) => {
        if (!this.#stopping && !text.includes("  http ")) this.#options.note(text + "\n");
      },
    });
    this.#running = running;
    const environment = Object.entries(this.#options.environment ?? {});
    for (const [name, value] of environment) process.env[name] = value;
    const starting = running.start();
    for (const [name] of environment) delete process.env[name];
    const { ready } = await starting;
    if (ready < nodeCount) throw new Failure("Internal", `only ${ready} of ${nodeCount} nodes started`);
    this.#servers = await this.#findServers();
  }

  /** In order, so that everything is flushed. */
  async stopNodes(): Promise<void> {
    this.#stopping = true;
    await this.#running?.stop();
    this.#running = undefined;
  }

  async stop(): Promise<void> {
    await this.stopNodes();
    await this.#releaseLock();
  }

  /** After `stop`: another cluster may be made in the same place. */
  removeData(): Promise<void> {
    return rm(this.#root, { recursive: true, force: true });
  }

  /** Throws when a node has ended by itself: what was measured then means nothing. */
  requireAlive(): void {
    for (const [index, pid] of this.servers.pids.entries()) {
      if (pid === null || !processLives(pid)) throw new Failure("Internal", `node ${index + 1} ended by itself`);
    }
  }

  get servers(): MeasuredServers {
    if (this.#servers === undefined) throw new Failure("Internal", "the cluster's nodes do not run");
    return this.#servers;
  }

  async #findServers(): Promise<MeasuredServers> {
    const content = JSON.parse(await readFile(join(this.#root, "cluster.json"), "utf8")) as { pid: number | null }[];
    return {
      pids: content.map(({ pid }) => pid),
      metricAddresses: this.#nodes.map(({ httpAddress }) => httpAddress),
      dataDirectories: this.#nodes.map(({ dataDir }) => dataDir),
      fsyncMetric: "flotilla_log_fsyncs_total",
    };
  }
}
