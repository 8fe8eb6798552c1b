/**
 * Small files that are written whole and must never be half there: `identity`, `incarnation`, the cluster plan.
 *
 *     flotilla-KIND FORMAT\n        the kind of file, and its format number
 *     JSON\n                        one line
 *     CRC\n                         CRC-32 over the two lines above with their line ends, 8 hex digits
 *
 * Written to `PATH.new`, synced, renamed, and the directory synced: after a crash the old content stands or the new one.
 * Text instead of the binary framing of the log: an operator can read it, and it is written a few times in its life.
 */
import { CorruptionError, Failure } from "@flotilla/base";
import type { Files } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";

const fileBytesMax = 16 * 1024 * 1024;

export interface SealedKind {
  readonly kind: string;
  readonly format: number;
}

/** Durable when it resolves. */
export async function writeSealed(
  files: Files,
  path: string,
  { kind, format }: SealedKind,
  content: unknown,
): Promise<void> {
  const temporary = `${path}.new`;
  if (await files.exists(temporary)) await files.remove(temporary);
  const body = `flotilla-${kind} ${format}\n${JSON.stringify(content)}\n`;
  const file = await files.open(temporary, "create");
  try {
    await file.write(0, [nodeByteOperations.encodeUtf8(body + crcOf(body) + "\n")]);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, path);
  await files.syncDirectory(directoryOf(path));
}

/** `undefined` when the file does not exist; `Corruption` or `FormatTooNew` when it cannot be believed. */
export async function readSealed(files: Files, path: string, { kind, format }: SealedKind): Promise<unknown> {
  if (!(await files.exists(path))) return undefined;
  const file = await files.open(path, "read");
  let text: string;
  try {
    const size = await file.size();
    if (size > fileBytesMax) throw corrupt(path, 0, `it has ${size} bytes, more than any ${kind} file`);
    text = nodeByteOperations.decodeUtf8(await file.read(0, size));
  } finally {
    await file.close();
  }
  const header = /^flotilla-([a-z-]+) (\d{1,9})\n/.exec(text);
  if (header === null || header[1] !== kind) throw corrupt(path, 0, `it does not begin with "flotilla-${kind}"`);
  if (Number(header[2]) > format) {
    throw new Failure("FormatTooNew", `${path} has format ${header[2]}, this version knows formats up to ${format}`, {
      hint: "start it with the version of flotilla that wrote it, or a newer one",
      details: { file: path, format: Number(header[2]), known: format },
    });
  }
  const end = /\n([0-9a-f]{8})\n$/.exec(text);
  if (end === null) throw corrupt(path, text.length, "its end is missing");
  const body = text.slice(0, end.index + 1);
  if (crcOf(body) !== end[1])
    throw corrupt(path, header[0].length, `its content does not match its checksum ${end[1]}`);
  try {
    return JSON.parse(body.slice(header[0].length)) as unknown;
  } catch (error) {
    throw new Failure("Corruption", `${path} at byte ${header[0].length}: not JSON`, { cause: error });
  }
}

export function corrupt(path: string, offset: number, what: string): CorruptionError {
  return new CorruptionError(
    path,
    offset,
    what,
    "restore the file from a copy of this very directory; an invented one would let the store forget its votes",
  );
}

function crcOf(text: string): string {
  const bytes = nodeByteOperations.encodeUtf8(text);
  return nodeByteOperations.crc32(bytes, 0, bytes.length, 0).toString(16).padStart(8, "0");
}

function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash);
}
