/**
 * Hurts the cluster, by a schedule that the seed draws. Each seed takes some kinds of fault and leaves others out, since
 * one kind may keep another from doing harm. Every fault ends by itself; `healAll` ends all that are left.
 */
import type { Remains } from "../disk/disk-tree.ts";
import { driftPartsMax } from "../time/node-time.ts";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { NodePhase, SimulatedNode } from "./simulated-node.ts";

export const faultKinds = [
  "partition",
  "oneWayPartition",
  "cutLink",
  "slowNetwork",
  "messageLoss",
  "brokenStreams",
  "pause",
  "suspend",
  "kill",
  "powerLoss",
  "powerLossAll",
  "slowDisk",
  "stuckDisk",
  "failedSync",
  "fullDisk",
  "clockJump",
  "clockDrift",
  "swizzle",
  "emptiedDirectory",
] as const;

export type FaultKind = (typeof faultKinds)[number];

export interface FaultOptions {
  /** Undefined: the seed chooses. */
  readonly kinds: readonly FaultKind[] | undefined;
  readonly gapMsMin: number;
  readonly gapMsMax: number;
  readonly durationMsMax: number;
}

/** Of a disk that is not full. */
const diskBytes = 1e12;
/** Of a wall clock, at most. More than what keeps a store from leading (10 s). */
const clockErrorMsMax = 12_000;

export class FaultDriver {
  /** How often each was done. */
  readonly counts: Partial<Record<FaultKind, number>> = {};
  readonly kinds: readonly FaultKind[];
  readonly #cluster: SimulatedCluster;
  readonly #options: FaultOptions;
  readonly #random: SeededRandom;
  /** Ends of faults that are under way. */
  readonly #ends = new Set<() => void>();
  /** Nodes whose next end by an error of the disk is wanted. */
  readonly #failing = new Set<SimulatedNode>();
  /** Nodes whose data is gone for now: they must refuse to start. */
  readonly #emptied = new Set<SimulatedNode>();
  #stopped = false;

  constructor(options: FaultOptions, cluster: SimulatedCluster) {
    this.#options = options;
    this.#cluster = cluster;
    this.#random = cluster.random.fork("faults");
    this.kinds = options.kinds ?? this.#chooseKinds();
    cluster.onEnd = (node, error, phase) => this.#ended(node, error, phase);
  }

  #chooseKinds(): FaultKind[] {
    const share = this.#random.pick([0.3, 0.6, 1]);
    const kinds = faultKinds.filter(() => this.#random.chance(share));
    return kinds.length === 0 ? [...faultKinds] : kinds;
  }

  start(): void {
    this.#next();
  }

