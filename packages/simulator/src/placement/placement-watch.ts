/**
 * What must be true of the replicas that live on each store, looked at again and again while a seed runs; and what became
 * of ranges meanwhile, step by step.
 */
import { isNewer, metaRangeId } from "@flotilla/base";
import type { RangeDescriptor, RangeId } from "@flotilla/base";
import type { ReplicaState } from "@flotilla/store";
import type { Claims } from "../cluster/claims.ts";

/** Between two looks. */
const lookMicros = 2000;

export interface WatchedNode {
  readonly name: string;
  readonly store: { replicas(): ReplicaState[] } | undefined;
}

/** What one replica is the first to show. */
export type StepKind =
  /** The range is divided. */
  | "split"
  /** It serves nobody until it is merged away, or that is given up. */
  | "sealed"
  /** It has taken its right neighbour in. */
  | "merged"
  /** Its bounds rose and it has the keys that it had: a merge is cancelled, or a seal is over. */
  | "merge given up"
  | "learner added"
  /** Two majorities are needed. */
  | "joint members"
  /** Any other change of members: promoted, removed, or the joint ones left. */
  | "members changed"
  | "leader changed"
  | "replica made from a range snapshot"
  | "range snapshot being loaded"
  | "replica removed"
  /** A leader rests, and its range sleeps. */
  | "asleep"
  | `woken: ${ReplicaState["wokenBy"]}`
  /** The process is gone, and replicas of it slept. */
  | "stopped asleep"
  /** The placement driver works on another store than before. */
  | "driver changed";

interface NodeView {
  /** By range: what was seen in the last look. */
  replicas: Map<RangeId, ReplicaState>;
  descriptors: ReadonlySet<RangeDescriptor>;
  readonly asleep: Set<RangeId>;
}

export class PlacementWatch {
  readonly #nodes: readonly WatchedNode[];
  readonly #claims: Claims;
  readonly #onStep: (kind: StepKind, node: number) => void;
  /** By range and epoch: the descriptor as the first replica had it. */
  readonly #descriptors = new Map<string, { readonly text: string; readonly node: string }>();
  readonly #newest = new Map<RangeId, RangeDescriptor>();
  /** Of each range: the node that was last seen to serve it. */
  readonly #leaders = new Map<RangeId, number>();
  readonly #views: NodeView[];
  #lookedMicros = -Infinity;

  constructor(nodes: readonly WatchedNode[], claims: Claims, onStep: (kind: StepKind, node: number) => void) {
    this.#nodes = nodes;
    this.#claims = claims;
    this.#onStep = onStep;
    this.#views = nodes.map(() => ({ replicas: new Map(), descriptors: new Set(), asleep: new Set() }));
  }

  afterEvent(nowMicros: number): void {
    if (nowMicros - this.#lookedMicros < lookMicros) return;
    this.#lookedMicros = nowMicros;
    for (let i = 0; i < this.#nodes.length; i++) {
      const { store } = this.#nodes[i]!;
      if (store !== undefined) this.#look(i, store.replicas());
      else this.#gone(i);
    }
  }

  /** What sleeps when it starts again, did not sleep before. */
  #gone(node: number): void {
    const { asleep } = this.#views[node]!;
    if (asleep.size === 0) return;
    asleep.clear();
    this.#onStep("stopped asleep", node);
  }

