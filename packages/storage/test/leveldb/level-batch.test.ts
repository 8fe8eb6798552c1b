import { expect, test } from "vitest";
import { LevelBatch, NativeBatchPool } from "../../src/leveldb/level-batch.ts";
import type { NativeBatch } from "../../src/leveldb/level-batch.ts";

class RecordedBatch implements NativeBatch {
  held: string[] = [];
  _put(key: Uint8Array): void {
    this.held.push(`put ${key[0]}`);
  }
  _del(key: Uint8Array): void {
    this.held.push(`del ${key[0]}`);
  }
  _clear(): void {
    this.held = [];
  }
  async _write(): Promise<void> {}
}

function pooled(): { made: RecordedBatch[]; pool: NativeBatchPool } {
  const made: RecordedBatch[] = [];
  const pool = new NativeBatchPool(() => {
    const batch = new RecordedBatch();
    made.push(batch);
    return batch;
  });
  return { made, pool };
}

const bytes = (length: number): Uint8Array => new Uint8Array(length);

test("one batch at a time uses the memory of one, and begins empty", async () => {
  const { made, pool } = pooled();
  const written: string[][] = [];
  for (let round = 0; round < 100; round++) {
    const batch = new LevelBatch(pool, async (native) => void written.push([...(native as RecordedBatch).held]));
    batch.put(Uint8Array.of(round), bytes(10));
    if (round % 2 === 1) batch.delete(Uint8Array.of(0));
    if (round % 10 === 9) batch.discard();
    else await batch.write();
  }
  expect(made).toHaveLength(1);
  expect(written).toHaveLength(90);
  expect(written[10]).toEqual(["put 11", "del 0"]);
});

test("memory is not used again while its batch is being written", async () => {
  const { made, pool } = pooled();
  let finish = (): void => {};
  const first = new LevelBatch(pool, () => new Promise((resolve) => (finish = resolve)));
  first.put(Uint8Array.of(1), bytes(1));
  const writing = first.write();
  const second = new LevelBatch(pool, async () => {});
  second.put(Uint8Array.of(2), bytes(1));
  expect(made).toHaveLength(2);
  expect(made[0]!.held).toEqual(["put 1"]);
  finish();
  await writing;
  expect(made[0]!.held).toEqual([]);
  second.discard();
});

test("memory that has grown too large is not kept", async () => {
  const { made, pool } = pooled();
  for (let round = 0; round < 2; round++) {
    const batch = new LevelBatch(pool, async () => {});
    batch.put(Uint8Array.of(1), bytes(17 * 1024 * 1024));
    await batch.write();
  }
  expect(made).toHaveLength(2);
});

test("memory of a batch whose write failed is not used again", async () => {
  const { made, pool } = pooled();
  const batch = new LevelBatch(pool, async () => {
    throw new Error("no space");
  });
  batch.put(Uint8Array.of(1), bytes(1));
  await expect(batch.write()).rejects.toThrow("no space");
  new LevelBatch(pool, async () => {}).discard();
  expect(made).toHaveLength(2);
});
