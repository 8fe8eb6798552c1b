/** An embedded cluster as a program sees it: the types of `flotilla/cluster`, which lead to nothing of the server. */
import type { Client, CodecOptions, ConnectionOptions, KeyCodecOption, ValueCodecOption } from "@flotilla/client";

/** `halted`: its disk failed or an invariant broke. It stays closed for the life of this process. */
export type NodeState = "starting" | "running" | "stopping" | "stopped" | "halted";

export interface ClusterNode {
  /** From 1. */
  readonly nodeId: number;
  /** `host:port`; stays the same while the cluster lives. */
  readonly address: string;
  readonly dataDir: string;
  readonly state: NodeState;
  /** Resolves when it takes part; its ranges may still have to elect leaders. No effect on a running node. */
  start(): Promise<void>;
  /** In order: leaderships are handed over, everything is flushed. No effect on a stopped node. */
  stop(): Promise<void>;
  /** At once, as by a crash of its process. What it has acknowledged is on disk. */
  kill(): Promise<void>;
}

/** What `createClient` takes, without endpoints. */
export interface EmbeddedClientOptions<KC extends KeyCodecOption = undefined, VC extends ValueCodecOption = undefined>
  extends Partial<Omit<ConnectionOptions, "endpoints">>, CodecOptions<KC, VC> {}

export interface Cluster {
  /** 32 hex digits. */
  readonly clusterId: string;
  /** The directory of all nodes. */
  readonly dataDir: string;
  /** `host:port` of each node, for `createClient({ endpoints })`. */
  readonly endpoints: readonly string[];
  readonly nodes: readonly ClusterNode[];
  /**
   * Resolves after `close`. Rejects with the reason when a store halts (a failed write or fsync, a broken invariant); the
   * other nodes go on, and `close` is still needed. That nobody listens is no error.
   */
  readonly closed: Promise<void>;
  /** A client of this cluster. It is closed with the cluster, and keeps the process alive only during calls. */
  client<const KC extends KeyCodecOption = undefined, const VC extends ValueCodecOption = undefined>(
    options?: EmbeddedClientOptions<KC, VC>,
  ): Client<KC, VC>;
  /**
   * Closes the clients, ends the nodes, and removes the directory if it is temporary; a kept one is left as by a clean
   * stop. Idempotent.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
