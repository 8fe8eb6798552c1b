/** A plot as data, for the page's script: `kind`, axes, and series that share one x axis. */
export interface Plot {
  readonly title: string;
  /** Bars of several series stand on one another's place: the later ones in front, each from 0. */
  readonly kind: "lines" | "bars";
  readonly xLabel: string;
  readonly yLabel: string;
  readonly yLogarithmic: boolean;
  /** Rising. */
  readonly x: readonly number[];
  /** Where the x axis is labelled, and how; `undefined`: by its numbers. */
  readonly ticks: readonly (readonly [x: number, label: string])[] | undefined;
  readonly series: readonly Series[];
}

export interface Series {
  readonly label: string;
  /** One for each x; `null`: none. */
  readonly values: readonly (number | null)[];
}

/** Series of different lengths over one axis that counts from 1. */
export function linesOverTime(
  title: string,
  xLabel: string,
  yLabel: string,
  series: readonly { readonly label: string; readonly values: readonly number[] }[],
): Plot {
  const length = Math.max(0, ...series.map(({ values }) => values.length));
  const x = Array.from({ length }, (_, index) => index + 1);
  return {
    title,
    kind: "lines",
    xLabel,
    yLabel,
    yLogarithmic: false,
    x,
    ticks: undefined,
    series: series.map(({ label, values }) => ({ label, values: x.map((_, index) => values[index] ?? null) })),
  };
}

const percentileTicks: readonly number[] = [0, 50, 90, 99, 99.9, 99.99, 99.999];
const leastMs = 0.001;

/** Latency by percentile; each further nine takes the same room, so that the slow end is not squeezed into a corner. */
export function latencyPlot(
  title: string,
  series: readonly { readonly label: string; readonly distribution: readonly (readonly [number, number])[] }[],
): Plot {
  const percentiles = new Set<number>();
  for (const { distribution } of series) for (const [percentile] of distribution) percentiles.add(percentile);
  const sorted = [...percentiles].filter((percentile) => percentile >= 0 && percentile < 100).sort((a, b) => a - b);
  return {
    title,
    kind: "lines",
    xLabel: "percentile",
    yLabel: "ms",
    yLogarithmic: true,
    x: sorted.map(nines),
    ticks: percentileTicks.map((percentile) => [nines(percentile), `${percentile} %`] as const),
    series: series.map(({ label, distribution }) => {
      const byPercentile = new Map(distribution);
      const values = sorted.map((percentile) => {
        const ms = byPercentile.get(percentile);
        return ms === undefined ? null : Math.max(leastMs, ms);
      });
      return { label, values };
    }),
  };
}

/** 90 % is 1, 99 % is 2, 99.9 % is 3. */
const nines = (percentile: number): number => Math.log10(100 / (100 - percentile));

export function barPlot(title: string, yLabel: string, labels: readonly string[], series: readonly Series[]): Plot {
  return {
    title,
    kind: "bars",
    xLabel: "",
    yLabel,
    yLogarithmic: false,
    x: labels.map((_, index) => index),
    ticks: labels.map((label, index) => [index, label] as const),
    series,
  };
}
