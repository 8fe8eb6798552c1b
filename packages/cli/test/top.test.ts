import { describe, expect, test } from "vitest";
import { renderTop } from "../src/top/render-top.ts";
import { makeFrame } from "../src/top/top-frame.ts";
import type { TopFrame } from "../src/top/top-frame.ts";
import type { TopSample } from "../src/top/top-sample.ts";
import { openScreen } from "../src/top/terminal-screen.ts";
import { EventEmitter } from "node:events";
import { FakeCluster, FakeError, FakeScreen, run } from "./fake-cluster.ts";

const MiB = 1024 * 1024;

const store = (storeId: number, state = "live") => ({
  storeId,
  nodeId: storeId,
  address: `s${storeId}:1`,
  state,
  replicas: state === "live" ? 5 : null,
  leaders: state === "live" ? 2 : null,
  sizeBytes: state === "live" ? 3 * MiB : null,
  freeBytes: null,
  logBytes: null,
  fsyncs: null,
  dataDir: null,
});

const range = (rangeId: number, writesPerSecond: number, readsPerSecond: number, start = "", end = "") => ({
  rangeId,
  start,
  end,
  system: false,
  leaderStoreId: 1,
  term: 2,
  replicas: [1, 2, 3].map((storeId) => ({ replicaId: storeId, storeId, nodeId: storeId, role: "voter", state: null })),
  sizeBytes: MiB,
  keys: null,
  writesPerSecond,
  readsPerSecond,
  bytesPerSecond: 1024 * writesPerSecond,
  asleep: false,
});

const status = {
  clusterId: "c",
  formatNumber: 1,
  health: "ok",
  reasons: [] as string[],
  nodes: { total: 2, live: 2 },
  stores: { total: 2, live: 2 },
  ranges: { total: 3, led: 3, underReplicated: 0, unavailable: 0 },
  placementDriver: { nodeId: 1, storeId: 1, term: 1 },
  sizeBytes: null,
};

const sample = (
  atMs: number,
  counters: Record<string, number> | undefined,
  more: Partial<TopSample> = {},
): TopSample => ({
  status,
  stores: [store(1), store(2, "dead")],
  ranges: [range(3, 900, 100, "a", "m"), range(4, 5, 0, "m\x00", "")],
  counters: new Map(counters === undefined ? [] : [[1, { atMs, metrics: new Map(Object.entries(counters)) }]]),
  ...more,
});

const first = {
  flotilla_commands_applied_total: 1000,
  flotilla_reads_served_total: 50,
  flotilla_log_fsyncs_total: 10,
  flotilla_log_frames_total: 10,
  flotilla_log_frame_seconds_total: 1,
  flotilla_store_loop_delay_max_seconds: 0.5,
  process_resident_memory_bytes: 100 * MiB,
};
const second = {
  ...first,
  flotilla_commands_applied_total: 3000,
  flotilla_reads_served_total: 60,
  flotilla_log_fsyncs_total: 30,
  flotilla_log_frames_total: 30,
  flotilla_log_frame_seconds_total: 1.1,
  flotilla_store_loop_delay_max_seconds: 0.012,
};

describe("a frame", () => {
  test("counts rates between two readings of the same store, over the time between them", () => {
    const { stores, intervalMs } = makeFrame(sample(10_000, first), sample(12_000, second));
    expect(intervalMs).toBe(2000);
    expect(stores[0]).toMatchObject({
      writesPerSecond: 1000,
      readsPerSecond: 5,
      fsyncsPerSecond: 10,
      logWriteMs: expect.closeTo(5, 6),
      loopDelayMaxMs: 12,
      memoryBytes: 100 * MiB,
    });
    expect(stores[1]).toMatchObject({ state: "dead", writesPerSecond: null, logWriteMs: null, memoryBytes: null });
  });

  test("has no rates over a restart, from one sample, or of a store whose metrics are missing", () => {
    const rates = (frame: TopFrame) => [frame.stores[0]!.writesPerSecond, frame.stores[0]!.logWriteMs];
    expect(rates(makeFrame(undefined, sample(1, first)))).toEqual([null, null]);
    expect(rates(makeFrame(sample(1, second), sample(2001, first)))).toEqual([null, null]);
    expect(rates(makeFrame(sample(1, undefined), sample(2001, first)))).toEqual([null, null]);
    expect(rates(makeFrame(sample(1, first), sample(2001, undefined)))).toEqual([null, null]);
    expect(makeFrame(undefined, sample(1, first)).intervalMs).toBeNull();
    // Nothing was written meanwhile: no mean either.
    expect(rates(makeFrame(sample(1, first), sample(2001, first)))).toEqual([0, null]);
  });
});

