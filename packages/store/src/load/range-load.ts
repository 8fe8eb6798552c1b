/** What a range's clients ask of this replica, counted; and, only while it is hot, samples of the keys. */
import type { Key, RandomSource } from "@flotilla/base";
import type { CommandBatch, ReadBatch } from "@flotilla/transport";
import { KeySampler } from "./key-sampler.ts";

export type SampleWeight = "operations" | "bytes";

export class RangeLoad {
  /** Commands answered; reads and scans served. Both only rise, as all counters here. */
  writes = 0;
  reads = 0;
  /** Keys and values of what came in, and of what point reads gave; not those of scans. */
  bytes = 0;
  /** Time in the store's loop. */
  loopMs = 0;
  #sampler: KeySampler | undefined = undefined;
  #weight: SampleWeight = "operations";

  get sampler(): KeySampler | undefined {
    return this.#sampler;
  }

  sample(random: RandomSource, weight: SampleWeight): void {
    this.#sampler = new KeySampler(random);
    this.#weight = weight;
  }

  endSampling(): void {
    this.#sampler = undefined;
  }

  get weight(): SampleWeight {
    return this.#weight;
  }

  noteCommands({ commands }: CommandBatch, bytes: number): void {
    this.bytes += bytes;
    if (this.#sampler === undefined) return;
    this.#sampler.note(
      commands.length,
      (at) => commands[at]!.key,
      (at) => (this.#weight === "bytes" ? commands[at]!.key.length + commands[at]!.value.length : 1),
    );
  }

  noteScan(start: Key): void {
    this.reads++;
    this.#sampler?.note(
      1,
      () => start,
      () => 1,
    );
  }

  /** `bytes`: of what was found. */
  noteReads({ keys }: ReadBatch, bytes: number): void {
    this.reads += keys.length;
    this.bytes += bytes;
    if (this.#sampler === undefined || keys.length === 0) return;
    const each = this.#weight === "bytes" ? bytes / keys.length : 1;
    this.#sampler.note(
      keys.length,
      (at) => keys[at]!,
      () => each,
    );
  }
}
