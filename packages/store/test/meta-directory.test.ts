import { key, keyMax, logIndex, term, version } from "@flotilla/base";
import type { RangeDescriptor } from "@flotilla/base";
import { nodeByteOperations, nodeScheduler } from "@flotilla/platform";
import { planCluster } from "@flotilla/placement";
import { MemoryEngineDisk, encodeRecord, newestKey } from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";
import { beforeEach, describe, expect, test } from "vitest";
import { MetaDirectory } from "../src/placement/meta-directory.ts";
import { initialMetaRecords } from "../src/placement/meta-records.ts";
import { StateMachine } from "../src/replica/state-machine.ts";
import { SmallRandom } from "./support/virtual-world.ts";

const operations = nodeByteOperations;
const plan = planCluster({ addresses: ["a:1"], replicas: 1, ranges: 1, splitAt: ["c", "m"] }, new SmallRandom(1));
const meta = plan.ranges[0]!;
const configuration = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };

let engine: Engine;
let machine: StateMachine;

beforeEach(async () => {
  engine = await new MemoryEngineDisk({}, { scheduler: nodeScheduler, bytes: operations }).open();
  machine = new StateMachine(meta, configuration, engine, operations);
  const batch = engine.batch();
  for (const { key: name, value } of initialMetaRecords(plan, operations)) {
    batch.put(newestKey(name, operations), encodeRecord(name, "value", version(1), value, operations));
  }
  await batch.write();
});

const ids = (ranges: readonly RangeDescriptor[]): number[] => ranges.map(({ rangeId }) => rangeId);

describe("the directory of ranges", () => {
  test("tells in the order of keys what covers an interval", async () => {
    const directory = new MetaDirectory(() => machine, engine, operations);
    expect(ids(await directory.ranges())).toEqual([1, 2, 3, 4]);
    expect(ids(await directory.covering(key("\x01d"), keyMax, 10))).toEqual([3, 4]);
    expect(ids(await directory.covering(key("\x01c"), key("\x01d"), 10))).toEqual([3]);
    expect(ids(await directory.covering(key("\x00"), keyMax, 2))).toEqual([1, 2]);
  });

  test("keeps to what it knew while its range cannot be read, and reads anew when something was applied", async () => {
    let readable = true;
    const directory = new MetaDirectory(() => (readable ? machine : undefined), engine, operations);
    expect(ids(await directory.ranges())).toEqual([1, 2, 3, 4]);
    readable = false;
    const clearing = engine.batch();
    for (const { key: name } of initialMetaRecords(plan, operations)) clearing.delete(newestKey(name, operations));
    await clearing.write();
    expect(ids(await directory.ranges())).toEqual([1, 2, 3, 4]);
    readable = true;
    machine.noteApplied({ index: logIndex(1), term: term(1), kind: "normal", data: new Uint8Array(0) });
    expect(await directory.ranges()).toEqual([]);
  });
});
