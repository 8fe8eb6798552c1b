import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseCheckPerf } from "../../src/bench/compare/check-perf.ts";
import { ratioToEtcd } from "../../src/bench/compare/compare-table.ts";
import type { ComparedSystem } from "../../src/bench/bench-result.ts";
import { DiskMeter, deviceNumbers } from "../../src/bench/disk-meter.ts";
import { memoryGrowth, recoveryTime } from "../../src/bench/endurance/run-overload.ts";
import { allAsleep, allLed } from "../../src/bench/idle/cluster-watch.ts";
import { costOfReplica } from "../../src/bench/idle/run-idle.ts";
import { lastAgainstEarly } from "../../src/bench/endurance/run-sustained.ts";
import { parseMetrics } from "../../src/bench/http-metrics.ts";
import { loadResultOf } from "../../src/bench/load-result.ts";
import { LoadMeter } from "../../src/bench/load-meter.ts";
import { ProcessMeters, parseCpuMicros } from "../../src/bench/process-meters.ts";
import { diskOf, provenance } from "../../src/bench/provenance.ts";
import { medianBy, spreadOf } from "../../src/bench/spread.ts";

describe("several runs", () => {
  test("have a median, of an even number the mean of the two in the middle", () => {
    expect(spreadOf([3, 1, 2])).toEqual({ min: 1, median: 2, max: 3 });
    expect(spreadOf([4, 1, 2, 3])).toEqual({ min: 1, median: 2.5, max: 4 });
  });

  test("of which one does not tell have no spread", () => {
    expect(spreadOf([1, null])).toBeNull();
    expect(spreadOf([])).toBeNull();
  });

  test("are represented by the one in the middle", () => {
    expect(medianBy([5, 1, 9], (value) => value)).toBe(5);
    expect(medianBy([5, 1, 9, 7], (value) => value)).toBe(5);
  });
});

describe("what /proc tells", () => {
  test("is read behind the name of a program, whatever is in it", () => {
    expect(parseCpuMicros("42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1")).toBe(1_750_000);
  });

  test("of this process is more than nothing, and of an unknown one nothing", () => {
    const own = new ProcessMeters([process.pid]);
    own.startSampling();
    own.stopSampling();
    expect(own.read().cpuMicros).toBeGreaterThan(0);
    expect(own.peakRssBytes).toBeGreaterThan(1_000_000);
    expect(own.samples.length).toBe(2);
    const both = new ProcessMeters([process.pid, null]);
    expect(both.read()).toEqual({ cpuMicros: null, writtenBytes: null });
  });
});

describe("what the disk tells", () => {
  test("belongs to the device's two numbers, as glibc packs them", () => {
    expect(deviceNumbers(0xfe01n)).toEqual({ major: 254n, minor: 1n });
    expect(deviceNumbers((1n << 44n) | (3n << 20n) | (7n << 8n) | 5n)).toEqual({ major: 4103n, minor: 773n });
  });

  test("is unknown for a directory that is not here", () => {
    expect(new DiskMeter([null]).writtenBytes()).toBeNull();
    expect(new DiskMeter(["/nowhere/at/all"]).writtenBytes()).toBeNull();
    expect(new DiskMeter([]).writtenBytes()).toBeNull();
  });

  test("where it tells, never goes down", () => {
    const directory = mkdtempSync(join(tmpdir(), "flotilla-disk-"));
    const meter = new DiskMeter([directory, directory]);
    const before = meter.writtenBytes();
    const after = meter.writtenBytes();
    rmSync(directory, { recursive: true });
    if (before === null) expect(after).toBeNull();
    else expect(after).toBeGreaterThanOrEqual(before);
  });
});

test("metrics are read by name, and those with labels left out", () => {
  const metrics = parseMetrics('# HELP a b\na 12\nb{c="d"} 3\nx_total 1.5e3\nbroken\n');
  expect([...metrics]).toEqual([
    ["a", 12],
    ["x_total", 1500],
  ]);
});

describe("check perf", () => {
  test("below its mark tells its throughput all the same", () => {
    const out =
      " 60 / 60 Booooooom! 100.00% 1m0s\nFAIL: Throughput too low: 3322 writes/s\nSlowest request took too long: 1.691234s\nPASS: Stddev is 0.09s\nFAIL\n";
    expect(parseCheckPerf(out)).toEqual({ opsPerSecond: 3322, slowestSeconds: 1.69, errors: 0 });
  });

  test("that passes, and one with errors", () => {
    expect(parseCheckPerf("PASS: Throughput is 14987 writes/s\nPASS: Slowest request took 0.2s\nPASS\n")).toEqual({
      opsPerSecond: 14_987,
      slowestSeconds: 0.2,
      errors: 0,
    });
    const failed =
      "FAIL: too many errors\nFAIL: ERROR(etcdserver: request timed out) -> 12\nFAIL: Throughput too low: 5 writes/s\n";
    expect(parseCheckPerf(failed)?.errors).toBe(12);
  });

  test("that says nothing of a throughput has none", () => {
    expect(parseCheckPerf('prefix "/etcdctl-check-perf/" has keys')).toBeUndefined();
  });
});

