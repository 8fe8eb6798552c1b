/** One node of an embedded cluster: a store on a thread of this process, without HTTP and signals. */
import { Failure } from "@flotilla/base";
import type { Logger } from "@flotilla/base";
import { StoreThread } from "../node/store-thread.ts";
import type { StoreThreadData } from "../node/store-thread-messages.ts";
import type { ClusterNode, NodeState } from "./cluster.ts";
import { toFlotillaError } from "./to-flotilla-error.ts";

export interface EmbeddedNodeOptions {
  readonly nodeId: number;
  readonly data: StoreThreadData;
  readonly logger: Logger;
  /** It had taken part and cannot go on. */
  onHalt(node: EmbeddedNode, error: unknown): void;
}

const transferMs = 2_000;

/**
 * Directories whose store halted: what its files hold is not known any more, because a failed fsync may have dropped
 * pages that reads still show. Only a new process reads what is really there.
 */
const haltedDirectories = new Set<string>();

export class EmbeddedNode implements ClusterNode {
  readonly nodeId: number;
  readonly address: string;
  readonly dataDir: string;
  readonly #options: EmbeddedNodeOptions;
  #thread: StoreThread | undefined;
  #state: Exclude<NodeState, "halted"> = "stopped";
  #retired = false;

  constructor(options: EmbeddedNodeOptions) {
    this.nodeId = options.nodeId;
    this.address = options.data.address;
    this.dataDir = options.data.dataDir;
    this.#options = options;
  }

  get state(): NodeState {
    return haltedDirectories.has(this.dataDir) ? "halted" : this.#state;
  }

  async start(): Promise<void> {
    if (this.#state === "stopping") await this.#thread?.closed.catch(() => {});
    try {
      await (this.#thread ?? this.#begin()).listening;
    } catch (error) {
      throw toFlotillaError(error);
    }
  }

  /** Every range of the node had a leader since its start. Rejects when it ended before. */
  get ready(): Promise<void> {
    return this.#thread?.ready ?? Promise.reject(new Failure("Closed", `node ${this.nodeId} does not run`));
  }

  async stop(options: { readonly transferMs: number } = { transferMs }): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined) return;
    this.#state = "stopping";
    thread.holdProcess(true);
    await thread.stop(options.transferMs);
  }

  async kill(): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined) return;
    this.#state = "stopping";
    await thread.kill();
  }

  /** As `kill`, and it is not started again: its cluster is closed. */
  retire(): Promise<void> {
    this.#retired = true;
    return this.kill();
  }

  /** Whether the running node keeps the process alive. */
  holdProcess(hold: boolean): void {
    this.#thread?.holdProcess(hold);
  }

  #begin(): StoreThread {
    const { data, logger } = this.#options;
    if (this.#retired) throw new Failure("Closed", "the cluster is closed");
    if (this.state === "halted") throw this.#refusal();
    // The program's own loaders and flags are not for the store.
    const { NODE_OPTIONS: _, ...env } = process.env;
    const thread = new StoreThread(data, logger, { env, execArgv: [] });
    this.#thread = thread;
    this.#state = "starting";
    let tookPart = false;
    thread.listening.then(
      () => {
        tookPart = true;
        if (this.#state === "starting") this.#state = "running";
        thread.holdProcess(false);
      },
      () => {},
    );
    const ended = (): void => {
      this.#thread = undefined;
      this.#state = "stopped";
    };
    thread.closed.then(ended, (error: unknown) => {
      ended();
      if (error instanceof Failure && isHarmless(error, tookPart)) return;
      haltedDirectories.add(this.dataDir);
      if (tookPart) this.#options.onHalt(this, error);
    });
    return thread;
  }

  #refusal(): Failure {
    return new Failure("Refused", `node ${this.nodeId} halted and is not opened again in this process`, {
      hint: "its error came with the cluster's `closed` promise; a new process may open the directory",
      details: { dataDir: this.dataDir },
    });
  }
}

/** A start that was refused (a port in use, a locked directory) wrote nothing; a stop that took too long ended as by a crash. */
const isHarmless = ({ code }: Failure, tookPart: boolean): boolean =>
  tookPart ? code === "Timeout" : code !== "Internal";
