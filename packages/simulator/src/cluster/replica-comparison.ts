/** Replicas of a range at one applied index hold the same bytes: records, sessions, everything of the range. */
import {
  newestKey,
  decodeApplied,
  decodeDescriptor,
  rangeRecordKey,
  rangeRecordNames,
  rangeRecordsEnd,
} from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";
import { printableKey } from "@flotilla/base";
import type { LogIndex, RangeDescriptor, RangeId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";

export interface ReplicaDifference {
  readonly rangeId: number;
  readonly facts: readonly string[];
}

/** The first difference; undefined when all are equal. Engines in the order of store ids. */
export async function compareReplicas(
  ranges: readonly RangeDescriptor[],
  engines: readonly Engine[],
): Promise<ReplicaDifference | undefined> {
  for (const range of ranges) {
    const contents: Map<string, string>[] = [];
    const applied: number[] = [];
    for (const { storeId } of range.replicas) {
      const engine = engines[storeId - 1]!;
      applied.push(appliedIndex(range.rangeId, engine) ?? 0);
      contents.push(await contentOf(range, engine));
    }
    const stores = range.replicas.map(({ storeId }) => storeId);
    for (let i = 1; i < contents.length; i++) {
      // One that went on to lead while the others stopped has an entry more.
      const other = applied.indexOf(applied[i]!);
      if (other === i) continue;
      const facts = differences(contents[other]!, contents[i]!, `store ${stores[other]}`, `store ${stores[i]}`);
      if (facts.length > 0)
        return { rangeId: range.rangeId, facts: [`both have applied up to ${applied[i]}`, ...facts] };
    }
  }
  return undefined;
}

/** Undefined: the engine knows nothing of the range, or a range snapshot is being loaded. */
export function appliedIndex(range: RangeId, engine: Engine): LogIndex | undefined {
  const key = rangeRecordKey(range, rangeRecordNames.applied, nodeByteOperations);
  const bytes = engine.getNow(key);
  return bytes === undefined ? undefined : decodeApplied(key, bytes, nodeByteOperations).index;
}

/** Of the range's epoch; undefined as above. */
export function boundsIn(range: RangeId, engine: Engine): number | undefined {
  const key = rangeRecordKey(range, rangeRecordNames.descriptor, nodeByteOperations);
  const bytes = engine.getNow(key);
  return bytes === undefined ? undefined : decodeDescriptor(key, bytes, nodeByteOperations).epoch.bounds;
}

async function contentOf(range: RangeDescriptor, engine: Engine): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  const intervals = [
    [rangeRecordKey(range.rangeId, "", nodeByteOperations), rangeRecordsEnd(range.rangeId, nodeByteOperations)],
    [newestKey(range.start, nodeByteOperations), newestKey(range.end, nodeByteOperations)],
  ] as const;
  for (const [start, end] of intervals) {
    const iterator = engine.iterate({ start, end });
    for (;;) {
      const page = await iterator.next(1000, 1 << 20);
      if (page.length === 0) break;
      for (const { key, value } of page) content.set(text(key), text(value));
    }
    await iterator.close();
  }
  return content;
}

const text = (bytes: Uint8Array): string => nodeByteOperations.binaryString(bytes, 0, bytes.length);

const differencesShown = 5;

function differences(
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
  nameA: string,
  nameB: string,
): string[] {
  const facts: string[] = [];
  const show = (value: string | undefined): string =>
    value === undefined ? "nothing" : printableKey(value.slice(0, 80));
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    if (a.get(key) === b.get(key) || facts.length >= differencesShown) continue;
    facts.push(`${printableKey(key)}: ${nameA} has ${show(a.get(key))}, ${nameB} has ${show(b.get(key))}`);
  }
  return facts;
}
