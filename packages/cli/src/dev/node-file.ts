/**
 * `DIR/node-N/node.json`: the process that runs on this directory, as it says itself. `dev` reads it to notice a node that
 * was started again by hand. A hint, not a lock: after a crash it stands there with the pid of a process that is gone.
 */
import { readFileSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface NodeProcess {
  readonly pid: number;
  readonly address: string;
  readonly httpAddress: string;
}

const pathIn = (dataDir: string): string => join(dataDir, "node.json");

export async function writeNodeFile(dataDir: string, content: NodeProcess): Promise<void> {
  const temporary = `${pathIn(dataDir)}.new`;
  await writeFile(temporary, JSON.stringify(content) + "\n");
  await rename(temporary, pathIn(dataDir));
}

export async function readNodeFile(dataDir: string): Promise<NodeProcess | undefined> {
  try {
    const content: unknown = JSON.parse(await readFile(pathIn(dataDir), "utf8"));
    return isNodeProcess(content) ? content : undefined;
  } catch {
    return undefined;
  }
}

export async function removeNodeFile(dataDir: string): Promise<void> {
  await rm(pathIn(dataDir), { force: true });
}

function isNodeProcess(content: unknown): content is NodeProcess {
  if (typeof content !== "object" || content === null) return false;
  const fields = content as Record<string, unknown>;
  return (
    Number.isSafeInteger(fields["pid"]) &&
    (fields["pid"] as number) > 1 &&
    typeof fields["address"] === "string" &&
    typeof fields["httpAddress"] === "string"
  );
}

/** A process that has ended and that nobody has waited for (a zombie) does not live. */
export function processLives(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    // Systems without /proc: the signal's answer stands.
    return true;
  }
}
