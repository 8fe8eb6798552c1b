/**
 * Three members of etcd with its default settings, fsync included, on loopback and on the same disk as Flotilla's nodes.
 * Each runs below a shell that ends it when this process is gone, however that came about.
 */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "@flotilla/base";
import { processLives } from "../dev/node-file.ts";
import { findFreePorts } from "./free-ports.ts";
import { httpText } from "./http-metrics.ts";
import type { MeasuredServers } from "./node-meters.ts";

const members = 3;
const startMsMax = 30_000;
const stopMsMax = 10_000;
export const etcdInstall = "apt-get install etcd-server etcd-client";

/** The member's pid on standard output; the end of standard input is the end of the member. */
const guard = '"$@" </dev/null >&2 & pid=$!; echo "$pid"; read -r _; kill -9 "$pid" 2>/dev/null; wait "$pid"';

/** What the first line of `etcd --version` says, as `3.4.23`. Throws with the command that installs etcd. */
export function etcdVersionOf(program: string): string {
  const found = /etcd Version: (\S+)/.exec(outputOf(program, ["--version"]));
  if (found === null) throw new Failure("InvalidArgument", `${program} does not look like etcd`);
  return found[1]!;
}

export function etcdctlVersionOf(program: string): string {
  const found = /etcdctl version: (\S+)/.exec(outputOf(program, ["version"]));
  if (found === null) throw new Failure("InvalidArgument", `${program} does not look like etcdctl`);
  return found[1]!;
}

function outputOf(program: string, parameters: readonly string[]): string {
  try {
    return execFileSync(program, parameters, {
      encoding: "utf8",
      env: { ...process.env, ETCDCTL_API: "3" },
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 10_000,
    });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new Failure("InvalidArgument", `there is no ${program} on this machine`, {
        hint: `on Debian and Ubuntu: ${etcdInstall}; elsewhere name the programs with --etcd and --etcdctl`,
      });
    }
    throw new Failure("InvalidArgument", `${program} ${parameters.join(" ")} failed`, { cause: error });
  }
}

interface Member {
  readonly guard: ChildProcess;
  readonly pid: number;
}

export class EtcdCluster {
  /** `http://127.0.0.1:PORT` each. */
  readonly endpoints: readonly string[];
  readonly #members: Member[] = [];
  readonly #directory: string;

  private constructor(directory: string, base: number) {
    this.#directory = directory;
    this.endpoints = Array.from({ length: members }, (_, index) => `http://127.0.0.1:${base + index}`);
  }

  static async start(program: string, parent: string): Promise<EtcdCluster> {
    const base = await findFreePorts([0, 1, 2, 10, 11, 12]);
    const directory = join(parent, "etcd");
    mkdirSync(directory);
    const cluster = new EtcdCluster(directory, base);
    const peer = (index: number): string => `http://127.0.0.1:${base + 10 + index}`;
    const initial = cluster.endpoints.map((_, index) => `member-${index}=${peer(index)}`).join(",");
    try {
      for (const [index, client] of cluster.endpoints.entries()) {
        await cluster.#startMember(program, index, [
          ...["--name", `member-${index}`, "--data-dir", join(directory, `member-${index}`)],
          ...["--listen-client-urls", client, "--advertise-client-urls", client],
          ...["--listen-peer-urls", peer(index), "--initial-advertise-peer-urls", peer(index)],
          ...["--initial-cluster", initial, "--initial-cluster-state", "new"],
          ...["--initial-cluster-token", `bench-${base}-${process.pid}`],
        ]);
      }
      await cluster.#awaitHealth();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get servers(): MeasuredServers {
    return {
      pids: this.#members.map(({ pid }) => pid),
      metricAddresses: this.endpoints.map((endpoint) => endpoint.slice("http://".length)),
      dataDirectories: [this.#directory],
      fsyncMetric: "etcd_disk_wal_fsync_duration_seconds_count",
    };
  }

  /** Throws when a member has ended by itself: what was measured then means nothing. */
  requireAlive(): void {
    for (const [index, { pid }] of this.#members.entries()) {
      if (!processLives(pid)) throw new Failure("Internal", `member ${index} of etcd ended by itself`);
    }
  }

  async stop(): Promise<void> {
    for (const { pid } of this.#members) if (processLives(pid)) process.kill(pid, "SIGTERM");
    const giveUpMs = performance.now() + stopMsMax;
    while (this.#members.some(({ pid }) => processLives(pid)) && performance.now() < giveUpMs) await pause(50);
    for (const { guard: shell } of this.#members) {
      const ended = new Promise((resolve) => shell.once("exit", resolve));
      shell.stdin!.end();
      if (shell.exitCode === null && shell.signalCode === null) await ended;
    }
    this.#members.length = 0;
  }

  /** After `stop`: another cluster may be made in the same place. */
  removeData(): Promise<void> {
    return rm(this.#directory, { recursive: true, force: true });
  }

  async #startMember(program: string, index: number, parameters: readonly string[]): Promise<void> {
    const log = openSync(join(this.#directory, `member-${index}.log`), "a");
    const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ETCD_")));
    const shell = spawn("/bin/sh", ["-c", guard, "sh", program, ...parameters], {
      stdio: ["pipe", "pipe", log],
      env: environment,
      // A Ctrl-C on the terminal is for this process, which then ends the members.
      detached: true,
    });
    closeSync(log);
    const pid = await new Promise<number>((resolve, reject) => {
      shell.once("error", reject);
      shell.stdout!.once("data", (chunk: Buffer) => resolve(Number(chunk.toString())));
      shell.once("exit", () => reject(new Failure("Internal", `member ${index} of etcd could not be started`)));
    });
    this.#members.push({ guard: shell, pid });
  }

  async #awaitHealth(): Promise<void> {
    const giveUpMs = performance.now() + startMsMax;
    for (const endpoint of this.endpoints) {
      while (!((await httpText(`${endpoint}/health`)) ?? "").includes('"true"')) {
        this.requireAlive();
        if (performance.now() > giveUpMs)
          throw new Failure("Timeout", `etcd at ${endpoint} was not healthy within ${startMsMax / 1000} s`);
        await pause(100);
      }
    }
  }
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
