/** What the placement driver decides on, kept up report by report, against what it is when all of it is looked at. */
import { incarnation, key, logIndex, rangeId, replicaId, storeId, term } from "@flotilla/base";
import type { RangeDescriptor, RangeId, StoreId } from "@flotilla/base";
import { planCluster, rangeRules } from "@flotilla/placement";
import type { ClusterIndex, Operator } from "@flotilla/placement";
import { nodeByteOperations } from "@flotilla/platform";
import type { RangeReport, StoreReport, StoreStatus } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import { ClusterView } from "../src/placement/cluster-view.ts";
import type { ClusterViewInputs } from "../src/placement/cluster-view.ts";
import { initialMetaRecords } from "../src/placement/meta-records.ts";
import { MetaState } from "../src/placement/meta-state.ts";
import { ReportBook } from "../src/placement/report-book.ts";
import { defaultStoreSettings } from "../src/store-settings.ts";
import { SmallRandom } from "./support/virtual-world.ts";

const stores = 5;
const noLoad = { operationsPerSecond: 0, bytesPerSecond: 0, loopPercent: 0, splitKey: undefined, splitReason: "" };

/** Reports that are whole or of changes, lost ones, stores that fall silent and start again, ranges that split and move. */
class Churn {
  readonly meta: MetaState;
  readonly #random: SmallRandom;
  readonly book: ReportBook;
  nowMs = 1_000_000;
  readonly #said: Map<StoreId, { incarnation: number; sequence: number; led: Set<RangeId> }> = new Map();
  #next = 1000;

  constructor(seed: number) {
    this.#random = new SmallRandom(seed);
    const addresses = Array.from({ length: stores }, (_, i) => `s${i}:1`);
    const plan = planCluster({ addresses, replicas: 3, ranges: 12, splitAt: [] }, this.#random);
    this.meta = MetaState.of(initialMetaRecords(plan, nodeByteOperations), [], nodeByteOperations);
    this.book = new ReportBook({ monotonicMs: () => this.nowMs, wallMs: () => this.nowMs });
    for (let id = 1; id <= stores; id++) this.#report(storeId(id), true);
  }

  below(limit: number): number {
    return this.#random.uint32() % limit;
  }

  inputs(): ClusterViewInputs {
    const { meta, book: reports, nowMs } = this;
    return { meta, reports, settings: defaultStoreSettings, monotonicMs: nowMs, wallMs: nowMs, sinceMs: 1_000_000 };
  }

  change(): void {
    const kind = this.below(10);
    if (kind < 5) this.#report(storeId(1 + this.below(stores)), this.below(6) === 0);
    else if (kind < 6) this.nowMs += this.below(6000);
    else if (kind < 7) this.#move();
    else if (kind < 8) this.#split();
    else if (kind < 9) this.#begin();
    else this.#end();
  }

  #pick(): RangeDescriptor {
    const all = this.meta.map.all();
    return all[this.below(all.length)]!;
  }

  /** Of some ranges that the store leads now, and of some that it no longer does. */
  #report(store: StoreId, whole: boolean): void {
    const known = this.#said.get(store);
    const told = whole || known === undefined ? { incarnation: (known?.incarnation ?? 0) + 1, sequence: 0 } : known;
    const led = whole || known === undefined ? new Set<RangeId>() : known.led;
    const gone = [...led].filter(() => this.below(4) === 0);
    for (const id of gone) led.delete(id);
    const ranges = Array.from({ length: this.below(5) }, () => this.#rangeReport(store));
    const fresh = ranges.filter(({ descriptor }) => !gone.includes(descriptor.rangeId));
    const report: StoreReport = {
      ...{ type: "store-report", incarnation: incarnation(told.incarnation), sequence: told.sequence + 1 },
      ...{ base: told.sequence, more: false, gone, ranges: fresh },
      status: { storeId: store, freeBytes: 1e12, sizeBytes: 0, snapshotsSending: 0 } as StoreStatus,
    };
    if (this.below(8) > 0) this.book.note(report);
    else return;
    for (const { descriptor } of fresh) led.add(descriptor.rangeId);
    this.#said.set(store, { incarnation: told.incarnation, sequence: told.sequence + 1, led });
  }

