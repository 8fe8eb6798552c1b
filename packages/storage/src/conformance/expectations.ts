/** Checks of the suite: they throw with both sides in the text, so that any test runner can run it. */
import { assert } from "@flotilla/base";
import type { Engine, EngineIterator, EngineRecord, IterateOptions } from "../engine.ts";

/** A key or value written as text: one byte a character, as in binary strings. */
export function bytes(text: string): Uint8Array {
  const result = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) result[i] = text.charCodeAt(i);
  return result;
}

export function text(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  let result = "";
  for (const byte of value) result += String.fromCharCode(byte);
  return result;
}

export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const found = shown(actual);
  const wanted = shown(expected);
  assert(found === wanted, () => `${what}: expected ${clipped(wanted)}, got ${clipped(found)}`);
}

export async function expectRejection(what: string, call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  assert(false, `${what} must fail`);
}

/** Writes one batch; undefined deletes. */
export async function write(
  engine: Engine,
  ...operations: readonly (readonly [string, string | undefined])[]
): Promise<void> {
  const batch = engine.batch();
  for (const [key, value] of operations) {
    if (value === undefined) batch.delete(bytes(key));
    else batch.put(bytes(key), bytes(value));
  }
  await batch.write();
}

/** Everything that an iterator still gives, in pages of the given bounds, as `key=value`; closes it. */
export async function drain(iterator: EngineIterator, recordsMax = 1000, bytesMax = 65536): Promise<string[]> {
  const records: string[] = [];
  for (;;) {
    const page = await iterator.next(recordsMax, bytesMax);
    if (page.length === 0) break;
    for (const record of page) records.push(line(record));
  }
  await iterator.close();
  return records;
}

export function scan(engine: Engine, options: Partial<IterateOptions> = {}): Promise<string[]> {
  return drain(engine.iterate({ start: bytes(""), end: bytes("\xff\xff\xff\xff"), ...options }));
}

/** Bytes that do not compress, from a fixed sequence. */
export function noise(length: number, seed: number): Uint8Array {
  const result = new Uint8Array(length);
  let state = seed | 1;
  for (let i = 0; i < length; i++) {
    state = Math.imul(state, 1664525) + 1013904223;
    result[i] = state >>> 24;
  }
  return result;
}

const line = ({ key, value }: EngineRecord): string => `${text(key)}=${text(value)}`;

const shown = (value: unknown): string => JSON.stringify(value) ?? "undefined";

const clipped = (value: string): string => (value.length > 300 ? `${value.slice(0, 300)}…` : value);
