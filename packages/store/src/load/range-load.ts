/** What a range's clients ask of this replica, counted; and, only while it is hot, samples of the keys. */
import type { Key, RandomSource } from "@flotilla/base";
import type { Message } from "@flotilla/raft";
import type { CommandBatch, ReadBatch } from "@flotilla/transport";
import { KeySampler } from "./key-sampler.ts";

export type SampleWeight = "operations" | "bytes";

const KiB = 1024;

export class RangeLoad {
  /** Commands answered; reads and scans served. Both only rise, as all counters here. */
  writes = 0;
  reads = 0;
  /** Keys and values of what came in, and of what point reads gave; not those of scans. */
  bytes = 0;
  /** Time of its rounds in the store's loop. */
  loopMs = 0;
  /** What came in and was answered, in messages and operations, and one more for each KiB; by it ranges share the rest of the loop. */
  work = 0;
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
    this.work += 1 + commands.length + bytes / KiB;
    if (this.#sampler === undefined) return;
    this.#sampler.note(
      commands.length,
      (at) => commands[at]!.key,
      (at) => (this.#weight === "bytes" ? commands[at]!.key.length + commands[at]!.value.length : 1),
    );
  }

  noteAnswered(commands: number): void {
    this.writes += commands;
    this.work += commands;
  }

  /** Heartbeats do not count: a range that only lives is not hot. */
  noteMessage(message: Message): void {
    if (message.type === "append-response") this.work++;
    if (message.type !== "append") return;
    this.work++;
    for (const { data } of message.entries) this.work += data.length / KiB;
  }

  /** `bytes`: of a scan's records that go to the client. */
  notePage(bytes: number): void {
    this.work += 1 + bytes / KiB;
  }

  noteScan(start: Key): void {
    this.reads++;
    this.work++;
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
    this.work += 1 + keys.length + bytes / KiB;
    if (this.#sampler === undefined || keys.length === 0) return;
    const each = this.#weight === "bytes" ? bytes / keys.length : 1;
    this.#sampler.note(
      keys.length,
      (at) => keys[at]!,
      () => each,
    );
  }
}
