/** One pass over a cluster state, so that every decision of a round finds what it needs without another pass. */
import { noStore } from "@flotilla/base";
import type { Key, RangeId, ReplicaId, StoreId } from "@flotilla/base";
import type { SplitPart } from "@flotilla/transport";
import type { ClusterState, RangeState, StoreState } from "./cluster-state.ts";
import { loadUnits } from "./load-balance.ts";
import type { Operator, OperatorGoal } from "./operator.ts";

/** A store with what the ranges, and the operators under way, make of it. */
export interface StoreLoad {
  readonly store: StoreState;
  /** Small integers, equal when node, host or zone is; -1 = no such label. */
  readonly node: number;
  readonly host: number;
  readonly zone: number;
  /** Ranges with a member here, those of operators under way counted as if they had ended. */
  replicas: number;
  leaders: number;
  bytes: number;
  /** Of the ranges that it leads, in the units of load-balance.ts. */
  load: number;
  /** Snapshots that operators under way still need. */
  sending: number;
  receiving: number;
  /** Ranges that have a member here now. */
  readonly ranges: RangeState[];
}

export interface ClusterIndex {
  readonly state: ClusterState;
  readonly stores: ReadonlyMap<StoreId, StoreLoad>;
  readonly ranges: ReadonlyMap<RangeId, RangeState>;
  readonly operators: ReadonlyMap<RangeId, Operator>;
  /** Nodes with a store that may get replicas. */
  readonly nodesUsable: number;
  /** The least crowding (spread.ts) that so many members can have on the stores that may get replicas. */
  readonly crowdingMin: (members: number) => number;
  /** When the move ended that brought the replica, for balance, spread, repair or on order. */
  readonly movedMs: ReadonlyMap<ReplicaId, number>;
  /** When the range's leader last moved for load. */
  readonly ledForLoadMs: ReadonlyMap<RangeId, number>;
  /** When the range was last split, or made by a split. */
  readonly splitMs: ReadonlyMap<RangeId, number>;
  /** When the range last took another one in. */
  readonly mergedMs: ReadonlyMap<RangeId, number>;
  /** Ranges by where they begin; made when it is asked for. */
  readonly byStart: () => ReadonlyMap<Key, RangeState>;
  /** When an operator of that kind on the range last failed. */
  readonly failedMs: Readonly<Record<ChangeKind, ReadonlyMap<RangeId, number>>>;
}

/** What an operator changes; one that failed says nothing about those of other kinds. */
export type ChangeKind = "members" | "leader" | "split" | "merge";

export function changeKind({ kind }: OperatorGoal): ChangeKind {
  if (kind === "split" || kind === "merge") return kind;
  return kind === "transfer-leader" ? "leader" : "members";
}

export function indexCluster(state: ClusterState): ClusterIndex {
  const stores = indexStores(state);
  const ranges = new Map<RangeId, RangeState>();
  for (const range of state.ranges) {
    ranges.set(range.descriptor.rangeId, range);
    for (const { storeId } of range.descriptor.replicas) {
      const load = stores.get(storeId);
      if (load === undefined) continue;
      load.replicas++;
      load.bytes += range.sizeBytes;
      load.ranges.push(range);
    }
    const leading = range.leader === noStore ? undefined : stores.get(range.leader);
    if (leading !== undefined) {
      leading.leaders++;
      leading.load += loadUnits(range.load);
    }
  }
  const operators = new Map<RangeId, Operator>();
  const moved = new Map<ReplicaId, number>();
  const ledForLoad = new Map<RangeId, number>();
  const split = new Map<RangeId, number>();
  const merged = new Map<RangeId, number>();
  const failed = {
    members: new Map<RangeId, number>(),
    leader: new Map<RangeId, number>(),
    split: new Map<RangeId, number>(),
    merge: new Map<RangeId, number>(),
  };
  for (const operator of state.recent) {
    const { goal, source, rangeId, endedMs } = operator;
    if (goal.kind === "move" || goal.kind === "repair") noteLatest(moved, goal.replicaId, endedMs);
    if (source === "balance-load") noteLatest(ledForLoad, rangeId, endedMs);
    if (goal.kind === "split") noteSplit(operator, goal.parts, ranges, split);
    if (goal.kind === "merge" && operator.state === "done") noteLatest(merged, rangeId, endedMs);
    if (goal.kind === "merge") for (const { replicaId } of goal.moves) noteLatest(moved, replicaId, endedMs);
    if (operator.state === "failed" || operator.state === "timed-out")
      noteLatest(failed[changeKind(goal)], rangeId, endedMs);
  }
  for (const operator of state.operators) {
    operators.set(operator.rangeId, operator);
    if (operator.goal.kind === "merge") operators.set(operator.goal.rightRangeId, operator);
    foreseeOperator(operator, ranges, stores);
  }
  const usable = [...stores.values()].filter(({ store }) => store.membership === "active" && store.health === "live");
  const nodesUsable = new Set(usable.map(({ node }) => node)).size;
  const crowdingMin = leastCrowding(usable);
  let starts: Map<Key, RangeState> | undefined;
  const byStart = (): Map<Key, RangeState> =>
    (starts ??= new Map(state.ranges.map((range) => [range.descriptor.start, range])));
  const times = { movedMs: moved, ledForLoadMs: ledForLoad, splitMs: split, mergedMs: merged, failedMs: failed };
  return { state, stores, ranges, operators, nodesUsable, crowdingMin, byStart, ...times };
}

