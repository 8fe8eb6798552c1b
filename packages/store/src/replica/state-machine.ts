/**
 * What the committed entries of a range make: its records (memtable and engine), its session table, its applied index.
 * The same on every replica at the same applied index; knows nothing of Raft roles, clients or time.
 */
import { CorruptionError, assert, noIndex, noTerm, noVersion, logIndex, printableKey, version } from "@flotilla/base";
import type { ByteOperations, Key, LogIndex, RangeDescriptor, RangeId, Term, Version } from "@flotilla/base";
import type { Configuration, Entry } from "@flotilla/raft";
import {
  clearingRecordKey,
  encodeApplied,
  encodeClearing,
  encodeConfiguration,
  encodeDescriptor,
  encodeMerge,
  encodeSession,
  newestKey,
  rangeRecordKey,
  rangeRecordNames,
  recordKind,
  sessionRecordKey,
  verifyRecord,
} from "@flotilla/storage";
import type {
  ClearedInterval,
  Engine,
  MergedRecord,
  ReadView,
  SealRecord,
  SessionEntry,
  SessionRow,
} from "@flotilla/storage";
import { EntryReader, statusApplied, statusRepeated } from "./entry-format.ts";
import { Memtable } from "./memtable.ts";
import type { Cell, FrozenTable } from "./memtable.ts";
import { withMembers } from "./member-change.ts";
import type { MemberPlace } from "./member-change.ts";
import { decodeRecordsEntry } from "./records-entry.ts";
import { SessionTable } from "./session-table.ts";
import type { ClientSession } from "./session-table.ts";

/** What a flush writes for one range, captured at one instant: its own records as bytes, its keys' as a frozen table. */
export interface RangeFlush {
  readonly rangeId: RangeId;
  readonly appliedIndex: LogIndex;
  readonly deletes: readonly Uint8Array[];
  readonly puts: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[];
  /** Marked as written by whoever has written them. */
  readonly frozen: FrozenTable;
}

export class StateMachine {
  descriptor: RangeDescriptor;
  configuration: Configuration;
  /** Never goes back, but for the replacement by a range snapshot, which only goes forward. */
  appliedIndex: LogIndex = noIndex;
  appliedTerm: Term = noTerm;
  /** The highest version in any applied entry. */
  lastVersion: Version = noVersion;
  /**
   * Where the bounds last changed by an applied entry, and up to where this replica is known durable in the engine. While
   * the former is the higher one, what the engine would have after a crash still has the old bounds (see `boundsDurable`).
   */
  boundsIndex: LogIndex = noIndex;
  durableIndex: LogIndex = noIndex;
  /** Nothing is written or read until its left neighbour has taken the range in, or is proven not to (rule: merge). */
  sealed: SealRecord | undefined = undefined;
  /** It was taken in: what is durable of it is what is durable of this one. */
  heir: StateMachine | undefined = undefined;
  /** The range that it took in last. */
  merged: MergedRecord | undefined = undefined;
  /**
   * Ranges that it took in and that the engine still has as ranges: the next flush writes them down as to be cleared, with
   * empty intervals, for their records stay.
   */
  takenIn: ClearedInterval[] = [];
  readonly memtable: Memtable;
  readonly sessions: SessionTable;
  /** The engine has a record of merges, or will have with the flush under way. */
  mergeWritten = false;
  /** Of a right half that has just begun to live: until the log has its group durably, nothing of it goes into the engine. */
  groupDurable: Promise<void> | undefined = undefined;
  /** Something was applied since the last flush. */
  changed = false;
  readonly #engine: Engine;
  readonly #operations: ByteOperations;

  /** `content`: what it begins with besides what the engine has. */
  constructor(
    descriptor: RangeDescriptor,
    configuration: Configuration,
    engine: Engine,
    operations: ByteOperations,
    content: { readonly memtable: Memtable; readonly sessions: SessionTable } = {
      memtable: new Memtable(operations),
      sessions: new SessionTable(),
    },
  ) {
    this.descriptor = descriptor;
    this.configuration = configuration;
    this.#engine = engine;
    this.#operations = operations;
    this.memtable = content.memtable;
    this.sessions = content.sessions;
  }

