import type { Plot } from "./plot.ts";

/** A part of the report. */
export interface Section {
  readonly heading: string;
  /** HTML, above the plots. */
  readonly body: string;
  readonly plots: readonly Plot[];
}
