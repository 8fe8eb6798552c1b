import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseDurationMs } from "../src/arguments/duration.ts";
import { defaultEndpoints, findEndpoints } from "../src/arguments/endpoints.ts";
import { cliVersion } from "../src/cli-version.ts";
import { allVerbs } from "../src/all-verbs.ts";
import { clientVerbs } from "../src/verb-table.ts";
import { run } from "./fake-cluster.ts";

describe("help", () => {
  test("lists every verb without loading one", async () => {
    const { exitCode, out } = await run(["--help"]);
    expect(exitCode).toBe(0);
    for (const { path } of allVerbs) expect(out).toContain(path[0]!);
    expect((await run(["help", "range"])).out).toContain("transfer-leader");
  });

  test.each(allVerbs.map(({ path }) => path.join(" ")))("of a verb shows its options: %s", async (verb) => {
    const words = verb.split(" ");
    const { exitCode, out, notes } = await run([...words, "--help"]);
    expect([exitCode, notes]).toEqual([0, ""]);
    expect(out).toContain(`Usage: flotilla ${words.join(" ")}`);
    expect(out.length).toBeGreaterThan(100);
  });

  test("of start shows each setting with its default", async () => {
    const { out } = await run(["start", "--help"]);
    expect(out.replace(/\s+/g, " ")).toContain(
      "--store-heartbeat-ms <DURATION> interval of heartbeats between stores (default 250ms)",
    );
  });
});

test("the launcher takes the bundle for the verbs that are in it, and for no other", () => {
  const launcher = readFileSync(new URL("../src/flotilla.cts", import.meta.url), "utf8");
  const listed = JSON.parse(/quickWords = (\[[^\]]*\])/.exec(launcher)![1]!.replace(/,\s*\]/, "]")) as string[];
  expect(new Set(listed)).toEqual(new Set(clientVerbs.map(({ path }) => path[0])));
  const others = allVerbs.filter((verb) => !clientVerbs.includes(verb)).map(({ path }) => path[0]!);
  expect(others.filter((word) => listed.includes(word))).toEqual([]);
});

describe("endpoints", () => {
  let directory = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "flotilla-endpoints-"));
    await mkdir(join(directory, ".flotilla"));
    const entry = (node: number, pid: number | null): object => ({
      node,
      pid,
      address: `127.0.0.1:${9000 + node}`,
      httpAddress: "x",
      path: "y",
    });
    await writeFile(
      join(directory, ".flotilla", "cluster.json"),
      JSON.stringify([entry(1, null), entry(2, 77), { node: 3 }, entry(4, 78)]),
    );
  });
  afterAll(async () => rm(directory, { recursive: true }));

  test("are those of the flag, else the environment, else the cluster here with live nodes first, else the default ports", async () => {
    expect(await findEndpoints("a:1", { FLOTILLA_ENDPOINTS: "b:1" }, directory)).toBe("a:1");
    expect(await findEndpoints(undefined, { FLOTILLA_ENDPOINTS: "b:1" }, directory)).toBe("b:1");
    expect(await findEndpoints(undefined, {}, directory)).toEqual([
      "127.0.0.1:9002",
      "127.0.0.1:9004",
      "127.0.0.1:9001",
    ]);
    expect(await findEndpoints(undefined, {}, "/nowhere")).toEqual(defaultEndpoints);
  });
});

test("durations are read with their units, a bare number is seconds", () => {
  expect(["250ms", "10s", "2m", "3", "1.5s"].map((text) => parseDurationMs("--timeout", text))).toEqual([
    250, 10_000, 120_000, 3000, 1500,
  ]);
  for (const text of ["", "0", "-1s", "10 parsecs", "8000h"])
    expect(() => parseDurationMs("--timeout", text)).toThrow("--timeout");
});

describe("config show", () => {
  test("tells where each value comes from", async () => {
    const { exitCode, out } = await run(["config", "show", "-o", "json", "--tick-ms", "50ms", "--data-dir", "/d"], {
      environment: { FLOTILLA_LOG_LEVEL: "warn" },
    });
    expect(exitCode).toBe(0);
    const rows = JSON.parse(out) as { name: string; value: unknown; source: string }[];
    expect(rows.find(({ name }) => name === "tickMs")).toMatchObject({ value: 50, source: "flag" });
    expect(rows.find(({ name }) => name === "logLevel")).toMatchObject({ value: "warn", source: "environment" });
    expect(rows.find(({ name }) => name === "dataDir")).toMatchObject({ value: "/d", source: "flag" });
    expect((await run(["config", "show"])).out).toMatch(/\nadvertiseAddress +- +default /);
  });

  test("a wrong setting is exit code 2 with the nearest name", async () => {
    const { exitCode, notes } = await run(["config", "show"], { environment: { FLOTILLA_TIKC_MS: "1" } });
    expect([exitCode, notes]).toEqual([2, expect.stringContaining("did you mean FLOTILLA_TICK_MS?")]);
    expect((await run(["start", "--config", "/nowhere.toml"])).exitCode).toBe(2);
    expect((await run(["start"])).notes).toContain("dataDir is missing");
  });
});

test("the version is that of the package", async () => {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  expect(cliVersion).toBe(version);
  expect(JSON.parse((await run(["version", "-o", "json"])).out)).toMatchObject({ version });
});
