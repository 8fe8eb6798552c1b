/**
 * The key at which a range's load falls into two halves, from keys that were sampled in a few windows of time, one after the
 * other. A key is useful only when it halves the load in each of them: one that does so only in the sum, because the keys
 * that are written move on, would leave all further load on one side. Rejected: the middle of the range by size, which says
 * nothing of where the load is.
 */
import type { Key } from "@flotilla/base";

/** What was sampled in one window; `weights[i]` is what `keys[i]` stands for, in operations or in bytes. */
export interface LoadWindow {
  readonly keys: readonly Key[];
  readonly weights: readonly number[];
}

export type HalvingKey =
  | { readonly key: Key; readonly leftShare: number }
  | {
      /** Why there is no useful key. */
      readonly reason: string;
    };

/** Each side gets at least this share of the load. */
const sideShareMin = 0.35;
/** In no window may one side have had less: more would be a tide, not noise. */
const windowShareMin = 0.2;

/** Every window counts the same. A key at or before `start` divides nothing. */
export function halvingKey(windows: readonly LoadWindow[], start: Key): HalvingKey {
  const shares = keyShares(windows);
  let key: Key | undefined;
  let leftShare = 0;
  let before = 0;
  let hottest = 0;
  for (const [candidate, share] of shares) {
    if (candidate > start && Math.abs(before - 0.5) < Math.abs(leftShare - 0.5)) [key, leftShare] = [candidate, before];
    hottest = Math.max(hottest, share);
    before += share;
  }
  if (key === undefined || Math.min(leftShare, 1 - leftShare) < sideShareMin) {
    if (hottest > 1 - 2 * sideShareMin) return { reason: `one key has ${Math.round(hottest * 100)} % of its load` };
    return { reason: "its keys are too few to divide its load" };
  }
  const over = windows.map((window) => shareBefore(window, key));
  if (over.every((share) => share >= windowShareMin && share <= 1 - windowShareMin)) return { key, leftShare };
  const falls = over.every((share, i) => i === 0 || share <= over[i - 1]!);
  const rises = over.every((share, i) => i === 0 || share >= over[i - 1]!);
  return { reason: falls || rises ? "its keys move in one direction" : "its load moves to and fro over its keys" };
}

/** Of each key, in the order of keys. */
function keyShares(windows: readonly LoadWindow[]): [Key, number][] {
  const shares = new Map<Key, number>();
  for (const { keys, weights } of windows) {
    const total = sum(weights) * windows.length;
    if (total === 0) continue;
    for (let i = 0; i < keys.length; i++) shares.set(keys[i]!, (shares.get(keys[i]!) ?? 0) + weights[i]! / total);
  }
  return [...shares].sort(([a], [b]) => (a < b ? -1 : 1));
}

function shareBefore({ keys, weights }: LoadWindow, at: Key): number {
  let before = 0;
  for (let i = 0; i < keys.length; i++) if (keys[i]! < at) before += weights[i]!;
  return before / Math.max(Number.MIN_VALUE, sum(weights));
}

const sum = (weights: readonly number[]): number => weights.reduce((total, weight) => total + weight, 0);
