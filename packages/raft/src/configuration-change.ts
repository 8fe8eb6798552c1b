/**
 * Data of a `configuration` entry, format 1. Integers are big-endian; nothing follows the context.
 *
 *     0      1  format number, 1
 *     1      1  transition: 0 auto, 1 joint-implicit, 2 joint-explicit
 *     2      2  number of changes
 *     4   9 × n changes: kind (0 add-voter, 1 add-learner, 2 remove), replica id in 8 bytes
 *     …      4  length of the context
 *     …         context, opaque to Raft
 *
 * The log frame around it has a checksum; here is none.
 */
import { BinaryReader, MalformedError, assert, replicaId, writeUint53 } from "@flotilla/base";
import type { ConfigurationChange } from "./raw-node-api.ts";

export const configurationChangeFormat = 1;
/** More changes in one entry are refused on both sides. */
export const configurationChangesMax = 256;

const changeBytes = 9;
const headBytes = 4;

const transitions = [
  "auto",
  "joint-implicit",
  "joint-explicit",
] as const satisfies readonly ConfigurationChange["transition"][];
const kinds = [
  "add-voter",
  "add-learner",
  "remove",
] as const satisfies readonly ConfigurationChange["changes"][number]["type"][];

export function encodeConfigurationChange(change: ConfigurationChange): Uint8Array {
  const count = change.changes.length;
  assert(count <= configurationChangesMax, () => `${count} changes in one entry, at most ${configurationChangesMax}`);
  const contextAt = headBytes + count * changeBytes;
  const bytes = new Uint8Array(contextAt + 4 + change.context.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = configurationChangeFormat;
  bytes[1] = transitions.indexOf(change.transition);
  view.setUint16(2, count);
  for (let i = 0; i < count; i++) {
    const { type, id } = change.changes[i]!;
    bytes[headBytes + i * changeBytes] = kinds.indexOf(type);
    writeUint53(view, headBytes + i * changeBytes + 1, id);
  }
  view.setUint32(contextAt, change.context.length);
  bytes.set(change.context, contextAt + 4);
  return bytes;
}

/** Throws `MalformedError`. The context is a view into `data`. */
export function decodeConfigurationChange(data: Uint8Array): ConfigurationChange {
  const reader = new BinaryReader(data);
  const format = reader.uint8();
  if (format !== configurationChangeFormat)
    throw new MalformedError(`configuration change of unknown format ${format}`);
  const transition = transitions[reader.uint8()];
  if (transition === undefined) throw new MalformedError(`configuration change with unknown transition ${data[1]}`);
  const count = reader.uint16();
  if (count > configurationChangesMax) throw new MalformedError(`configuration change with ${count} changes`);
  const changes: ConfigurationChange["changes"][number][] = [];
  for (let i = 0; i < count; i++) {
    const kind = reader.uint8();
    const type = kinds[kind];
    const id = replicaId(reader.uint53());
    if (type === undefined || id === 0) throw new MalformedError(`configuration change: kind ${kind} of replica ${id}`);
    changes.push({ type, id });
  }
  const context = reader.subarray(reader.uint32());
  if (reader.remaining > 0)
    throw new MalformedError(`configuration change with ${reader.remaining} bytes behind its end`);
  return { changes, transition, context };
}
