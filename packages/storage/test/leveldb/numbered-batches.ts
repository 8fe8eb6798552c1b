/**
 * A content that says by itself which batch was the last: batch n writes `applied` = n, overwrites one key of a ring with n,
 * and deletes another one of the ring.
 */
import { nodeByteOperations } from "@flotilla/platform";
import type { Engine, EngineBatch } from "../../src/index.ts";

const ring = 97;
const filler = "x".repeat(500);

export const bytesOf = (text: string): Uint8Array => nodeByteOperations.encodeUtf8(text);
export const textOf = (bytes: Uint8Array): string => nodeByteOperations.decodeUtf8(bytes);

const written = (n: number): string => `key ${n % ring}`;
const deleted = (n: number): string => `key ${(n * 31 + 7) % ring}`;

export function fillBatch(batch: EngineBatch, n: number): void {
  batch.put(bytesOf(written(n)), bytesOf(`${n} ${filler}`));
  if (deleted(n) !== written(n)) batch.delete(bytesOf(deleted(n)));
  batch.put(bytesOf("applied"), bytesOf(String(n)));
}

/** What must be there after the batches 1 to n, as `key=n`, in order. */
export function expectedContent(n: number): string[] {
  const content = new Map<string, string>();
  for (let i = 1; i <= n; i++) {
    content.set(written(i), String(i));
    if (deleted(i) !== written(i)) content.delete(deleted(i));
    content.set("applied", String(i));
  }
  return [...content].map(([key, value]) => `${key}=${value}`).sort();
}

export async function contentOf(engine: Engine): Promise<string[]> {
  const content: string[] = [];
  const iterator = engine.iterate({ start: bytesOf(" "), end: bytesOf("~") });
  for (;;) {
    const page = await iterator.next(1000, 1 << 20);
    if (page.length === 0) break;
    for (const { key, value } of page) content.push(`${textOf(key)}=${textOf(value).split(" ")[0]}`);
  }
  await iterator.close();
  return content.sort();
}

export function appliedOf(engine: Engine): number {
  const value = engine.getNow(bytesOf("applied"));
  return value === undefined ? 0 : Number(textOf(value));
}
