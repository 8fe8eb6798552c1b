/**
 * Where a benchmark that runs its own clusters keeps their data: a new directory, removed at the end. Free space is looked
 * at first, since a full disk measures nothing, and a file system in memory is refused, since there an fsync is free.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { Failure } from "@flotilla/base";
import { textOption } from "../arguments/common-options.ts";
import type { Invocation } from "../command-io.ts";
import { formatBytes } from "../output/table.ts";
import { diskOf } from "./provenance.ts";
import type { Disk } from "./provenance.ts";

const inMemory: ReadonlySet<string> = new Set(["tmpfs", "ramfs"]);

export interface WorkDirectory {
  readonly path: string;
  readonly disk: Disk;
  remove(): Promise<void>;
}

export function addDirectoryOption(command: Command): Command {
  return command.option("--dir <dir>", "where the data goes while it runs (default: the current directory)");
}

export async function makeWorkDirectory(
  { options, io }: Pick<Invocation, "options" | "io">,
  bytesNeeded: number,
): Promise<WorkDirectory> {
  const parent = resolve(io.directory, textOption(options, "dir") ?? ".");
  const disk = readDisk(parent);
  if (disk.fileSystem !== null && inMemory.has(disk.fileSystem)) {
    throw new Failure(
      "InvalidArgument",
      `${parent} lies in memory (${disk.fileSystem}): there an fsync costs nothing`,
      {
        hint: "name a directory on a disk with --dir",
      },
    );
  }
  if (disk.freeBytes < bytesNeeded) {
    throw new Failure(
      "DiskFull",
      `${parent} has ${formatBytes(disk.freeBytes)} free, this benchmark may need ${formatBytes(bytesNeeded)}`,
      { hint: "name a directory on another disk with --dir, or measure for a shorter time or fewer keys" },
    );
  }
  const path = await mkdtemp(join(parent, ".flotilla-bench-"));
  return { path, disk, remove: () => rm(path, { recursive: true, force: true }) };
}

function readDisk(directory: string): Disk {
  try {
    return diskOf(directory);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Failure("InvalidArgument", `--dir ${directory}: ${message}`, { cause: error });
  }
}

/** Segments of the log, the engine's files while it compacts, and a margin below which a store writes no more. */
const bytesPerNode = 2 * 1024 * 1024 * 1024;
const nodes = 3;

/** What three nodes may need at most for so many bytes of keys and values: each holds them, twice while it compacts. */
export const clusterBytesNeeded = (recordBytes: number): number => nodes * (bytesPerNode + 2 * recordBytes);
