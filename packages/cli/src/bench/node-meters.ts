/** What a run costs the nodes: fsyncs from their metrics, processor time and memory from /proc where they run here. */
import { readFileSync } from "node:fs";
import { get } from "node:http";
import type { NodeRow } from "../output/cluster-report.ts";

export interface NodeReading {
  /** `null`: not every node could be asked. */
  readonly fsyncs: number | null;
  /** Of all nodes and this process; `null` where /proc does not show them. */
  readonly cpuMicros: number | null;
}

/** Linux counts processor time in hundredths of a second. */
const microsPerTick = 10_000;
const requestMsMax = 5_000;
const answerBytesMax = 4 * 1024 * 1024;

export class NodeMeters {
  readonly #nodes: readonly NodeRow[];
  #peakRssBytes: number | null = null;
  #sampler: NodeJS.Timeout | undefined;

  constructor(nodes: readonly NodeRow[]) {
    this.#nodes = nodes.filter(({ state }) => state === "live");
  }

  async read(): Promise<NodeReading> {
    const fsyncs = await Promise.all(
      this.#nodes.map(({ httpAddress }) => readMetric(httpAddress, "flotilla_log_fsyncs_total")),
    );
    const own = process.cpuUsage();
    let cpuMicros: number | null = own.user + own.system;
    for (const { pid } of this.#nodes) {
      const micros = pid === null ? null : cpuMicrosOf(pid);
      cpuMicros = cpuMicros === null || micros === null ? null : cpuMicros + micros;
    }
    return {
      fsyncs: fsyncs.every((value) => value !== null) ? fsyncs.reduce((sum, value) => sum + value, 0) : null,
      cpuMicros,
    };
  }

  startSampling(): void {
    this.#sampler = setInterval(() => this.#sample(), 250);
    this.#sample();
  }

  stopSampling(): void {
    clearInterval(this.#sampler);
    this.#sample();
  }

  /** The largest memory of any one node while it was sampled. */
  get peakRssBytes(): number | null {
    return this.#peakRssBytes;
  }

  #sample(): void {
    for (const { pid } of this.#nodes) {
      const bytes = pid === null ? null : rssBytesOf(pid);
      if (bytes !== null && bytes > (this.#peakRssBytes ?? 0)) this.#peakRssBytes = bytes;
    }
  }
}

function cpuMicrosOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in brackets may hold anything; the fields behind it are numbered from 3, utime is the 14th, stime the 15th.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * microsPerTick;
  } catch {
    return null;
  }
}

function rssBytesOf(pid: number): number | null {
  try {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
    return match === null ? null : Number(match[1]) * 1024;
  } catch {
    return null;
  }
}

function readMetric(httpAddress: string | null, name: string): Promise<number | null> {
  if (httpAddress === null) return Promise.resolve(null);
  return new Promise((resolve) => {
    const request = get(`http://${httpAddress}/metrics`, { timeout: requestMsMax }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > answerBytesMax) request.destroy();
      });
      response.on("end", () => {
        const match = new RegExp(`^${name} (\\S+)$`, "m").exec(text);
        resolve(match === null ? null : Number(match[1]));
      });
      response.on("error", () => resolve(null));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(null));
    request.on("close", () => resolve(null));
  });
}
