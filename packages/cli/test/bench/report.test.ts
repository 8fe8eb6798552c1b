import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Script, createContext } from "node:vm";
import { afterEach, describe, expect, test } from "vitest";
import type { WorkloadResult } from "../../src/bench/bench-result.ts";
import { latestResults, shortNameOf } from "../../src/bench/report/latest-results.ts";
import { pageScript } from "../../src/bench/report/page-script.ts";
import { barPlot, latencyPlot, linesOverTime } from "../../src/bench/report/plot.ts";
import type { Plot } from "../../src/bench/report/plot.ts";
import { reportPage } from "../../src/bench/report/report-page.ts";
import { reportSections } from "../../src/bench/report/report-sections.ts";
import { loadResults, parseResult } from "../../src/bench/result-files.ts";
import { run } from "../fake-cluster.ts";

/** Results as the commands wrote them, on a busy machine: their figures say nothing. */
const fixtures = fileURLToPath(new URL("fixtures", import.meta.url));
const made: string[] = [];

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "flotilla-report-"));
  made.push(path);
  return path;
}

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

function fixture(name: string): WorkloadResult {
  const result = parseResult(readFileSync(join(fixtures, name), "utf8"));
  if (result?.kind !== "workload") throw new Error(`${name} is no workload`);
  return result;
}

interface Drawn {
  readonly options: { readonly title: string; readonly series: readonly object[] };
  readonly data: readonly (readonly unknown[])[];
  readonly target: unknown;
}

