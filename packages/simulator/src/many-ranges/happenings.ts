/**
 * What befalls a cluster in one seed: stores die for seconds, minutes or for good, a zone goes dark, stores join, leave, are
 * drained or run full, ranges grow, another driver takes over. One after the other, with pauses in which the driver may or may
 * not get done. For good a store dies only while nothing else is lost: a range can do without one of its three.
 */
import { metaRangeId } from "@flotilla/base";
import type { StoreId } from "@flotilla/base";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { World, WorldStore } from "./world.ts";

type Kind =
  | "store away shortly"
  | "store lost"
  | "zone away"
  | "stores join"
  | "store leaves"
  | "store drained"
  | "disk full"
  | "ranges grow"
  | "driver changes";

const weights: readonly (readonly [Kind, number])[] = [
  ["store away shortly", 3],
  ["store lost", 3],
  ["zone away", 1],
  ["stores join", 3],
  ["store leaves", 2],
  ["store drained", 1],
  ["disk full", 1],
  ["ranges grow", 3],
  ["driver changes", 2],
];

/** One of each of these is in every history; one that cannot be now is another one of its kind. */
const certain: readonly (readonly Kind[])[] = [
  ["store away shortly", "store lost", "zone away"],
  ["stores join", "ranges grow"],
];
/** Whatever cannot be now, something can. */
const attemptsMax = 20;

const secondMs = 1000;
/** Fewer could not do without one of them. */
const storesMin = 5;

export interface HappeningHooks {
  readonly note: (text: string) => void;
  readonly changeDriver: () => void;
}

export class Happenings {
  readonly counts: Record<string, number> = {};
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #hooks: HappeningHooks;
  #left: number;
  readonly #certain: (readonly Kind[])[];
  /** What was begun and is to be undone. */
  #open = 0;

  constructor(world: World, hooks: HappeningHooks) {
    this.#world = world;
    this.#random = world.random.fork("happenings");
    this.#hooks = hooks;
    this.#left = this.#random.between(3, 6);
    this.#certain = this.#random.shuffle([...certain]);
    this.#later();
  }

  /** From now on nothing befalls the cluster any more. */
  get over(): boolean {
    return this.#left === 0 && this.#open === 0;
  }

  #later(): void {
    this.#world.agenda.after(this.#random.between(30, 400) * secondMs, () => {
      this.#happen();
      if (--this.#left > 0) this.#later();
    });
  }

  /** Undone after a while. */
  #for(secondsMin: number, secondsMax: number, undo: () => void): void {
    this.#open++;
    this.#world.agenda.after(this.#random.between(secondsMin, secondsMax) * secondMs, () => {
      undo();
      this.#open--;
    });
  }

  #happen(): void {
    const among = this.#certain.pop();
    const able = weights.filter(([kind]) => among === undefined || among.includes(kind));
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      let at = this.#random.below(able.reduce((sum, [, weight]) => sum + weight, 0));
      const [kind] = able.find(([, weight]) => (at -= weight) < 0)!;
      const what = this.#doOne(kind);
      if (what === undefined) continue;
      this.counts[kind] = (this.counts[kind] ?? 0) + 1;
      this.#hooks.note(`${kind}: ${what}`);
      return;
    }
  }

  /** In words; undefined: it cannot be now. */
  #doOne(kind: Kind): string | undefined {
    const random = this.#random;
    switch (kind) {
      case "store away shortly":
        return this.#away(this.#pick(), 2, 250);
      case "store lost":
        return this.#isWhole() ? this.#away(this.#pick(), 400, 1500) : undefined;
      case "zone away":
        return this.#zoneAway();
      case "stores join":
        return this.#join();
      case "store leaves":
        return this.#leave();
      case "store drained":
        return this.#change(this.#pick(), { membership: "draining" }, { membership: "active" }, 60, 600);
      case "disk full":
        return this.#change(this.#pick(), { diskFull: true }, { diskFull: false }, 60, 300);
      case "ranges grow":
        return this.#grow(random.between(1, 10) / 100);
      case "driver changes":
        this.#hooks.changeDriver();
        return "";
      default:
        return kind satisfies never;
    }
  }

  /** One of those that live and are active. */
  #pick(): WorldStore | undefined {
    const able = this.#world.active().filter(({ id, diskFull }) => this.#world.lives(id) && !diskFull);
    return able.length === 0 ? undefined : this.#random.pick(able);
  }

  /** Every store lives, and every range has three replicas on them. */
  #isWhole(): boolean {
    const { index, someSilent } = this.#world;
    if (someSilent) return false;
    for (const { descriptor } of index.ranges.values())
      if (descriptor.replicas.filter(({ role }) => role === "voter").length < 3) return false;
    return true;
  }

  #away(store: WorldStore | undefined, secondsMin: number, secondsMax: number): string | undefined {
    if (store === undefined) return undefined;
    this.#world.die(store.id);
    this.#for(secondsMin, secondsMax, () => this.#world.comeBack(store.id));
    return `store ${store.id}`;
  }

  #zoneAway(): string | undefined {
    if (this.#world.options.zones === 0 || !this.#isWhole()) return undefined;
    const zone = String(this.#random.below(this.#world.options.zones));
    const there = this.#world.active().filter((store) => store.zone === zone);
    for (const { id } of there) this.#world.die(id);
    this.#for(2, 200, () => {
      for (const { id } of there) this.#world.comeBack(id);
    });
    return `zone ${zone}, ${there.length} stores`;
  }

  #join(): string {
    const joined: StoreId[] = [];
    const count = this.#random.between(1, Math.max(1, Math.round(this.#world.options.stores / 20)));
    while (joined.length < count) joined.push(this.#world.addStore());
    return `stores ${joined.join(", ")}`;
  }

  /** Out of the zone that has most, so that every range still finds three. */
  #leave(): string | undefined {
    const active = this.#world.active();
    const inZone = (store: WorldStore): number => active.filter(({ zone }) => zone === store.zone).length;
    const most = Math.max(...active.map(inZone));
    const able = active.filter((store) => inZone(store) === most && this.#world.lives(store.id));
    if (active.length <= storesMin || most < 2 || able.length === 0) return undefined;
    const store = this.#random.pick(able);
    store.membership = "decommissioning";
    this.#world.report(store);
    return `store ${store.id}`;
  }

  #change(
    store: WorldStore | undefined,
    change: Partial<WorldStore>,
    undo: Partial<WorldStore>,
    secondsMin: number,
    secondsMax: number,
  ): string | undefined {
    if (store === undefined) return undefined;
    Object.assign(store, change);
    this.#world.report(store);
    this.#for(secondsMin, secondsMax, () => {
      Object.assign(store, undo);
      this.#world.report(store);
    });
    return `store ${store.id}`;
  }

  #grow(share: number): string {
    let grown = 0;
    for (const range of [...this.#world.index.ranges.values()]) {
      if (range.descriptor.rangeId === metaRangeId || !this.#random.chance(share)) continue;
      const sizeBytes = Math.round((range.sizeBytes * this.#random.between(120, 300)) / 100);
      this.#world.put({ ...range, sizeBytes });
      grown++;
    }
    return `${grown} ranges`;
  }
}