  #rangeReport(leaderStoreId: StoreId): RangeReport {
    const descriptor = this.#pick();
    return {
      ...{ descriptor, leaderStoreId, term: term(1 + this.below(50)), load: noLoad },
      ...{ sizeBytes: this.below(400) * 1024 * 1024, sizeKnown: this.below(2) === 0, keys: null },
      ...{ writesPerSecond: 0, readsPerSecond: 0, bytesPerSecond: 0, asleep: false, configurationPending: false },
      sealedFor: this.below(4) === 0 ? { rangeId: descriptor.rangeId, bounds: 1 + this.below(3) } : undefined,
      replicas: descriptor.replicas.map((replica) => ({
        ...{ replicaId: replica.replicaId, storeId: replica.storeId, match: logIndex(this.below(500)) },
        ...{ state: "replicate" as const, active: this.below(5) > 0 },
      })),
    };
  }

  #write(...descriptors: readonly RangeDescriptor[]): void {
    for (const descriptor of descriptors) this.meta.map.report(descriptor);
    const update = this.meta.map.update();
    if (update !== undefined) this.meta.map.commit(update);
  }

  #move(): void {
    const descriptor = this.#pick();
    const to = storeId(1 + this.below(stores));
    if (descriptor.replicas.some((replica) => replica.storeId === to)) return;
    const added = { replicaId: replicaId(this.#next++), storeId: to, role: "voter" as const };
    const epoch = { ...descriptor.epoch, members: descriptor.epoch.members + 1 };
    this.#write({ ...descriptor, epoch, replicas: [...descriptor.replicas.slice(1), added] });
  }

  #split(): void {
    const descriptor = this.#pick();
    if (descriptor.rangeId === 1) return;
    const at = key(`${descriptor.start}${"0".repeat(1 + this.below(3))}`);
    if (at >= descriptor.end) return;
    const bounds = descriptor.epoch.bounds + 1;
    const replicas = descriptor.replicas.map((replica) => ({ ...replica, replicaId: replicaId(this.#next++) }));
    const right = { ...descriptor, rangeId: rangeId(this.#next++), start: at, epoch: { bounds, members: 1 }, replicas };
    this.#write({ ...descriptor, end: at, epoch: { ...descriptor.epoch, bounds } }, right);
  }

  #begin(): void {
    const { rangeId: id, epoch } = this.#pick();
    if ([...this.meta.running.values()].some((operator) => operator.rangeId === id)) return;
    const to = storeId(1 + this.below(stores));
    const goal =
      this.below(2) === 0
        ? { kind: "transfer-leader" as const, to }
        : { kind: "repair" as const, from: storeId(1), to, replicaId: replicaId(this.#next++) };
    const operator: Operator = {
      ...{ operatorId: this.#next++, rangeId: id, goal, source: "repair", reason: "", epoch, bytes: 0 },
      ...{
        createdMs: this.nowMs,
        deadlineMs: Infinity,
        state: "running",
        endsAs: "cancelled",
        outcome: "",
        endedMs: 0,
      },
    };
    this.meta.takeOperator(operator);
  }

  #end(): void {
    const [operator] = this.meta.running.values();
    const state = this.below(2) === 0 ? ("done" as const) : ("failed" as const);
    if (operator !== undefined) this.meta.takeOperator({ ...operator, state, endedMs: this.nowMs });
  }
}

const sorted = (ids: Iterable<number>): number[] => [...ids].sort((a, b) => a - b);

function facts(index: ClusterIndex): unknown {
  index.examine(Infinity);
  const { movedMs, failedMs } = index.history;
  return {
    ranges: [...index.ranges].sort(([a], [b]) => a - b),
    stores: [...index.stores.values()],
    operators: [...index.operators].sort(([a], [b]) => a - b),
    history: [movedMs, failedMs],
    concerned: rangeRules.map((rule) => sorted(index.concerned(rule))),
  };
}

describe("the view of a placement driver in office", () => {
  test("E18 is after any reports, silences, splits, moves and operators what it is when it is made anew", () => {
    let [led, silent] = [0, 0];
    for (let seed = 1; seed <= 20; seed++) {
      const churn = new Churn(seed);
      const view = new ClusterView(churn.inputs());
      for (let i = 0; i < 80; i++) {
        churn.change();
        if (churn.below(3) > 0) continue;
        const kept = view.look(churn.inputs());
        const anew = new ClusterView(churn.inputs()).look(churn.inputs());
        expect(facts(kept), `seed ${seed}, change ${i}`).toEqual(facts(anew));
        for (const { leader } of kept.ranges.values()) led += leader > 0 ? 1 : 0;
        for (const { store } of kept.stores.values()) silent += store.health === "dead" ? 1 : 0;
      }
    }
    expect(Math.min(led, silent)).toBeGreaterThan(100);
  });
});
