/**
 * Even spread of leaders over stores, as a pure decision: state in, transfers with their reasons out. Used by the placement
 * driver, and by tests on tables of cluster states.
 */
import type { Epoch, RangeId, StoreId } from "@flotilla/base";

export interface LedRange {
  readonly rangeId: RangeId;
  readonly epoch: Epoch;
  readonly leader: StoreId;
  /** Stores whose replica is a voter, heard of by the leader, and level enough to lead at once. */
  readonly candidates: readonly StoreId[];
}

export interface LeaderBalanceState {
  /** Live stores that may lead (not draining, disk not full). */
  readonly stores: readonly StoreId[];
  readonly ranges: readonly LedRange[];
  /** How many each store leads; given when `ranges` are not all there are. */
  readonly leaders?: ReadonlyMap<StoreId, number>;
}

export interface LeaderTransfer {
  readonly rangeId: RangeId;
  readonly epoch: Epoch;
  readonly from: StoreId;
  readonly to: StoreId;
  readonly reason: string;
}

/** Transfers for one round, at most `limit`; none when no two stores differ by two or more. */
export function balanceLeaders(state: LeaderBalanceState, limit: number): LeaderTransfer[] {
  const led = new Map<StoreId, number>(state.stores.map((store) => [store, state.leaders?.get(store) ?? 0]));
  if (state.leaders === undefined)
    for (const { leader } of state.ranges) if (led.has(leader)) led.set(leader, led.get(leader)! + 1);
  const moved = new Set<RangeId>();
  const transfers: LeaderTransfer[] = [];
  while (transfers.length < limit) {
    const transfer = bestTransfer(state.ranges, led, moved);
    if (transfer === undefined) break;
    transfers.push(transfer);
    moved.add(transfer.rangeId);
    led.set(transfer.from, led.get(transfer.from)! - 1);
    led.set(transfer.to, led.get(transfer.to)! + 1);
  }
  return transfers;
}

/** The one between the most unequal pair of stores; ties by lower store id, then lower range id. */
function bestTransfer(
  ranges: readonly LedRange[],
  led: ReadonlyMap<StoreId, number>,
  moved: ReadonlySet<RangeId>,
): LeaderTransfer | undefined {
  let best: LeaderTransfer | undefined;
  let bestDifference = 1;
  for (const { rangeId, epoch, leader, candidates } of ranges) {
    if (moved.has(rangeId)) continue;
    const from = led.get(leader);
    if (from === undefined) continue;
    for (const to of candidates) {
      const there = led.get(to);
      if (to === leader || there === undefined || from - there <= bestDifference) continue;
      bestDifference = from - there;
      best = {
        rangeId,
        epoch,
        from: leader,
        to,
        reason: `store ${leader} leads ${from} ranges, store ${to} leads ${there}`,
      };
    }
  }
  return best;
}