/** Also of one that did not come to its end: some of its parts may be there. */
function noteSplit(
  { rangeId, state, endedMs }: Operator,
  parts: readonly SplitPart[],
  ranges: ReadonlyMap<RangeId, RangeState>,
  split: Map<RangeId, number>,
): void {
  const made = parts.filter((part) => ranges.has(part.rangeId));
  if (made.length === 0 && state !== "done") return;
  noteLatest(split, rangeId, endedMs);
  for (const part of made) noteLatest(split, part.rangeId, endedMs);
}

/** Only a bound from below, by zones alone: with three members in two zones two of them share one. */
function leastCrowding(usable: readonly StoreLoad[]): (members: number) => number {
  const zones = new Set(usable.map(({ zone }) => zone));
  if (zones.has(-1) || zones.size === 0) return () => 0;
  return (members) => {
    const [each, more] = [Math.floor(members / zones.size), members % zones.size];
    return (zones.size - more) * ((each * (each - 1)) / 2) + more * ((each * (each + 1)) / 2);
  };
}

function noteLatest<Id>(map: Map<Id, number>, id: Id, atMs: number): void {
  if ((map.get(id) ?? -1) < atMs) map.set(id, atMs);
}

/** Counts as if the operator had ended, so that two rounds do not decide the same twice. */
export function foreseeOperator(
  { rangeId, goal }: Pick<Operator, "rangeId" | "goal">,
  ranges: ReadonlyMap<RangeId, RangeState>,
  stores: ReadonlyMap<StoreId, StoreLoad>,
): void {
  const range = ranges.get(goal.kind === "merge" ? goal.rightRangeId : rangeId);
  if (range === undefined) return;
  if (goal.kind !== "merge") return foresee({ goal }, range, stores);
  for (const move of goal.moves) foresee({ goal: { kind: "move", ...move } }, range, stores);
}

/** The same for one change of one range. */
export function foresee(
  { goal }: Pick<Operator, "goal">,
  range: RangeState,
  stores: ReadonlyMap<StoreId, StoreLoad>,
): void {
  const isMember = (store: StoreId): boolean => range.descriptor.replicas.some(({ storeId }) => storeId === store);
  const leading = stores.get(range.leader);
  const leadsInstead = (store: StoreId): void => {
    const next = stores.get(store);
    if (next === undefined || next === leading) return;
    const units = loadUnits(range.load);
    if (leading !== undefined) {
      leading.leaders--;
      leading.load -= units;
    }
    next.leaders++;
    next.load += units;
  };
  if (goal.kind === "transfer-leader") leadsInstead(goal.to);
  if (goal.kind === "move" || goal.kind === "repair") {
    const to = stores.get(goal.to);
    if (to !== undefined && !isMember(goal.to)) {
      to.replicas++;
      to.bytes += range.sizeBytes;
    }
    const member = range.descriptor.replicas.find(({ storeId }) => storeId === goal.to);
    if (member === undefined || member.role === "learner") {
      if (to !== undefined) to.receiving++;
      if (leading !== undefined) leading.sending++;
    }
  }
  if (goal.kind === "move" || goal.kind === "repair" || goal.kind === "remove-replica") {
    const from = stores.get(goal.from);
    if (from !== undefined && isMember(goal.from)) {
      from.replicas--;
      from.bytes -= range.sizeBytes;
    }
  }
}

function indexStores(state: ClusterState): Map<StoreId, StoreLoad> {
  const names = new Map<string, number>();
  const number = (kind: string, name: string | undefined): number => {
    if (name === undefined) return -1;
    const full = `${kind}/${name}`;
    let found = names.get(full);
    if (found === undefined) names.set(full, (found = names.size));
    return found;
  };
  const stores = new Map<StoreId, StoreLoad>();
  for (const store of [...state.stores].sort((a, b) => a.storeId - b.storeId)) {
    const empty = { replicas: 0, leaders: 0, bytes: 0, load: 0, sending: 0, receiving: 0 };
    const node = number("node", String(store.nodeId));
    const host = number("host", store.labels["host"]);
    const zone = number("zone", store.labels["zone"]);
    stores.set(store.storeId, { store, node, host, zone, ...empty, ranges: [] });
  }
  return stores;
}
