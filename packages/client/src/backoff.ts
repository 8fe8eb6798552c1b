import { randomBelow } from "@flotilla/base";
import type { RandomSource } from "@flotilla/base";

/** Doubles from `minMs` to `maxMs`; the wait is drawn from the upper half, so that clients do not come back together. */
export function backoffMs(random: RandomSource, tries: number, minMs: number, maxMs: number): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(tries, 20));
  return ceiling / 2 + randomBelow(random, 1024) * (ceiling / 2048);
}
