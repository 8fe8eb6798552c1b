/**
 * Body of a `snapshot-chunk`, big-endian. It has a layout of its own because it is bulk: msgpackr would copy the bytes
 * once more into its own memory.
 *
 *     transfer id 8, sequence 8, last 1 (0 or 1), bytes to the end of the body
 */
import { MalformedError } from "@flotilla/base";
import type { BinaryReader, BinaryWriter } from "@flotilla/base";
import type { SnapshotChunk } from "../peer-messages.ts";
import { putInteger } from "./fields.ts";

const headBytes = 17;

/** Bytes of the body. */
export const snapshotChunkBytes = ({ bytes }: SnapshotChunk): number => headBytes + bytes.length;

export function writeSnapshotChunk(writer: BinaryWriter, chunk: SnapshotChunk): void {
  putInteger(writer, chunk.transferId);
  putInteger(writer, chunk.sequence);
  writer.uint8(chunk.last ? 1 : 0);
  writer.raw(chunk.bytes);
}

export function readSnapshotChunk(reader: BinaryReader, bodyEnd: number): SnapshotChunk {
  const transferId = reader.uint53();
  const sequence = reader.uint53();
  const last = reader.uint8();
  if (last > 1) throw new MalformedError(`a flag is ${last}, must be 0 or 1`);
  const bytes = reader.subarray(bodyEnd - reader.offset);
  return { type: "snapshot-chunk", transferId, sequence, bytes, last: last === 1 };
}
