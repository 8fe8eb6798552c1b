/** Routes as the local replica of the meta range has them; read anew when that replica has applied more. */
import { keyMax } from "@flotilla/base";
import type { ByteOperations, Key, RangeDescriptor } from "@flotilla/base";
import { newestKey, recordValue } from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";
import type { Cell } from "../replica/memtable.ts";
import { decodeMetaDescriptor, metaRangesEnd, metaRangesStart } from "./meta-records.ts";
import { isDelete, recordCell } from "../replica/state-machine.ts";
import type { StateMachine } from "../replica/state-machine.ts";

export class MetaDirectory {
  readonly #machine: () => StateMachine | undefined;
  readonly #engine: Engine;
  readonly #operations: ByteOperations;
  #ranges: readonly RangeDescriptor[] = [];
  #readAt = -1;

  constructor(machine: () => StateMachine | undefined, engine: Engine, operations: ByteOperations) {
    this.#machine = machine;
    this.#engine = engine;
    this.#operations = operations;
  }

  /** In the order of keys, as last read when the replica cannot be read now; empty when no meta replica lives here. */
  async ranges(): Promise<readonly RangeDescriptor[]> {
    const machine = this.#machine();
    if (machine === undefined) return this.#ranges;
    if (this.#readAt === machine.appliedIndex) return this.#ranges;
    const at = machine.appliedIndex;
    const cells = new Map<string, Cell>();
    const { keys, cells: memory } = machine.memtable.snapshot(metaRangesStart, metaRangesEnd);
    const iterator = this.#engine.iterate({
      start: newestKey(metaRangesStart, this.#operations),
      end: newestKey(metaRangesEnd, this.#operations),
    });
    try {
      for (;;) {
        const page = await iterator.next(1000, 1024 * 1024);
        if (page.length === 0) break;
        for (const { key, value } of page) {
          cells.set(this.#operations.binaryString(key, 1, key.length), recordCell(value));
        }
      }
    } finally {
      await iterator.close();
    }
    keys.forEach((key, i) => cells.set(key, memory[i]!));
    const ranges: RangeDescriptor[] = [];
    for (const [key, cell] of cells) {
      machine.check(key as Key, cell);
      if (isDelete(cell)) continue;
      ranges.push(decodeMetaDescriptor(recordValue(cell.bytes!, cell.offset, cell.length), this.#operations));
    }
    ranges.sort((a, b) => (a.start < b.start ? -1 : 1));
    this.#ranges = ranges;
    this.#readAt = at;
    return ranges;
  }

  /** Descriptors that cover [start, end), in order. */
  async covering(start: Key, end: Key, limit: number): Promise<RangeDescriptor[]> {
    const last = end > keyMax ? keyMax : end;
    return (await this.ranges()).filter((range) => range.end > start && range.start < last).slice(0, limit);
  }
}
