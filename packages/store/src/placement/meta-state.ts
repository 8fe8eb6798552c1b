/**
 * The meta range as the placement driver has it in memory: read once when it takes office, and from then on exactly what
 * it has written itself, for nobody else writes there. It changes only when a write is applied (meta-draft.ts).
 */
import { assert } from "@flotilla/base";
import type { ByteOperations, Key, RangeDescriptor, StoreId } from "@flotilla/base";
import { RangeMap, isEnded } from "@flotilla/placement";
import type { Operator } from "@flotilla/placement";
import type { StoreEntry } from "@flotilla/transport";
import type { KnownDirectory } from "../store-directory.ts";
import { foundedRanges, keptSetting } from "./kept-ranges.ts";
import { decodeMetaRecord } from "./meta-records.ts";
import type { CounterName } from "./meta-records.ts";

/** Ids that this driver may give out: from `next`, below `end`, which stands in the meta range. */
export interface IdBlock {
  readonly next: number;
  readonly end: number;
}

export class MetaState {
  readonly map: RangeMap;
  readonly stores: Map<StoreId, StoreEntry> = new Map();
  readonly running: Map<number, Operator> = new Map();
  /** In the order in which they ended. */
  readonly ended: Map<number, Operator> = new Map();
  /** Since `takeEnded` was asked last. */
  #ended: Operator[] = [];
  readonly settings: Map<string, unknown> = new Map();
  readonly ids: Map<CounterName, IdBlock> = new Map();
  /** Rises when any of it but the ids changes. */
  revision = 0;

  private constructor(ranges: readonly RangeDescriptor[]) {
    this.map = new RangeMap(ranges);
  }

  /** From all records of the meta range; `founded` are the stores that the cluster began with. Throws `MalformedError`, and on ranges that are no partition. */
  static of(
    records: readonly { readonly key: Key; readonly value: Uint8Array }[],
    founded: readonly StoreEntry[],
    bytes: ByteOperations,
  ): MetaState {
    const decoded = records.map(({ key, value }) => decodeMetaRecord(key, value, founded, bytes));
    const state = new MetaState(decoded.flatMap((record) => (record.kind === "range" ? [record.descriptor] : [])));
    const ended: Operator[] = [];
    for (const record of decoded) {
      switch (record.kind) {
        case "store":
          state.stores.set(record.store.storeId, record.store);
          break;
        case "counter":
          // What is left of the blocks of earlier drivers is given up: nobody knows what was used (hazard E19).
          state.ids.set(record.name, { next: record.next, end: record.next });
          break;
        case "operator":
          if (isEnded(record.operator)) ended.push(record.operator);
          else state.running.set(record.operator.operatorId, record.operator);
          break;
        case "setting":
          state.settings.set(record.name, record.value);
          break;
        case "range":
        case "other":
          break;
        default:
          record satisfies never;
      }
    }
    ended.sort((a, b) => a.endedMs - b.endedMs || a.operatorId - b.operatorId);
    for (const operator of ended) state.ended.set(operator.operatorId, operator);
    // A cluster of release 0.1.0 does not say how many it wants: as many as it has. Nor what it was founded with: it has no others.
    if (!state.settings.has("replicas")) {
      state.settings.set("replicas", Math.max(...state.map.all().map(({ replicas }) => replicas.length)));
      if (!state.settings.has(keptSetting)) state.settings.set(keptSetting, foundedRanges({ ranges: state.map.all() }));
    }
    return state;
  }

  operator(operatorId: number): Operator | undefined {
    return this.running.get(operatorId) ?? this.ended.get(operatorId);
  }

  /** Those that have ended since this was asked last, or since the state was read, in their order. */
  takeEnded(): readonly Operator[] {
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  }

  get directory(): KnownDirectory {
    return { revision: this.ids.get("directory")?.next ?? 0, stores: [...this.stores.values()] };
  }

  /** An applied write. */
  takeOperator(operator: Operator): void {
    const { operatorId } = operator;
    assert(!this.ended.has(operatorId), () => `operator ${operatorId} has ended and goes on`);
    if (!isEnded(operator)) {
      this.running.set(operatorId, operator);
      return;
    }
    this.running.delete(operatorId);
    this.ended.set(operatorId, operator);
    this.#ended.push(operator);
  }
}
