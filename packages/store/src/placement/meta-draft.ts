/**
 * What one step of the placement driver is going to change in the meta range: one entry, so all of it or nothing. The
 * driver's memory follows when the entry is applied.
 */
import { rangeId, replicaId } from "@flotilla/base";
import type { ByteOperations, RangeId, ReplicaId, StoreId } from "@flotilla/base";
import { isEnded, operatorsToForget } from "@flotilla/placement";
import type { IdSource, MapUpdate, Operator } from "@flotilla/placement";
import type { StoreEntry } from "@flotilla/transport";
import type { RecordChange } from "../replica/records-entry.ts";
import {
  encodeMetaCounter,
  encodeMetaDescriptor,
  encodeMetaJson,
  encodeMetaOperator,
  metaCounterKey,
  metaOperatorKey,
  metaRangeKey,
  metaSettingKey,
  metaStoreKey,
} from "./meta-records.ts";
import type { CounterName } from "./meta-records.ts";
import type { IdBlock, MetaState } from "./meta-state.ts";

/**
 * Ids taken with one write; what a driver leaves of them is lost. Stores and nodes are called by their ids, and none comes
 * without a write of its own.
 */
const idBlockLength: Readonly<Record<Exclude<CounterName, "directory">, number>> = {
  store: 1,
  node: 1,
  range: 1000,
  replica: 1000,
  operator: 1000,
};

export class MetaDraft implements IdSource {
  readonly meta: MetaState;
  readonly #bytes: ByteOperations;
  readonly #operators: Map<number, Operator> = new Map();
  readonly #forgotten: number[] = [];
  readonly #stores: Map<StoreId, StoreEntry> = new Map();
  readonly #settings: Map<string, unknown> = new Map();
  readonly #ids: Map<CounterName, IdBlock> = new Map();
  #update: MapUpdate | undefined = undefined;

  constructor(meta: MetaState, bytes: ByteOperations) {
    this.meta = meta;
    this.#bytes = bytes;
  }

  nextReplicaId(): ReplicaId {
    return replicaId(this.nextId("replica"));
  }

  nextRangeId(): RangeId {
    return rangeId(this.nextId("range"));
  }

  /** Never given out before, and never again: a block is in the meta range before, or with, the first use of it. */
  nextId(name: Exclude<CounterName, "directory">): number {
    let block = this.#ids.get(name) ?? this.meta.ids.get(name) ?? { next: 1, end: 1 };
    if (block.next === block.end) block = { next: block.next, end: block.next + idBlockLength[name] };
    this.#ids.set(name, { next: block.next + 1, end: block.end });
    return block.next;
  }

  put(operator: Operator): void {
    this.#operators.set(operator.operatorId, operator);
  }

  /** Another directory of stores, for everybody. */
  putStore(store: StoreEntry): void {
    this.#stores.set(store.storeId, store);
  }

  /** `undefined` takes the setting away. */
  set(name: string, value: unknown): void {
    this.#settings.set(name, value);
  }

  /** As it will be. */
  setting(name: string): unknown {
    return this.#settings.has(name) ? this.#settings.get(name) : this.meta.settings.get(name);
  }

  updateMap(update: MapUpdate): void {
    this.#update = update;
  }

  /** Empty: there is nothing to write. */
  changes(): RecordChange[] {
    const bytes = this.#bytes;
    const changes: RecordChange[] = [];
    for (const end of this.#update?.deletes ?? []) changes.push({ key: metaRangeKey(end), value: undefined });
    for (const descriptor of this.#update?.puts ?? [])
      changes.push({ key: metaRangeKey(descriptor.end), value: encodeMetaDescriptor(descriptor, bytes) });
    for (const store of this.#stores.values())
      changes.push({ key: metaStoreKey(store.storeId, bytes), value: encodeMetaJson(store, bytes) });
    for (const operator of this.#operators.values())
      changes.push({ key: metaOperatorKey(operator.operatorId, bytes), value: encodeMetaOperator(operator, bytes) });
    this.#forgetEnded();
    for (const id of this.#forgotten) changes.push({ key: metaOperatorKey(id, bytes), value: undefined });
    for (const [name, value] of this.#settings)
      changes.push({
        key: metaSettingKey(name),
        value: value === undefined ? undefined : encodeMetaJson(value, bytes),
      });
    if (this.#stores.size > 0) {
      const revision = this.meta.directory.revision + 1;
      this.#ids.set("directory", { next: revision, end: revision });
    }
    for (const [name, block] of this.#ids) {
      if (block.end !== this.meta.ids.get(name)?.end)
        changes.push({ key: metaCounterKey(name), value: encodeMetaCounter(block.end, bytes) });
    }
    return changes;
  }

  #forgetEnded(): void {
    const ended = [...this.#operators.values()].filter(isEnded);
    if (ended.length === 0) return;
    const nowMs = ended.reduce((latest, { endedMs }) => Math.max(latest, endedMs), 0);
    this.#forgotten.push(...operatorsToForget(this.meta.ended, ended.length, nowMs));
  }

  /** The entry is applied. */
  commit(): void {
    const { meta } = this;
    if (this.#update !== undefined || this.#stores.size + this.#operators.size + this.#settings.size > 0)
      meta.revision++;
    if (this.#update !== undefined) meta.map.commit(this.#update);
    for (const store of this.#stores.values()) meta.stores.set(store.storeId, store);
    for (const id of this.#forgotten) meta.ended.delete(id);
    for (const operator of this.#operators.values()) meta.takeOperator(operator);
    for (const [name, value] of this.#settings)
      if (value === undefined) meta.settings.delete(name);
      else meta.settings.set(name, value);
    for (const [name, block] of this.#ids) meta.ids.set(name, block);
  }
}
