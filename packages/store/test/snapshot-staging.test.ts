import { logIndex, rangeId, replicaId, storeId, term, version } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import {
  encodeApplied,
  encodeConfiguration,
  encodeDescriptor,
  newestKey,
  rangeRecordKey,
  rangeRecordNames,
} from "@flotilla/storage";
import type { EngineRecord } from "@flotilla/storage";
import { describe, expect, test } from "vitest";
import { SnapshotReceipt, recoverStaging, stagedPath } from "../src/snapshot/snapshot-staging.ts";
import { SnapshotEncoder } from "../src/snapshot/snapshot-stream.ts";
import { verifySnapshot } from "../src/snapshot/verify-snapshot.ts";
import type { VerifiedSnapshot } from "../src/snapshot/verify-snapshot.ts";
import { MemoryDisk } from "./support/memory-disk.ts";
import { VirtualProcess, VirtualWorld } from "./support/virtual-world.ts";

const operations = nodeByteOperations;
const range = rangeId(7);
const path = stagedPath(range, logIndex(40), term(3));
const descriptor: RangeDescriptor = {
  rangeId: range,
  start: "\x01b" as Key,
  end: "\x01m" as Key,
  epoch: { bounds: 1, members: 1 },
  replicas: [{ replicaId: replicaId(1), storeId: storeId(1), role: "voter" }],
};

function own(): EngineRecord[] {
  const key = (name: string): Uint8Array => rangeRecordKey(range, name, operations);
  const members = { voters: [replicaId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const state = { index: logIndex(40), term: term(3), lastVersion: version(9) };
  const { applied, configuration, descriptor: name } = rangeRecordNames;
  return [
    { key: key(applied), value: encodeApplied(key(applied), state, operations) },
    { key: key(configuration), value: encodeConfiguration(key(configuration), members, operations) },
    { key: key(name), value: encodeDescriptor(key(name), descriptor, operations) },
  ];
}

const data = (key: string): EngineRecord => ({ key: newestKey(key as Key, operations), value: new Uint8Array(300) });

function chunks(parts: readonly (readonly EngineRecord[])[]): Uint8Array[] {
  const encoder = new SnapshotEncoder(operations);
  const header = encoder.header({ rangeId: range, index: logIndex(40), term: term(3), bounds: 1, members: 1 });
  return [header, ...parts.map((records) => encoder.chunk(records)), encoder.trailer()];
}

const check =
  (disk: MemoryDisk) =>
  (staged: string): Promise<VerifiedSnapshot | undefined> =>
    verifySnapshot(staged, range, disk, operations);

async function setUp(): Promise<{ world: VirtualWorld; disk: MemoryDisk; receipt: SnapshotReceipt }> {
  const world = new VirtualWorld();
  const process = new VirtualProcess(world);
  process.start();
  const disk = new MemoryDisk(process);
  await world.settled("the directory", recoverStaging(disk));
  const between = { fromReplica: replicaId(2), toReplica: replicaId(3), rangeId: range };
  const options = { transferId: 1, ...between, term: term(3), number: 1, nowMs: 0 };
  return { world, disk, receipt: new SnapshotReceipt(options, disk) };
}

async function verified(parts: readonly (readonly EngineRecord[])[]): Promise<boolean> {
  const { world, disk, receipt } = await setUp();
  const stream = chunks(parts);
  for (let i = 0; i < stream.length; i++) await world.settled("a chunk", receipt.take(i, stream[i]!));
  return (await world.settled("the verdict", receipt.verify(check(disk)))) !== undefined;
}

describe("a transfer that is received", () => {
  test("D10 leaves nothing behind and disturbs nothing, whenever it is cancelled", async () => {
    const stream = chunks([own(), [data("\x01c")], [data("\x01d")]]);
    const outcomes = new Set<string>();
    for (let step = 0; step < 80; step++) {
      const { world, disk, receipt } = await setUp();
      const whole = async (): Promise<string> => {
        for (let i = 0; i < stream.length; i++) if (!(await receipt.take(i, stream[i]!))) return "given up";
        if ((await receipt.verify(check(disk))) === undefined) return "given up";
        return (await receipt.publish(path)) ? "published" : "given up";
      };
      const result = whole();
      await world.runFor(step * 0.02);
      const cancelled = receipt.cancel();
      const outcome = await world.settled("the transfer", result);
      await world.settled("the cancellation", cancelled);
      expect(disk.names("staging")).toEqual(outcome === "published" ? [path.slice("staging/".length)] : []);
      expect(disk.openFiles).toBe(0);
      outcomes.add(outcome);
    }
    expect([...outcomes].sort()).toEqual(["given up", "published"]);
  });

  test("D7 is whole only with the range's own records first and everything else inside its bounds", async () => {
    expect(await verified([own(), [data("\x01c")]])).toBe(true);
    expect(await verified([[...own(), data("\x01b")], [data("\x01lz")]])).toBe(true);
    expect(await verified([own(), [data("\x01a")]])).toBe(false);
    expect(await verified([own(), [data("\x01m")]])).toBe(false);
    expect(await verified([[data("\x01c")], own()])).toBe(false);
    const foreign = { key: rangeRecordKey(rangeId(8), rangeRecordNames.applied, operations), value: new Uint8Array(4) };
    expect(await verified([[...own(), foreign]])).toBe(false);
    expect(await verified([own(), [data("\x01c")], own()])).toBe(false);
    expect(await verified([own().slice(1)])).toBe(false);
    expect(await verified([own().slice(0, 2)])).toBe(false);
  });

  test("D10 what was never finished is removed at the next start, what is whole is kept", async () => {
    const { world, disk, receipt } = await setUp();
    await world.settled("a chunk", receipt.take(0, chunks([own()])[0]!));
    expect(disk.names("staging")).toHaveLength(1);
    expect(await world.settled("the start", recoverStaging(disk))).toEqual([]);
    expect(disk.names("staging")).toEqual([]);
  });

  test("D3 a published snapshot survives a loss of power", async () => {
    const { world, disk, receipt } = await setUp();
    const stream = chunks([own(), [data("\x01c")]]);
    for (let i = 0; i < stream.length; i++) await world.settled("a chunk", receipt.take(i, stream[i]!));
    await world.settled("the verdict", receipt.verify(check(disk)));
    expect(await world.settled("publishing", receipt.publish(path))).toBe(true);
    const bytes = disk.size(path);
    disk.losePower();
    expect(disk.size(path)).toBe(bytes);
    expect(bytes).toBe(stream.reduce((sum, chunk) => sum + chunk.length, 0));
  });
});
