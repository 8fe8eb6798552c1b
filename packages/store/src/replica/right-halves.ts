/** Where a split comes into force: the right half begins to live on this store in the very step that applied it. */
import { assert } from "@flotilla/base";
import type { Environment, ReplicaId, StoreId } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import type { ReplicaDeaths } from "../lifecycle/replica-deaths.ts";
import type { PersistBatches } from "../persist-batches.ts";
import type { EarlyVotes } from "./early-votes.ts";
import type { AddReplica } from "./replica-host.ts";
import type { Replica } from "./replica.ts";
import type { StateMachine } from "./state-machine.ts";

export interface RightHalvesHost {
  readonly environment: Environment;
  readonly storeId: StoreId;
  readonly log: SharedLog;
  readonly deaths: ReplicaDeaths;
  readonly earlyVotes: EarlyVotes;
  readonly persist: PersistBatches;
  replica(rangeId: number): Replica | undefined;
  readonly addReplica: AddReplica;
  /** It should lead: nobody else has a reason to. */
  campaignSoon(replica: Replica): void;
  markDirty(replica: Replica): void;
}

export function adoptRightHalf(left: Replica, right: StateMachine, replicaId: ReplicaId, host: RightHalvesHost): void {
  const { environment, log, storeId } = host;
  const { rangeId, start, end } = right.descriptor;
  const known = log.group(rangeId);
  environment.logger.info({ rangeId: left.rangeId, rightRangeId: rangeId }, "split");
  if (known !== undefined && (replicaId < known.tombstone || replicaId < known.replicaId)) {
    // It was moved away from here before the split came to this store: nothing of it may live again (hazard E4).
    host.deaths.clearRightHalf(left, { rangeId, start, end });
    return;
  }
  const alive = host.replica(rangeId);
  assert(alive === undefined, () => `range ${rangeId} lives on store ${storeId} before it is split off`);
  // What the log has of this very replica stays: its entries, and what it has promised (hazard E6).
  const brandNew = known?.replicaId !== replicaId;
  if (brandNew) log.createGroup(rangeId, replicaId, right.appliedIndex, right.appliedTerm);
  const replica = host.addReplica(right, replicaId, brandNew);
  if (brandNew) {
    right.groupDurable = new Promise((resolve) => {
      host.persist.add(replica, undefined, () => {
        right.groupDurable = undefined;
        resolve();
      });
    });
  }
  const vote = host.earlyVotes.take(rangeId, replicaId);
  if (vote !== undefined) replica.step(vote);
  if (left.leads) host.campaignSoon(replica);
  host.markDirty(replica);
}
