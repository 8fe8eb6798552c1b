/** From an empty directory to its identity: listens, says what to run, and waits until the cluster is made. */
import { Failure } from "@flotilla/base";
import type { Environment, Files, Scheduler } from "@flotilla/base";
import { createClient } from "@flotilla/client";
import type { Codec, ListenerFactory } from "@flotilla/transport";
import type { Identity } from "../identity/identity-file.ts";
import { FoundingListener } from "./founding-listener.ts";
import { FoundingNode } from "./founding-node.ts";

/** How often a node asks what became of a promise, or whether the others have a cluster without it. */
const lookMs = 1000;
const askMsMax = 5000;

export interface AwaitIdentityOptions {
  readonly address: string;
  readonly peers: readonly string[];
}

export interface AwaitIdentityDependencies {
  readonly environment: Environment;
  /** The node's directory, which this thread has locked. */
  readonly files: Files;
  readonly codec: Codec;
  readonly listeners: ListenerFactory;
  /** It listens, and has no cluster; `reason` says what to run. */
  onWaiting(address: string, reason: string): void;
  /** When it rejects, the waiting ends with that. */
  readonly stopped: Promise<never>;
}

export interface FoundIdentity {
  readonly identity: Identity;
  /** Where the node listened: there it is known now. */
  readonly address: string;
}

/** Resolves when the identity is durable and the port is free again; rejects when this directory can get none. */
export async function awaitIdentity(
  { address, peers }: AwaitIdentityOptions,
  dependencies: AwaitIdentityDependencies,
): Promise<FoundIdentity> {
  const { environment, files, stopped } = dependencies;
  const { random, logger, scheduler } = environment;
  const listener = await FoundingListener.listen(address, dependencies);
  let done = false;
  try {
    const pause = (ms: number): Promise<void> => new Promise((resolve) => scheduler.after(ms, resolve));
    const node = await FoundingNode.open(
      { peers, address: listener.address },
      { files, random, logger, ask: (to, name, argument) => ask(to, name, argument), pause },
    );
    listener.serve(node);
    const { message, hint } = node.noCluster();
    logger.warn({ peers }, `${message}: ${hint}`);
    dependencies.onWaiting(listener.address, `${message}: ${hint}`);
    void lookOften(node, scheduler, () => done);
    const identity = await Promise.race([node.made, stopped]);
    return { identity, address: listener.address };
  } finally {
    done = true;
    await listener.close();
  }
}

async function lookOften(node: FoundingNode, scheduler: Scheduler, done: () => boolean): Promise<void> {
  for (;;) {
    await new Promise<void>((resolve) => scheduler.after(lookMs, resolve));
    if (done()) return;
    try {
      await node.look();
    } catch (error) {
      node.fail(error);
      return;
    }
  }
}

async function ask(address: string, name: string, argument: unknown): Promise<unknown> {
  const client = createClient({ endpoints: [address], timeoutMs: askMsMax });
  try {
    return await client.admin(name, argument, { endpoint: address });
  } catch (error) {
    if (error instanceof Error && "code" in error) throw error;
    throw new Failure("Internal", `${address}: ${String(error)}`, { cause: error });
  } finally {
    await client.close();
  }
}