  #next(): void {
    const { gapMsMin, gapMsMax } = this.#options;
    this.#cluster.time.after(this.#random.between(gapMsMin, gapMsMax) * 1000, () => {
      if (this.#stopped || this.kinds.length === 0) return;
      const kind = this.#random.pick(this.kinds);
      this.counts[kind] = (this.counts[kind] ?? 0) + 1;
      this.#do(kind);
      this.#next();
    });
  }

  /** Everything is well from now on; who is down starts again. */
  healAll(): void {
    this.#stopped = true;
    for (const end of this.#ends) end();
    this.#ends.clear();
    this.#cluster.network.heal();
    for (const node of this.#cluster.nodes) {
      node.time.resume();
      node.time.drift(0);
      // As a time service does. A store whose clock stays wrong leads nothing, and that is as it should be.
      node.time.jumpWall(-node.time.wallErrorMs);
      node.disk.faults.slowness = 1;
      node.disk.faults.failingSyncs = 0;
      node.disk.faults.capacityBytes = diskBytes;
      node.disk.release();
      if (!node.alive) void node.start();
    }
    this.#cluster.note("all faults are healed");
  }

  /** Far enough to be noticed; the versions made by then are overtaken by true time before a healed cluster must answer. */
  #jumpClock(node: SimulatedNode, milliseconds: number): void {
    const error = node.time.wallErrorMs;
    const wanted = Math.max(-clockErrorMsMax, Math.min(clockErrorMsMax, error + milliseconds));
    node.time.jumpWall(wanted - error);
  }

  /** Ends by itself after a while, or with `healAll`. */
  #until(end: () => void, durationMsMax = this.#options.durationMsMax): void {
    this.#ends.add(end);
    this.#cluster.time.after(this.#random.between(20, durationMsMax) * 1000, () => {
      if (this.#ends.delete(end)) end();
    });
  }

  #do(kind: FaultKind): void {
    const { nodes } = this.#cluster;
    const node = this.#random.pick(nodes);
    this.#cluster.note(
      kind === "powerLossAll" || kind === "slowNetwork" || kind === "messageLoss" ? kind : `${kind} of ${node.name}`,
    );
    switch (kind) {
      case "partition":
      case "oneWayPartition":
        return this.#isolate(node, kind === "oneWayPartition");
      case "cutLink":
        return this.#cut(node);
      case "slowNetwork":
        return this.#slowNetwork();
      case "messageLoss":
        return this.#loseMessages();
      case "brokenStreams":
        for (const other of this.#hosts()) {
          if (other !== node.name && this.#random.chance(0.7)) this.#cluster.network.breakStreams(node.name, other);
        }
        return;
      case "pause":
      case "suspend":
        if (!node.alive || node.time.paused) return;
        node.time.pause(kind === "suspend");
        return this.#until(() => node.time.resume());
      case "kill":
        return this.#stopAndStart(node, () => node.kill());
      case "powerLoss":
        return this.#stopAndStart(node, () => node.losePower(this.#remains()));
      case "powerLossAll":
        for (const each of nodes) this.#stopAndStart(each, () => each.losePower(this.#remains()));
        return;
      case "slowDisk":
        node.disk.faults.slowness = this.#random.between(5, 200);
        return this.#until(() => {
          node.disk.faults.slowness = 1;
        });
      case "stuckDisk":
        node.disk.faults.stuck = true;
        return this.#until(() => node.disk.release());
      case "failedSync":
        this.#failing.add(node);
        node.disk.faults.failingSyncs = 1;
        return;
      case "fullDisk":
        // Below the store's mark, with room for what it still writes until it looks at the free space again.
        node.disk.faults.capacityBytes = node.disk.usedBytes() + this.#random.pick([96, 192, 384]) * 1024;
        return this.#until(() => {
          node.disk.faults.capacityBytes = diskBytes;
        });
      case "clockJump":
        this.#jumpClock(node, this.#random.between(-5000, 5000));
        return;
      case "clockDrift":
        node.time.drift(((this.#random.below(201) - 100) / 100) * driftPartsMax);
        return this.#until(() => node.time.drift(0));
      case "swizzle":
        return this.#swizzle();
      case "emptiedDirectory":
        return this.#emptyDirectory(node);
      default:
        return kind satisfies never;
    }
  }

  #remains(): Remains {
    return this.#random.pick(["none", "torn", "sectors"] as const);
  }

  #hosts(): string[] {
    return [...this.#cluster.nodes.map(({ name }) => name), ...this.#cluster.clientHosts];
  }

  /** From the other nodes, and from some clients. */
  #isolate(node: SimulatedNode, oneWay: boolean): void {
    const { network } = this.#cluster;
    const outward = this.#random.chance(0.5);
    const others = this.#hosts().filter(
      (host) => host !== node.name && (!host.startsWith("client") || this.#random.chance(0.3)),
    );
    const ways: [string, string][] = [];
    for (const other of others) {
      if (!oneWay || outward) ways.push([node.name, other]);
      if (!oneWay || !outward) ways.push([other, node.name]);
    }
    for (const [from, to] of ways) network.block(from, to);
    this.#until(() => {
      for (const [from, to] of ways) network.free(from, to);
    });
  }

  #cut(node: SimulatedNode): void {
    const { network, nodes } = this.#cluster;
    const other = this.#random.pick(nodes.filter((each) => each !== node));
    const both = this.#random.chance(0.5);
    network.block(node.name, other.name);
    if (both) network.block(other.name, node.name);
    this.#until(() => {
      network.free(node.name, other.name);
      network.free(other.name, node.name);
    });
  }

  #slowNetwork(): void {
    const hosts = this.#hosts();
    const longest = this.#random.pick([5_000, 50_000, 300_000]);
    for (const from of hosts) {
      for (const to of hosts) {
        if (from === to || this.#random.chance(0.5)) continue;
        const link = this.#cluster.network.link(from, to);
        const { delayMicrosMin, delayMicrosMax } = link;
        link.delayMicrosMax = longest;
        this.#until(() => {
          link.delayMicrosMin = delayMicrosMin;
          link.delayMicrosMax = Math.min(delayMicrosMax, link.delayMicrosMax);
        });
      }
    }
  }

  #loseMessages(): void {
    const { nodes, network } = this.#cluster;
    const chance = this.#random.pick([0.01, 0.05, 0.2]);
    for (const from of nodes) {
      for (const to of nodes) {
        if (from === to) continue;
        const link = network.link(from.name, to.name);
        link.dropChance = chance;
        link.duplicateChance = chance;
        link.reorderChance = chance;
        this.#until(() => {
          link.dropChance = 0;
          link.duplicateChance = 0;
          link.reorderChance = 0;
        });
      }
    }
  }

  #stopAndStart(node: SimulatedNode, stop: () => void): void {
    stop();
    const start = (): void => {
      if (!node.alive) void node.start();
    };
    this.#until(start, 3000);
  }

  /** Stops some nodes one after the other, and starts them again in another order. */
  #swizzle(): void {
    const { time, nodes } = this.#cluster;
    const stops = this.#random.shuffle(nodes.filter(() => this.#random.chance(0.7)));
    const gapMicros = this.#random.between(10, 500) * 1000;
    for (const [i, node] of stops.entries()) {
      time.after(i * gapMicros, () => {
        if (!this.#stopped) node.kill();
      });
    }
    for (const [i, node] of this.#random.shuffle([...stops]).entries()) {
      time.after((stops.length + i) * gapMicros, () => {
        if (!node.alive) void node.start();
      });
    }
  }

  /** Started without its data a store must refuse, since it has forgotten its votes; then the data is put back. */
  #emptyDirectory(node: SimulatedNode): void {
    if (node.store === undefined || this.#emptied.has(node)) return;
    node.kill();
    node.setDataAside();
    this.#emptied.add(node);
    void node.start();
    this.#until(() => {
      if (node.store !== undefined)
        this.#cluster.claims.violate("a store whose data is gone does not come back under its old id", 0, [
          `the data of ${node.name} was taken away`,
          `${node.name} has started without it`,
        ]);
      node.kill();
      node.putDataBack();
      this.#emptied.delete(node);
      void node.start();
    });
  }

  /**
   * A process that ended by an error of the disk which was wanted is started again; any other end is a violation. A full
   * disk may keep a process from starting; one that runs has to live with it.
   */
  #ended(node: SimulatedNode, error: unknown, phase: NodePhase): void {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const wanted =
      code === "EIO"
        ? this.#failing.delete(node)
        : phase === "start" && (code === "ENOSPC" || (code === "Refused" && this.#emptied.has(node)));
    if (!wanted) {
      this.#cluster.violateByEnd(node, error);
      return;
    }
    // Its supervisor takes the process away, outside of its own last step.
    this.#cluster.time.after(0, () => {
      if (node.alive) this.#stopAndStart(node, () => node.kill());
    });
  }
}
