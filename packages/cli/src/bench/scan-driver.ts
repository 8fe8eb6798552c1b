/** Scans for the load loop: each begins at a drawn key and takes the records that follow. */
import { userKeyOf } from "@flotilla/base";
import type { ClusterClient } from "../cluster-client.ts";
import { isCoded } from "../exit-code.ts";
import { bytesOfBinaryString } from "../output/bytes-text.ts";
import type { BenchKeys } from "./bench-keys.ts";
import type { KeyDistribution } from "./key-distribution.ts";
import { LoadSlot } from "./load-loop.ts";
import type { LoadDriver, LoadLoop } from "./load-loop.ts";

export interface ScanDriverParts {
  readonly loop: LoadLoop<LoadSlot>;
  readonly clients: readonly ClusterClient[];
  readonly keys: BenchKeys;
  readonly distribution: KeyDistribution;
  /** Records of one scan. */
  readonly records: number;
}

export class ScanDriver implements LoadDriver<LoadSlot> {
  /** Read so far. */
  records = 0;
  readonly #parts: ScanDriverParts;

  constructor(parts: ScanDriverParts) {
    this.#parts = parts;
  }

  createSlot(index: number): LoadSlot {
    return new LoadSlot(index);
  }

  begin(slot: LoadSlot): void {
    void this.#scan(slot);
  }

  async #scan(slot: LoadSlot): Promise<void> {
    const { loop, clients, keys, distribution, records: limit } = this.#parts;
    const client = clients[slot.index % clients.length]!;
    const start = bytesOfBinaryString(userKeyOf(keys.at(distribution.next())));
    try {
      for await (const page of client.scanPages({ start, limit })) this.records += page.length;
    } catch (error) {
      loop.failed(slot, isCoded(error) ? error.code : "Internal", false);
      return;
    }
    loop.answered(slot);
  }
}
