/** A store with what the ranges, and the operators under way, make of it. */
import type { RangeId, StoreId } from "@flotilla/base";
import type { RangeState, StoreState } from "./cluster-state.ts";
import type { PlacementSettings } from "./placement-settings.ts";

export interface StoreLoad {
  store: StoreState;
  /** Small integers, equal when node, host or zone is; -1 = no such label. */
  node: number;
  host: number;
  zone: number;
  /** Ranges with a member here, those of operators under way counted as if they had ended. */
  replicas: number;
  leaders: number;
  bytes: number;
  /** Of the ranges that it leads, in the units of load-balance.ts. */
  load: number;
  /** Snapshots that operators under way still need. */
  sending: number;
  receiving: number;
  /** Ranges that have a member here now; who came last stands last. */
  readonly ranges: Set<RangeId>;
  /** Ranges whose leader is here now. */
  readonly led: Set<RangeId>;
  /** The same ranges under each other store that has a member, too: it may come to lead them. */
  readonly ledBeside: Map<StoreId, Set<RangeId>>;
}

export function emptyLoad(store: StoreState, names: StoreNames): StoreLoad {
  const counts = { replicas: 0, leaders: 0, bytes: 0, load: 0, sending: 0, receiving: 0 };
  return { store, ...names.of(store), ...counts, ranges: new Set(), led: new Set(), ledBeside: new Map() };
}

/** The store leads the range. */
export function putIntoLed({ store, led, ledBeside }: StoreLoad, { descriptor }: RangeState): void {
  const { rangeId, replicas } = descriptor;
  led.add(rangeId);
  for (const { storeId } of replicas) {
    if (storeId === store.storeId) continue;
    const beside = ledBeside.get(storeId);
    if (beside === undefined) ledBeside.set(storeId, new Set([rangeId]));
    else beside.add(rangeId);
  }
}

/** The store led the range as it was; `now` it still does, or, without that, no more. */
export function takeFromLed({ led, ledBeside }: StoreLoad, was: RangeState, now: RangeState | undefined): void {
  const { rangeId, replicas } = was.descriptor;
  if (now === undefined) led.delete(rangeId);
  for (const { storeId } of replicas) {
    if (now?.descriptor.replicas.some((replica) => replica.storeId === storeId) === true) continue;
    const beside = ledBeside.get(storeId);
    beside?.delete(rangeId);
    if (beside?.size === 0) ledBeside.delete(storeId);
  }
}

/** Gives equal names equal numbers, for good. */
export class StoreNames {
  readonly #numbers: Map<string, number> = new Map();

  of({ nodeId, labels }: StoreState): Pick<StoreLoad, "node" | "host" | "zone"> {
    return {
      node: this.#number("node", String(nodeId)),
      host: this.#number("host", labels["host"]),
      zone: this.#number("zone", labels["zone"]),
    };
  }

  #number(kind: string, name: string | undefined): number {
    if (name === undefined) return -1;
    const full = `${kind}/${name}`;
    let found = this.#numbers.get(full);
    if (found === undefined) this.#numbers.set(full, (found = this.#numbers.size));
    return found;
  }
}

export const isDown = ({ downMs }: StoreState, { storeDownMs }: PlacementSettings): boolean => downMs >= storeDownMs;

/** Whether the rules of single ranges say the same of the store in both states: they look at nothing else of it. */
export function isSameToRules(a: StoreState, b: StoreState, settings: PlacementSettings): boolean {
  return (
    a.membership === b.membership &&
    a.health === b.health &&
    a.diskFull === b.diskFull &&
    a.stopping === b.stopping &&
    isDown(a, settings) === isDown(b, settings) &&
    isSamePlace(a, b)
  );
}

export const isSamePlace = (a: StoreState, b: StoreState): boolean =>
  a.nodeId === b.nodeId &&
  (a.labels === b.labels || (a.labels["host"] === b.labels["host"] && a.labels["zone"] === b.labels["zone"]));

/** What the stores that may get replicas allow at best. */
export interface Room {
  /** Nodes with such a store. */
  readonly nodes: number;
  /** Zones that they are in; 0 when one has none. */
  readonly zones: number;
}

export function roomOf(stores: ReadonlyMap<StoreId, StoreLoad>): Room {
  const nodes = new Set<number>();
  const zones = new Set<number>();
  for (const { store, node, zone } of stores.values()) {
    if (store.membership !== "active" || store.health !== "live") continue;
    nodes.add(node);
    zones.add(zone);
  }
  return { nodes: nodes.size, zones: zones.has(-1) ? 0 : zones.size };
}

/**
 * The least crowding (spread.ts) that so many members can have. Only a bound from below, by zones alone: with three members in
 * two zones two of them share one.
 */
export function leastCrowding(members: number, { zones }: Room): number {
  if (zones === 0) return 0;
  const [each, more] = [Math.floor(members / zones), members % zones];
  return (zones - more) * ((each * (each - 1)) / 2) + more * ((each * (each + 1)) / 2);
}

/** Of a set that is looked through from its beginning: what was of no use now comes last the next time. */
export function toEnd<Id>(set: Set<Id>, id: Id): void {
  set.delete(id);
  set.add(id);
}
