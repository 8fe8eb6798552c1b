/** The cluster on disk, before any node runs: found, made, gone on with, or wiped. */
import { mkdir, open, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure } from "@flotilla/base";
import { NodeFiles, nodeRandom } from "@flotilla/platform";
import {
  acquireDirectoryLock,
  inspectDirectories,
  makeCluster,
  planCluster,
  planFile,
  readIdentity,
} from "@flotilla/server/identity";
import type { ClusterPlan, DirectoryLock } from "@flotilla/server/identity";
import { devNodes, newClusterSize, nodesMax } from "./dev-plan.ts";
import type { DevOptions } from "./dev-plan.ts";

export interface PreparedCluster {
  readonly plan: ClusterPlan;
  readonly made: boolean;
}

const nodeName = /^node-(\d{1,2})$/;

/** Keeps every other `flotilla dev` out of the directory until it is released or this process ends. Rejects with `InUse`. */
export async function lockRoot(root: string): Promise<DirectoryLock> {
  try {
    await mkdir(root, { recursive: true });
    await syncPath(dirname(root));
  } catch (error) {
    throw new Failure(
      "InvalidArgument",
      `cannot use ${root} as data directory: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
  return acquireDirectoryLock(root);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes the nodes' directories and what belongs to the cluster, and nothing else. No node may run on them. */
export async function wipe(root: string): Promise<void> {
  const names = (await readdir(root)).filter((name) => nodeName.test(name));
  for (const name of names) {
    const content = await readdir(join(root, name));
    const ours =
      content.length === 0 ||
      content.some((file) => file === "flotilla.toml" || file === "identity" || file === "lock");
    if (!ours) {
      throw new Failure(
        "Refused",
        `${join(root, name)} does not look like a node's directory, --fresh does not touch it`,
        { hint: "remove it by hand, or use another --data-dir" },
      );
    }
  }
  for (const name of names) {
    const lock = await acquireDirectoryLock(join(root, name));
    await lock.release();
    await rm(join(root, name), { recursive: true });
  }
  for (const name of [planFile, `${planFile}.new`, "cluster.json"]) await rm(join(root, name), { force: true });
  await syncPath(root);
}

/** What stands in the directory, or a new cluster there. Throws `Refused` when a part of one is missing. */
export async function prepareCluster(options: DevOptions): Promise<PreparedCluster> {
  const files = new NodeFiles(options.root);
  const count = options.nodes ?? (await countKnown(files, options.root)) ?? newClusterSize(options).nodes;
  const names = (nodes: number): string[] => devNodes(options, nodes, options.root).map(({ name }) => name);
  const state = await inspectDirectories(files, names(count));
  switch (state.kind) {
    case "cluster": {
      const { plan } = state.identities[0]!;
      if (plan.stores.length !== count) {
        throw new Failure(
          "Refused",
          `${options.dataDir} holds a cluster of ${plan.stores.length} nodes, not of ${count}`,
          {
            hint: "leave --nodes out, use another --data-dir, or wipe everything with --fresh",
          },
        );
      }
      return { plan, made: false };
    }
    case "unfinished": {
      // Nothing ran on it yet. It is finished as it was begun.
      await makeCluster(files, names(state.plan.stores.length), state.plan);
      return { plan: state.plan, made: true };
    }
    case "empty": {
      const size = newClusterSize({ nodes: count, replicas: options.replicas });
      const addresses = devNodes(options, size.nodes, options.root).map(({ address }) => address);
      const plan = planCluster(
        { addresses, replicas: size.replicas, ranges: options.ranges ?? 8, splitAt: options.splitAt },
        nodeRandom,
      );
      await makeCluster(files, names(size.nodes), plan);
      return { plan, made: true };
    }
    default:
      return state satisfies never;
  }
}

/** The number of nodes that the cluster in the directory was made with. */
async function countKnown(files: NodeFiles, root: string): Promise<number | undefined> {
  for (const name of await readdir(root)) {
    if (!nodeName.test(name) || Number(nodeName.exec(name)![1]) > nodesMax) continue;
    const identity = await readIdentity(files, name);
    if (identity !== undefined) return identity.plan.stores.length;
  }
  return undefined;
}
