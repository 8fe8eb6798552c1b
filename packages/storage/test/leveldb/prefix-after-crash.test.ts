import { spawn } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { LevelEngine, acquireDirectoryLock } from "../../src/leveldb/index.ts";
import { ClassicLevel } from "classic-level";
import { expect, test } from "vitest";
import { temporaryDirectories } from "../directories.ts";
import { bundledScript } from "./bundled-script.ts";
import { appliedOf, contentOf, expectedContent, fillBatch } from "./numbered-batches.ts";

const newDirectory = temporaryDirectories();
/** Before each kill, beyond what is there. */
const batchesWritten = process.env["FLOTILLA_TEST_LONG"] === "1" ? [40, 700, 260, 1300, 480] : [40, 700, 260];

/** Runs the writer until it has written `batches` more, kills it, and returns the last number it called settled. */
async function writeAndKill(
  script: string,
  directory: string,
  batches: number,
): Promise<{ settled: number; written: number }> {
  const child = spawn(process.execPath, [script, directory], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise<NodeJS.Signals | null>((resolve) => child.on("exit", (_code, signal) => resolve(signal)));
  let settled = 0;
  let written = 0;
  let first: number | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, number] = line.split(" ");
    if (word === "settled") settled = Number(number);
    else {
      written = Number(number);
      first ??= written;
      if (written - first >= batches) child.kill("SIGKILL");
    }
  }
  expect(await exited).toBe("SIGKILL");
  return { settled, written };
}

test("F10 F13 F18 after kill -9 LevelDB opens as an exact prefix that holds what was settled", async () => {
  const script = await bundledScript("batch-writer", newDirectory());
  const directory = newDirectory();
  let lost = 0;
  for (const batches of batchesWritten) {
    const { settled, written } = await writeAndKill(script, directory, batches);
    const lock = await acquireDirectoryLock(directory);
    const engine = await LevelEngine.open(join(directory, "data"), { lock });
    const applied = appliedOf(engine);
    expect(applied).toBeGreaterThanOrEqual(settled);
    expect(await contentOf(engine)).toEqual(expectedContent(applied));
    if (applied < written) lost++;
    await engine.close();
    await lock.release();
  }
  // Else the kills would have shown nothing.
  expect(lost).toBeGreaterThan(0);
}, 20_000);

test("F13 F15 a hole in LevelDB's own log cannot reach what a store opens", async () => {
  const source = newDirectory();
  const holed = newDirectory();
  const lock = await acquireDirectoryLock(source);
  const engine = await LevelEngine.open(join(source, "data"), { lock });
  for (let n = 1; n <= 200; n++) {
    const batch = engine.batch();
    fillBatch(batch, n);
    await batch.write();
    if (n === 80) await engine.settle();
  }
  // A power loss: the files as they are, but one page of the log never reached the disk.
  cpSync(join(source, "data"), join(holed, "data"), { recursive: true, filter: (path) => !path.endsWith("LOCK") });
  await engine.close();
  await lock.release();
  const log = readdirSync(join(holed, "data")).find((name) => name.endsWith(".log"))!;
  const content = readFileSync(join(holed, "data", log));
  content.fill(0, 8192, 12288);
  writeFileSync(join(holed, "data", log), content);

  // LevelDB alone opens it without a word, with the newest applied number and batches missing.
  const alone = newDirectory();
  cpSync(join(holed, "data"), alone, { recursive: true });
  const level = new ClassicLevel(alone);
  expect(await level.get("applied")).toBe("200");
  const seen = (await level.iterator().all()).map(([key, value]) => `${key}=${value.split(" ")[0]}`).sort();
  expect(seen).not.toEqual(expectedContent(200));
  await level.close();

  const holedLock = await acquireDirectoryLock(holed);
  const reopened = await LevelEngine.open(join(holed, "data"), { lock: holedLock });
  expect(appliedOf(reopened)).toBe(80);
  expect(await contentOf(reopened)).toEqual(expectedContent(80));
  await reopened.close();
  await holedLock.release();
});
