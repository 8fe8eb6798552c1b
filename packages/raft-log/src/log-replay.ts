/**
 * Replays frames into groups. What the records say was written by this program and survived its checksums, so a record
 * that does not fit the state before it is corruption as well (a frame is missing, or was written by a defect).
 */
import type { LogIndex, RangeId, ReplicaId, Term } from "@flotilla/base";
import { InvariantError, MalformedError } from "@flotilla/base";
import { frameHeaderBytes } from "./log-format.ts";
import type { SegmentHeader, TableGroup } from "./log-format.ts";
import type { Frame, FrameReader } from "./frame-reader.ts";
import { visitFrame } from "./frame-reader.ts";
import type { GroupLog } from "./group-log.ts";
import type { LogGroups } from "./log-groups.ts";
import type { RecordVisitor } from "./log-records.ts";

export class Replay implements RecordVisitor {
  readonly #groups: LogGroups;
  #segment = 0;
  /** Where the data of the next entry is in the segment. */
  #dataAt = 0;
  #group: GroupLog | undefined;

  constructor(groups: LogGroups) {
    this.#groups = groups;
  }

  /** The state at the start of the oldest segment. Its groups' older entries are missing until later frames void or bring them. */
  loadTable(table: readonly TableGroup[]): void {
    for (const row of table) {
      const group = this.#groups.forRange(row.rangeId as RangeId);
      if (row.replicaId !== 0) group.becomeReplica(row.replicaId as ReplicaId);
      group.setHardState(row.term as Term, row.vote as ReplicaId, row.commit as LogIndex);
      group.truncatedIndex = row.truncatedIndex as LogIndex;
      group.truncatedTerm = row.truncatedTerm as Term;
      group.columns.reset(row.lastIndex + 1);
      group.tombstone = row.tombstone as ReplicaId;
    }
  }

  /** The table of a later segment repeats what its predecessors say; undefined, or what differs. */
  differenceTo(header: SegmentHeader): string | undefined {
    for (const group of this.#groups.byRange.values()) group.noteWritten();
    const replayed = this.#groups.writtenTable();
    if (replayed.length !== header.table.length) {
      return `the group table has ${header.table.length} rows, the segments before it say ${replayed.length}`;
    }
    for (const row of header.table) {
      const written = this.#groups.byRange.get(row.rangeId as RangeId)?.written;
      if (written === undefined) return `the group table has range ${row.rangeId}, the segments before it do not`;
      for (const name of Object.keys(row) as (keyof TableGroup)[]) {
        if (row[name] === written[name]) continue;
        return `${name} of range ${row.rangeId} is ${row[name]} in the group table, and ${written[name]} in the segments before it`;
      }
    }
    return undefined;
  }

  /** Its entries lie in `segment`, where the frame begins at `offset`. */
  apply(frame: Frame, segment: number, offset: number, reader: FrameReader): void {
    this.#segment = segment;
    this.#dataAt = offset + frameHeaderBytes + frame.header.recordsBytes;
    try {
      visitFrame(frame, this);
    } catch (error) {
      if (error instanceof MalformedError || error instanceof InvariantError) {
        throw reader.corrupt(
          frame.offset,
          `the frame of sequence ${frame.header.sequence} does not fit what is before it: ${error.message}`,
        );
      }
      throw error;
    }
  }

  entries(range: number, replica: number, firstIndex: number): void {
    this.#group = this.#groups.forReplica(range as RangeId, replica as ReplicaId);
    this.#group.beginEntries(firstIndex as LogIndex);
  }

  entry(term: number, configuration: boolean, length: number, checksum: number): void {
    this.#group!.columns.push(term, configuration, length, checksum, this.#segment, this.#dataAt);
    this.#dataAt += length;
  }

  hardState(range: number, replica: number, term: number, vote: number, commit: number): void {
    this.#groups
      .forReplica(range as RangeId, replica as ReplicaId)
      .setHardState(term as Term, vote as ReplicaId, commit as LogIndex);
  }

  commit(range: number, replica: number, commit: number): void {
    const group = this.#groups.forReplica(range as RangeId, replica as ReplicaId);
    group.setHardState(group.hardTerm, group.vote, commit as LogIndex);
  }

  truncation(range: number, replica: number, index: number, term: number): void {
    this.#groups.forReplica(range as RangeId, replica as ReplicaId).truncate(index as LogIndex, term as Term);
  }

  install(range: number, replica: number, index: number, term: number, kept: boolean): void {
    this.#groups.forReplica(range as RangeId, replica as ReplicaId).install(index as LogIndex, term as Term, kept);
  }

  tombstone(range: number, lowestAllowed: number): void {
    this.#groups.forRange(range as RangeId).setTombstone(lowestAllowed as ReplicaId);
  }
}
