/**
 * Rule: one opener. A store takes `DIR/lock` before it touches anything else under DIR, and holds it as long as it lives.
 *
 * The lock is two tiny LevelDBs that hold nothing, taken one after the other: LevelDB locks its directory against other
 * processes (`fcntl`) and, opened without `multithreading`, against other threads of its own process (a table of names).
 *
 *     DIR/lock/threads    taken first
 *     DIR/lock/process    taken second
 *
 * One would not do. LevelDB 1.20 that is refused inside the process which holds the lock closes the `LOCK` file again, and
 * with POSIX locks any close of a file ends the process's lock on it: from then on another process gets in (tried: it
 * does). So attempts inside a process end at `threads`, and the lock of `process` is never disturbed. Nothing else may
 * open the `LOCK` files either.
 */
import { readdir, rm } from "node:fs/promises";
import { join, sep } from "node:path";
import { ClassicLevel } from "classic-level";
import { Failure, assert } from "@flotilla/base";
import { isCorruption, isLocked, levelFailure } from "./level-failure.ts";
import { prepareDirectory } from "./level-files.ts";

export interface DirectoryLock {
  /** The locked directory, as a real path. */
  readonly directory: string;
  readonly released: boolean;
  /** For engines: `path` below the directory is being opened. Throws when it is open, or the lock does not cover it. */
  enter(path: string): void;
  leave(path: string): void;
  /** Every engine below must have been closed. */
  release(): Promise<void>;
}

/** Rejects with `InUse` when another process or thread has the directory; with `InvalidArgument` when it cannot be used. */
export async function acquireDirectoryLock(directory: string): Promise<DirectoryLock> {
  const real = await prepareDirectory(directory);
  const lock = join(real, "lock");
  const threads = await take(await prepareDirectory(join(lock, "threads")), real);
  try {
    const process = await take(await prepareDirectory(join(lock, "process")), real);
    return new HeldLock(real, [process, threads]);
  } catch (error) {
    await threads.close();
    throw error;
  }
}

class HeldLock implements DirectoryLock {
  readonly directory: string;
  /** In the order of release. */
  readonly #gates: readonly ClassicLevel[];
  readonly #open = new Set<string>();
  #released = false;

  constructor(directory: string, gates: readonly ClassicLevel[]) {
    this.directory = directory;
    this.#gates = gates;
  }

  get released(): boolean {
    return this.#released;
  }

  enter(path: string): void {
    assert(!this.#released, () => `the lock of ${this.directory} is released, cannot open ${path}`);
    assert(path.startsWith(this.directory + sep), () => `${path} is not below the locked ${this.directory}`);
    assert(!this.#open.has(path), () => `${path} is already open`);
    this.#open.add(path);
  }

  leave(path: string): void {
    this.#open.delete(path);
  }

  async release(): Promise<void> {
    if (this.#released) return;
    assert(this.#open.size === 0, () => `still open below ${this.directory}: ${[...this.#open].join(", ")}`);
    this.#released = true;
    for (const gate of this.#gates) await gate.close();
  }
}

async function take(gate: string, directory: string): Promise<ClassicLevel> {
  try {
    return await openGate(gate);
  } catch (error) {
    if (!isCorruption(error)) throw lockFailure(directory, error);
  }
  // Power loss may have damaged it while it was made. It holds nothing: begin anew, but leave LOCK, which others may hold.
  for (const name of await readdir(gate)) if (name !== "LOCK") await rm(join(gate, name), { force: true });
  try {
    return await openGate(gate);
  } catch (error) {
    throw lockFailure(directory, error);
  }
}

async function openGate(gate: string): Promise<ClassicLevel> {
  const level = new ClassicLevel(gate, { cacheSize: 8192, writeBufferSize: 65536, multithreading: false });
  await level.open();
  return level;
}

function lockFailure(directory: string, error: unknown): Failure {
  if (!isLocked(error)) return levelFailure("take the lock", directory, error);
  return new Failure("InUse", `${directory} is in use by another process, or by another store of this one`, {
    hint: "stop the node that runs on this directory, or give this node a directory of its own",
    details: { directory },
    cause: error,
  });
}