  get engine(): Engine {
    return this.#engine;
  }

  get operations(): ByteOperations {
    return this.#operations;
  }

  noteDurable(index: LogIndex): void {
    if (index > this.durableIndex) this.durableIndex = index;
  }

  /** After a crash the engine has the bounds that the range has now; else other ranges may lie in what it has. */
  get boundsDurable(): boolean {
    return this.heir === undefined ? this.boundsIndex <= this.durableIndex : this.heir.boundsDurable;
  }

  /** A configuration entry took effect; `stores` says where the members that it added live. */
  changeMembers(configuration: Configuration, stores: readonly MemberPlace[]): void {
    this.descriptor = withMembers(this.descriptor, configuration, stores);
    this.configuration = configuration;
  }

  /** Returns false when the entry was evaluated under other bounds: then it has no effect at all (rule: epoch at apply). */
  applyCommands(entry: Entry): boolean {
    const reader = new EntryReader(entry.data);
    if (reader.bounds !== this.descriptor.epoch.bounds || this.sealed !== undefined) {
      this.#dropPending(reader);
      return false;
    }
    const { memtable, sessions } = this;
    let effects = 0;
    let commandVersion = reader.firstVersion;
    for (let g = 0; g < reader.groups; g++) {
      reader.nextGroup();
      const session = sessions.session(reader.clientId);
      for (let c = 0; c < reader.commands; c++) {
        reader.nextCommand();
        const kept = reader.status === statusApplied ? commandVersion : reader.found;
        sessions.apply(session, reader.number, reader.status, kept, reader.existed, reader.firstSent, commandVersion);
        effects += reader.effects;
        for (let e = 0; e < reader.effects; e++) {
          reader.nextEffect();
          memtable.apply(reader.bytes, reader.keyAt, reader.keyLength, reader.recordAt, reader.recordLength);
        }
        commandVersion++;
      }
      sessions.applyFloor(session, reader.floor);
    }
    if (effects > 0) memtable.noteEntry(entry.data.length);
    const last = commandVersion - 1;
    if (last > this.lastVersion) {
      sessions.sweep(this.lastVersion, last);
      this.lastVersion = version(last);
    }
    return true;
  }

  /** False as for commands. */
  applyRecords(entry: Entry): boolean {
    const { bounds, version: given, effects } = decodeRecordsEntry(entry.data);
    if (bounds !== this.descriptor.epoch.bounds || this.sealed !== undefined) return false;
    for (const { keyAt, keyLength, recordAt, recordLength } of effects)
      this.memtable.apply(entry.data, keyAt, keyLength, recordAt, recordLength);
    if (effects.length > 0) this.memtable.noteEntry(entry.data.length);
    if (given > this.lastVersion) {
      this.sessions.sweep(this.lastVersion, given);
      this.lastVersion = version(given);
    }
    return true;
  }

