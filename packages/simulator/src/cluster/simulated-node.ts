/**
 * One node: the real log, store and codec on a simulated disk, network and clock. Its process may end and start again
 * any number of times; its disk stays.
 */
import { incarnation } from "@flotilla/base";
import type { Environment, Logger, RangeId } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import { nodeByteOperations } from "@flotilla/platform";
import type { Entry } from "@flotilla/raft";
import { FileSharedLog } from "@flotilla/raft-log";
import type { FileSharedLogOptions, SharedLog } from "@flotilla/raft-log";
import { MemoryEngineDisk } from "@flotilla/storage";
import type { MemoryEngine } from "@flotilla/storage";
import { InlineSnapshotJobs, openStore } from "@flotilla/store";
import type { StoreApi, StoreSettings } from "@flotilla/store";
import { createCodec } from "@flotilla/transport";
import type { Codec } from "@flotilla/transport";
import type { Remains } from "../disk/disk-tree.ts";
import { VirtualDisk } from "../disk/virtual-disk.ts";
import type { VirtualNetwork } from "../network/virtual-network.ts";
import { NodeTime } from "../time/node-time.ts";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import type { Claims } from "./claims.ts";
import { observedCodec } from "./observed-codec.ts";
import { ObservedLog } from "./observed-log.ts";
import { appliedIndex, boundsIn } from "./replica-comparison.ts";

export interface SimulatedNodeOptions {
  readonly number: number;
  readonly plan: ClusterPlan;
  readonly settings: StoreSettings;
  readonly log: FileSharedLogOptions;
  readonly engineWriteBufferBytes: number;
  /** Puts something between the store and its log: how a test breaks it. */
  readonly wrapLog?: ((log: SharedLog) => SharedLog) | undefined;
  /** The same between the store and the network. */
  readonly wrapCodec?: ((codec: Codec) => Codec) | undefined;
}

export interface SimulatedNodeDependencies {
  readonly time: VirtualTime;
  readonly network: VirtualNetwork;
  readonly random: SeededRandom;
  readonly claims: Claims;
  /** The process cannot go on: the store halted, or could not be opened. */
  onEnd(node: SimulatedNode, error: unknown, phase: NodePhase): void;
}

export type NodePhase = "start" | "running";

export const nodeName = (number: number): string => `node-${number}`;
export const nodeAddress = (number: number): string => `${nodeName(number)}:7400`;

export class SimulatedNode {
  readonly name: string;
  readonly time: NodeTime;
  readonly disk: VirtualDisk;
  readonly #options: SimulatedNodeOptions;
  readonly #dependencies: SimulatedNodeDependencies;
  #engineDisk: MemoryEngineDisk;
  /** What the directory had before its data was taken away. */
  #dataAside: MemoryEngineDisk | undefined;
  /** Kept with the identity and synced before the first message: survives everything. */
  #incarnation = 0;
  #store: StoreApi | undefined;
  #engine: MemoryEngine | undefined;
  #log: ObservedLog | undefined;
  /** Nobody gets it started. */
  keptDown = false;
  /** Told of entries that the running process hands to its log. */
  onAppend: ((rangeId: RangeId, entries: readonly Entry[]) => void) | undefined = undefined;

  constructor(options: SimulatedNodeOptions, dependencies: SimulatedNodeDependencies) {
    this.name = nodeName(options.number);
    this.#options = options;
    this.#dependencies = dependencies;
    const { time, random } = dependencies;
    this.time = new NodeTime(this.name, time, random.fork("time"));
    this.disk = new VirtualDisk(this.time, time, random.fork("disk"));
    this.#engineDisk = this.#emptyEngineDisk();
    // Nothing runs before the first start.
    this.time.crash();
  }

  #emptyEngineDisk(): MemoryEngineDisk {
    return new MemoryEngineDisk(
      { writeBufferBytes: this.#options.engineWriteBufferBytes },
      { scheduler: this.time.scheduler, bytes: nodeByteOperations },
    );
  }

  /** Of a process that does not run: `data/` is empty, until it is put back as it was. */
  setDataAside(): void {
    this.#dataAside = this.#engineDisk;
    this.#engineDisk = this.#emptyEngineDisk();
  }

