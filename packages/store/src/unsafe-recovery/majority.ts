/** Whether a group can still decide anything when some stores never come back. */
import { logIndex } from "@flotilla/base";
import type { ByteOperations, Key, RangeDescriptor, ReplicaId, StoreId } from "@flotilla/base";
import { decodeConfigurationChange } from "@flotilla/raft";
import type { Configuration, LogReader } from "@flotilla/raft";
import { entryKindOf } from "../replica/entry-format.ts";
import { decodeSplit } from "../replica/split-entry.ts";

const scanBytesMax: number = 1024 * 1024;

/** In a joint configuration both halves decide. A member whose store nobody knows counts as lost. */
export function lacksMajority(
  { voters, votersOutgoing }: Configuration,
  { replicas }: RangeDescriptor,
  lost: ReadonlySet<StoreId>,
): boolean {
  const left = new Set(replicas.filter(({ storeId }) => !lost.has(storeId)).map(({ replicaId }) => replicaId));
  const has = (list: readonly ReplicaId[]): boolean =>
    list.length === 0 || list.filter((id) => left.has(id)).length * 2 > list.length;
  return !has(voters) || !has(votersOutgoing);
}

export interface LogTail {
  /** An entry takes the replica out of its group: what it has then was not the range's last word. */
  readonly removed: boolean;
  /** Where the range ends when the splits in it are applied. */
  readonly end: Key;
}

/** What the log behind `applied` holds in store for the replica. */
export function tailOf(
  reader: LogReader,
  applied: number,
  { replicaId, end: last }: { readonly replicaId: ReplicaId; readonly end: Key },
  operations: ByteOperations,
): LogTail {
  const stop = logIndex(reader.lastIndex() + 1);
  let end = last;
  for (let low = applied + 1; low < stop;) {
    const entries = reader.entries(logIndex(low), stop, scanBytesMax);
    for (const { kind, data } of entries) {
      if (kind === "configuration") {
        const { changes } = decodeConfigurationChange(data);
        if (changes.some(({ type, id }) => type === "remove" && id === replicaId)) return { removed: true, end };
      } else if (data.length > 0 && entryKindOf(data) === "split") {
        const { key } = decodeSplit(data, operations);
        if (key < end) end = key;
      }
    }
    low += entries.length;
  }
  return { removed: false, end };
}
