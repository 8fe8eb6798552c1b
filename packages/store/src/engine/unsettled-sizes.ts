/**
 * How many bytes the engine holds that it does not count as its size yet, because they wait in its buffers. Kept by key and
 * not by range: a range that is split has the bytes of its half at once, with nobody telling. Of each flush a key is kept for
 * every so many bytes, so an interval is known up to that much at each of its ends.
 */
import type { Key } from "@flotilla/base";
import { compareKeys } from "@flotilla/base";

export interface SizeSample {
  /** One of those whose bytes these are. */
  readonly key: Key;
  readonly bytes: number;
}

const sampleBytes = 64 * 1024;
/** Of one flush, or of several that are noted together: beyond it neighbours become one. */
const samplesMax = 16_384;

/** Samples of the records of one range in one flush. */
export class SizeSampler {
  readonly #samples: SizeSample[];
  #bytes = 0;

  constructor(samples: SizeSample[]) {
    this.#samples = samples;
  }

  /** `key` is asked for only when it is kept. */
  add(bytes: number, key: () => Key): void {
    this.#bytes += bytes;
    if (this.#bytes >= sampleBytes) this.end(key);
  }

  /** What is left belongs to this key. */
  end(key: () => Key): void {
    if (this.#bytes > 0) this.#samples.push({ key: key(), bytes: this.#bytes });
    this.#bytes = 0;
  }
}

/** The samples of two flushes as those of one. */
export function joinSamples(a: readonly SizeSample[], b: readonly SizeSample[]): SizeSample[] {
  let joined = [...a, ...b];
  while (joined.length > samplesMax) {
    joined.sort((x, y) => compareKeys(x.key, y.key));
    joined = joined.flatMap((sample, i) => {
      if (i % 2 === 1) return [];
      return [{ key: sample.key, bytes: sample.bytes + (joined[i + 1]?.bytes ?? 0) }];
    });
  }
  return joined;
}

/** A look at all samples that there are now. */
export class UnsettledSizes {
  readonly #keys: readonly Key[];
  /** `#before[i]`: bytes of the samples in front of `#keys[i]`; one more at the end. */
  readonly #before: Float64Array;

  constructor(samples: readonly SizeSample[]) {
    const sorted = [...samples].sort((a, b) => compareKeys(a.key, b.key));
    this.#keys = sorted.map(({ key }) => key);
    this.#before = new Float64Array(sorted.length + 1);
    for (let i = 0; i < sorted.length; i++) this.#before[i + 1] = this.#before[i]! + sorted[i]!.bytes;
  }

  between(start: Key, end: Key): number {
    return this.#before[this.#countBelow(end)]! - this.#before[this.#countBelow(start)]!;
  }

  #countBelow(key: Key): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
