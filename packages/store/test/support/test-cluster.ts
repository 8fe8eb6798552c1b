/** One to a few real stores in one process, on virtual time, with memory for disk, engine and network. */
import { incarnation, rangeId } from "@flotilla/base";
import type { Environment, Logger, RangeId, StoreId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { planCluster } from "@flotilla/placement";
import type { ClusterPlan } from "@flotilla/placement";
import { FileSharedLog } from "@flotilla/raft-log";
import type { FileSharedLogOptions, SharedLog } from "@flotilla/raft-log";
import { MemoryEngineDisk } from "@flotilla/storage";
import type { Engine, MemoryEngineOptions } from "@flotilla/storage";
import { createCodec } from "@flotilla/transport";
import type { Dialer, Hello } from "@flotilla/transport";
import { vi } from "vitest";
import { InlineSnapshotJobs, defaultStoreSettings, openStore } from "../../src/index.ts";
import type { StoreApi, StoreSettings } from "../../src/index.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { MemoryNetwork } from "./memory-network.ts";
import { RawConnection, isRefusal, put } from "./raw-client.ts";
import type { Answer } from "./raw-client.ts";
import { SmallRandom, VirtualProcess, VirtualWorld } from "./virtual-world.ts";

export interface TestClusterOptions {
  readonly stores?: number;
  readonly replicas?: number;
  readonly splitAt?: readonly string[];
  readonly settings?: Partial<StoreSettings>;
  readonly log?: FileSharedLogOptions;
  readonly engine?: MemoryEngineOptions;
  readonly wrapEngine?: (engine: Engine, store: TestStore) => Engine;
  readonly wrapLog?: (log: SharedLog, store: TestStore) => SharedLog;
  /** Of the time that passes, how much each store's event loop is busy; else nobody knows. */
  readonly loopBusyShare?: number;
}

/** Virtual time is quick, but the machine that runs it may be busy. */
vi.setConfig({ testTimeout: 30_000 });

const KiB = 1024;

/** Quick elections, small segments. */
const testSettings: Partial<StoreSettings> = {
  tickMs: 50,
  electionTicksMin: 10,
  heartbeatTicks: 2,
  storeDeadMs: 2000,
  // Tests split ranges without the placement driver, which would merge what it has not split itself.
  mergeBytes: 0,
  snapshotChunkBytes: 4 * KiB,
  snapshotCreditBytes: 16 * KiB,
};
const testLog: FileSharedLogOptions = {
  segmentBytes: 32 * KiB,
  shortSegmentBytes: 16 * KiB,
  logBytesTarget: 64 * KiB,
  cacheBytes: 16 * KiB,
};

/** The first range of users; range 1 is the meta range. */
export const firstRange: RangeId = rangeId(2);

export interface LogLine {
  readonly level: keyof Logger;
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

export class TestStore {
  readonly number: number;
  readonly process: VirtualProcess;
  readonly disk: MemoryDisk;
  readonly engineDisk: MemoryEngineDisk;
  readonly lines: LogLine[] = [];
  /** Why it halted; undefined while it has not. */
  halted: unknown = undefined;
  api: StoreApi | undefined = undefined;
  log: SharedLog | undefined = undefined;
  engine: Engine | undefined = undefined;
  incarnation = 0;
  readonly #cluster: TestCluster;

  constructor(number: number, cluster: TestCluster) {
    this.number = number;
    this.#cluster = cluster;
    this.process = new VirtualProcess(cluster.world);
    this.disk = new MemoryDisk(this.process);
    const dependencies = { scheduler: this.process.scheduler, bytes: nodeByteOperations };
    this.engineDisk = new MemoryEngineDisk(cluster.options.engine ?? {}, dependencies);
  }

  get host(): string {
    return `store-${this.number}`;
  }

  get address(): string {
    return `${this.host}:7400`;
  }

  get store(): StoreApi {
    if (this.api === undefined) throw new Error(`${this.host} does not run`);
    return this.api;
  }

  get leads(): number {
    return this.api?.statistics().status.leaders ?? 0;
  }

  async start(more: { plan?: ClusterPlan; incarnation?: number } = {}): Promise<void> {
    const { world, options, network } = this.#cluster;
    this.process.start();
    this.halted = undefined;
    this.incarnation = more.incarnation ?? this.incarnation + 1;
    const plan = more.plan ?? this.#cluster.plan;
    const { loopBusyShare: share } = options;
    const planned = plan.stores[this.number - 1]!;
    const environment = this.#environment();
    const open = async (): Promise<void> => {
      const log = await FileSharedLog.open({ ...testLog, ...options.log }, { ...environment, files: this.disk });
      this.log = options.wrapLog?.(log, this) ?? log;
      const engine = await this.engineDisk.open();
      this.engine = options.wrapEngine?.(engine, this) ?? engine;
      const endpoint = network.endpoint(this.host, this.process);
      this.api = await openStore(
        {
          plan,
          nodeId: planned.nodeId,
          storeId: planned.storeId,
          storeKey: planned.storeKey,
          incarnation: incarnation(this.incarnation),
          address: this.address,
          httpAddress: `${this.host}:7480`,
          peerAddresses: plan.stores.map(({ address }) => address),
          pid: this.number,
          serverVersion: "test",
          dataDir: this.host,
          labels: {},
          settings: { ...defaultStoreSettings, ...testSettings, ...options.settings },
        },
        {
          environment,
          files: this.disk,
          log: this.log,
          engine: this.engine,
          snapshotJobs: new InlineSnapshotJobs(this.engine, this.disk, nodeByteOperations),
          codec: createCodec(nodeByteOperations),
          dialer: endpoint,
          listeners: endpoint,
          loopBusyMs: share === undefined ? undefined : () => share * world.nowMs,
          onHalt: (error) => {
            this.halted = error;
          },
        },
      );
    };
    await world.settled(`${this.host} opens`, open());
  }

  #environment(): Environment {
    const line = (level: keyof Logger) => (fields: object, message: string) =>
      void this.lines.push({ level, message, fields: fields as Record<string, unknown> });
    const logger = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
    const random = new SmallRandom(this.number * 1000 + this.incarnation);
    return { clock: this.process.clock, scheduler: this.process.scheduler, random, bytes: nodeByteOperations, logger };
  }

  logged(message: string): LogLine[] {
    return this.lines.filter((line) => line.message.includes(message));
  }

  /** The machine loses power: nothing unsynced is left; of the engine's unsettled batches the first `keptBatches`. */
  crash(keptBatches = 0): void {
    this.process.end();
    this.api = undefined;
    this.disk.losePower();
    const unsettled = this.engineDisk.unsettledBatches;
    this.engineDisk.crash({
      uint32: () => Math.ceil((Math.min(keptBatches, unsettled) / (unsettled + 1)) * 4294967296),
      bytes: () => new Uint8Array(0),
    });
    this.#cluster.network.processEnded(this.host);
  }

  async stop(transferMs = 0): Promise<void> {
    await this.#cluster.world.settled(`${this.host} stops`, this.store.stop({ transferMs }));
    this.process.end();
    this.api = undefined;
    this.#cluster.network.processEnded(this.host);
  }
}

export class TestCluster {
  readonly options: TestClusterOptions;
  readonly world = new VirtualWorld();
  readonly network = new MemoryNetwork();
  readonly plan: ClusterPlan;
  readonly stores: TestStore[];
  readonly #client: VirtualProcess;
  readonly #dialer: Dialer;
  #clients = 0;

  private constructor(options: TestClusterOptions) {
    this.options = options;
    const count = options.stores ?? 3;
    const addresses = Array.from({ length: count }, (_, i) => `store-${i + 1}:7400`);
    this.plan = planCluster(
      { addresses, replicas: options.replicas ?? Math.min(3, count), ranges: 1, splitAt: options.splitAt ?? [] },
      new SmallRandom(7),
    );
    this.stores = addresses.map((_, i) => new TestStore(i + 1, this));
    this.#client = new VirtualProcess(this.world);
    this.#client.start();
    this.#dialer = this.network.endpoint("client", this.#client);
  }

  static async start(options: TestClusterOptions = {}): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    for (const store of cluster.stores) await store.start();
    await cluster.world.until("every range has a leader", () => cluster.stores.every((store) => store.store.ready));
    return cluster;
  }

  store(number: number): TestStore {
    return this.stores[number - 1]!;
  }

  others(store: TestStore): TestStore[] {
    return this.stores.filter((other) => other !== store);
  }

  byId(id: StoreId): TestStore {
    return this.store(id);
  }

  connect(store: TestStore, more: { clientId?: number; hello?: Partial<Hello> } = {}): Promise<RawConnection> {
    const clientId = more.clientId ?? 1000 + ++this.#clients;
    return RawConnection.open(this.world, this.#dialer, store.address, clientId, more.hello);
  }

  runFor(ms: number): Promise<void> {
    return this.world.runFor(ms);
  }

  /** The running store that answers linearizable reads of the range. */
  async leader(range: RangeId = firstRange, limitMs = 20_000, bounds = 1): Promise<TestStore> {
    const untilMs = this.world.nowMs + limitMs;
    while (this.world.nowMs < untilMs) {
      for (const store of this.stores) {
        if (store.api === undefined || store.halted !== undefined) continue;
        const connection = await this.connect(store);
        if (connection.stream === undefined) continue;
        const batch = connection.reads(range, [], { consistency: "linearizable", bounds });
        connection.send(batch);
        await this.world.runFor(5);
        const answer = connection.readAnswer(batch);
        connection.stream.close();
        if (answer !== undefined && !isRefusal(answer)) return store;
      }
      await this.world.runFor(20);
    }
    throw new Error(`range ${range} has no leader within ${limitMs} ms`);
  }

  async follower(range: RangeId = firstRange): Promise<TestStore> {
    return this.others(await this.leader(range))[0]!;
  }

  /** Writes `count` records of `bytes` each through the connection, one batch each, and expects them applied. */
  async fill(
    connection: RawConnection,
    count: number,
    bytes: number,
    from: { number: number; key?: string },
  ): Promise<void> {
    for (let i = 0; i < count; i++) {
      const number = from.number + i;
      const value = new Uint8Array(bytes).fill(number & 255);
      const answers: Answer[] = await connection.write(
        connection.batch(firstRange, [put(number, `${from.key ?? "fill"}-${String(number).padStart(5, "0")}`, value)], {
          floor: number,
        }),
      );
      const [answer] = answers;
      if (answer === undefined || !("status" in answer) || answer.status !== "applied") {
        throw new Error(`filling: ${JSON.stringify(answer)}`);
      }
    }
  }
}
