/** Decoding the records of a frame (layout: log-format.ts). Encoding: frame-builder.ts. */
import type { BinaryReader } from "@flotilla/base";
import { MalformedError, entryBytesMax } from "@flotilla/base";
import { recordKind } from "./log-format.ts";

/** Called in the order of the records; `entry` follows `entries` as often as that said. */
export interface RecordVisitor {
  entries(range: number, replica: number, firstIndex: number, count: number): void;
  entry(term: number, configuration: boolean, length: number, checksum: number): void;
  hardState(range: number, replica: number, term: number, vote: number, commit: number): void;
  commit(range: number, replica: number, commit: number): void;
  truncation(range: number, replica: number, index: number, term: number): void;
  install(range: number, replica: number, index: number, term: number, kept: boolean): void;
  tombstone(range: number, lowestAllowed: number): void;
}

/** Throws `MalformedError`, also when bytes are left over. */
export function readRecords(reader: BinaryReader, count: number, visitor: RecordVisitor): void {
  for (let i = 0; i < count; i++) readRecord(reader, visitor);
  if (reader.remaining !== 0) throw new MalformedError(`${reader.remaining} bytes behind the last record`);
}

function readRecord(reader: BinaryReader, visitor: RecordVisitor): void {
  const kind = reader.uint8();
  switch (kind) {
    case recordKind.entries:
      readEntries(reader, visitor);
      return;
    case recordKind.hardState:
      visitor.hardState(reader.uint53(), reader.uint53(), reader.uint53(), reader.uint53(), reader.uint53());
      return;
    case recordKind.commit:
      visitor.commit(reader.uint53(), reader.uint53(), reader.uint53());
      return;
    case recordKind.truncation:
      visitor.truncation(reader.uint53(), reader.uint53(), reader.uint53(), reader.uint53());
      return;
    case recordKind.install:
      visitor.install(reader.uint53(), reader.uint53(), reader.uint53(), reader.uint53(), flag(reader));
      return;
    case recordKind.tombstone:
      visitor.tombstone(reader.uint53(), reader.uint53());
      return;
    default:
      throw new MalformedError(`unknown record kind ${kind}`);
  }
}

function readEntries(reader: BinaryReader, visitor: RecordVisitor): void {
  const range = reader.uint53();
  const replica = reader.uint53();
  const firstIndex = reader.uint53();
  const count = reader.uint32();
  if (count === 0 || firstIndex === 0) throw new MalformedError(`${count} entries from index ${firstIndex}`);
  visitor.entries(range, replica, firstIndex, count);
  for (let i = 0; i < count; i++) {
    const term = reader.uint53();
    const checksum = reader.uint32();
    const length = reader.uint32();
    if (length > entryBytesMax)
      throw new MalformedError(`an entry of ${length} bytes, at most ${entryBytesMax} are allowed`);
    visitor.entry(term, flag(reader), length, checksum);
  }
}

function flag(reader: BinaryReader): boolean {
  const value = reader.uint8();
  if (value > 1) throw new MalformedError(`${value} where 0 or 1 belongs`);
  return value === 1;
}
