/** The bar on a terminal while files go in or out. Elsewhere nothing is shown. */
import type { SingleBar } from "cli-progress";
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
  #bar: SingleBar | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #startedMs = performance.now();

  constructor(counts: () => TransferCounts, scale: ProgressScale) {
    this.#counts = counts;
    this.#scale = scale;
  }

  async start(isTerminal: boolean): Promise<void> {
    if (!isTerminal) return;
    const { default: progress } = await import("cli-progress");
    this.#bar = new progress.SingleBar({
      stream: process.stderr,
      format: "{bar} {percent}  {records} records  {size}  {rate}/s  {failed} failed",
      hideCursor: true,
      clearOnComplete: true,
      fps: 20,
    });
    this.#bar.start(Math.max(1, this.#scale.total()), 0, this.#payload());
    this.#timer = setInterval(() => this.#draw(), redrawMs);
  }

  stop(): void {
    if (this.#bar === undefined) return;
    clearInterval(this.#timer);
    this.#draw();
    this.#bar.stop();
    this.#bar = undefined;
  }

  #draw(): void {
    const total = Math.max(1, this.#scale.total(), this.#scale.done());
    this.#bar?.setTotal(total);
    this.#bar?.update(this.#scale.done(), this.#payload());
  }

  #payload(): object {
    const { records, bytes, failed } = this.#counts();
    const seconds = Math.max(0.001, (performance.now() - this.#startedMs) / 1000);
    const total = this.#scale.total();
    const percent = total === 0 ? "" : `${Math.min(100, Math.floor((100 * this.#scale.done()) / total))}%`;
    return { records, size: formatBytes(bytes), rate: Math.round(records / seconds), failed, percent };
  }
}
