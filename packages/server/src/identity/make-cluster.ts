/**
 * The act that makes a cluster in directories side by side (rule: identity). It happens when all of them are empty:
 *
 *     1. `cluster-plan.json` with everything that was decided, durable
 *     2. in each directory incarnation 0, then the identity, durable
 *     3. the plan file is removed, durable
 *
 * No node is started before step 3. So while the plan file stands nothing has been promised to anybody, and whoever
 * finds it goes on from it; without it, an empty directory beside others is one that has forgotten its votes.
 */
import { Failure } from "@flotilla/base";
import type { Files } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import { wrongPlan } from "./cluster-plan-schema.ts";
import { readIdentity, writeIdentity } from "./identity-file.ts";
import type { Identity } from "./identity-file.ts";
import { corrupt, readSealed, writeSealed } from "./sealed-file.ts";

export const planFile = "cluster-plan.json";
const planKind = { kind: "cluster-plan", format: 1 };

/** What of a store may lie in a directory. Its configuration, its log output and an unused lock are not of the store. */
const storeFiles = ["log", "data", "staging", "incarnation"];

export type DirectoriesState =
  | { readonly kind: "empty" }
  /** An act that was interrupted. */
  | { readonly kind: "unfinished"; readonly plan: ClusterPlan }
  | { readonly kind: "cluster"; readonly identities: readonly Identity[] };

/** The directories' paths are relative to `files`; the order is that of the plan's stores. */
export async function inspectDirectories(files: Files, directories: readonly string[]): Promise<DirectoriesState> {
  const plan = await readSealed(files, planFile, planKind);
  if (plan !== undefined) {
    const why = wrongPlan(plan);
    if (why !== undefined) throw corrupt(planFile, 0, why);
    return { kind: "unfinished", plan: plan as ClusterPlan };
  }
  const identities: Identity[] = [];
  const empty: string[] = [];
  for (const directory of directories) {
    const identity = await readIdentity(files, directory);
    if (identity !== undefined) identities.push(identity);
    else {
      await refuseDamaged(files, directory);
      empty.push(directory);
    }
  }
  if (identities.length === 0) return { kind: "empty" };
  if (empty.length > 0) throw forgotten(empty, identities[0]!);
  refuseMixed(directories, identities);
  return { kind: "cluster", identities };
}

/** Also goes on from where an interrupted call stopped, when it gets that call's plan. Resolves when all is durable. */
export async function makeCluster(
  files: Files,
  directories: readonly string[],
  plan: ClusterPlan,
): Promise<readonly Identity[]> {
  if (directories.length !== plan.stores.length) {
    throw new Failure(
      "InvalidArgument",
      `a cluster of ${plan.stores.length} stores does not fit into ${directories.length} directories`,
    );
  }
  await writeSealed(files, planFile, planKind, plan);
  const identities: Identity[] = [];
  for (const [index, directory] of directories.entries()) {
    const { storeId, nodeId, storeKey } = plan.stores[index]!;
    const found = await readIdentity(files, directory);
    if (found !== undefined && found.storeKey !== storeKey) {
      throw new Failure(
        "WrongCluster",
        `${directory} belongs to cluster ${found.clusterId}, not to the one being made`,
        { hint: wipeHint },
      );
    }
    const identity: Identity = { clusterId: plan.clusterId, nodeId, storeId, storeKey, plan };
    if (found === undefined) {
      await files.makeDirectory(directory);
      await files.syncDirectory(".");
      await writeIdentity(files, directory, identity);
    }
    identities.push(identity);
  }
  await files.remove(planFile);
  await files.syncDirectory(".");
  return identities;
}

const wipeHint = "put the directory back from a copy, or wipe everything with `flotilla dev --fresh`";

function forgotten(empty: readonly string[], { clusterId, plan }: Identity): Failure {
  return new Failure(
    "Refused",
    `${empty.join(", ")} ${empty.length === 1 ? "is" : "are"} empty, but the other directories hold cluster ${clusterId}: ` +
      "an empty directory has forgotten the votes it gave and would come back as a store that the cluster does not know",
    {
      hint: `${wipeHint}; or add the node as a new one with \`flotilla start --join\``,
      details: { clusterId, empty: [...empty], stores: plan.stores.length },
    },
  );
}

/** Throws `Corruption` when a directory without an identity holds other parts of a store. */
export async function refuseDamaged(files: Files, directory: string): Promise<void> {
  const names = await files.list(directory);
  const left = names.filter((name) => storeFiles.includes(name));
  if (left.length > 0) {
    throw corrupt(
      directory === "." ? "identity" : `${directory}/identity`,
      0,
      `it is missing, although the directory holds ${left.join(", ")} of a store`,
    );
  }
}

function refuseMixed(directories: readonly string[], identities: readonly Identity[]): void {
  const first = identities[0]!;
  for (const [index, identity] of identities.entries()) {
    const directory = directories[index]!;
    if (identity.clusterId !== first.clusterId) {
      throw new Failure(
        "WrongCluster",
        `${directory} belongs to cluster ${identity.clusterId}, ${directories[0]!} to ${first.clusterId}`,
        { hint: wipeHint },
      );
    }
    const twin = identities.findIndex(({ storeId }) => storeId === identity.storeId);
    if (twin !== index) {
      throw new Failure(
        "Refused",
        `${directory} is a copy of ${directories[twin]!}: both are store ${identity.storeId}`,
        {
          hint: "a store must run from one directory only; remove the copy",
        },
      );
    }
  }
}
