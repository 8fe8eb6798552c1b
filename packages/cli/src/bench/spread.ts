/** Several measurements of the same thing. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** `null` when there is none, or one is unknown. */
export function spreadOf(values: readonly (number | null)[]): Spread | null {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (known.length === 0 || known.length < values.length) return null;
  return { min: known[0]!, median: thousandths(medianOfSorted(known)), max: known.at(-1)! };
}

const thousandths = (value: number): number => Math.round(value * 1000) / 1000;

export function median(values: readonly number[]): number {
  return medianOfSorted(values.toSorted((a, b) => a - b));
}

function medianOfSorted(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The element whose measure lies in the middle; of two, the lower one. */
export function medianBy<Item>(items: readonly Item[], measure: (item: Item) => number): Item {
  const sorted = items.toSorted((a, b) => measure(a) - measure(b));
  return sorted[(sorted.length - 1) >> 1]!;
}