describe("on the terminal", () => {
  const frame = makeFrame(sample(0, first), sample(2000, second));
  const view = { order: "operations", skipped: 0, encoding: "utf8", keys: true } as const;

  test("stores and hottest ranges stand in tables, with the keys of a range readable", () => {
    expect(renderTop(frame, { ...view, keys: false }, { columns: 200, rows: 40 })).toEqual([
      "flotilla top   ok   2 of 2 nodes live   3 of 3 ranges led   rates over 2.0 s",
      "",
      "STORE  STATE  LEADERS  REPLICAS  WRITES  READS  FSYNCS  LOG WRITE  LOOP LATE   MEMORY     SIZE  FREE",
      "    1  live         2         5  1000/s    5/s    10/s     5.0 ms    12.0 ms  100 MiB  3.0 MiB     -",
      "    2  dead         -         -       -      -       -          -          -        -        -     -",
      "",
      "hottest ranges by operations a second",
      "RANGE  WRITES  READS      BYTES     SIZE  STORES (* LEADS)  KEYS FROM → TO",
      "    3   900/s  100/s  900 KiB/s  1.0 MiB  1* 2 3            a → m",
      "    4     5/s    0/s  5.0 KiB/s  1.0 MiB  1* 2 3            m\\x00 → ∞",
    ]);
  });

  test("narrow and low terminals cut lines and leave ranges out, never more than fits", () => {
    for (const [columns, rows] of [
      [40, 12],
      [20, 8],
      [1, 1],
      [10, 3],
      [120, 50],
    ] as const) {
      const lines = renderTop(frame, view, { columns, rows });
      expect(lines.every((line) => [...line].length <= columns)).toBe(true);
      expect(lines.length).toBeLessThanOrEqual(Math.max(2, rows));
    }
    expect(renderTop(frame, view, { columns: 20, rows: 20 })[0]).toBe("flotilla top   ok  …");
    const low = renderTop(frame, view, { columns: 80, rows: 11 });
    expect(low.filter((line) => line.includes("1* 2 3"))).toHaveLength(1);
    expect(low.at(-1)).toContain("q ends");
    expect(renderTop(frame, { ...view, skipped: 1 }, { columns: 80, rows: 20 }).join("\n")).not.toContain("a → m");
  });

  test("old figures say so", () => {
    const lines = renderTop(frame, { ...view, problem: "nobody answers" }, { columns: 80, rows: 20 });
    expect(lines[1]).toBe("no new figures: nobody answers");
  });
});

function cluster(): FakeCluster {
  const fake = new FakeCluster();
  fake.answers.set("cluster-status", status);
  fake.answers.set("store-list", [store(1), store(2, "dead")]);
  fake.answers.set("node-list", [{ nodeId: 1, address: "s1:1", httpAddress: null, state: "live", stores: [1] }]);
  fake.answers.set("range-hottest", [range(3, 900, 100, "a", "m"), range(4, 5, 0, "m", "")]);
  return fake;
}

const asked = (fake: FakeCluster) =>
  fake.orders.filter(({ name }) => name === "range-hottest").map(({ body }) => (body as { order: string }).order);

