/**
 * Where log lines go. The destination may stop taking them (a pipe nobody reads) or be gone: neither may stop the
 * node. Lines wait in memory up to a bound; past it they are dropped and counted, and a line says how many.
 */
export interface LineOutput {
  write(line: string): void;
}

/** The part of `process.stderr` that is used. */
export interface OutputStream {
  readonly writableLength: number;
  write(text: string): boolean;
  on(event: "error", listener: (error: Error) => void): unknown;
}

export interface BoundedOutputOptions {
  /** Characters waiting in the stream from which lines are dropped. */
  readonly waitingMax: number;
  /** Turns a JSON line into what is written. */
  format(line: string): string;
}

export class BoundedOutput implements LineOutput {
  readonly #stream: OutputStream;
  readonly #options: BoundedOutputOptions;
  #dropped = 0;
  #broken = false;

  constructor(stream: OutputStream, options: BoundedOutputOptions) {
    this.#stream = stream;
    this.#options = options;
    // A closed pipe: from now on there is nobody to tell.
    stream.on("error", () => (this.#broken = true));
  }

  get droppedLines(): number {
    return this.#dropped;
  }

  write(line: string): void {
    if (this.#broken) return;
    if (this.#stream.writableLength > this.#options.waitingMax) {
      this.#dropped++;
      return;
    }
    this.#stream.write(this.#options.format(line));
  }
}

/** Lines that another thread may send in a second; what is above it is dropped and counted. */
export class LineRate {
  readonly #linesPerSecondMax: number;
  #second = 0;
  #count = 0;
  #dropped = 0;

  constructor(linesPerSecondMax: number) {
    this.#linesPerSecondMax = linesPerSecondMax;
  }

  /** The number of lines dropped since the last one that was allowed; `undefined`: drop this one as well. */
  allow(nowMs: number): number | undefined {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#count = 0;
    }
    if (++this.#count > this.#linesPerSecondMax) {
      this.#dropped++;
      return undefined;
    }
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}
