/** What an import or export did, and what it left out. */
import type { CommandIo } from "../command-io.ts";
import { isCoded } from "../exit-code.ts";
import { writeObject } from "../output/documents.ts";
import type { OutputFormat } from "../output/output-format.ts";
import { formatBytes } from "../output/table.ts";

export interface TransferFailure {
  /** A path or a key, readable. */
  readonly name: string;
  /** From 1; for lines of a file. */
  readonly line: number | null;
  readonly code: string;
  readonly message: string;
  readonly sizeBytes: number | null;
  readonly limitBytes: number | null;
}

/** All are counted; so many are listed, which bounds memory. */
const listedMax = 100_000;
/** On a terminal the first ones tell what is wrong. */
const notedMax = 1000;

export class TransferReport {
  readonly failures: TransferFailure[] = [];
  readonly skippedKinds: Map<string, number> = new Map();
  records = 0;
  bytes = 0;
  failed = 0;
  readonly #startedMs = performance.now();

  fail(failure: TransferFailure): void {
    this.failed++;
    if (this.failures.length < listedMax) this.failures.push(failure);
  }

  failWith(error: unknown, name: string, line: number | null, sizeBytes: number | null): void {
    const message = error instanceof Error ? error.message : String(error);
    const details = isCoded(error) ? (error.details ?? {}) : {};
    const limitBytes = typeof details["limitBytes"] === "number" ? details["limitBytes"] : null;
    const actual = typeof details["sizeBytes"] === "number" ? details["sizeBytes"] : sizeBytes;
    this.fail({ name, line, code: isCoded(error) ? error.code : "Internal", message, sizeBytes: actual, limitBytes });
  }

  skip(kind: string): void {
    this.skippedKinds.set(kind, (this.skippedKinds.get(kind) ?? 0) + 1);
  }

  get skipped(): number {
    let sum = 0;
    for (const count of this.skippedKinds.values()) sum += count;
    return sum;
  }

  async write(io: Pick<CommandIo, "out" | "note">, format: OutputFormat, word: "imported" | "exported"): Promise<void> {
    const elapsedMs = Math.max(1, Math.round(performance.now() - this.#startedMs));
    const recordsPerSecond = Math.round((this.records * 1000) / elapsedMs);
    const { records, bytes, skipped, failed, failures } = this;
    const content = { records, bytes, skipped, failed, elapsedMs, recordsPerSecond, failures };
    if (format === "table") this.#noteFailures(io);
    await writeObject(io, format, content, () => {
      const kinds = [...this.skippedKinds].map(([kind, count]) => `${count} ${kind}`).join(", ");
      const tail = `${skipped > 0 ? `, skipped ${kinds}` : ""}${failed > 0 ? `, ${failed} failed` : ""}`;
      return `${word} ${records} records, ${formatBytes(bytes)} in ${(elapsedMs / 1000).toFixed(1)} s, ${recordsPerSecond} records/s${tail}\n`;
    });
  }

  #noteFailures(io: Pick<CommandIo, "note">): void {
    for (const failure of this.failures.slice(0, notedMax)) io.note(describe(failure) + "\n");
    if (this.failed > notedMax) io.note(`and ${this.failed - notedMax} more; -o json lists them\n`);
  }
}

function describe({ name, line, code, message, sizeBytes, limitBytes }: TransferFailure): string {
  const where = line === null ? name : `line ${line}${name === "" ? "" : ` (${name})`}`;
  const size = sizeBytes !== null && limitBytes !== null ? ` [${sizeBytes} bytes, limit ${limitBytes}]` : "";
  return `not done: ${where}: ${message} (${code})${size}`;
}
