/**
 * What the store takes in: nothing while its disk is full, and nothing that would let its memtables grow beyond their
 * bound, be it from clients or, as a follower, from leaders. What is refused comes again.
 */
import type { ErrorCode } from "@flotilla/base";
import type { Message } from "@flotilla/raft";
import type { ClockCheck } from "./clock-check.ts";
import type { DiskSpace } from "./disk-space.ts";
import type { Memtable } from "./replica/memtable.ts";
import type { Replica } from "./replica/replica.ts";
import type { StoreSettings } from "./store-settings.ts";
import type { WritePace } from "./write-pace.ts";

export class Intake {
  /** Of all memtables; of ranges that are gone, until the next tick. */
  memtableBytes = 0;
  /** Of it, what the next flush would write. */
  flushableBytes = 0;
  readonly pace: WritePace;
  readonly #replicas: ReadonlyMap<number, Replica>;
  readonly #disk: DiskSpace;
  readonly #clock: ClockCheck;
  readonly #settings: StoreSettings;

  constructor(
    replicas: ReadonlyMap<number, Replica>,
    disk: DiskSpace,
    clock: ClockCheck,
    pace: WritePace,
    settings: StoreSettings,
  ) {
    this.pace = pace;
    this.#replicas = replicas;
    this.#disk = disk;
    this.#clock = clock;
    this.#settings = settings;
  }

  /** Once a round, with those that were in it: a round of few ranges does not look at all. */
  measure(changed: readonly Replica[]): void {
    for (const { machine } of changed) {
      const { memtable } = machine;
      this.memtableBytes -= memtable.countedBytes;
      this.flushableBytes -= memtable.countedActiveBytes;
      this.#count(memtable);
    }
  }

  /** Over all ranges: every tick, and when a flush has ended, which changes them all. */
  recount(): void {
    this.memtableBytes = 0;
    this.flushableBytes = 0;
    for (const { machine } of this.#replicas.values()) this.#count(machine.memtable);
  }

  #count(memtable: Memtable): void {
    memtable.countedBytes = memtable.bytes;
    memtable.countedActiveBytes = memtable.activeBytes;
    this.memtableBytes += memtable.countedBytes;
    this.flushableBytes += memtable.countedActiveBytes;
  }

  told(): { readonly memtableBytes: number; readonly writePaceBytesPerSecond: number } {
    return { memtableBytes: this.memtableBytes, writePaceBytesPerSecond: this.pace.rate };
  }

  /** Why no write is taken now, for the whole store; undefined = they are taken. */
  writeRefusal(): { readonly code: ErrorCode; readonly message: string; readonly retryAfterMs: number } | undefined {
    if (this.#disk.full) {
      const message = `the disk of this store has ${this.#disk.freeBytes} bytes free, it takes writes from ${this.#settings.diskFreeBytesMin}`;
      return { code: "DiskFull", message, retryAfterMs: 1000 };
    }
    if (this.#clock.off) {
      return { code: "Busy", message: "this store's clock is far from most other stores'", retryAfterMs: 500 };
    }
    if (this.#behind) {
      return { code: "Busy", message: "this store is behind with writing to its engine", retryAfterMs: 50 };
    }
    return undefined;
  }

  get #behind(): boolean {
    return this.memtableBytes > this.#settings.memtableBytesMax;
  }

  /** False: leaderships are handed over, and none is taken. */
  get mayLead(): boolean {
    return !this.#disk.full && !this.#clock.off;
  }

  /**
   * A full store takes what elections need (a new leader's empty entry), and no leadership from another one, which may
   * have more room.
   */
  refuses(message: Message): boolean {
    if (message.type === "timeout-now") return !this.mayLead;
    if (message.type !== "append" || (!this.#disk.full && !this.#behind)) return false;
    return message.entries.some(({ data }) => data.length > 0);
  }
}
