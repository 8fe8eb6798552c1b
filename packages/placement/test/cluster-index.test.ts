import { logIndex, noStore, rangeId, storeId } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { decide, indexCluster, quorumRule, rangeRules, startOperator } from "../src/index.ts";
import type { ClusterIndex, ClusterState, Operator, RangeState, StoreState } from "../src/index.ts";
import { SmallRandom } from "./support/small-random.ts";
import { MiB, nowMs, parseState, testIds } from "./support/tables.ts";

const memberships = ["active", "active", "active", "draining", "decommissioning", "decommissioned"] as const;
const ranges = 40;

/** A cluster in which anything changes to anything, whether it makes sense or not. */
class Churn {
  state: ClusterState;
  readonly index: ClusterIndex;
  readonly #random: SmallRandom;
  readonly #ids = testIds();
  #nextOperator = 1;

  constructor(seed: number) {
    this.#random = new SmallRandom(seed);
    const settings = ["set mergeBytes 33554432", "set splitOperationsPerSecond 500", "set balanceLoadPercent 20"];
    const stores = Array.from({ length: 7 }, (_, i) => `store ${i + 1} host=h${i} zone=z${i % 3}`);
    const bound = (i: number): string => String.fromCharCode(0x30 + i);
    const lines = Array.from({ length: ranges }, (_, i) => {
      const [a, b, c] = [0, 2, 3].map((step) => ((i + step) % 6) + 1);
      return `range ${i + 2} ${a}* ${b} ${c} size=${this.#random.below(400)} start=${bound(i)} end=${bound(i + 1)}`;
    });
    this.state = parseState([...settings, ...stores, ...lines]);
    this.index = indexCluster(this.state);
  }

  change(): void {
    const kind = this.#random.below(10);
    if (kind < 4) this.#changeRange();
    else if (kind < 6) this.#changeStore();
    else if (kind < 8) this.#operate();
    else if (kind < 9) this.#removeRange();
    else this.#passTime();
  }

