import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { NodeFiles } from "@flotilla/platform";
import { filesConformance } from "@flotilla/platform/conformance";
import { DelayedSyncFiles, filesOf, syncDelayVariable } from "../src/node/delayed-sync-files.ts";
import { resolveSettings } from "../src/settings/index.ts";

const made: string[] = [];

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "flotilla-delayed-"));
  made.push(path);
  return path;
}

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

describe("files with delayed syncs conform to Files", () => {
  for (const { name, run } of filesConformance) {
    test(name, () => run(async () => new DelayedSyncFiles(new NodeFiles(directory()), () => Promise.resolve())));
  }
});

test("a sync is answered after the real one and the delay, every time anew", async () => {
  const waiting: (() => void)[] = [];
  const files = new DelayedSyncFiles(new NodeFiles(directory()), () => new Promise((resolve) => waiting.push(resolve)));
  const file = await files.open("log", "create");
  await file.write(0, [new Uint8Array([1])]);
  let synced = 0;
  for (let expected = 1; expected <= 2; expected++) {
    const sync = file.sync().then(() => synced++);
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(synced).toBe(expected - 1);
    waiting.shift()!();
    await sync;
    expect(synced).toBe(expected);
  }
  await file.close();
});

test("nothing is delayed unless the environment names a file, and a file without a number delays nothing", async () => {
  const path = directory();
  expect(filesOf(path, {})).toBeInstanceOf(NodeFiles);
  const delayFile = join(path, "delay");
  const files = filesOf(path, { [syncDelayVariable]: delayFile });
  expect(files).toBeInstanceOf(DelayedSyncFiles);
  const file = await files.open("log", "create");
  await file.sync();
  writeFileSync(delayFile, "soon\n");
  await file.sync();
  await file.close();
});

test("the variable is no setting, and no error either", () => {
  const environment = { [syncDelayVariable]: "/x" };
  const { table } = resolveSettings({ flags: { dataDir: "/d" }, environment, file: undefined });
  expect(table.some(({ source }) => source === "environment")).toBe(false);
});
