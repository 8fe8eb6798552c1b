/** All groups of a store's log by range, and the one place where a replica id is let in, supersedes or is refused. */
import type { RangeId, ReplicaId } from "@flotilla/base";
import { assert } from "@flotilla/base";
import type { GroupDependencies } from "./group-log.ts";
import { GroupLog } from "./group-log.ts";
import type { TableGroup } from "./log-format.ts";

export class LogGroups {
  readonly byRange: Map<RangeId, GroupLog> = new Map();
  readonly #dependencies: GroupDependencies;

  constructor(dependencies: GroupDependencies) {
    this.#dependencies = dependencies;
  }

  /** The group, made when it is new; a higher replica id than the one it has voids what that one left. */
  forReplica(range: RangeId, replica: ReplicaId): GroupLog {
    const group = this.forRange(range);
    if (group.replicaId === replica && replica !== 0) return group;
    assert(
      replica >= group.tombstone,
      () => `replica ${replica} of range ${range} is below the tombstone ${group.tombstone}`,
    );
    assert(
      replica > group.replicaId,
      () => `replica ${replica} of range ${range} was superseded by ${group.replicaId}`,
    );
    group.becomeReplica(replica);
    return group;
  }

  forRange(range: RangeId): GroupLog {
    let group = this.byRange.get(range);
    if (group === undefined) {
      assert(range > 0, () => `range id ${range}`);
      group = new GroupLog(range, this.#dependencies);
      this.byRange.set(range, group);
    }
    return group;
  }

  /** What the frames written so far say, copied. Groups of which nothing was written yet are left out. */
  writtenTable(): TableGroup[] {
    const table: TableGroup[] = [];
    for (const { written } of this.byRange.values()) {
      if (written.replicaId !== 0 || written.tombstone !== 0) table.push({ ...written });
    }
    return table;
  }
}
