/**
 * From an empty directory to a new store of a cluster that exists (`start --join`):
 *
 *     1. a key for the store, durable
 *     2. the placement driver is asked, through any node, until it answers: it gives ids, and all stores know the new one
 *     3. the identity, durable; then the store opens, without any range
 *
 * The store has promised nothing before, and its id was never another's, so it may be given replicas at once.
 */
import { Failure, printableKey } from "@flotilla/base";
import type { Environment, Files } from "@flotilla/base";
import { createClient, isFlotillaError } from "@flotilla/client";
import { writeIdentity } from "../identity/identity-file.ts";
import type { Identity } from "../identity/identity-file.ts";
import { refuseDamaged } from "../identity/make-cluster.ts";
import { joinedIdentity } from "./join-answer.ts";
import { readOrWriteRequest, removeRequest } from "./join-request-file.ts";

const askMsMax = 10_000;
const againMs = 1_000;

export interface JoinOptions {
  /** Nodes of the cluster to ask, `host:port`. */
  readonly join: readonly string[];
  /** Where the others will find this store. */
  readonly address: string;
  readonly httpAddress: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface JoinDependencies {
  readonly environment: Environment;
  /** The node's directory, which this thread has locked. */
  readonly files: Files;
  onWaiting(reason: string): void;
  /** When it rejects, the waiting ends with that. */
  readonly stopped: Promise<never>;
}

/** Resolves when the identity is durable; rejects when the cluster refuses this store. */
export async function joinCluster(options: JoinOptions, dependencies: JoinDependencies): Promise<Identity> {
  const { files, environment, stopped } = dependencies;
  if (!/:[1-9]\d*$/.test(options.address)) {
    throw new Failure("InvalidArgument", `a node that joins needs a fixed port, not ${printableKey(options.address)}`, {
      hint: "give it one with --address HOST:PORT",
    });
  }
  await refuseDamaged(files, ".");
  const { storeKey } = await readOrWriteRequest(files, environment.random);
  for (let tries = 0; ; tries++) {
    const identity = await Promise.race([askToJoin(storeKey, options, dependencies, tries === 0), stopped]);
    if (identity !== undefined) {
      await writeIdentity(files, ".", identity);
      await removeRequest(files);
      const { clusterId, nodeId, storeId } = identity;
      environment.logger.info({ clusterId, nodeId, storeId }, "this node has joined the cluster");
      return identity;
    }
    await Promise.race([new Promise<void>((resolve) => environment.scheduler.after(againMs, resolve)), stopped]);
  }
}

/** Undefined: nobody could answer now. */
async function askToJoin(
  storeKey: string,
  { join, address, httpAddress, labels }: JoinOptions,
  { environment, onWaiting }: JoinDependencies,
  first: boolean,
): Promise<Identity | undefined> {
  const client = createClient({ endpoints: [...join], timeoutMs: askMsMax });
  try {
    const answer = await client.admin("store-join", { storeKey, address, httpAddress, labels });
    const identity = joinedIdentity(answer, storeKey);
    if (typeof identity === "string")
      throw new Failure("Internal", `the answer to store-join is malformed: ${identity}`);
    return identity;
  } catch (error) {
    if (!isFlotillaError(error)) throw error;
    // Asking again with the same key does no harm, whatever became of this attempt.
    if (!error.retryable && error.code !== "OutcomeUnknown" && error.code !== "NoQuorum") throw error;
    const reason = `no node of ${join.join(", ")} could let this one join: ${error.message}`;
    if (first) environment.logger.warn({ join }, reason);
    onWaiting(reason);
    return undefined;
  } finally {
    await client.close();
  }
}