/** The page's scripts in a browser that has nothing but what they use. */
function draw(page: string): Drawn[] {
  const scripts = [...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map((match) => match[1]!);
  const plots = /<script type="application\/json" id="plots">([\s\S]*?)<\/script>/.exec(page)![1]!;
  const drawn: Drawn[] = [];
  class FakePlot {
    static paths = { bars: () => ({}) };
    constructor(options: Drawn["options"], data: Drawn["data"], target: unknown) {
      drawn.push({ options, data, target });
    }
  }
  const document = {
    getElementById: (id: string) => (id === "plots" ? { textContent: plots } : { id, clientWidth: 900 }),
  };
  const context = createContext({ document, uPlot: FakePlot });
  new Script(scripts.at(-1)!).runInContext(context);
  return drawn;
}

describe("bench report", () => {
  test("joins the last results into one page that fetches nothing", async () => {
    const results = join(directory(), "results");
    cpSync(fixtures, results, { recursive: true });
    const { exitCode, out } = await run(["bench", "report", "--results", results, "-o", "json"]);
    expect(exitCode).toBe(0);
    const { path, results: count, skipped } = JSON.parse(out) as { path: string; results: number; skipped: string[] };
    expect([path, count, skipped]).toEqual([join(results, "report.html"), 8, []]);
    const page = readFileSync(path, "utf8");
    expect(page).toContain("var uPlot=");
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/<(?:script|link|img|iframe)[^>]+(?:src|href)=/);
    for (const heading of ["Against etcd", "Workloads", "Sustained load", "Overload on a slow disk", "Idle ranges"])
      expect(page).toContain(`<h2>${heading}</h2>`);
    // Of each: when, which commit, what machine, which command.
    expect(page).toContain("flotilla bench put --endpoints");
    expect(page).toContain("commit 7122f5f, with changes");
    expect(page).toContain("2 cores");
    expect(page).toContain("load average before");
    expect(page).toContain("What this does not show");
  });

  test("draws every plot in its place, with as many values in each series as on the axis", async () => {
    const { results } = await loadResults(fixtures);
    const sections = reportSections(latestResults(results));
    const page = reportPage({ sections, date: "today", plotScript: "", plotStyle: "" });
    const drawn = draw(page);
    const plots = sections.flatMap((section) => section.plots);
    expect(drawn.map(({ options }) => options.title)).toEqual(plots.map(({ title }) => title));
    expect(drawn.length).toBeGreaterThanOrEqual(14);
    for (const { options, data } of drawn) {
      expect(data.length).toBe(options.series.length);
      expect(new Set(data.map((values) => values.length)).size).toBe(1);
      expect(data[0]!.length).toBeGreaterThan(0);
    }
    expect(drawn.map(({ target }) => (target as { id: string }).id)).toEqual(plots.map((_, at) => `plot-${at}`));
  });

  test("takes the last result of the same work, and keeps different work apart", () => {
    const put = fixture("put.json");
    const later = { ...put, date: "2027-01-01T00:00:00.000Z", opsPerSecond: 1 };
    const zipfian = { ...put, distribution: "zipfian" as const };
    const { workloads } = latestResults([put, zipfian, later]);
    expect(workloads).toEqual([zipfian, later]);
    expect(workloads.map(shortNameOf)).toEqual([
      "put, zipfian, 16+256 B, 1000 in flight",
      "put, 16+256 B, 1000 in flight",
    ]);
  });

  test("takes the last result of idle ranges for each number of them, and plots over that", async () => {
    const found = (await loadResults(fixtures)).results.find(({ kind }) => kind === "idle");
    if (found?.kind !== "idle") throw new Error("no idle ranges");
    const more = { ...found, ranges: 3000, idle: { ...found.idle, ranges: 3000 } };
    const again = { ...more, dead: null, kill: null, rssBytesPerReplica: null };
    const { idle } = latestResults([more, found, again]);
    expect(idle).toEqual([found, again]);
    const [section] = reportSections(latestResults([more, found, again]));
    expect(section!.plots.map(({ x }) => x)).toEqual([
      [30, 300, 3000],
      [30, 300, 3000],
      [300, 3000],
      [300, 3000],
    ]);
  });

  test("shows what stands in a file as text, not as markup", () => {
    const put = { ...fixture("put.json"), command: "</script><script>alert(1)</script>", date: "<b>" };
    const sections = reportSections(latestResults([put]));
    const page = reportPage({ sections, date: "today", plotScript: "", plotStyle: "" });
    expect(page).not.toContain("alert(1)</script>");
    expect(page).toContain("&lt;b&gt;");
    const named = [{ heading: "x", body: "", plots: [barPlot("</script>", "y", ["a"], [])] }];
    expect(draw(reportPage({ sections: named, date: "", plotScript: "", plotStyle: "" }))[0]!.options.title).toBe(
      "</script>",
    );
  });

  test("leaves out what is no result, and says so", async () => {
    const results = directory();
    cpSync(join(fixtures, "get.json"), join(results, "get.json"));
    writeFileSync(join(results, "broken.json"), "{");
    writeFileSync(join(results, "other.json"), `{"kind":"workload","date":"x"}`);
    const { exitCode, notes, out } = await run(["bench", "report", "--results", results]);
    expect([exitCode, out]).toEqual([0, `${join(results, "report.html")}  Workloads\n`]);
    expect(notes).toContain("broken.json is no result");
    expect(notes).toContain("other.json is no result");
  });

  test("without results, or without their directory, says what to run", async () => {
    const results = directory();
    expect(await run(["bench", "report", "--results", results])).toMatchObject({ exitCode: 2 });
    const { exitCode, notes } = await run(["bench", "report", "--results", join(results, "none")]);
    expect(exitCode).toBe(2);
    expect(notes).toContain("cannot read");
  });
});

describe("a plot", () => {
  test("of latencies gives each nine as much room, and leaves gaps where a percentile is missing", () => {
    const plot: Plot = latencyPlot("Latency", [
      {
        label: "a",
        distribution: [
          [0, 0],
          [90, 2],
          [99, 3],
        ],
      },
      {
        label: "b",
        distribution: [
          [90, 5],
          [99.9, 9],
        ],
      },
    ]);
    expect(plot.x.map((x) => Math.round(x * 1000) / 1000)).toEqual([0, 1, 2, 3]);
    expect(plot.series.map(({ values }) => values)).toEqual([
      [0.001, 2, 3, null],
      [null, 5, null, 9],
    ]);
  });

  test("over time joins series of different lengths", () => {
    const plot = linesOverTime("t", "s", "y", [
      { label: "a", values: [1, 2, 3] },
      { label: "b", values: [4] },
    ]);
    expect(plot.x).toEqual([1, 2, 3]);
    expect(plot.series[1]!.values).toEqual([4, null, null]);
  });

  test("is drawn by a script that is JavaScript by itself", () => {
    expect(() => new Script(pageScript)).not.toThrow();
  });
});
