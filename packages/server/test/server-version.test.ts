import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { metricDefinitions } from "../src/http/metric-definitions.ts";
import { serverVersion } from "../src/server-version.ts";

test("the version that a node reports is that of its package", () => {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  expect(serverVersion).toBe(version);
});

test("metrics have our prefix, one meaning each, and counters end in _total", () => {
  const names = metricDefinitions.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, type, help } of metricDefinitions) {
    expect(name).toMatch(/^flotilla_[a-z0-9_]+$/);
    expect(name.endsWith("_total"), name).toBe(type === "counter");
    expect(help.length).toBeGreaterThan(10);
  }
});

test("docs/operations.md names only metrics that exist", () => {
  const names = new Set(metricDefinitions.map(({ name }) => name));
  const text = readFileSync(new URL("../../../docs/operations.md", import.meta.url), "utf8");
  const named = text.match(/\bflotilla_[a-z0-9_]+/g) ?? [];
  expect(named.filter((name) => !names.has(name))).toEqual([]);
  expect(named.length).toBeGreaterThan(10);
});
