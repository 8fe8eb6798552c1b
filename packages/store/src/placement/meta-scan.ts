/** Records of the meta range as its local replica has applied them. */
import type { ByteOperations, Key } from "@flotilla/base";
import { newestKey, recordValue } from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";
import type { Cell } from "../replica/memtable.ts";
import { isDelete, recordCell } from "../replica/state-machine.ts";
import type { StateMachine } from "../replica/state-machine.ts";

const pageRecords = 1000;
const pageBytes = 1024 * 1024;

/** Those with start ≤ key < end, as of the call, in no order; the pages of the engine are read without blocking. */
export async function scanMeta(
  machine: StateMachine,
  engine: Engine,
  operations: ByteOperations,
  start: Key,
  end: Key,
): Promise<{ readonly key: Key; readonly value: Uint8Array }[]> {
  const cells = new Map<Key, Cell>();
  const { keys, cells: memory } = machine.memtable.snapshot(start, end);
  const iterator = engine.iterate({ start: newestKey(start, operations), end: newestKey(end, operations) });
  try {
    for (;;) {
      const page = await iterator.next(pageRecords, pageBytes);
      if (page.length === 0) break;
      for (const { key, value } of page)
        cells.set(operations.binaryString(key, 1, key.length) as Key, recordCell(value));
    }
  } finally {
    await iterator.close();
  }
  keys.forEach((key, i) => cells.set(key, memory[i]!));
  const records: { key: Key; value: Uint8Array }[] = [];
  for (const [key, cell] of cells) {
    machine.check(key, cell);
    if (!isDelete(cell)) records.push({ key, value: recordValue(cell.bytes, cell.offset, cell.length) });
  }
  return records;
}
