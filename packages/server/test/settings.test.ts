import { describe, expect, test } from "vitest";
import { parse } from "smol-toml";
import { defaultStoreSettings } from "@flotilla/store";
import {
  environmentVariableOf,
  flagOf,
  formatQuantity,
  formatSettingsFile,
  nearestName,
  parseQuantity,
  resolveSettings,
  settingDefinitions,
} from "../src/settings/index.ts";
import type { SettingSources } from "../src/settings/index.ts";

function sources(given: Partial<SettingSources>): SettingSources {
  return { flags: { dataDir: "/data" }, environment: {}, file: undefined, ...given };
}

const failureOf = (given: Partial<SettingSources>): { code: string; message: string; hint: string } => {
  try {
    resolveSettings(sources(given));
  } catch (error) {
    return error as { code: string; message: string; hint: string };
  }
  throw new Error("nothing was refused");
};

describe("settings", () => {
  test("have their defaults when nothing is given, and each default passes its own check", () => {
    const { settings, table } = resolveSettings(sources({}));
    expect(settings.store).toEqual(defaultStoreSettings);
    expect(settings.log).toEqual({ logSegmentBytes: 64 * 1024 * 1024, logBytesTarget: 512 * 1024 * 1024 });
    expect(settings.address).toBe("127.0.0.1:7400");
    expect(table.filter(({ source }) => source === "flag").map(({ definition }) => definition.name)).toEqual([
      "dataDir",
    ]);
  });

  test("a flag goes over the environment, that over the file, that over the default", () => {
    const file = { path: "f.toml", content: { tickMs: 50, heartbeatTicks: 2, flushBytes: "1MiB" } };
    const environment = { FLOTILLA_TICK_MS: "60ms", FLOTILLA_HEARTBEAT_TICKS: "4" };
    const { settings, table } = resolveSettings({ flags: { dataDir: "/d", tickMs: "70ms" }, environment, file });
    expect(settings.store).toMatchObject({
      tickMs: 70,
      heartbeatTicks: 4,
      flushBytes: 1024 * 1024,
      storeHeartbeatMs: 250,
    });
    const source = (name: string): string | undefined =>
      table.find(({ definition }) => definition.name === name)?.source;
    expect([source("tickMs"), source("heartbeatTicks"), source("flushBytes"), source("storeHeartbeatMs")]).toEqual([
      "flag",
      "environment",
      "file",
      "default",
    ]);
  });

  test("have one name in three spellings", () => {
    expect([flagOf("dataDir"), environmentVariableOf("dataDir")]).toEqual(["--data-dir", "FLOTILLA_DATA_DIR"]);
    const names = settingDefinitions.map(({ name }) => name);
    expect(new Set(names.map(flagOf)).size).toBe(names.length);
    expect(new Set(names.map(environmentVariableOf)).size).toBe(names.length);
  });

  test("an unknown key is refused wherever it stands, with the nearest name", () => {
    expect(failureOf({ file: { path: "f.toml", content: { datDir: "/x" } } })).toMatchObject({
      code: "InvalidArgument",
      hint: "did you mean dataDir?",
    });
    expect(failureOf({ environment: { FLOTILLA_FLUSH_BYTE: "1" } })).toMatchObject({
      code: "InvalidArgument",
      hint: "did you mean FLOTILLA_FLUSH_BYTES?",
    });
    expect(failureOf({ flags: { tickMS: 1 } }).code).toBe("InvalidArgument");
    expect(nearestName("zzzzzz", ["dataDir"])).toBeUndefined();
  });

  test("variables that others set for services named flotilla are not ours", () => {
    const environment = {
      FLOTILLA_PORT: "tcp://10.0.0.1:7400",
      FLOTILLA_SERVICE_HOST: "10.0.0.1",
      FLOTILLA_PORT_7400_TCP_ADDR: "10.0.0.1",
      FLOTILLA_ENDPOINTS: "a:1",
    };
    expect(resolveSettings(sources({ environment })).settings.dataDir).toBe("/data");
  });

  test("a value out of bounds or of a wrong kind is refused with name, place, bounds and what was given", () => {
    expect(failureOf({ environment: { FLOTILLA_TICK_MS: "5ms" } }).message).toBe(
      "FLOTILLA_TICK_MS: tickMs must be from 10ms to 10s, got 5ms",
    );
    expect(failureOf({ flags: { dataDir: "/d", flushBytes: "8 parsecs" } })).toMatchObject({
      message: expect.stringContaining('unknown unit "parsecs"'),
      hint: expect.stringContaining("8MiB"),
    });
    expect(failureOf({ file: { path: "f.toml", content: { peers: [1] } } }).message).toContain("peers in f.toml");
    expect(failureOf({ flags: { dataDir: "/d", address: "nowhere" } }).message).toContain("host:port");
    expect(failureOf({ flags: { dataDir: "/d", logLevel: "loud" } }).message).toContain(
      "debug, info, warn, error, silent",
    );
    expect(failureOf({ flags: {} }).message).toContain("dataDir is missing");
  });

  test("labels and peers are lists in one variable and tables in a file", () => {
    const fromEnvironment = resolveSettings(
      sources({ environment: { FLOTILLA_LABELS: "zone=a, host=b", FLOTILLA_PEERS: "h:1, h:2" } }),
    ).settings;
    const fromFile = resolveSettings(
      sources({ file: { path: "f", content: { labels: { zone: "a", host: "b" }, peers: ["h:1", "h:2"] } } }),
    ).settings;
    expect(fromEnvironment.labels).toEqual(fromFile.labels);
    expect(fromEnvironment.peers).toEqual(fromFile.peers);
    expect(failureOf({ environment: { FLOTILLA_LABELS: "zone" } }).code).toBe("InvalidArgument");
  });

  test("an address that others can reach needs --insecure", () => {
    expect(failureOf({ flags: { dataDir: "/d", address: "0.0.0.0:7400" } })).toMatchObject({
      code: "InvalidArgument",
      hint: expect.stringContaining("--insecure"),
    });
    expect(failureOf({ flags: { dataDir: "/d", httpAddress: "10.1.2.3:7480" } }).message).toContain("httpAddress");
    for (const address of ["127.0.0.1:1", "127.8.9.1:1", "localhost:1", "[::1]:1"])
      expect(resolveSettings(sources({ flags: { dataDir: "/d", address } })).settings.address).toBe(address);
    expect(
      resolveSettings(sources({ flags: { dataDir: "/d", address: "0.0.0.0:7400", insecure: true } })).settings.insecure,
    ).toBe(true);
  });

  test("values that cannot work together are refused with both", () => {
    expect(failureOf({ flags: { dataDir: "/d", heartbeatTicks: "15" } }).message).toContain(
      "electionTicksMin (20) must be at least twice heartbeatTicks (15)",
    );
    expect(failureOf({ flags: { dataDir: "/d", storeHeartbeatMs: "1500ms" } }).message).toContain(
      "storeHeartbeatMs (1500)",
    );
    expect(failureOf({ flags: { dataDir: "/d", flushBytes: "200MiB" } }).message).toContain("memtableBytesMax");
    expect(
      failureOf({ flags: { dataDir: "/d", valueBytesMax: "8MiB", snapshotBytesPerSecond: "1MiB" } }).message,
    ).toContain("within 5 s");
    expect(failureOf({ flags: { dataDir: "/d", logSegmentBytes: "8MiB", logBytesTarget: "4MiB" } }).message).toContain(
      "logBytesTarget (4194304)",
    );
    expect(failureOf({ flags: { dataDir: "/d", logSegmentBytes: "1048577" } }).message).toContain("multiple of 512");
  });

  test("a relative directory in a file is relative to the file", () => {
    const file = { path: "/etc/flotilla/node.toml", content: { dataDir: "data" } };
    expect(resolveSettings({ flags: {}, environment: {}, file }).settings.dataDir).toBe("/etc/flotilla/data");
  });

  test("the file that dev writes is read back as it was meant, whatever the path", () => {
    const written = {
      dataDir: 'we"ird\\pa\tth',
      address: "127.0.0.1:1",
      httpAddress: "127.0.0.1:2",
      peers: ["127.0.0.1:1"],
    };
    expect(parse(formatSettingsFile(written))).toEqual(written);
    expect(parse(formatSettingsFile(written, { splitBytes: 65_536 }))).toEqual({ ...written, splitBytes: 65_536 });
  });
});

describe("quantities", () => {
  test("are read with units and written in the shortest exact spelling", () => {
    expect(parseQuantity("x", "1.5KiB", "bytes")).toBe(1536);
    expect(parseQuantity("x", "2MB", "bytes")).toBe(2_000_000);
    expect(parseQuantity("x", "2m", "milliseconds")).toBe(120_000);
    expect(parseQuantity("x", 250, "milliseconds")).toBe(250);
    expect([
      formatQuantity(8 * 1024 * 1024, "bytes"),
      formatQuantity(1500, "milliseconds"),
      formatQuantity(10_000, "milliseconds"),
      formatQuantity(7, "count"),
    ]).toEqual(["8MiB", "1500ms", "10s", "7"]);
  });

  test("that are no whole number of the unit are refused", () => {
    for (const value of ["1.5", "0.3B", "-1", "", "ms", 1.5, Number.NaN, true, null, "1e3"])
      expect(() => parseQuantity("x", value, "bytes")).toThrow(/x /);
  });
});