test("a system is measured against the median of etcd in its row", () => {
  const system = (name: string, median: number): ComparedSystem => ({
    name,
    runs: [],
    opsPerSecond: { min: median, median, max: median },
  });
  const systems = [system("etcd 3.4.23, npm etcd3 1.1.2", 200), system("flotilla", 300)];
  const row = { row: 2, title: "", systems };
  expect(systems.map((each) => ratioToEtcd(each, row))).toEqual([null, 1.5]);
});

describe("sustained load", () => {
  const periods = (...values: number[]): { opsPerSecond: number }[] => values.map((opsPerSecond) => ({ opsPerSecond }));

  test("lays the last period beside the median of the second to fourth", () => {
    expect(lastAgainstEarly(periods(900, 100, 300, 200, 500, 150))).toBe(0.75);
  });

  test("of fewer than five periods says nothing", () => {
    expect(lastAgainstEarly(periods(1, 1, 1, 1))).toBeNull();
  });
});

describe("overload", () => {
  const second = (operations: number, p99Ms: number): { operations: number; p99Ms: number } => ({ operations, p99Ms });
  const before = [second(10, 900), second(1000, 20), second(1100, 20), second(900, 22)];

  test("is over when three seconds in a row have throughput and latency as before", () => {
    const after = [second(0, 0), second(1000, 90), second(950, 30), second(500, 20), second(950, 30), second(950, 30)];
    expect(recoveryTime(before, after)).toBeNull();
    expect(recoveryTime(before, [...after, second(950, 40)])).toBe(4000);
  });

  test("that left no trace is over at once", () => {
    expect(recoveryTime(before, [second(1000, 20), second(1000, 20), second(1000, 20)])).toBe(0);
  });

  test("shows growing memory as more than one, bounded memory as one", () => {
    const samples = (rss: (at: number) => number): { atMs: number; rssBytes: number[] }[] =>
      Array.from({ length: 100 }, (_, at) => ({ atMs: at * 100, rssBytes: [1, rss(at)] }));
    expect(
      memoryGrowth(
        samples(() => 500),
        0,
        10_000,
      ),
    ).toBe(1);
    expect(
      memoryGrowth(
        samples((at) => 1000 + at * 10),
        0,
        10_000,
      ),
    ).toBeCloseTo(1.37, 1);
    expect(memoryGrowth([], 0, 1000)).toBeNull();
  });
});

describe("a result", () => {
  const meter = new LoadMeter(false);
  meter.begin(0);
  meter.end(1000);

  test("divides costs by operations and seconds, and leaves out what could not be measured", () => {
    const cost = {
      ...{ fsyncs: 500, serverCpuMicros: 1_000_000, clientCpuMicros: 1000, serverWrittenBytes: 0 },
      ...{ diskWrittenBytes: 5_000_000, peakRssBytes: 1, clientPeakRssBytes: null },
    };
    const result = loadResultOf({ meter, durationMs: 1000, unsent: 0, cost, putBytes: 1_000_000 });
    expect(result).toMatchObject({
      operations: 0,
      fsyncsPerSecond: 500,
      cpuMicrosPerOperation: null,
      bytesWrittenPerByte: null,
      diskBytesWrittenPerByte: 5,
      serviceMs: null,
    });
  });

  test("says where it comes from", () => {
    const { date, machine, command, loadAverage } = provenance();
    expect(new Date(date).toISOString()).toBe(date);
    expect(machine.cores).toBeGreaterThan(0);
    expect(machine.node).toBe(process.version);
    expect(command).toMatch(/^flotilla/);
    expect(loadAverage).toBeGreaterThanOrEqual(0);
    expect(diskOf("/").freeBytes).toBeGreaterThan(0);
  });
});

describe("idle ranges", () => {
  const node = (metrics: Record<string, number>): ReadonlyMap<string, number> =>
    new Map(Object.entries(metrics).map(([name, value]) => [`flotilla_${name}`, value]));

  test("are all led when every node that runs misses no leader, and there are as many leaders as ranges", () => {
    const led = node({ ranges_without_leader: 0, leaders: 2 });
    expect(allLed([led, led], 4)).toBe(true);
    // A node that died counts for nobody; a follower may believe in it for a while.
    expect(allLed([led], 4)).toBe(false);
    expect(allLed([led, undefined], 2)).toBe(false);
    expect(allLed([led, node({ ranges_without_leader: 1, leaders: 2 })], 4)).toBe(false);
  });

  test("sleep when all but the meta range do", () => {
    expect(allAsleep([node({ replicas: 9, replicas_asleep: 8 }), node({ replicas: 8, replicas_asleep: 8 })])).toBe(
      true,
    );
    expect(allAsleep([node({ replicas: 9, replicas_asleep: 7 })])).toBe(false);
    expect(allAsleep([undefined])).toBe(false);
  });

  test("cost what the node has more for each replica more, on the node where that is most", () => {
    const base = { replicas: [10, 10], rssBytes: [1000, 2000], heapUsedBytes: [500, null] };
    const idle = { replicas: [20, 30], rssBytes: [1500, 2600], heapUsedBytes: [600, 700] };
    expect(costOfReplica(base, idle, "rssBytes")).toBe(50);
    expect(costOfReplica(base, idle, "heapUsedBytes")).toBe(null);
  });
});
