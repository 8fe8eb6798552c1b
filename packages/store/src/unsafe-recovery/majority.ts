/** Whether a group can still decide anything when some stores never come back. */
import { logIndex } from "@flotilla/base";
import type { Key, RangeDescriptor, ReplicaId, StoreId } from "@flotilla/base";
import { decodeConfigurationChange } from "@flotilla/raft";
import type { Configuration, LogReader } from "@flotilla/raft";
import type { SealedFor } from "@flotilla/transport";
import { entryKindOf } from "../replica/entry-format.ts";
import { decodeCancel, decodeMergeEntry, decodeSeal } from "../replica/merge-entry.ts";
import { sealOf } from "../replica/merge-machine.ts";
import { decodeSplit } from "../replica/split-entry.ts";
import type { StateMachine } from "../replica/state-machine.ts";

const scanBytesMax: number = 1024 * 1024;

/**
 * In a joint configuration both halves decide. A member whose store nobody knows counts as lost. `gone`: members that their
 * stores, which are not lost, have buried.
 */
export function lacksMajority(
  { voters, votersOutgoing }: Configuration,
  { replicas }: RangeDescriptor,
  lost: ReadonlySet<StoreId>,
  gone: ReadonlySet<ReplicaId>,
): boolean {
  const left = new Set(replicas.filter(({ storeId }) => !lost.has(storeId)).map(({ replicaId }) => replicaId));
  for (const replicaId of gone) left.delete(replicaId);
  const has = (list: readonly ReplicaId[]): boolean =>
    list.length === 0 || list.filter((id) => left.has(id)).length * 2 > list.length;
  return !has(voters) || !has(votersOutgoing);
}

export interface LogTail {
  /** An entry takes the replica out of its group: what it has then was not the range's last word. */
  readonly removed: boolean;
  /** Where the range ends when the splits in it are applied. */
  readonly end: Key;
  /** As `end`, with the merges in it. */
  readonly lastEnd: Key;
  /** Neighbours that are taken in by them, with the bounds that these must have. */
  readonly takesIn: readonly SealedFor[];
  /** The range is, or will be, sealed for its left neighbour under these bounds of it: that one decides (rule: merge). */
  readonly sealedFor: SealedFor | undefined;
}

/** What the log behind the applied index holds in store for the replica. */
export function tailOf(reader: LogReader, machine: StateMachine, replica: ReplicaId): LogTail {
  const stop = logIndex(reader.lastIndex() + 1);
  let { end } = machine.descriptor;
  let lastEnd = end;
  let { bounds } = machine.descriptor.epoch;
  const takesIn: SealedFor[] = [];
  let sealedFor = sealOf(machine);
  for (let low = machine.appliedIndex + 1; low < stop;) {
    const entries = reader.entries(logIndex(low), stop, scanBytesMax);
    for (const { kind, data } of entries) {
      if (kind === "configuration") {
        const { changes } = decodeConfigurationChange(data);
        if (changes.some(({ type, id }) => type === "remove" && id === replica))
          return { removed: true, end, lastEnd, takesIn, sealedFor };
      } else if (data.length > 0) {
        const entryKind = entryKindOf(data);
        if (entryKind === "split") {
          const { epoch, key } = decodeSplit(data, machine.operations);
          if (key < end) end = key;
          if (key < lastEnd) lastEnd = key;
          if (epoch.bounds === bounds) bounds++;
        } else if (entryKind === "cancel") {
          if (decodeCancel(data).bounds === bounds) bounds++;
        } else if (entryKind === "merge") {
          const merge = decodeMergeEntry(data, machine.operations);
          // Under other bounds it falls.
          if (merge.epoch.bounds !== bounds) continue;
          lastEnd = merge.end;
          bounds = Math.max(bounds, merge.rightBounds) + 1;
          takesIn.push({ rangeId: merge.rightRangeId, bounds: merge.rightBounds });
        } else if (entryKind === "seal") {
          const { leftRangeId, leftBounds } = decodeSeal(data);
          sealedFor = { rangeId: leftRangeId, bounds: leftBounds };
        }
      }
    }
    low += entries.length;
  }
  return { removed: false, end, lastEnd, takesIn, sealedFor };
}