  #changeRange(): void {
    const range = this.state.ranges[this.#random.below(this.state.ranges.length)]!;
    const { descriptor } = range;
    const store = storeId(1 + this.#random.below(8));
    const free = descriptor.replicas.every((replica) => replica.storeId !== store);
    const what = this.#random.below(6);
    let next: RangeState = { ...range, sizeBytes: this.#random.below(400) * MiB };
    if (what === 0) next = { ...range, leader: noStore, replicas: [] };
    if (what === 1) next = { ...range, leader: descriptor.replicas[0]!.storeId };
    if (what === 2) next = { ...range, load: { ...range.load, operationsPerSecond: this.#random.below(1000) } };
    if (what >= 3 && free) {
      const role = what === 3 ? ("learner" as const) : ("voter" as const);
      const replicas = [
        ...descriptor.replicas.slice(what - 3),
        { replicaId: this.#ids.nextReplicaId(), storeId: store, role },
      ];
      const epoch = { ...descriptor.epoch, members: descriptor.epoch.members + 1 };
      const state = (["probe", "replicate", "snapshot"] as const)[this.#random.below(3)]!;
      const seen = replicas.map(({ replicaId, storeId: at }) => ({
        ...{ replicaId, storeId: at, match: logIndex(9), lag: 0 },
        ...{ state, active: true },
      }));
      next = { ...range, descriptor: { ...descriptor, replicas, epoch }, replicas: seen };
    }
    this.#putRange(next);
  }

  #putRange(range: RangeState): void {
    const others = this.state.ranges.filter(({ descriptor }) => descriptor.rangeId !== range.descriptor.rangeId);
    this.state = { ...this.state, ranges: [...others, range] };
    this.index.putRange(range);
  }

  #removeRange(): void {
    if (this.state.ranges.length < ranges / 2) return;
    const { rangeId: id } = this.state.ranges[this.#random.below(this.state.ranges.length)]!.descriptor;
    this.state = { ...this.state, ranges: this.state.ranges.filter(({ descriptor }) => descriptor.rangeId !== id) };
    this.index.removeRange(id);
  }

  /** An eighth one joins. */
  #changeStore(): void {
    const id = storeId(1 + this.#random.below(8));
    const known = this.state.stores.find((store) => store.storeId === id);
    const downMs = [0, 0, 5000, 20_000, 400_000][this.#random.below(5)]!;
    const store: StoreState = {
      ...(known ?? this.state.stores[0]!),
      storeId: id,
      membership: memberships[this.#random.below(memberships.length)]!,
      health: downMs < 3000 ? "live" : downMs < 10_000 ? "suspect" : "dead",
      downMs,
      diskFull: this.#random.below(5) === 0,
      stopping: this.#random.below(5) === 0,
      labels: this.#random.below(10) === 0 ? {} : { host: `h${id}`, zone: `z${this.#random.below(3)}` },
    };
    this.state = { ...this.state, stores: [...this.state.stores.filter((each) => each.storeId !== id), store] };
    this.index.putStore(store);
  }

  #operate(): void {
    const decision = decide(this.index)[0];
    if (decision !== undefined && this.#random.below(2) === 0) {
      const operator = startOperator(decision, this.#nextOperator++, this.index, this.#ids) as Operator;
      this.state = { ...this.state, operators: [...this.state.operators, operator] };
      this.index.putOperator(operator);
    }
    const [first, ...others] = this.state.operators;
    if (first === undefined || this.#random.below(2) === 0) return;
    const state = (["done", "failed", "timed-out", "cancelled"] as const)[this.#random.below(4)]!;
    const ended: Operator = { ...first, state, endedMs: this.state.nowMs };
    this.state = { ...this.state, operators: others, recent: [...this.state.recent, ended] };
    this.index.putOperator(ended);
  }

  #passTime(): void {
    this.state = { ...this.state, nowMs: this.state.nowMs + this.#random.below(400_000) };
    this.index.setMoment(this.state);
  }
}

const sorted = (ids: Iterable<number>): number[] => [...ids].sort((a, b) => a - b);

function facts(index: ClusterIndex): unknown {
  index.examine(Infinity);
  return {
    room: index.room,
    own: [index.operatorsOwn, index.operatorsForLoad],
    operators: sorted([...index.operators.keys()]),
    stores: [...index.stores.values()].map((load) => ({
      ...load,
      // Numbered as they come.
      ...{ node: 0, host: 0, zone: 0 },
      ...{ ranges: sorted(load.ranges), led: sorted(load.led) },
    })),
    concerned: rangeRules.map((rule) => [rule.name, sorted(index.concerned(rule))]),
  };
}

describe("the index of a cluster", () => {
  test("is after any changes what it is when it is made anew", () => {
    for (let seed = 1; seed <= 15; seed++) {
      const churn = new Churn(seed);
      for (let i = 0; i < 60; i++) {
        churn.change();
        if (i % 5 === 0)
          expect(facts(churn.index), `seed ${seed}, change ${i}`).toEqual(facts(indexCluster(churn.state)));
      }
    }
  });

  test("names every range that a rule decides something about, or leaves alone for want of a majority", () => {
    let said = 0;
    for (let seed = 1; seed <= 15; seed++) {
      const churn = new Churn(seed);
      for (let i = 0; i < 60; i++) churn.change();
      churn.index.examine(Infinity);
      for (const rule of rangeRules) {
        const concerned = churn.index.concerned(rule);
        for (const [id, range] of churn.index.ranges) {
          const verdict = rule.judge(range, churn.index);
          if (verdict === undefined || ("blocked" in verdict && rule !== quorumRule)) continue;
          said++;
          expect([...concerned], `seed ${seed}: ${rule.name}`).toContain(id);
        }
      }
    }
    expect(said).toBeGreaterThan(300);
  });

  test("examines as many ranges as it is told, and what has changed by itself first", () => {
    const lines = Array.from({ length: 10 }, (_, i) => `range ${i + 2} 1* size=300`);
    const index = indexCluster(parseState(["store 1", ...lines]));
    const large = (): number[] => sorted(index.concerned(rangeRules.find(({ name }) => name === "split")!));
    expect(index.examine(4)).toBe(false);
    expect(large()).toEqual([2, 3, 4, 5]);
    expect([index.examine(6), large().length]).toEqual([true, 10]);
    index.setMoment({ ...index.state, settings: { ...index.state.settings, splitBytes: 1000 * MiB } });
    expect([index.examine(3), large().length]).toEqual([false, 7]);
    index.putRange({ ...index.ranges.get(rangeId(11))!, sizeBytes: 2000 * MiB });
    index.putRange({ ...index.ranges.get(rangeId(10))!, sizeBytes: MiB });
    expect([index.examine(2), large()]).toEqual([false, [5, 6, 7, 8, 9, 11]]);
    expect([index.examine(5), large()]).toEqual([false, [11]]);
    expect([index.examine(5), large()]).toEqual([true, [11]]);
  });

  test("finds a range by where it begins, also after a split and a merge", () => {
    const index = indexCluster(parseState(["store 1", "range 2 1* end=m", "range 3 1* start=m"]));
    const [left, right] = [index.ranges.get(rangeId(2))!, index.ranges.get(rangeId(3))!];
    expect(index.startingAt(left.descriptor.end)).toBe(right);
    index.removeRange(rangeId(3));
    const grown = { ...left, descriptor: { ...left.descriptor, end: right.descriptor.end } };
    index.putRange(grown);
    expect(index.startingAt(right.descriptor.start)).toBeUndefined();
    expect(index.startingAt(left.descriptor.start)).toBe(grown);
  });

  test("forgets what is too old to hold anything back", () => {
    const index = indexCluster(
      parseState(["store 1", "store 2", "range 2 1*", "done 2 move 1>2 ago=10", "failed 2 move 1>2 ago=10"]),
    );
    const { movedMs, failedMs } = index.history;
    expect([movedMs.size, failedMs.members.size]).toEqual([1, 1]);
    index.setMoment({ ...index.state, nowMs: nowMs + 60_000 });
    expect([movedMs.size, failedMs.members.size]).toEqual([1, 0]);
    index.setMoment({ ...index.state, nowMs: nowMs + 600_000 });
    expect(movedMs.size).toBe(0);
  });
});
