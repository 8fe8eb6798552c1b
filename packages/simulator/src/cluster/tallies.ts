/**
 * Sets and counters: what is true of them needs no search for an order. Every member that was acknowledged before a scan
 * began is in it; a counter that is raised on condition stands at the number of raises, those of unknown fate aside.
 */
import { isFlotillaError } from "@flotilla/client/internal";
import type { SimulatedClient } from "./simulated-cluster.ts";

const setPrefix = "set-";
const counterName = (counter: number): string => `count-${counter}`;
export const counters = 2;

export interface TallyFailure {
  readonly claim: string;
  readonly key: string;
  readonly facts: readonly string[];
}

interface Raises {
  acknowledged: number;
  unknown: number;
}

export class Tallies {
  /** The first contradiction. */
  failure: TallyFailure | undefined;
  operations = 0;
  /** Members of the set, and when each was acknowledged. */
  readonly #added = new Map<string, number>();
  /** Those whose fate is unknown: may be there or not. */
  readonly #open = new Set<string>();
  readonly #raises: Raises[] = Array.from({ length: counters }, () => ({ acknowledged: 0, unknown: 0 }));
  #members = 0;
  readonly #nowMicros: () => number;
  readonly #onError: (error: unknown) => void;

  constructor(nowMicros: () => number, onError: (error: unknown) => void) {
    this.#nowMicros = nowMicros;
    this.#onError = onError;
  }

  /** True: it happened. Undefined: nobody knows. */
  async #write(write: Promise<unknown>): Promise<boolean | undefined> {
    this.operations++;
    try {
      await write;
      return true;
    } catch (error) {
      if (!isFlotillaError(error) || error.code === "Internal") this.#onError(error);
      return isFlotillaError(error) && error.outcome === "not-applied" ? false : undefined;
    }
  }

  async add(client: SimulatedClient): Promise<void> {
    const member = `${setPrefix}${String(++this.#members).padStart(4, "0")}`;
    // A scan that runs meanwhile may find it.
    this.#open.add(member);
    const happened = await this.#write(client.put(member, member, { ifAbsent: true }));
    if (happened === true) this.#added.set(member, this.#nowMicros());
    if (happened !== undefined) this.#open.delete(member);
  }

  async raise(client: SimulatedClient, counter: number): Promise<void> {
    const key = counterName(counter);
    const raises = this.#raises[counter]!;
    const read = client.getEntry(key);
    if ((await this.#write(read)) !== true) return;
    const entry = await read;
    const next = String(Number(entry?.value ?? "0") + 1);
    const condition = entry === undefined ? { ifAbsent: true } : { ifVersion: entry.version };
    const happened = await this.#write(client.put(key, next, condition));
    if (happened === true) raises.acknowledged++;
    if (happened === undefined) raises.unknown++;
  }

  async scan(client: SimulatedClient): Promise<void> {
    const begun = this.#nowMicros();
    const found = new Set<string>();
    const scan = (async () => {
      for await (const { key } of client.scan({ prefix: setPrefix })) found.add(key);
    })();
    if ((await this.#write(scan)) !== true) return;
    for (const [member, acknowledged] of this.#added) {
      if (acknowledged >= begun || found.has(member)) continue;
      this.#fail("a scan finds every member of a set that was acknowledged before it began", member, [
        `${member} was acknowledged at ${seconds(acknowledged)}`,
        `a scan from ${seconds(begun)} to ${seconds(this.#nowMicros())} does not find it`,
      ]);
    }
    for (const member of found) {
      if (this.#added.has(member) || this.#open.has(member)) continue;
      this.#fail("a scan finds nothing that was not added", member, [
        `adding ${member} was refused, or never asked for`,
        `a scan from ${seconds(begun)} to ${seconds(this.#nowMicros())} finds it`,
      ]);
    }
  }

  /** When nothing is under way any more. */
  async check(client: SimulatedClient): Promise<void> {
    await this.scan(client);
    for (const [counter, { acknowledged, unknown }] of this.#raises.entries()) {
      const key = counterName(counter);
      const count = Number((await client.getEntry(key))?.value ?? "0");
      if (count >= acknowledged && count <= acknowledged + unknown) continue;
      this.#fail("a counter stands at the number of times it was raised", key, [
        `${acknowledged} raises of ${key} were acknowledged, the fate of ${unknown} is unknown`,
        `it stands at ${count}`,
      ]);
    }
  }

  #fail(claim: string, key: string, facts: readonly string[]): void {
    this.failure ??= { claim, key, facts };
  }
}

const seconds = (micros: number): string => `${(micros / 1e6).toFixed(6)} s`;
