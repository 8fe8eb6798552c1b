/** Where a result comes from: when, which commit, what machine, which command. Without it a figure is worth nothing. */
import { execFileSync } from "node:child_process";
import { readFileSync, statfsSync } from "node:fs";
import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly os: string;
  readonly node: string;
}

export interface Provenance {
  readonly date: string;
  /** Of the checkout this command runs from; `null` outside of one. */
  readonly commit: string | null;
  /** The checkout differs from the commit. */
  readonly commitChanged: boolean | null;
  readonly machine: Machine;
  /** Mean number of processes that wanted to run in the minute before: far above 0, and the machine was not quiet. */
  readonly loadAverage: number;
  readonly command: string;
}

/** To be taken before the load. */
export function provenance(): Provenance {
  const { commit, commitChanged } = checkout();
  return {
    date: new Date().toISOString(),
    commit,
    commitChanged,
    machine: machine(),
    loadAverage: Math.round(loadavg()[0]! * 100) / 100,
    command: ["flotilla", ...process.argv.slice(2)].map(quoted).join(" "),
  };
}

function machine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    os: `${platform()} ${release()} ${arch()}`,
    node: process.version,
  };
}

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** Installed as a package, this file may lie inside somebody else's repository: that one's commit is not ours. */
function checkout(): Pick<Provenance, "commit" | "commitChanged"> {
  const directory = dirname(fileURLToPath(import.meta.url));
  try {
    const root = git(directory, "rev-parse", "--show-toplevel");
    const { name } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { name?: unknown };
    if (name !== "flotilla-workspace") return { commit: null, commitChanged: null };
    return {
      commit: git(directory, "rev-parse", "--short", "HEAD"),
      commitChanged: git(root, "status", "--porcelain", "--untracked-files=no") !== "",
    };
  } catch {
    return { commit: null, commitChanged: null };
  }
}

function git(directory: string, ...parameters: string[]): string {
  return execFileSync("git", parameters, {
    cwd: directory,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 10_000,
  }).trim();
}

export interface Disk {
  /** `ext4`, `tmpfs`, …; `null`: the system does not tell. */
  readonly fileSystem: string | null;
  readonly freeBytes: number;
}

/** What a directory lies on. */
export function diskOf(directory: string): Disk {
  const { bavail, bsize } = statfsSync(directory);
  return { fileSystem: fileSystemOf(directory), freeBytes: bavail * bsize };
}

function fileSystemOf(directory: string): string | null {
  let mounts: string;
  try {
    mounts = readFileSync("/proc/self/mounts", "utf8");
  } catch {
    return null;
  }
  let best = "";
  let type: string | null = null;
  for (const line of mounts.split("\n")) {
    const [, point = "", kind = ""] = line.split(" ");
    const isAbove = point === "/" || directory === point || directory.startsWith(point + "/");
    // Of two on the same point the later one lies on top.
    if (point === "" || !isAbove || point.length < best.length) continue;
    best = point;
    type = kind;
  }
  return type;
}

/** In the name of a file: the date without what file systems dislike. */
export const fileStem = (date: string, kind: string): string =>
  basename(`${date.replace(/\.\d+Z$/, "Z").replaceAll(":", "-")}-${kind}`);
