/**
 * What every decision needs to find at once: counts and ranges by store, operators by range, what was done lately. It is kept
 * up while the cluster changes, at a cost that follows what has changed and not how large the cluster is.
 */
import { noStore } from "@flotilla/base";
import type { Key, RangeId, ReplicaDescriptor, StoreId } from "@flotilla/base";
import type { ClusterState, RangeState, StoreState } from "./cluster-state.ts";
import { Concerns } from "./concerns.ts";
import { loadUnits } from "./load-balance.ts";
import type { Decision, Operator } from "./operator.ts";
import { isEnded } from "./operator.ts";
import { OperatorHistory } from "./operator-history.ts";
import type { PlacementSettings } from "./placement-settings.ts";
import type { RangeRule } from "./range-rules.ts";
import { VainSearch, VainSweep } from "./vain-search.ts";
import { StoreNames, emptyLoad, isSamePlace, isSameToRules, putIntoLed, roomOf, takeFromLed } from "./store-load.ts";
import type { Room, StoreLoad } from "./store-load.ts";

/** What is said of the cluster as a whole. */
export type ClusterMoment = Pick<ClusterState, "nowMs" | "paused" | "colocatedPrefixes" | "keptRanges" | "settings">;

export class ClusterIndex {
  readonly history: OperatorHistory = new OperatorHistory();
  readonly vainTransfers: VainSweep = new VainSweep();
  readonly vainMoves: VainSearch = new VainSearch();
  #state: ClusterMoment;
  /** By rising id: between equals the lower one is taken. */
  readonly #stores: Map<StoreId, StoreLoad> = new Map();
  readonly #ranges: Map<RangeId, RangeState> = new Map();
  /** Those that have not ended; a merge stands for both its ranges. */
  readonly #operators: Map<RangeId, Operator> = new Map();
  readonly #foreseen: Decision[] = [];
  readonly #decided: Set<RangeId> = new Set();
  readonly #sealed: Set<RangeId> = new Set();
  readonly #names: StoreNames = new StoreNames();
  readonly #concerns: Concerns = new Concerns();
  #room: Room = { nodes: 0, zones: 0 };
  #running = 0;
  #changes = 0;
  #runningForLoad = 0;
  #runningMerges = 0;
  /** Ranges by their bounds; made when one of them is asked for. */
  #bounds: { readonly starts: Map<Key, RangeId>; readonly ends: Map<Key, RangeId> } | undefined = undefined;

  constructor(moment: ClusterMoment) {
    this.#state = moment;
  }

  get state(): ClusterMoment {
    return this.#state;
  }

  get stores(): ReadonlyMap<StoreId, StoreLoad> {
    return this.#stores;
  }

  get ranges(): ReadonlyMap<RangeId, RangeState> {
    return this.#ranges;
  }

  get operators(): ReadonlyMap<RangeId, Operator> {
    return this.#operators;
  }

  /** Ranges that wait to be taken in. */
  get sealed(): ReadonlySet<RangeId> {
    return this.#sealed;
  }

  get room(): Room {
    return this.#room;
  }

  /** Rises with everything that is put into the index, but for the time. */
  get changes(): number {
    return this.#changes;
  }

  /** Operators under way that no administrator asked for. */
  get operatorsOwn(): number {
    return this.#running;
  }

  get mergesOwn(): number {
    return this.#runningMerges;
  }

  get operatorsForLoad(): number {
    return this.#runningForLoad;
  }

  /** An operator works on the range, or is about to: nothing else is begun there. */
  isBusy(id: RangeId): boolean {
    return this.#operators.has(id) || this.#decided.has(id);
  }

  /** Looks at `most` ranges of which rules may have something else to say than before; false when there are more. */
  examine(most: number): boolean {
    return this.#concerns.examine(this, most);
  }

  /** Ranges that the rule may decide something about, as far as they have been examined. */
  concerned(rule: RangeRule): Set<RangeId> {
    return this.#concerns.of(rule);
  }

