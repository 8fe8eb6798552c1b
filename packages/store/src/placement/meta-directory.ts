/** Routes as the local replica of the meta range has them; read anew when that replica has applied more. */
import { keyMax } from "@flotilla/base";
import type { ByteOperations, Key, RangeDescriptor } from "@flotilla/base";
import type { Engine } from "@flotilla/storage";
import { decodeMetaDescriptor, metaRangesEnd, metaRangesStart } from "./meta-records.ts";
import { scanMeta } from "./meta-scan.ts";
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
    const ranges: RangeDescriptor[] = [];
    for (const { value } of await scanMeta(machine, this.#engine, this.#operations, metaRangesStart, metaRangesEnd))
      ranges.push(decodeMetaDescriptor(value, this.#operations));
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
