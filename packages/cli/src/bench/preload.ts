/** Keys that are there before the load, and what is there after it. */
import { userKeyOf } from "@flotilla/base";
import type { ClusterClient, PutRecord } from "../cluster-client.ts";
import { bytesOfBinaryString } from "../output/bytes-text.ts";
import type { BenchKeys } from "./bench-keys.ts";
import { foreignValue, noValue } from "./register-history.ts";
import type { RegisterHistory } from "./register-history.ts";
import { readNumber, writeNumber } from "./operation-driver.ts";

/** Reads of the end that are under way together. */
const finalReadsAtOnce = 4_096;

export interface KeyInterval {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** Writes the keys of the interval; with a history as its first writes, each with a value of its own. */
export async function preload(
  client: ClusterClient,
  keys: BenchKeys,
  values: readonly Uint8Array[],
  history: RegisterHistory | undefined,
  { start, end }: KeyInterval = { start: 0, end: keys.count },
): Promise<void> {
  const numbers = new Float64Array(history === undefined ? 0 : end - start);
  // A generator of records, not an array: they are made while others are on their way.
  async function* records(): AsyncGenerator<PutRecord, void, undefined> {
    for (let index = start; index < end; index++) {
      let value = values[index % values.length]!;
      if (history !== undefined) {
        numbers[index - start] = history.newValue();
        value = value.slice();
        writeNumber(value, numbers[index - start]!);
      }
      yield { key: bytesOfBinaryString(userKeyOf(keys.at(index))), value };
    }
  }
  const invokeMs = performance.now();
  let failure: Error | undefined;
  await client.putMany(records(), { onFailure: (error) => (failure ??= error) });
  if (failure !== undefined) throw failure;
  const returnMs = performance.now();
  if (history === undefined) return;
  for (let index = start; index < end; index++)
    history.record(index, "write", numbers[index - start]!, noValue, invokeMs, returnMs, "ok");
}

/** Every key once more: an acknowledged write that is gone shows here at the latest. */
export async function readAtEnd(client: ClusterClient, keys: BenchKeys, history: RegisterHistory): Promise<void> {
  for (let start = 0; start < keys.count && !history.isFull; start += finalReadsAtOnce) {
    const end = Math.min(keys.count, start + finalReadsAtOnce);
    const invokeMs = performance.now();
    const asked: Uint8Array[] = [];
    for (let index = start; index < end; index++) asked.push(bytesOfBinaryString(userKeyOf(keys.at(index))));
    const values = await client.bare.getMany(asked);
    const returnMs = performance.now();
    for (let index = start; index < end; index++) {
      const value = values[index - start];
      const number = value === undefined ? noValue : value instanceof Uint8Array ? readNumber(value) : foreignValue;
      history.record(index, "read", number, noValue, invokeMs, returnMs, "ok");
    }
  }
}