  /** The range that begins at this key. */
  startingAt(key: Key): RangeState | undefined {
    const id = this.#byBounds().starts.get(key);
    return id === undefined ? undefined : this.#ranges.get(id);
  }

  /** The range that ends there. */
  endingAt(key: Key): RangeState | undefined {
    const id = this.#byBounds().ends.get(key);
    return id === undefined ? undefined : this.#ranges.get(id);
  }

  setMoment(moment: ClusterMoment): void {
    const { settings, colocatedPrefixes } = this.#state;
    this.#state = moment;
    if (!isSame(settings, moment.settings) || !isSame(colocatedPrefixes, moment.colocatedPrefixes)) this.#touchAll();
    this.history.forget(moment.nowMs, moment.settings);
  }

  #touchAll(): void {
    this.#changes++;
    this.#concerns.touchAll();
  }

  putStore(store: StoreState): void {
    const load = this.#stores.get(store.storeId);
    if (load === undefined) this.#addStore(store);
    else {
      const before = load.store;
      load.store = store;
      if (isSameToRules(before, store, this.#state.settings)) return;
      this.#changes++;
      if (!isSamePlace(before, store)) Object.assign(load, this.#names.of(store));
      for (const id of load.ranges) this.#concerns.touch(id);
      for (const id of load.led) this.#concerns.touch(id);
    }
    const { nodes, zones } = this.#room;
    this.#room = roomOf(this.#stores);
    const { replicas } = this.#state.settings;
    const enough = (count: number): number => Math.min(count, Math.max(3, replicas));
    if (enough(nodes) !== enough(this.#room.nodes) || zones !== this.#room.zones) this.#touchAll();
  }

  #addStore(store: StoreState): void {
    const { storeId } = store;
    const touched = [...this.#ranges.values()].filter(
      ({ leader, descriptor }) =>
        leader === storeId ||
        this.#operators.has(descriptor.rangeId) ||
        descriptor.replicas.some((replica) => replica.storeId === storeId),
    );
    for (const range of touched) this.#count(range, -1);
    this.#stores.set(storeId, emptyLoad(store, this.#names));
    const last = [...this.#stores.keys()].at(-2);
    if (last !== undefined && last > storeId) {
      const sorted = [...this.#stores].sort(([a], [b]) => a - b);
      this.#stores.clear();
      for (const [id, load] of sorted) this.#stores.set(id, load);
    }
    for (const range of touched) {
      this.#count(range, 1);
      this.#list(undefined, range);
      this.#concerns.touch(range.descriptor.rangeId);
    }
  }

  putRange(range: RangeState): void {
    const { rangeId } = range.descriptor;
    const known = this.#ranges.get(rangeId);
    if (known === range) return;
    this.#touch(range, known);
    if (known !== undefined) this.#count(known, -1);
    this.#ranges.set(rangeId, range);
    if (range.sealedFor === undefined) this.#sealed.delete(rangeId);
    else this.#sealed.add(rangeId);
    this.#count(range, 1);
    this.#list(known, range);
  }

  removeRange(id: RangeId): void {
    const known = this.#ranges.get(id);
    if (known === undefined) return;
    this.#touch(undefined, known);
    this.#count(known, -1);
    this.#ranges.delete(id);
    this.#sealed.delete(id);
    this.#list(known, undefined);
  }

  /** One that has ended counts for what was done lately, and no longer for what is under way. */
  putOperator(operator: Operator): void {
    const { operatorId, rangeId } = operator;
    this.#changes++;
    const known = this.#operators.get(rangeId);
    if (known?.operatorId === operatorId) this.#dropOperator(known);
    if (isEnded(operator)) {
      this.history.note(operator, this.#ranges);
      return;
    }
    this.#operators.set(rangeId, operator);
    if (operator.goal.kind === "merge") this.#operators.set(operator.goal.rightRangeId, operator);
    this.#countOperator(operator, 1);
  }

  #dropOperator(operator: Operator): void {
    const { goal, rangeId } = operator;
    this.#countOperator(operator, -1);
    this.#operators.delete(rangeId);
    if (goal.kind === "merge" && this.#operators.get(goal.rightRangeId) === operator)
      this.#operators.delete(goal.rightRangeId);
  }

  /** Counts from now on as if this had been done, so that the next decision takes it into account, until `forget`. */
  foresee(decision: Decision): void {
    this.#foreseen.push(decision);
    this.#decided.add(decision.rangeId);
    if (decision.goal.kind === "merge") this.#decided.add(decision.goal.rightRangeId);
    this.#foresee(decision, 1);
  }

  /** What was foreseen is either an operator by itself by now, or nothing. */
  forget(): void {
    for (const decision of this.#foreseen) this.#foresee(decision, -1);
    this.#foreseen.length = 0;
    this.#decided.clear();
  }

  #countOperator(operator: Operator, sign: 1 | -1): void {
    if (operator.source !== "admin") this.#running += sign;
    if (operator.source !== "admin" && operator.goal.kind === "merge") this.#runningMerges += sign;
    if (operator.source === "balance-load") this.#runningForLoad += sign;
    this.#foresee(operator, sign);
  }

  #foresee(operator: Pick<Operator, "rangeId" | "goal">, sign: 1 | -1): void {
    const range = this.#ranges.get(changedRange(operator));
    if (range !== undefined) foresee(operator, range, this.#stores, sign);
  }

  /** The range itself, and what the operator that works on it will make of it. */
  #count(range: RangeState, sign: 1 | -1): void {
    const { rangeId, replicas } = range.descriptor;
    for (const { storeId } of replicas) {
      const load = this.#stores.get(storeId);
      if (load === undefined) continue;
      load.replicas += sign;
      load.bytes += sign * range.sizeBytes;
    }
    const leading = range.leader === noStore ? undefined : this.#stores.get(range.leader);
    if (leading !== undefined) {
      leading.leaders += sign;
      leading.load += sign * loadUnits(range.load);
    }
    const operator = this.#operators.get(rangeId);
    if (operator !== undefined && changedRange(operator) === rangeId) foresee(operator, range, this.#stores, sign);
  }

  /** Takes the range from the lists of stores that it has left, and into those of stores that it has come to. */
  #list(before: RangeState | undefined, now: RangeState | undefined): void {
    if (before?.descriptor !== now?.descriptor) {
      const id = (now ?? before)!.descriptor.rangeId;
      const has = (range: RangeState | undefined, store: StoreId): boolean =>
        range?.descriptor.replicas.some(({ storeId }) => storeId === store) === true;
      for (const { storeId } of before?.descriptor.replicas ?? [])
        if (!has(now, storeId)) this.#stores.get(storeId)?.ranges.delete(id);
      for (const { storeId } of now?.descriptor.replicas ?? []) this.#stores.get(storeId)?.ranges.add(id);
    }
    if (before?.leader === now?.leader && before?.descriptor.replicas === now?.descriptor.replicas) return;
    const [led, leads] = [this.#leading(before), this.#leading(now)];
    if (led !== undefined) takeFromLed(led, before!, leads === led ? now : undefined);
    if (leads !== undefined) putIntoLed(leads, now!);
  }

  #leading(range: RangeState | undefined): StoreLoad | undefined {
    return range === undefined || range.leader === noStore ? undefined : this.#stores.get(range.leader);
  }

  /** A rule on a range may look at its right neighbour as well. */
  #touch(now: RangeState | undefined, known: RangeState | undefined): void {
    const { rangeId } = (now ?? known)!.descriptor;
    this.#changes++;
    this.#concerns.touch(rangeId);
    const bounds = this.#bounds;
    if (bounds === undefined) return;
    for (const range of [known, now]) {
      const left = range === undefined ? undefined : bounds.ends.get(range.descriptor.start);
      if (left !== undefined) this.#concerns.touch(left);
    }
    if (known !== undefined) {
      const { start, end } = known.descriptor;
      if (bounds.starts.get(start) === rangeId) bounds.starts.delete(start);
      if (bounds.ends.get(end) === rangeId) bounds.ends.delete(end);
    }
    if (now !== undefined) {
      bounds.starts.set(now.descriptor.start, rangeId);
      bounds.ends.set(now.descriptor.end, rangeId);
    }
  }

  #byBounds(): { readonly starts: Map<Key, RangeId>; readonly ends: Map<Key, RangeId> } {
    if (this.#bounds !== undefined) return this.#bounds;
    const bounds = { starts: new Map<Key, RangeId>(), ends: new Map<Key, RangeId>() };
    for (const { descriptor } of this.#ranges.values()) {
      bounds.starts.set(descriptor.start, descriptor.rangeId);
      bounds.ends.set(descriptor.end, descriptor.rangeId);
    }
    return (this.#bounds = bounds);
  }
}

export function indexCluster(state: ClusterState): ClusterIndex {
  const index = new ClusterIndex(state);
  for (const store of [...state.stores].sort((a, b) => a.storeId - b.storeId)) index.putStore(store);
  for (const range of state.ranges) index.putRange(range);
  for (const operator of state.recent) index.putOperator(operator);
  for (const operator of state.operators) index.putOperator(operator);
  return index;
}

/** Settings and lists of names: one level deep. */
function isSame(a: PlacementSettings | readonly Key[], b: PlacementSettings | readonly Key[]): boolean {
  if (a === b) return true;
  const [x, y] = [Object.entries(a), Object.entries(b)];
  return x.length === y.length && x.every(([name, value], i) => y[i]![0] === name && y[i]![1] === value);
}

/** The learner has its range snapshot, or needed none: entries alone are sent to it. */
function hasSnapshot({ replicas }: RangeState, { replicaId }: ReplicaDescriptor): boolean {
  return replicas.find((replica) => replica.replicaId === replicaId)?.state === "replicate";
}

/** The range whose replicas or leader the operator changes: of a merge the right one, which is gathered. */
const changedRange = ({ rangeId, goal }: Pick<Operator, "rangeId" | "goal">): RangeId =>
  goal.kind === "merge" ? goal.rightRangeId : rangeId;

/** Counts as if the operator had ended (`sign` 1), so that two rounds do not decide the same twice; or no longer so. */
function foresee(
  { goal }: Pick<Operator, "goal">,
  range: RangeState,
  stores: ReadonlyMap<StoreId, StoreLoad>,
  sign: 1 | -1,
): void {
  if (goal.kind === "merge") {
    for (const move of goal.moves) foresee({ goal: { kind: "move", ...move } }, range, stores, sign);
    return;
  }
  const isMember = (store: StoreId): boolean => range.descriptor.replicas.some(({ storeId }) => storeId === store);
  const leading = stores.get(range.leader);
  if (goal.kind === "transfer-leader") {
    const next = stores.get(goal.to);
    if (next === undefined || next === leading) return;
    const units = loadUnits(range.load);
    if (leading !== undefined) {
      leading.leaders -= sign;
      leading.load -= sign * units;
    }
    next.leaders += sign;
    next.load += sign * units;
    return;
  }
  if (goal.kind === "move" || goal.kind === "repair") {
    const to = stores.get(goal.to);
    const member = range.descriptor.replicas.find(({ storeId }) => storeId === goal.to);
    if (to !== undefined && member === undefined) {
      to.replicas += sign;
      to.bytes += sign * range.sizeBytes;
    }
    if (member === undefined || (member.role === "learner" && !hasSnapshot(range, member))) {
      if (to !== undefined) to.receiving += sign;
      if (leading !== undefined) leading.sending += sign;
    }
  }
  if (goal.kind === "move" || goal.kind === "repair" || goal.kind === "remove-replica") {
    const from = stores.get(goal.from);
    if (from !== undefined && isMember(goal.from)) {
      from.replicas -= sign;
      from.bytes -= sign * range.sizeBytes;
    }
  }
}
