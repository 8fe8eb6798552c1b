/** `flotilla import jsonl -`, fed with lines until it is told to end. */
import { expect } from "vitest";
import type { Client } from "@flotilla/client";
import type { RealCluster, StartedProcess } from "./harness.ts";

const linesPerChunk = 64;
const keyPattern = /^[!-~]{2}import-(\d+)$/;

export class EndlessImport {
  lines = 0;
  /** The longest time in which it took no further line. */
  longestPauseMs = 0;
  readonly process: StartedProcess;
  #running = true;

  constructor(cluster: RealCluster) {
    this.process = cluster.spawn(["import", "jsonl", "-", "-o", "json"], {}, this.#chunks());
  }

  async *#chunks(): AsyncGenerator<string, void, undefined> {
    let lastMs = performance.now();
    while (this.#running) {
      const chunk = Array.from({ length: linesPerChunk }, () => lineOf(this.lines++)).join("");
      yield chunk;
      // A turn of the loop goes by, so that the test gets its share when the import never makes it wait.
      await new Promise((resolve) => setImmediate(resolve));
      const now = performance.now();
      this.longestPauseMs = Math.max(this.longestPauseMs, now - lastMs);
      lastMs = now;
    }
  }

  /** It has done all it was given, and says so; resolves with how many records a second. */
  async end(): Promise<number> {
    this.#running = false;
    const { exitCode, out, notes } = await this.process.ended;
    expect(notes).toBe("");
    const report = JSON.parse(out) as { records: number; failed: number; recordsPerSecond: number };
    expect(report).toMatchObject({ records: this.lines, failed: 0 });
    expect(exitCode).toBe(0);
    return report.recordsPerSecond;
  }

  /** Every line is a record, once, with its value. */
  async expectAll(client: Client): Promise<void> {
    const seen = new Uint8Array(this.lines);
    for await (const page of client.scan().pages()) {
      for (const { key, value } of page) {
        const match = keyPattern.exec(Buffer.from(key).toString());
        if (match === null) continue;
        const number = Number(match[1]);
        if (seen[number] !== 0 || Buffer.from(value).toString() !== valueOf(number)) {
          throw new Error(`record ${number} of ${this.lines} is there twice or has another value`);
        }
        seen[number] = 1;
      }
    }
    expect(seen.indexOf(0)).toBe(-1);
  }
}

const valueOf = (number: number): string => `${number} `.repeat(10);

/** The two characters in front spread the lines over all ranges. */
function lineOf(number: number): string {
  const spread = String.fromCharCode(0x21 + ((number * 31) % 94), 0x21 + (Math.floor(number / 94) % 94));
  return JSON.stringify({ key: `${spread}import-${number}`, value: valueOf(number) }) + "\n";
}
