/** The bar on a terminal while files go in or out. Elsewhere nothing is shown. */
import { ProgressBar } from "../output/progress-bar.ts";
import { formatBytes } from "../output/table.ts";

const redrawMs = 100;

export interface TransferCounts {
  readonly records: number;
  readonly bytes: number;
  readonly failed: number;
}

/** What the bar's length stands for: bytes of a file, or records. Total 0 = not known yet. */
export interface ProgressScale {
  done(): number;
  total(): number;
}

export class TransferProgress {
  readonly #counts: () => TransferCounts;
  readonly #scale: ProgressScale;
  #bar: ProgressBar | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #startedMs = performance.now();

  constructor(counts: () => TransferCounts, scale: ProgressScale) {
    this.#counts = counts;
    this.#scale = scale;
  }

  async start(isTerminal: boolean): Promise<void> {
    if (!isTerminal) return;
    this.#bar = await ProgressBar.open("{bar} {percent}  {records} records  {size}  {rate}/s  {failed} failed");
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), redrawMs);
  }

  stop(): void {
    if (this.#bar === undefined) return;
    clearInterval(this.#timer);
    this.#draw();
    this.#bar.close();
    this.#bar = undefined;
  }

  #draw(): void {
    const { records, bytes, failed } = this.#counts();
    const seconds = Math.max(0.001, (performance.now() - this.#startedMs) / 1000);
    const rate = Math.round(records / seconds);
    this.#bar?.draw(this.#scale.done(), this.#scale.total(), { records, size: formatBytes(bytes), rate, failed });
  }
}
