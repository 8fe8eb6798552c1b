/** What a window of load costs the nodes and this process. */
import type { NodeRow, StoreRow } from "../output/cluster-report.ts";
import { DiskMeter } from "./disk-meter.ts";
import { sumOfMetric } from "./http-metrics.ts";
import { ProcessMeters } from "./process-meters.ts";
import type { ProcessReading } from "./process-meters.ts";

/** The servers of one system, as far as they can be measured. */
export interface MeasuredServers {
  /** `null`: it runs on another machine. */
  readonly pids: readonly (number | null)[];
  /** Where their metrics are. */
  readonly metricAddresses: readonly (string | null)[];
  /** Where their data is; `null`: on another machine. */
  readonly dataDirectories: readonly (string | null)[];
  /** Of a counter of fsyncs of the log. */
  readonly fsyncMetric: string;
}

/** Differences over the window; `null`: not to be seen from here. */
export interface WindowCost {
  readonly fsyncs: number | null;
  readonly serverCpuMicros: number | null;
  readonly clientCpuMicros: number;
  readonly serverWrittenBytes: number | null;
  readonly diskWrittenBytes: number | null;
  /** Of any one server. */
  readonly peakRssBytes: number | null;
  readonly clientPeakRssBytes: number | null;
}

interface Reading {
  readonly fsyncs: number | null;
  readonly diskBytes: number | null;
  readonly servers: ProcessReading;
  readonly client: NodeJS.CpuUsage;
}

export function measuredNodes(nodes: readonly NodeRow[], stores: readonly StoreRow[]): MeasuredServers {
  const live = nodes.filter(({ state }) => state === "live");
  // On another machine a pid or a directory is somebody else's.
  const here = live.filter(({ address }) => /^(127\.|localhost:|\[::1\])/.test(address));
  return {
    pids: live.map((node) => (here.includes(node) ? node.pid : null)),
    dataDirectories: live.map((node) =>
      here.includes(node) ? (stores.find(({ nodeId }) => nodeId === node.nodeId)?.dataDir ?? null) : null,
    ),
    metricAddresses: live.map(({ httpAddress }) => httpAddress),
    fsyncMetric: "flotilla_log_fsyncs_total",
  };
}

export class NodeMeters {
  readonly processes: ProcessMeters;
  readonly #client = new ProcessMeters([process.pid]);
  readonly #servers: MeasuredServers;
  readonly #disks: DiskMeter;
  #before: Reading | undefined;

  constructor(servers: MeasuredServers) {
    this.#servers = servers;
    this.processes = new ProcessMeters(servers.pids);
    this.#disks = new DiskMeter(servers.dataDirectories);
  }

  async begin(): Promise<void> {
    this.#before = await this.#read();
    this.processes.startSampling();
    this.#client.startSampling();
  }

  /** Processor time is read first and at once: it ends with the window. */
  async end(): Promise<WindowCost> {
    const after = await this.#read();
    this.stop();
    const before = this.#before ?? after;
    return {
      fsyncs: difference(before.fsyncs, after.fsyncs),
      serverCpuMicros: difference(before.servers.cpuMicros, after.servers.cpuMicros),
      clientCpuMicros: after.client.user + after.client.system - before.client.user - before.client.system,
      serverWrittenBytes: difference(before.servers.writtenBytes, after.servers.writtenBytes),
      diskWrittenBytes: difference(before.diskBytes, after.diskBytes),
      peakRssBytes: this.processes.peakRssBytes,
      clientPeakRssBytes: this.#client.peakRssBytes,
    };
  }

  /** No timer is left behind. */
  stop(): void {
    this.processes.stopSampling();
    this.#client.stopSampling();
  }

  async #read(): Promise<Reading> {
    const servers = this.processes.read();
    const client = process.cpuUsage();
    const diskBytes = this.#disks.writtenBytes();
    const { metricAddresses, fsyncMetric } = this.#servers;
    return { servers, client, diskBytes, fsyncs: await sumOfMetric(metricAddresses, fsyncMetric) };
  }
}

const difference = (before: number | null, after: number | null): number | null =>
  before === null || after === null ? null : after - before;
