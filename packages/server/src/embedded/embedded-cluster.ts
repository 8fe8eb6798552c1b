/** An embedded cluster that is starting, runs, or has been closed; and the clients that it made. */
import { Failure } from "@flotilla/base";
import type { Client, KeyCodecOption, ValueCodecOption } from "@flotilla/client";
import { createNodeClient } from "@flotilla/client/internal";
import type { ClusterDirectory } from "./cluster-directory.ts";
import type { Cluster, EmbeddedClientOptions } from "./cluster.ts";
import type { EmbeddedNode } from "./embedded-node.ts";
import { toFlotillaError } from "./to-flotilla-error.ts";

export interface EmbeddedClusterParts {
  readonly clusterId: string;
  readonly directory: ClusterDirectory;
  readonly temporary: boolean;
  readonly nodes: readonly EmbeddedNode[];
  giveBackPorts(): void;
}

export class EmbeddedCluster implements Cluster {
  readonly clusterId: string;
  readonly dataDir: string;
  readonly endpoints: readonly string[];
  readonly nodes: readonly EmbeddedNode[];
  readonly closed: Promise<void>;
  readonly #parts: EmbeddedClusterParts;
  /** Made here and not closed yet. */
  readonly #clients = new Set<Client<KeyCodecOption, ValueCodecOption>>();
  #resolveClosed!: () => void;
  #rejectClosed!: (error: Error) => void;
  #closing: Promise<void> | undefined;

  constructor(parts: EmbeddedClusterParts) {
    this.#parts = parts;
    this.clusterId = parts.clusterId;
    this.dataDir = parts.directory.root;
    this.nodes = parts.nodes;
    this.endpoints = parts.nodes.map(({ address }) => address);
    this.closed = new Promise((resolve, reject) => {
      this.#resolveClosed = resolve;
      this.#rejectClosed = reject;
    });
    this.closed.catch(() => {});
  }

  /** Resolves when every range has a leader. */
  async start(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      const message = `the cluster was not ready within ${timeoutMs} ms`;
      timer = setTimeout(() => reject(new Failure("Timeout", message, { hint: "raise `timeoutMs`" })), timeoutMs);
    });
    // The timer keeps the process alive until then, whatever the threads do.
    const ready = Promise.all(this.nodes.map((node) => node.start().then(() => node.ready)));
    try {
      await Promise.race([ready, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  noteHalt(node: EmbeddedNode, error: unknown): void {
    const { code, message, hint, details } = toFlotillaError(error);
    const reason = new Failure(code, `node ${node.nodeId} halted: ${message}`, { hint, details, cause: error });
    this.#rejectClosed(toFlotillaError(reason));
  }

  client<const KC extends KeyCodecOption = undefined, const VC extends ValueCodecOption = undefined>(
    options?: EmbeddedClientOptions<KC, VC>,
  ): Client<KC, VC> {
    if (this.#closing !== undefined) throw toFlotillaError(new Failure("Closed", "the cluster is closed"));
    const { endpoints } = this;
    const client = createNodeClient<KC, VC>(
      { ...options, endpoints } as Parameters<typeof createNodeClient<KC, VC>>[0],
      {
        holdsProcess: false,
      },
    );
    const known = client as unknown as Client<KeyCodecOption, ValueCodecOption>;
    this.#clients.add(known);
    void client.closed.then(() => this.#clients.delete(known));
    return client;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close()));
    const failures: unknown[] = [];
    // What is thrown away afterwards needs no clean stop.
    const end = (node: EmbeddedNode): Promise<void> =>
      this.#parts.temporary ? node.retire() : node.stop({ transferMs: 0 });
    await Promise.all(this.nodes.map((node) => end(node).catch((error: unknown) => failures.push(error))));
    try {
      await this.dismantle();
      await this.#parts.directory.release();
    } catch (error) {
      failures.push(error);
    }
    this.#resolveClosed();
    if (failures.length > 0) throw toFlotillaError(failures[0]);
  }

  /** Ends all threads; the directory stays. */
  async dismantle(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.retire().catch(() => {})));
    this.#parts.giveBackPorts();
  }

  /** The process ends: threads must stop writing, and nothing can be waited for. */
  abandon(): void {
    for (const node of this.nodes) node.retire().catch(() => {});
  }
}