  putDataBack(): void {
    if (this.#dataAside === undefined) throw new Error(`no data of ${this.name} is set aside`);
    this.#engineDisk = this.#dataAside;
    this.#dataAside = undefined;
  }

  /** Undefined while the process is down or opens. */
  get store(): StoreApi | undefined {
    return this.#store;
  }

  /** Up to where the running process knows the range's entries to be committed. */
  commitOf(range: RangeId): number {
    return this.#store === undefined ? 0 : (this.#log?.commitOf(range) ?? 0);
  }

  get alive(): boolean {
    return this.time.alive;
  }

  /** A new process. Resolves when the store takes part; never, when the process ends before that. */
  async start(): Promise<void> {
    if (this.keptDown) return;
    this.time.start();
    const life = this.time.life;
    this.#incarnation++;
    this.note("starts");
    try {
      await this.#open();
    } catch (error) {
      if (life === this.time.life) this.#dependencies.onEnd(this, error, "start");
    }
  }

  async #open(): Promise<void> {
    const { number, plan, settings } = this.#options;
    const { network, claims } = this.#dependencies;
    const environment = this.#environment();
    const files = this.disk;
    const real = await FileSharedLog.open(this.#options.log, { ...environment, files });
    const wrapped = this.#options.wrapLog?.(real) ?? real;
    const log = new ObservedLog(wrapped, this.name, claims);
    this.#log = log;
    log.onAppend = (rangeId, entries) => this.onAppend?.(rangeId, entries);
    const engine = await this.#engineDisk.open();
    this.#engine = engine;
    for (const { rangeId, replicaId } of log.groups()) {
      const applied = appliedIndex(rangeId, engine);
      if (applied !== undefined) claims.engineOpened(this.name, rangeId, replicaId, applied);
    }
    claims.halvesFound(this.name, (rangeId) => boundsIn(rangeId, engine));
    const codec = createCodec(nodeByteOperations);
    const endpoint = network.endpoint(this.name, this.time);
    const planned = plan.stores[number - 1]!;
    const store = await openStore(
      {
        plan,
        nodeId: planned.nodeId,
        storeId: planned.storeId,
        storeKey: planned.storeKey,
        incarnation: incarnation(this.#incarnation),
        address: planned.address,
        httpAddress: `${this.name}:7480`,
        peerAddresses: plan.stores.map(({ address }) => address),
        pid: number,
        serverVersion: "simulated",
        dataDir: this.name,
        labels: {},
        settings,
      },
      {
        environment,
        files,
        log,
        engine,
        snapshotJobs: new InlineSnapshotJobs(engine, files, nodeByteOperations),
        codec: observedCodec(this.#options.wrapCodec?.(codec) ?? codec, this.name, log, claims),
        dialer: endpoint,
        listeners: endpoint,
        onHalt: (error) => this.#dependencies.onEnd(this, error, this.#store === undefined ? "start" : "running"),
      },
    );
    this.#store = store;
  }

  #environment(): Environment {
    return {
      clock: this.time.clock,
      scheduler: this.time.scheduler,
      random: this.#dependencies.random.fork(`life ${this.#incarnation}`),
      bytes: nodeByteOperations,
      logger: this.#logger(),
    };
  }

  #logger(): Logger {
    const write = (fields: object, message: string): void => {
      const range = "rangeId" in fields && typeof fields.rangeId === "number" ? fields.rangeId : 0;
      const error = "error" in fields && typeof fields.error === "string" ? fields.error.split("\n", 1)[0]! : undefined;
      this.note(error === undefined ? message : `${message}: ${error}`, range);
    };
    return { debug: () => undefined, info: write, warn: write, error: write };
  }

  note(text: string, rangeId = 0): void {
    const { time } = this.#dependencies;
    time.trace.note(time.nowMicros, this.name, rangeId, text);
  }

  /** The process is killed; the machine goes on. */
  kill(): void {
    if (!this.alive) return;
    this.#end("is killed");
    this.disk.processEnded();
    this.#dependencies.network.processEnded(this.name);
  }

  losePower(remains: Remains): void {
    if (this.alive) this.#end(`loses power, of what was not synced remains: ${remains}`);
    this.disk.losePower(remains);
    this.#dependencies.network.losePower(this.name);
  }

  #end(what: string): void {
    this.note(what);
    this.time.crash();
    this.#store = undefined;
    this.#engine = undefined;
    this.#engineDisk.crash(this.#dependencies.random);
  }

  /** An orderly stop; what it leaves in the engine is returned. */
  async stop(transferMs: number): Promise<void> {
    await this.#store?.stop({ transferMs });
    this.#store = undefined;
    this.#engine = undefined;
    this.time.crash();
    this.#dependencies.network.processEnded(this.name);
  }

  /** After `stop`: the engine as the next start would find it. */
  async openEngine(): Promise<MemoryEngine> {
    if (this.#engine === undefined) {
      if (!this.alive) this.time.start();
      this.#engine = await this.#engineDisk.open();
    }
    return this.#engine;
  }
}
