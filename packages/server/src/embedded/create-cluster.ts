/**
 * `createCluster`: a cluster of real stores inside the calling process, for tests and for programs that carry their
 * store with them. Each store has a thread of its own, as in a server; clients reach it over TCP on 127.0.0.1.
 */
import type { Logger } from "@flotilla/base";
import { silentLogger } from "@flotilla/platform";
import type { StoreThreadData } from "../node/store-thread-messages.ts";
import { serverVersion } from "../server-version.ts";
import {
  countNodes,
  nodeDirectory,
  openKeptDirectory,
  openScratchDirectory,
  prepareCluster,
} from "./cluster-directory.ts";
import type { ClusterDirectory } from "./cluster-directory.ts";
import type { ClusterOptions } from "./cluster-options.ts";
import type { Cluster } from "./cluster.ts";
import { EmbeddedCluster } from "./embedded-cluster.ts";
import { EmbeddedNode } from "./embedded-node.ts";
import { giveBackPorts, takeFreePorts } from "./free-ports.ts";
import { resolveClusterOptions } from "./resolve-cluster-options.ts";
import type { ResolvedClusterOptions } from "./resolve-cluster-options.ts";
import { toFlotillaError } from "./to-flotilla-error.ts";

/** Another process may take a port between the look at it and the store's own listening. */
const portAttemptsMax = 5;

/**
 * Resolves when every range has a leader. Rejects with a `FlotillaError` and leaves nothing behind when the cluster cannot
 * start: `InvalidArgument`, `InUse`, `Refused`, `Corruption`, `Timeout`.
 */
export async function createCluster(options: ClusterOptions = {}): Promise<Cluster> {
  try {
    return await openCluster(resolveClusterOptions(options));
  } catch (error) {
    throw toFlotillaError(error);
  }
}

async function openCluster(options: ResolvedClusterOptions): Promise<Cluster> {
  let cluster: EmbeddedCluster | undefined;
  const directory =
    options.dataDir === undefined
      ? await openScratchDirectory(() => cluster?.abandon())
      : await openKeptDirectory(options.dataDir);
  try {
    const logger = await loggerFor(options);
    for (let attempt = 1; ; attempt++) {
      const built = await buildCluster(directory, options, logger);
      cluster = built;
      try {
        await built.start(options.timeoutMs);
        return built;
      } catch (error) {
        await built.dismantle();
        if (!isPortTaken(error) || attempt === portAttemptsMax) throw error;
      }
    }
  } catch (error) {
    await directory.release();
    throw error;
  }
}

async function buildCluster(
  directory: ClusterDirectory,
  options: ResolvedClusterOptions,
  logger: Logger,
): Promise<EmbeddedCluster> {
  const ports = await takeFreePorts(await countNodes(directory.root, options.nodes));
  try {
    const addresses = ports.map((port) => `127.0.0.1:${port}`);
    const { clusterId } = await prepareCluster(directory.root, addresses, options);
    const cluster: EmbeddedCluster = new EmbeddedCluster({
      clusterId,
      directory,
      temporary: options.dataDir === undefined,
      nodes: addresses.map((address, index) => {
        const nodeId = index + 1;
        const data = storeData(nodeDirectory(directory.root, nodeId), address, addresses, options);
        const onHalt = (node: EmbeddedNode, error: unknown): void => cluster.noteHalt(node, error);
        return new EmbeddedNode({ nodeId, data, logger: withNode(logger, nodeId), onHalt });
      }),
      giveBackPorts: () => giveBackPorts(ports),
    });
    return cluster;
  } catch (error) {
    giveBackPorts(ports);
    throw error;
  }
}

function storeData(
  dataDir: string,
  address: string,
  peers: readonly string[],
  { store, log, logLevel }: ResolvedClusterOptions,
): StoreThreadData {
  const host = { dataDir, address, httpAddress: "", peers, join: [], labels: {} };
  return { ...host, logLevel, serverVersion, settings: store, log };
}

const isPortTaken = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  error.code === "InUse" &&
  "details" in error &&
  hasAddress(error.details);

const hasAddress = (details: unknown): boolean =>
  typeof details === "object" && details !== null && "address" in details;

async function loggerFor({ logger, logLevel }: ResolvedClusterOptions): Promise<Logger> {
  if (logger !== undefined || logLevel === "silent") return logger ?? silentLogger;
  const { createNodeLogger } = await import("../log/node-logger.ts");
  return createNodeLogger(logLevel, process.stderr);
}

function withNode(logger: Logger, nodeId: number): Logger {
  return {
    debug: (fields, message) => logger.debug({ nodeId, ...fields }, message),
    info: (fields, message) => logger.info({ nodeId, ...fields }, message),
    warn: (fields, message) => logger.warn({ nodeId, ...fields }, message),
    error: (fields, message) => logger.error({ nodeId, ...fields }, message),
  };
}
