/** What processes of this machine cost, from /proc: processor time, memory, bytes they had written to the disk. */
import { readFileSync } from "node:fs";

export interface ProcessReading {
  /** Of all of them together. `null` where /proc does not show them. */
  readonly cpuMicros: number | null;
  /** Pages they made dirty, and so caused to be written, in bytes. */
  readonly writtenBytes: number | null;
}

export interface MemorySample {
  readonly atMs: number;
  /** In the order of the processes; 0 = it could not be read. */
  readonly rssBytes: readonly number[];
}

/** Linux counts processor time in hundredths of a second. */
const microsPerTick = 10_000;
const samplesMax = 4_000;

export class ProcessMeters {
  readonly #pids: readonly number[];
  readonly #samples: MemorySample[] = [];
  #peakRssBytes = 0;
  #sampler: NodeJS.Timeout | undefined;

  /** `null` among them: that one is not to be seen from here, and no sum is known. */
  constructor(pids: readonly (number | null)[]) {
    this.#pids = pids.map((pid) => pid ?? 0);
  }

  read(): ProcessReading {
    return {
      cpuMicros: sum(this.#pids.map(cpuMicrosOf)),
      writtenBytes: sum(this.#pids.map(writtenBytesOf)),
    };
  }

  startSampling(everyMs: number = 250): void {
    this.#sampler = setInterval(() => this.#sample(), everyMs);
    this.#sample();
  }

  stopSampling(): void {
    clearInterval(this.#sampler);
    this.#sample();
  }

  /** The largest of any one of them while they were sampled; `null` when none could be read. */
  get peakRssBytes(): number | null {
    return this.#peakRssBytes === 0 ? null : this.#peakRssBytes;
  }

  get samples(): readonly MemorySample[] {
    return this.#samples;
  }

  #sample(): void {
    const rssBytes = this.#pids.map((pid) => rssBytesOf(pid) ?? 0);
    this.#peakRssBytes = Math.max(this.#peakRssBytes, ...rssBytes);
    if (this.#samples.length < samplesMax) this.#samples.push({ atMs: performance.now(), rssBytes });
  }
}

function sum(values: readonly (number | null)[]): number | null {
  let total = 0;
  for (const value of values) {
    if (value === null) return null;
    total += value;
  }
  return total;
}

function procFile(pid: number, name: string): string | null {
  if (pid <= 0) return null;
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return null;
  }
}

export function cpuMicrosOf(pid: number): number | null {
  const stat = procFile(pid, "stat");
  return stat === null ? null : parseCpuMicros(stat);
}

/** Of `/proc/PID/stat`: in user and in system mode. */
export function parseCpuMicros(stat: string): number {
  // The name in brackets may hold anything; the fields behind it are numbered from 3, utime is the 14th, stime the 15th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * microsPerTick;
}

function writtenBytesOf(pid: number): number | null {
  const match = /^write_bytes: (\d+)$/m.exec(procFile(pid, "io") ?? "");
  return match === null ? null : Number(match[1]);
}

export function rssBytesOf(pid: number): number | null {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(procFile(pid, "status") ?? "");
  return match === null ? null : Number(match[1]) * 1024;
}