  #look(node: number, replicas: readonly ReplicaState[]): void {
    const view = this.#views[node]!;
    const seen = new Map<RangeId, ReplicaState>();
    const descriptors = new Set<RangeDescriptor>();
    let changed = false;
    for (const replica of replicas) {
      const { descriptor, loading } = replica;
      seen.set(descriptor.rangeId, replica);
      if (!loading) descriptors.add(descriptor);
      if (!loading && !view.descriptors.has(descriptor)) changed = true;
      this.#noteSteps(node, view.replicas.get(descriptor.rangeId), replica);
      if (replica.asleep !== view.asleep.has(descriptor.rangeId)) this.#noteSleep(node, view.asleep, replica);
    }
    for (const range of view.replicas.keys()) {
      if (seen.has(range)) continue;
      view.asleep.delete(range);
      this.#onStep("replica removed", node);
    }
    view.replicas = seen;
    view.descriptors = descriptors;
    // Descriptors are replaced, never changed: nothing new can be wrong with the ones that were looked at.
    if (changed) this.#check(node, replicas);
  }

  #noteSteps(node: number, before: ReplicaState | undefined, replica: ReplicaState): void {
    const { descriptor, loading, serves, sealed } = replica;
    const { rangeId } = descriptor;
    if (loading && before?.loading === false) this.#onStep("range snapshot being loaded", node);
    if (sealed && before?.sealed === false) this.#onStep("sealed", node);
    if (before === undefined && descriptor.epoch.members > 1) this.#onStep("replica made from a range snapshot", node);
    if (before !== undefined && !before.loading && !loading) this.#noteSplit(node, before.descriptor, descriptor);
    if (!serves || this.#leaders.get(rangeId) === node) return;
    const first = !this.#leaders.has(rangeId);
    this.#leaders.set(rangeId, node);
    if (!first) this.#onStep(rangeId === metaRangeId ? "driver changed" : "leader changed", node);
  }

  #noteSleep(node: number, sleepers: Set<RangeId>, { descriptor, asleep, serves, wokenBy }: ReplicaState): void {
    if (!asleep) {
      sleepers.delete(descriptor.rangeId);
      this.#onStep(`woken: ${wokenBy}`, node);
      return;
    }
    sleepers.add(descriptor.rangeId);
    if (serves) this.#onStep("asleep", node);
  }

  /** Only when nothing came between: a range snapshot brings other bounds, too. */
  #noteSplit(node: number, before: RangeDescriptor, now: RangeDescriptor): void {
    if (now.end >= before.end || now.epoch.bounds !== before.epoch.bounds + 1) return;
    const { name, store } = this.#nodes[node]!;
    const right = store?.replicas().find(({ descriptor }) => descriptor.start === now.end)?.descriptor;
    if (right?.epoch.members === 1 && right.epoch.bounds === now.epoch.bounds)
      this.#claims.divided(name, now.rangeId, now.epoch.bounds, right.rangeId);
  }

  #check(node: number, replicas: readonly ReplicaState[]): void {
    const { name } = this.#nodes[node]!;
    const living = replicas.filter(({ loading }) => !loading);
    for (const { replicaId, descriptor } of living) {
      this.#claims.lives(name, descriptor.rangeId, replicaId);
      this.#sameDescriptor(node, descriptor);
    }
    const ordered = living.map(({ descriptor }) => descriptor).sort((a, b) => (a.start < b.start ? -1 : 1));
    for (let i = 1; i < ordered.length; i++) {
      const [before, next] = [ordered[i - 1]!, ordered[i]!];
      if (before.end <= next.start) continue;
      this.#claims.violate("ranges that live on one store never overlap", next.rangeId, [
        `on ${name}: ${JSON.stringify(before)}`,
        `on ${name}: ${JSON.stringify(next)}`,
      ]);
    }
  }

  /** Bounds and members of one epoch are the same for every replica that has applied it. */
  #sameDescriptor(node: number, descriptor: RangeDescriptor): void {
    const { rangeId, epoch } = descriptor;
    const key = `${rangeId} ${epoch.bounds} ${epoch.members}`;
    const text = JSON.stringify(descriptor);
    const { name } = this.#nodes[node]!;
    const known = this.#descriptors.get(key);
    if (known === undefined) {
      this.#descriptors.set(key, { text, node: name });
      this.#noteEpoch(node, descriptor);
    } else if (known.text !== text) {
      this.#claims.violate("a range has one descriptor in one epoch", rangeId, [
        `${known.node}: ${known.text}`,
        `${name}: ${text}`,
      ]);
    }
  }

  #noteEpoch(node: number, descriptor: RangeDescriptor): void {
    const { rangeId, epoch, replicas } = descriptor;
    const before = this.#newest.get(rangeId);
    if (before !== undefined && !isNewer(descriptor, before)) return;
    this.#newest.set(rangeId, descriptor);
    if (before === undefined) return;
    if (epoch.bounds > before.epoch.bounds) this.#onStep(reshaped(before, descriptor), node);
    if (epoch.members === before.epoch.members) return;
    if (replicas.some(({ role }) => role === "incoming" || role === "outgoing")) this.#onStep("joint members", node);
    else if (replicas.length > before.replicas.length) this.#onStep("learner added", node);
    else this.#onStep("members changed", node);
  }
}

function reshaped(before: RangeDescriptor, now: RangeDescriptor): StepKind {
  if (now.end === before.end) return "merge given up";
  return now.end < before.end ? "split" : "merged";
}
