import { join } from "node:path";
import { nodeByteOperations } from "@flotilla/platform";
import fc from "fast-check";
import { test } from "vitest";
import { MemoryEngineDisk } from "../src/index.ts";
import type { Engine, EngineRecord, ReadView } from "../src/index.ts";
import { LevelEngine, acquireDirectoryLock } from "../src/leveldb/index.ts";
import { temporaryDirectories } from "./directories.ts";
import { microtaskScheduler } from "./microtask-scheduler.ts";

const newDirectory = temporaryDirectories();

type Step =
  | { kind: "write"; operations: { key: Uint8Array; value: Uint8Array | undefined }[] }
  | { kind: "open-view" }
  | { kind: "close-view"; which: number }
  | { kind: "settle" }
  | {
      kind: "scan";
      from: Uint8Array;
      to: Uint8Array;
      reverse: boolean;
      keysOnly: boolean;
      view: number;
      records: number;
      bytes: number;
    }
  | { kind: "get"; key: Uint8Array; view: number };

// Few, short keys of few bytes, so that steps meet one another.
const key = fc
  .array(fc.constantFrom(0, 1, 97, 127, 128, 255), { minLength: 1, maxLength: 3 })
  .map((bytes) => Uint8Array.from(bytes));
const value = fc.uint8Array({ maxLength: 40 });
/** Of the open views; those beyond mean none. */
const view = fc.nat({ max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      operations: fc.array(fc.record({ key, value: fc.option(value, { nil: undefined, freq: 3 }) }), { maxLength: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("open-view" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("close-view" as const), which: view }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("scan" as const),
      from: key,
      to: key,
      reverse: fc.boolean(),
      keysOnly: fc.boolean(),
      view,
      records: fc.integer({ min: 1, max: 5 }),
      bytes: fc.integer({ min: 1, max: 120 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("get" as const), key, view }) },
);

/** Takes the steps and tells everything that was read. */
async function run(engine: Engine, steps: readonly Step[]): Promise<string> {
  const told: string[] = [];
  const views: ReadView[] = [];
  const tell = (bytes: Uint8Array | undefined): void =>
    void told.push(bytes === undefined ? "-" : Buffer.from(bytes).toString("hex"));
  for (const each of steps) {
    switch (each.kind) {
      case "write": {
        const batch = engine.batch();
        for (const { key: k, value: v } of each.operations) {
          if (v === undefined) batch.delete(k);
          else batch.put(k, v);
        }
        await batch.write();
        break;
      }
      case "open-view":
        if (views.length < 5) views.push(engine.readView());
        break;
      case "close-view":
        for (const closed of views.splice(each.which, 1)) await closed.close();
        break;
      case "settle":
        await engine.settle();
        break;
      case "get": {
        const at = views[each.view];
        tell(at === undefined ? engine.getNow(each.key) : at.getNow(each.key));
        tell((await engine.getMany([each.key], at))[0]);
        break;
      }
      case "scan": {
        const at = views[each.view];
        const { reverse, keysOnly } = each;
        const iterator = engine.iterate({
          start: each.from,
          end: each.to,
          reverse,
          keysOnly,
          ...(at === undefined ? {} : { view: at }),
        });
        for (
          let page = await iterator.next(each.records, each.bytes);
          page.length > 0;
          page = await iterator.next(each.records, each.bytes)
        ) {
          page.forEach((record: EngineRecord) => (tell(record.key), tell(record.value)));
        }
        await iterator.close();
        told.push("end");
        break;
      }
      default:
        each satisfies never;
    }
  }
  for (const open of views) await open.close();
  return told.join("\n");
}

test("I8 LevelDB and its twin read the same after the same steps", async () => {
  const directory = newDirectory();
  const lock = await acquireDirectoryLock(directory);
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      const level = await LevelEngine.open(join(directory, String(++runs)), { lock, cacheBytes: 65536 });
      const memory = await new MemoryEngineDisk(
        {},
        { scheduler: microtaskScheduler, bytes: nodeByteOperations },
      ).open();
      try {
        const [told, expected] = [await run(level, steps), await run(memory, steps)];
        if (told !== expected) throw new Error(`LevelDB:\n${told}\n\nits twin:\n${expected}`);
      } finally {
        await level.close();
        await memory.close();
      }
    }),
    { seed: 20240102, numRuns: 40 },
  );
  await lock.release();
});
