/** Contents of files, read ahead of whoever takes them: the disk works while the cluster does, within bounds. */
import { constants, open } from "node:fs/promises";
import { Failure } from "@flotilla/base";
import { joinPath } from "./walk-directory.ts";
import type { FoundFile } from "./walk-directory.ts";

export interface ReadFile {
  readonly path: Buffer;
  readonly content: Buffer | undefined;
  /** Instead of the content. */
  readonly error: Error | undefined;
}

const aheadMax = 32;
const aheadBytesMax = 64 * 1024 * 1024;

/** In the order of `files`. A file over `bytesMax` is not read: its error is `ValueTooLarge`. */
export async function* readFiles(
  root: Buffer,
  files: AsyncIterable<FoundFile>,
  bytesMax: number,
): AsyncGenerator<ReadFile, void, undefined> {
  const ahead = Math.max(2, Math.min(aheadMax, Math.floor(aheadBytesMax / bytesMax)));
  const reading: Promise<ReadFile>[] = [];
  for await (const { path } of files) {
    reading.push(readOne(root, path, bytesMax));
    if (reading.length >= ahead) yield await reading.shift()!;
  }
  for (const result of reading) yield await result;
}

async function readOne(root: Buffer, path: Buffer, bytesMax: number): Promise<ReadFile> {
  try {
    // Between the listing and now the name may have become a link or a pipe: neither is followed nor waited for.
    const handle = await open(joinPath(root, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const status = await handle.stat();
      if (!status.isFile()) throw new Failure("InvalidArgument", "it is no longer a regular file");
      if (status.size > bytesMax) throw tooLarge(status.size, bytesMax);
      return { path, content: await readWhole(handle, status.size, bytesMax), error: undefined };
    } finally {
      await handle.close();
    }
  } catch (error) {
    const failure =
      error instanceof Failure
        ? error
        : new Failure("InvalidArgument", error instanceof Error ? error.message : String(error), { cause: error });
    return { path, content: undefined, error: failure };
  }
}

/** A file may grow while it is read: one byte more than it had is asked for, until the end. */
async function readWhole(handle: Awaited<ReturnType<typeof open>>, size: number, bytesMax: number): Promise<Buffer> {
  let buffer = Buffer.allocUnsafeSlow(size + 1);
  let filled = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, filled);
    if (bytesRead === 0) return buffer.subarray(0, filled);
    filled += bytesRead;
    if (filled > bytesMax) throw tooLarge(filled, bytesMax);
    if (filled === buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(bytesMax + 1, buffer.length * 2));
      buffer.copy(larger, 0, 0, filled);
      buffer = larger;
    }
  }
}

function tooLarge(sizeBytes: number, limitBytes: number): Failure {
  return new Failure("ValueTooLarge", `it has ${sizeBytes} bytes, a value at most ${limitBytes}`, {
    details: { sizeBytes, limitBytes },
  });
}
