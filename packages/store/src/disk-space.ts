/** Whether the store's disk has room: below the mark it is full, and has room again only well above it. */
import type { Logger } from "@flotilla/base";

const roomFactor = 1.25;

export class DiskSpace {
  full = false;
  /** As last asked. */
  freeBytes: number = Number.MAX_SAFE_INTEGER;
  readonly #freeBytesMin: number;
  readonly #logger: Logger;

  constructor(freeBytesMin: number, logger: Logger) {
    this.#freeBytesMin = freeBytesMin;
    this.#logger = logger;
  }

  note(freeBytes: number): void {
    this.freeBytes = freeBytes;
    const full = freeBytes < this.#freeBytesMin * (this.full ? roomFactor : 1);
    if (full === this.full) return;
    this.full = full;
    const fields = { freeBytes, freeBytesMin: this.#freeBytesMin };
    if (full) this.#logger.error(fields, "the disk is full: no writes are taken, leaderships are handed over");
    else this.#logger.info(fields, "the disk has room again");
  }
}