describe("flotilla top", () => {
  test("prints one frame without a terminal, with --once and with -o json, over one interval", async () => {
    const fake = cluster();
    const { out, exitCode } = await run(["top"], { cluster: fake });
    expect(exitCode).toBe(0);
    expect(out).toContain("hottest ranges by operations a second\nRANGE");
    expect(asked(fake)).toEqual(["operations", "operations"]);
    expect((await run(["top", "--once"], { cluster: cluster(), terminal: true })).out).toBe(out);
    const json = await run(["top", "-o", "json", "--interval", "5s"], { cluster: cluster() });
    expect(JSON.parse(json.out)).toMatchObject({
      health: "ok",
      stores: [
        { storeId: 1, writesPerSecond: null },
        { storeId: 2, state: "dead" },
      ],
      hottestRanges: [
        { rangeId: 3, start: "a", end: "m", encoding: "utf8", writesPerSecond: 900 },
        { rangeId: 4, start: "m", end: "" },
      ],
    });
  });

  test("keys end it, scroll, and ask for another order at once; the terminal is given back", async () => {
    const fake = cluster();
    const screen = new FakeScreen();
    const keys = ["down", "right", "up", "left", "q"];
    const seen: string[][] = [];
    const { exitCode } = await run(["top"], {
      cluster: fake,
      terminal: true,
      screen,
      onPause: () => {
        seen.push([...screen.lines]);
        const key = keys.shift();
        if (key === undefined) throw new Error("it goes on after q");
        screen.press(key);
      },
    });
    expect(exitCode).toBe(0);
    expect(seen[0]!.join("\n")).toContain("a → m");
    expect(seen[1]!.join("\n")).not.toContain("a → m");
    expect(asked(fake)).toEqual(["operations", "operations", "writes", "writes", "operations"]);
    expect(seen[2]!.join("\n")).toContain("hottest ranges by writes a second");
    expect([screen.closed, fake.closed]).toEqual([1, 1]);
  });

  test("goes on while the cluster does not answer, draws anew when the terminal changes, and ends with Ctrl-C", async () => {
    const fake = cluster();
    const screen = new FakeScreen();
    let pauses = 0;
    const { exitCode } = await run(["top"], {
      cluster: fake,
      terminal: true,
      screen,
      onPause: () => {
        pauses++;
        if (pauses === 1) fake.answers.set("store-list", new FakeError("ConnectFailed", "nobody is there"));
        if (pauses === 2) {
          expect(screen.lines.join("\n")).toContain("no new figures: nobody is there");
          screen.resize(30, 10);
          expect(screen.lines.every((line) => [...line].length <= 30)).toBe(true);
          screen.press("interrupt");
        }
      },
    });
    expect([exitCode, pauses, screen.closed]).toEqual([0, 2, 1]);
  });

  test("gives the terminal back when it fails, and when it is interrupted", async () => {
    const fake = cluster();
    const screen = new FakeScreen();
    fake.answers.set("node-list", () => {
      throw new TypeError("a defect");
    });
    await run(["top"], { cluster: fake, terminal: true, screen });
    expect(screen.closed).toBe(1);
    const other = new FakeScreen();
    const interrupt = (_elapsedMs: number, interruption: AbortController): void => interruption.abort();
    const { exitCode } = await run(["top"], { cluster: cluster(), terminal: true, screen: other, onPause: interrupt });
    expect([exitCode, other.closed]).toEqual([0, 1]);
  });

  test("what makes no sense is refused", async () => {
    for (const interval of ["1ms", "2h", "x"])
      expect((await run(["top", "--interval", interval], { cluster: cluster() })).exitCode).toBe(2);
  });
});

test("the screen takes the terminal and gives it back once, with raw keys by name in between", () => {
  const written: string[] = [];
  const modes: boolean[] = [];
  const output = Object.assign(new EventEmitter(), {
    columns: 80,
    rows: 24,
    write: (text: string) => written.push(text) > 0,
  });
  const input = Object.assign(new EventEmitter(), {
    isTTY: true,
    setRawMode: (mode: boolean) => modes.push(mode),
    resume: () => {},
    pause: () => {},
  });
  const exits = process.listenerCount("exit");
  const screen = openScreen(input as never, output as never);
  expect(process.listenerCount("exit")).toBe(exits + 1);
  const keys: string[] = [];
  screen.onKey((name) => void keys.push(name));
  for (const text of ["q", "\x1b[A", "\x03"]) input.emit("data", Buffer.from(text));
  input.emit("keypress", undefined, undefined);
  expect(keys).toEqual(["q", "up", "interrupt"]);
  screen.draw(["one", "two"]);
  screen.close();
  screen.close();
  screen.draw(["never"]);
  expect(written).toEqual(["\x1b[?1049h\x1b[?25l", "\x1b[Hone\x1b[K\ntwo\x1b[K\x1b[J", "\x1b[?25h\x1b[?1049l"]);
  expect(modes).toEqual([true, false]);
  expect(process.listenerCount("exit")).toBe(exits);
});
