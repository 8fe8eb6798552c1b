/** The directory of an embedded cluster: found, made, or gone on with. The layout is that of `flotilla dev`. */
import { mkdir, readdir, realpath } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Failure } from "@flotilla/base";
import { planCluster } from "@flotilla/placement";
import type { ClusterPlan } from "@flotilla/placement";
import { NodeFiles, nodeRandom } from "@flotilla/platform";
import { acquireDirectoryLock } from "@flotilla/storage/leveldb";
import { readIdentity } from "../identity/identity-file.ts";
import { inspectDirectories, makeCluster } from "../identity/make-cluster.ts";
import { replicasFor } from "./resolve-cluster-options.ts";
import type { ResolvedClusterOptions } from "./resolve-cluster-options.ts";
import { makeScratchDirectory, removeScratchDirectory } from "./scratch-directory.ts";

const nodeName = /^node-(\d{1,2})$/;

export const nodeDirectory = (root: string, node: number): string => join(root, `node-${node}`);

export interface ClusterDirectory {
  readonly root: string;
  /** Gives the directory free, or removes it; nothing may be open in it. */
  release(): Promise<void>;
}

/** `beforeRemoval`: see `makeScratchDirectory`. */
export async function openScratchDirectory(beforeRemoval: () => void): Promise<ClusterDirectory> {
  const root = await makeScratchDirectory(beforeRemoval);
  return { root, release: () => removeScratchDirectory(root) };
}

/** Keeps everybody else out until it is released. Rejects with `InUse`, or `InvalidArgument` for an unusable path. */
export async function openKeptDirectory(dataDir: string): Promise<ClusterDirectory> {
  const path = resolve(dataDir);
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure("InvalidArgument", `cannot use ${path} as data directory: ${why}`, { cause: error });
  }
  const lock = await acquireDirectoryLock(path);
  return { root: await realpath(path), release: () => lock.release() };
}

/** How many nodes the cluster in the directory has, or will have. */
export async function countNodes(root: string, wanted: number | undefined): Promise<number> {
  return wanted ?? (await countKnown(new NodeFiles(root), root)) ?? 1;
}

/** The plan of the cluster in the directory; when there is none it is made, durably, with a node for each address. */
export async function prepareCluster(
  root: string,
  addresses: readonly string[],
  options: Pick<ResolvedClusterOptions, "ranges" | "replicas">,
): Promise<ClusterPlan> {
  const files = new NodeFiles(root);
  const count = addresses.length;
  const state = await inspectDirectories(files, names(count));
  switch (state.kind) {
    case "cluster": {
      const { plan } = state.identities[0]!;
      if (plan.stores.length === count) return plan;
      throw new Failure("Refused", `${root} holds a cluster of ${plan.stores.length} nodes, not of ${count}`, {
        hint: "leave `nodes` out, or use another `dataDir`",
      });
    }
    case "unfinished":
      // Nothing ran on it yet. It is finished as it was begun.
      await makeCluster(files, names(state.plan.stores.length), state.plan);
      return state.plan;
    case "empty": {
      const replicas = replicasFor(count, options.replicas);
      const plan = planCluster({ addresses, replicas, ranges: options.ranges, splitAt: [] }, nodeRandom);
      await makeCluster(files, names(count), plan);
      return plan;
    }
    default:
      return state satisfies never;
  }
}

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `node-${index + 1}`);

/** The number of nodes that the cluster in the directory was made with. */
async function countKnown(files: NodeFiles, root: string): Promise<number | undefined> {
  for (const name of await readdir(root)) {
    const identity = nodeName.test(name) ? await readIdentity(files, name) : undefined;
    if (identity !== undefined) return identity.plan.stores.length;
  }
  return undefined;
}
