/** A bar on the terminal's last line, gone when it is closed. */
import type { SingleBar } from "cli-progress";

export class ProgressBar {
  readonly #bar: SingleBar;
  #started = false;

  private constructor(bar: SingleBar) {
    this.#bar = bar;
  }

  /** `format`: of cli-progress; what stands in braces comes from the payload. The library is loaded only here. */
  static async open(format: string): Promise<ProgressBar> {
    const { default: progress } = await import("cli-progress");
    const options = { stream: process.stderr, format, hideCursor: true, clearOnComplete: true, fps: 20 };
    return new ProgressBar(new progress.SingleBar(options));
  }

  /** Total 0: nothing is known of the whole yet; the bar is empty and `{percent}` too. */
  draw(done: number, total: number, payload: object): void {
    const percent = total === 0 ? "" : `${Math.min(100, Math.floor((100 * done) / total))}%`;
    const length = Math.max(1, total, done);
    if (!this.#started) this.#bar.start(length, done, { ...payload, percent });
    this.#started = true;
    this.#bar.setTotal(length);
    this.#bar.update(done, { ...payload, percent });
  }

  close(): void {
    if (this.#started) this.#bar.stop();
    this.#started = false;
  }
}
