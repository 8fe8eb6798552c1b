/**
 * Temporary directories of embedded clusters: `TMPDIR/flotilla-SCOPE-PID-RANDOM`. The owner removes its own when it is
 * done; when this process ends first, they go with it, also when it ends by a signal that the program does not handle, as
 * runners of tests send to one that hangs. A process that was killed by force, or a thread that was ended from outside,
 * leaves them behind: the next one that makes a directory sweeps those whose process is gone. SCOPE stands for the host and the space of process ids in which
 * PID means something, so that containers that share a directory leave each other's alone.
 */
import { createHash } from "node:crypto";
import { readlinkSync, rmSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEndingSignal } from "./ending-signals.ts";

/** A process ends for good reasons in the middle of a removal by another; whatever is left the next sweep finds. */
const removal = { recursive: true, force: true, maxRetries: 10, retryDelay: 10 } as const;

const scope = createHash("sha256").update(`${hostname()}\n${processSpace()}`).digest("hex").slice(0, 8);

const scratchName = /^flotilla-([0-9a-f]{8})-(\d{1,10})-[A-Za-z0-9]{6}$/;

/** What has to go when the process ends: directories of this thread, and what must be stopped before. */
const owned = new Map<string, () => void>();
let swept = false;
let stopListening = (): void => {};

/** `beforeRemoval` is called only when the process ends without `removeScratchDirectory`; it must not wait for anything. */
export async function makeScratchDirectory(beforeRemoval: () => void): Promise<string> {
  if (!swept) {
    swept = true;
    await sweep(tmpdir());
  }
  const directory = await mkdtemp(join(tmpdir(), `flotilla-${scope}-${process.pid}-`));
  if (owned.size === 0) {
    process.once("exit", removeAllNow);
    stopListening = beforeEndingSignal(removeAllNow);
  }
  owned.set(directory, beforeRemoval);
  return directory;
}

export async function removeScratchDirectory(directory: string): Promise<void> {
  await rm(directory, removal);
  owned.delete(directory);
  if (owned.size > 0) return;
  process.off("exit", removeAllNow);
  stopListening();
}

function removeAllNow(): void {
  for (const stop of owned.values()) stop();
  for (const directory of owned.keys()) {
    try {
      rmSync(directory, removal);
    } catch {
      // A thread that has not ended yet still writes; there is nobody left to tell, and the next sweep finds it.
    }
  }
}

/** Nothing that it meets is a reason not to start: what cannot be read or removed stays. */
async function sweep(parent: string): Promise<void> {
  const names = await readdir(parent).catch((): string[] => []);
  const stale = names.filter((name) => {
    const [, itsScope, pid] = scratchName.exec(name) ?? [];
    return itsScope === scope && !isAlive(Number(pid));
  });
  for (const name of stale) await rm(join(parent, name), removal).catch(() => {});
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It exists, but belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Process ids have one space a machine, except where Linux gives a container its own. */
function processSpace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return process.platform;
  }
}