  /** What a leader noted when it proposed the entry is not under way any more: a retry is a new command. */
  #dropPending(reader: EntryReader): void {
    for (let g = 0; g < reader.groups; g++) {
      reader.nextGroup();
      for (let c = 0; c < reader.commands; c++) {
        reader.nextCommand();
        if (reader.status !== statusRepeated) this.sessions.dropPendingOf(reader.clientId, reader.number);
        for (let e = 0; e < reader.effects; e++) reader.nextEffect();
      }
    }
  }

  /** Every applied entry, whatever it did, ends with this. */
  noteApplied(entry: Entry): void {
    assert(entry.index === this.appliedIndex + 1, () => `entry ${entry.index} applied behind ${this.appliedIndex}`);
    this.appliedIndex = logIndex(entry.index);
    this.appliedTerm = entry.term;
    this.changed = true;
    this.memtable.pending.settle(entry.index);
  }

  /**
   * The newest committed record, a delete included; undefined = none. Blocks for a read from the engine. A record that
   * is not what was written is corruption and stops the node.
   */
  newest(key: Key): Cell | undefined {
    let cell = this.memtable.committed(key);
    if (cell === undefined) {
      const bytes = this.#engine.getNow(newestKey(key, this.#operations));
      if (bytes === undefined) return undefined;
      cell = recordCell(bytes);
    }
    this.check(key, cell);
    return cell;
  }

  check(key: Key, cell: Cell): void {
    if (!verifyRecord(key, cell.bytes, cell.offset, cell.length, this.#operations)) {
      throw new CorruptionError(
        "data",
        cell.offset,
        `the record of key ${printableKey(key)} in range ${this.descriptor.rangeId} does not match its checksum`,
        "stop this node and restore its directory from a healthy replica; do not delete it while other nodes are down",
      );
    }
  }

  readView(): ReadView {
    return this.#engine.readView();
  }

  /** Takes what is to be flushed; undefined when nothing changed. */
  beginFlush(): RangeFlush | undefined {
    if (!this.changed) return undefined;
    this.changed = false;
    const range = this.descriptor.rangeId;
    const operations = this.#operations;
    const { changed, removed } = this.sessions.takeChanges();
    const puts = this.#ownRecords();
    for (const interval of this.takenIn.splice(0)) {
      const key = clearingRecordKey(interval, operations);
      puts.push({ key, value: encodeClearing(key, interval, operations) });
    }
    for (const session of changed) {
      const key = sessionRecordKey(range, session.clientId, operations);
      puts.push({ key, value: encodeSession(key, sessionRow(session), operations) });
    }
    const deletes = removed.map((clientId) => sessionRecordKey(range, clientId, operations));
    this.#flushMerge(puts, deletes);
    return {
      rangeId: range,
      appliedIndex: this.appliedIndex,
      deletes,
      puts,
      frozen: this.memtable.freeze(),
    };
  }

  /** There is such a record while there is something to say: so replicas are equal, whenever each was flushed. */
  #flushMerge(puts: { key: Uint8Array; value: Uint8Array }[], deletes: Uint8Array[]): void {
    const { sealed, merged } = this;
    const key = rangeRecordKey(this.descriptor.rangeId, rangeRecordNames.merge, this.#operations);
    const said = sealed !== undefined || merged !== undefined;
    if (said) puts.push({ key, value: encodeMerge(key, { sealed, merged }, this.#operations) });
    else if (this.mergeWritten) deletes.push(key);
    this.mergeWritten = said;
  }

  #ownRecords(): { key: Uint8Array; value: Uint8Array }[] {
    const operations = this.#operations;
    const name = (text: string): Uint8Array => rangeRecordKey(this.descriptor.rangeId, text, operations);
    const descriptor = name(rangeRecordNames.descriptor);
    const configuration = name(rangeRecordNames.configuration);
    const applied = name(rangeRecordNames.applied);
    const state = { index: this.appliedIndex, term: this.appliedTerm, lastVersion: this.lastVersion };
    return [
      { key: descriptor, value: encodeDescriptor(descriptor, this.descriptor, operations) },
      { key: configuration, value: encodeConfiguration(configuration, this.configuration, operations) },
      { key: applied, value: encodeApplied(applied, state, operations) },
    ];
  }
}

function sessionRow(session: ClientSession): SessionRow {
  const entries = new Map<number, SessionEntry>();
  const { numbers } = session;
  for (let i = 0; i < numbers.size; i++) {
    const number = numbers.at(i);
    const status = numbers.statusAt(i);
    if (status === 0 || number < session.floor) continue;
    entries.set(number, {
      status: status === statusApplied ? "applied" : "condition-failed",
      version: version(numbers.versionAt(i)),
      existed: numbers.existedAt(i),
      firstSent: version(numbers.firstSentAt(i)),
    });
  }
  return { floor: session.floor, lastUsed: version(session.lastUsed), entries };
}

export function recordCell(bytes: Uint8Array): Cell {
  return { bytes, offset: 0, length: bytes.length };
}

export const isDelete = (cell: Cell): boolean => recordKind(cell.bytes, cell.offset) === "delete";
