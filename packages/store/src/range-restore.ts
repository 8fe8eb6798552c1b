/**
 * State machines put together again from the ranges' own records in the engine: of one range whose records have just come, or
 * of all at a start. That is one pass over their records, for with thousands of ranges a seek for each takes seconds.
 */
import { CorruptionError, MalformedError, noIndex } from "@flotilla/base";
import type { ByteOperations, RangeDescriptor, RangeId } from "@flotilla/base";
import type { Configuration } from "@flotilla/raft";
import {
  decodeApplied,
  decodeConfiguration,
  decodeDescriptor,
  decodeMerge,
  decodeSession,
  rangeRecordKey,
  rangeRecordNames,
  rangeRecordsEnd,
  sessionClientId,
} from "@flotilla/storage";
import type { AppliedState, Engine, EngineRecord } from "@flotilla/storage";
import { statusApplied, statusConditionFailed } from "./replica/entry-format.ts";
import { StateMachine } from "./replica/state-machine.ts";

const pageRecords = 1000;
const pageBytes: number = 1024 * 1024;
/** Kind and range id, in front of the name. */
const nameOffset = 9;
/** Until the record is read. */
const noConfiguration: Configuration = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** What the engine has under `02 rangeId`; looked into when it is asked for. */
export class StoredRange {
  readonly rangeId: RangeId;
  readonly #records: Map<string, EngineRecord> = new Map();
  readonly #sessions: EngineRecord[] = [];
  readonly #operations: ByteOperations;
  #descriptor: RangeDescriptor | undefined = undefined;

  constructor(rangeId: RangeId, operations: ByteOperations) {
    this.rangeId = rangeId;
    this.#operations = operations;
  }

  add(record: EngineRecord): void {
    const name = this.#operations.binaryString(record.key, nameOffset, record.key.length);
    if (name.startsWith(rangeRecordNames.session)) this.#sessions.push(record);
    else this.#records.set(name, record);
  }

  get descriptor(): RangeDescriptor {
    if (this.#descriptor === undefined) {
      const { rangeId } = this;
      const record = this.#records.get(rangeRecordNames.descriptor);
      if (record === undefined) throw broken(rangeId, `range ${rangeId} has records but no descriptor`);
      this.#descriptor = decoded(rangeId, () => decodeDescriptor(record.key, record.value, this.#operations));
    }
    return this.#descriptor;
  }

  get applied(): AppliedState {
    const { key, value } = this.#required(rangeRecordNames.applied);
    return decoded(this.rangeId, () => decodeApplied(key, value, this.#operations));
  }

  /** 0 = none, or it is not said: then what the engine has of it is not whole. */
  get appliedIndex(): number {
    return this.#records.has(rangeRecordNames.applied) ? this.applied.index : 0;
  }

  #required(name: string): EngineRecord {
    const record = this.#records.get(name);
    if (record === undefined) throw broken(this.rangeId, `range ${this.rangeId} has no ${name} record`);
    return record;
  }

  machine(engine: Engine): StateMachine {
    const machine = new StateMachine(this.descriptor, noConfiguration, engine, this.#operations);
    this.restoreInto(machine);
    return machine;
  }

  /** Everything anew: a range snapshot brings bounds and members, too. */
  restoreInto(machine: StateMachine): void {
    const { rangeId, applied } = this;
    machine.descriptor = this.descriptor;
    const configuration = this.#required(rangeRecordNames.configuration);
    machine.configuration = decoded(rangeId, () =>
      decodeConfiguration(configuration.key, configuration.value, this.#operations),
    );
    // The staged file stands for it until it is durable.
    machine.boundsIndex = noIndex;
    machine.appliedIndex = applied.index;
    machine.appliedTerm = applied.term;
    machine.lastVersion = applied.lastVersion;
    const record = this.#records.get(rangeRecordNames.merge);
    const none = { sealed: undefined, merged: undefined };
    const merge =
      record === undefined ? none : decoded(rangeId, () => decodeMerge(record.key, record.value, this.#operations));
    machine.sealed = merge.sealed;
    machine.merged = merge.merged;
    machine.mergeWritten = record !== undefined;
    machine.sessions.clear();
    for (const session of this.#sessions) this.#restoreSession(machine, session);
  }

  #restoreSession(machine: StateMachine, { key, value }: EngineRecord): void {
    const { rangeId } = this;
    const row = decoded(rangeId, () => decodeSession(key, value, this.#operations));
    const numbers = [...row.entries].map(
      ([number, entry]) =>
        [
          number,
          {
            status: entry.status === "applied" ? statusApplied : statusConditionFailed,
            version: entry.version,
            existed: entry.existed,
            firstSent: entry.firstSent,
          },
        ] as const,
    );
    machine.sessions.restore(
      decoded(rangeId, () => sessionClientId(key)),
      row.floor,
      row.lastUsed,
      numbers,
    );
  }
}

/** All ranges that have records in the engine, by rising id. */
export function readRanges(engine: Engine, operations: ByteOperations): Promise<StoredRange[]> {
  return readBetween(rangeRecordKey(0 as RangeId, "", operations), new Uint8Array([3]), engine, operations);
}

/** The range must have records. */
export async function readRange(rangeId: RangeId, engine: Engine, operations: ByteOperations): Promise<StoredRange> {
  const start = rangeRecordKey(rangeId, "", operations);
  const [range] = await readBetween(start, rangeRecordsEnd(rangeId, operations), engine, operations);
  if (range === undefined) throw broken(rangeId, `range ${rangeId} has no descriptor`);
  return range;
}

async function readBetween(
  start: Uint8Array,
  end: Uint8Array,
  engine: Engine,
  operations: ByteOperations,
): Promise<StoredRange[]> {
  const ranges: StoredRange[] = [];
  let range: StoredRange | undefined = undefined;
  const iterator = engine.iterate({ start, end });
  try {
    for (;;) {
      const page = await iterator.next(pageRecords, pageBytes);
      if (page.length === 0) return ranges;
      for (const record of page) {
        const rangeId = rangeIdOf(record.key);
        if (range?.rangeId !== rangeId) ranges.push((range = new StoredRange(rangeId, operations)));
        range.add(record);
      }
    }
  } finally {
    await iterator.close();
  }
}

function rangeIdOf(key: Uint8Array): RangeId {
  const view = new DataView(key.buffer, key.byteOffset + 1, 8);
  return (view.getUint32(0) * 4294967296 + view.getUint32(4)) as RangeId;
}

function decoded<T>(range: RangeId, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MalformedError)
      throw broken(range, `a record of range ${range} cannot be read: ${error.message}`);
    throw error;
  }
}

export function broken(range: RangeId, what: string): CorruptionError {
  return new CorruptionError(
    `range ${range}`,
    0,
    what,
    "keep this directory as it is for inspection and do not start it again; the other replicas have the acknowledged data",
  );
}
