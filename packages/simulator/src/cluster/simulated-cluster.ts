/** A cluster of real nodes in one process, on one virtual clock, network and set of disks. */
import { silentLogger, nodeByteOperations } from "@flotilla/platform";
import { Client } from "@flotilla/client/internal";
import type { ClientSettings } from "@flotilla/client/internal";
import { planCluster } from "@flotilla/placement";
import type { ClusterPlan } from "@flotilla/placement";
import type { FileSharedLogOptions, SharedLog } from "@flotilla/raft-log";
import { defaultStoreSettings } from "@flotilla/store";
import type { StoreSettings } from "@flotilla/store";
import { createCodec } from "@flotilla/transport";
import type { Codec } from "@flotilla/transport";
import { VirtualNetwork } from "../network/virtual-network.ts";
import { NodeTime } from "../time/node-time.ts";
import { SeededRandom } from "../time/seeded-random.ts";
import { VirtualTime } from "../time/virtual-time.ts";
import { ClaimViolated, Claims } from "./claims.ts";
import { SimulatedNode, nodeAddress } from "./simulated-node.ts";
import type { NodePhase } from "./simulated-node.ts";

export interface SimulatedClusterOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly splitAt: readonly string[];
  readonly settings: Partial<StoreSettings>;
  readonly log: FileSharedLogOptions;
  readonly engineWriteBufferBytes: number;
  readonly wrapLog?: ((log: SharedLog) => SharedLog) | undefined;
  readonly wrapCodec?: ((codec: Codec) => Codec) | undefined;
}

const kibibyte = 1024;

/** Small and quick, so that elections, flushes, new segments, truncation and snapshots all happen within seconds. */
export const simulatedClusterDefault: Omit<SimulatedClusterOptions, "seed"> = {
  nodes: 3,
  splitAt: ["key-05", "key-10", "key-15"],
  settings: {
    tickMs: 50,
    electionTicksMin: 10,
    heartbeatTicks: 2,
    sleepTicks: 8,
    flushBytes: 8 * kibibyte,
    storeDeadMs: 2000,
    splitSampleMs: 700,
    diskFreeBytesMin: 512 * kibibyte,
    scanPageBytes: 256,
    snapshotChunkBytes: 2 * kibibyte,
    snapshotCreditBytes: 8 * kibibyte,
  },
  log: {
    segmentBytes: 32 * kibibyte,
    shortSegmentBytes: 16 * kibibyte,
    logBytesTarget: 64 * kibibyte,
    cacheBytes: 16 * kibibyte,
  },
  engineWriteBufferBytes: 16 * kibibyte,
};

/** Strings in and out. */
export type SimulatedClient = Client<"utf8", "utf8">;

export class SimulatedCluster {
  readonly time: VirtualTime;
  readonly network: VirtualNetwork;
  readonly claims: Claims;
  readonly plan: ClusterPlan;
  readonly nodes: readonly SimulatedNode[];
  readonly clientHosts: string[] = [];
  readonly random: SeededRandom;
  /** Called when a process ends by itself. The default: a claim is violated. */
  onEnd: (node: SimulatedNode, error: unknown, phase: NodePhase) => void;

  constructor(options: SimulatedClusterOptions) {
    this.random = new SeededRandom(options.seed);
    this.time = new VirtualTime();
    this.network = new VirtualNetwork(this.time, this.random.fork("network"));
    this.claims = new Claims(() => this.time.nowMicros);
    this.onEnd = (node, error) => this.violateByEnd(node, error);
    const addresses = Array.from({ length: options.nodes }, (_, i) => nodeAddress(i + 1));
    this.plan = planCluster(
      { addresses, replicas: Math.min(3, options.nodes), ranges: 1, splitAt: options.splitAt },
      this.random.fork("plan"),
    );
    const settings = { ...defaultStoreSettings, ...options.settings };
    const { log, engineWriteBufferBytes, wrapLog, wrapCodec } = options;
    this.nodes = addresses.map(
      (_, i) =>
        new SimulatedNode(
          { number: i + 1, plan: this.plan, settings, log, engineWriteBufferBytes, wrapLog, wrapCodec },
          {
            time: this.time,
            network: this.network,
            random: this.random.fork(`node ${i + 1}`),
            claims: this.claims,
            onEnd: (node, error, phase) => this.onEnd(node, error, phase),
          },
        ),
    );
    this.time.afterEvent = () => {
      if (this.claims.violation !== undefined) throw new ClaimViolated();
    };
  }

  violateByEnd(node: SimulatedNode, error: unknown): void {
    this.claims.violate("a node goes on while its disk is sound", 0, [
      `${node.name} ended at ${(this.time.nowMicros / 1e6).toFixed(6)} s`,
      error instanceof Error ? (error.stack ?? error.message) : String(error),
    ]);
  }

  /** A client on a host of its own, `client-N`. */
  client(settings: Partial<ClientSettings>): { readonly client: SimulatedClient; readonly time: NodeTime } {
    const name = `client-${this.clientHosts.length + 1}`;
    this.clientHosts.push(name);
    const random = this.random.fork(name);
    const time = new NodeTime(name, this.time, random.fork("time"));
    const client = new Client<"utf8", "utf8">(
      { endpoints: this.plan.stores.map(({ address }) => address), ...settings, key: "utf8", value: "utf8" },
      {
        environment: {
          clock: time.clock,
          scheduler: time.scheduler,
          random: random.fork("environment"),
          bytes: nodeByteOperations,
          logger: silentLogger,
        },
        dialer: this.network.endpoint(name, time),
        codec: createCodec(nodeByteOperations),
      },
    );
    return { client, time };
  }

  note(text: string): void {
    this.time.trace.note(this.time.nowMicros, "", 0, text);
  }
}
