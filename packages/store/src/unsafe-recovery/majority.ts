/** Whether a group can still decide anything when some stores never come back. */
import { MalformedError, logIndex } from "@flotilla/base";
import type { RangeDescriptor, ReplicaId, StoreId } from "@flotilla/base";
import { decodeConfigurationChange } from "@flotilla/raft";
import type { Configuration, LogReader } from "@flotilla/raft";

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

/** An entry behind `applied` takes the replica out of its group: what it has then was not the range's last word. */
export function isRemovedBehind(reader: LogReader, applied: number, replica: ReplicaId): boolean {
  let low = applied + 1;
  const end = logIndex(reader.lastIndex() + 1);
  while (low < end) {
    const entries = reader.entries(logIndex(low), end, scanBytesMax);
    for (const { kind, data } of entries) {
      if (kind !== "configuration") continue;
      try {
        const { changes } = decodeConfigurationChange(data);
        if (changes.some(({ type, id }) => type === "remove" && id === replica)) return true;
      } catch (error) {
        if (error instanceof MalformedError) return true;
        throw error;
      }
    }
    low += entries.length;
  }
  return false;
}
