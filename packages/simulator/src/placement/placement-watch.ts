/** What must be true of the replicas that live on each store, looked at again and again while a seed runs. */
import type { RangeDescriptor } from "@flotilla/base";
import type { ReplicaState } from "@flotilla/store";
import type { Claims } from "../cluster/claims.ts";

/** Between two looks. */
const lookMicros = 2000;

export interface WatchedNode {
  readonly name: string;
  readonly store: { replicas(): ReplicaState[] } | undefined;
}

export class PlacementWatch {
  readonly #nodes: readonly WatchedNode[];
  readonly #claims: Claims;
  /** By range and epoch: the descriptor as the first replica had it. */
  readonly #descriptors = new Map<string, { readonly text: string; readonly node: string }>();
  #lookedMicros = -Infinity;

  constructor(nodes: readonly WatchedNode[], claims: Claims) {
    this.#nodes = nodes;
    this.#claims = claims;
  }

  afterEvent(nowMicros: number): void {
    if (nowMicros - this.#lookedMicros < lookMicros) return;
    this.#lookedMicros = nowMicros;
    for (const { name, store } of this.#nodes) if (store !== undefined) this.#look(name, store.replicas());
  }

  #look(node: string, replicas: readonly ReplicaState[]): void {
    const living = replicas.filter(({ loading }) => !loading);
    for (const { replicaId, descriptor } of living) {
      this.#claims.lives(node, descriptor.rangeId, replicaId);
      this.#sameDescriptor(node, descriptor);
    }
    const ordered = living.map(({ descriptor }) => descriptor).sort((a, b) => (a.start < b.start ? -1 : 1));
    for (let i = 1; i < ordered.length; i++) {
      const [before, next] = [ordered[i - 1]!, ordered[i]!];
      if (before.end <= next.start) continue;
      this.#claims.violate("ranges that live on one store never overlap", next.rangeId, [
        `on ${node}: ${JSON.stringify(before)}`,
        `on ${node}: ${JSON.stringify(next)}`,
      ]);
    }
  }

  /** Bounds and members of one epoch are the same for every replica that has applied it. */
  #sameDescriptor(node: string, descriptor: RangeDescriptor): void {
    const { rangeId, epoch } = descriptor;
    const name = `${rangeId} ${epoch.bounds} ${epoch.members}`;
    const text = JSON.stringify(descriptor);
    const known = this.#descriptors.get(name);
    if (known === undefined) this.#descriptors.set(name, { text, node });
    else if (known.text !== text) {
      this.#claims.violate("a range has one descriptor in one epoch", rangeId, [
        `${known.node}: ${known.text}`,
        `${node}: ${text}`,
      ]);
    }
  }
}
