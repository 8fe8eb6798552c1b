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

/** Transfers for one round, at most `limit`; none when no two stores differ by two or more. One pass over the ranges. */
export function balanceLeaders(state: LeaderBalanceState, limit: number): LeaderTransfer[] {
  const led = new Map<StoreId, number>(state.stores.map((store) => [store, state.leaders?.get(store) ?? 0]));
  if (state.leaders === undefined)
    for (const { leader } of state.ranges) if (led.has(leader)) led.set(leader, led.get(leader)! + 1);
  const pairs = pairsOf(state.ranges, led, limit);
  const moved = new Set<RangeId>();
  const transfers: LeaderTransfer[] = [];
  while (transfers.length < limit) {
    const transfer = bestTransfer(pairs, led, moved);
    if (transfer === undefined) break;
    transfers.push(transfer);
    moved.add(transfer.rangeId);
    led.set(transfer.from, led.get(transfer.from)! - 1);
    led.set(transfer.to, led.get(transfer.to)! + 1);
  }
  return transfers;
}

/** Ranges that one store leads and another one could. */
interface Pair {
  readonly from: StoreId;
  readonly to: StoreId;
  /** As many as a round can use: of these at least one has not moved while there may be another transfer. */
  readonly ranges: LedRange[];
}

function pairsOf(ranges: readonly LedRange[], led: ReadonlyMap<StoreId, number>, limit: number): Pair[] {
  const pairs = new Map<StoreId, Map<StoreId, Pair>>();
  for (const range of ranges) {
    const { leader: from, candidates } = range;
    if (!led.has(from)) continue;
    let ofStore = pairs.get(from);
    if (ofStore === undefined) pairs.set(from, (ofStore = new Map()));
    for (const to of candidates) {
      if (to === from || !led.has(to)) continue;
      const pair = ofStore.get(to);
      if (pair === undefined) ofStore.set(to, { from, to, ranges: [range] });
      else if (pair.ranges.length < limit) pair.ranges.push(range);
    }
  }
  const all = [...pairs.values()].flatMap((ofStore) => [...ofStore.values()]);
  return all.sort((a, b) => a.from - b.from || a.to - b.to);
}

/** Between the most unequal pair of stores; ties by lower store ids, then by the order of the ranges. */
function bestTransfer(
  pairs: readonly Pair[],
  led: ReadonlyMap<StoreId, number>,
  moved: ReadonlySet<RangeId>,
): LeaderTransfer | undefined {
  let best: LeaderTransfer | undefined;
  let bestDifference = 1;
  for (const { from, to, ranges } of pairs) {
    const [high, low] = [led.get(from)!, led.get(to)!];
    if (high - low <= bestDifference) continue;
    const range = ranges.find(({ rangeId }) => !moved.has(rangeId));
    if (range === undefined) continue;
    const { rangeId, epoch } = range;
    bestDifference = high - low;
    best = { rangeId, epoch, from, to, reason: `store ${from} leads ${high} ranges, store ${to} leads ${low}` };
  }
  return best;
}
