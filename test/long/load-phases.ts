/** Open loads beside which a cluster is changed: as fast as half of what it can do, measured just before. */
import { expect } from "vitest";
import { until } from "../cluster/harness.ts";
import type { CommandResult, StartedProcess } from "../cluster/harness.ts";

/** What is used of `flotilla bench -o json`. */
export interface LoadReport {
  readonly operations: number;
  readonly opsPerSecond: number;
  readonly errors: number;
  readonly unknown: number;
  readonly errorCodes: Readonly<Record<string, number>>;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly longestPauseMs: number;
  readonly seconds: readonly { readonly operations: number; readonly p99Ms: number }[];
  readonly linearizability: {
    readonly verdict: string;
    readonly operations: number;
    readonly complete: boolean;
  } | null;
}

/** Starts a command in the directory of a cluster. */
type Spawn = (args: readonly string[]) => StartedProcess;

const common = ["--key-bytes", "16", "--value-bytes", "256", "--keys", "50000", "--reads", "50"];

const warmUpSeconds = 3;

export interface LoadUnderWay {
  readonly report: Promise<LoadReport>;
  readonly over: () => boolean;
}

export class LoadPhases {
  readonly #spawn: Spawn;
  readonly #options: readonly string[];
  #ratePerSecond = 0;

  constructor(spawn: Spawn, options: readonly string[] = []) {
    this.#spawn = spawn;
    this.#options = options;
  }

  /** The maximum of a closed loop; the later phases take half of it. */
  async measureMaximum(): Promise<number> {
    const { opsPerSecond } = reportOf(await this.#bench(["--duration", "10", "--warm-up", "4"]).ended);
    this.#ratePerSecond = Math.floor(opsPerSecond / 2);
    return opsPerSecond;
  }

  get ratePerSecond(): number {
    return this.#ratePerSecond;
  }

  /** With `--check`; ends by itself. */
  async undisturbed(seconds: number): Promise<LoadReport> {
    return reportOf(await this.#open(seconds, warmUpSeconds).ended);
  }

  /** Its window begins as this resolves, and lasts `seconds`. `readsServed`: by all nodes, ever. */
  async begin(seconds: number, readsServed: () => Promise<number>): Promise<LoadUnderWay> {
    const before = await readsServed();
    const bench = this.#open(seconds, warmUpSeconds);
    const report = bench.ended.then(reportOf);
    // It is waited for later; a failure before then is no unhandled one.
    report.catch(() => {});
    // Nothing reads while the keys are written first.
    await until("the load is under way", async () => bench.hasEnded || (await readsServed()) > before + 100, 60_000);
    await new Promise((resolve) => setTimeout(resolve, warmUpSeconds * 1000));
    const untilMs = performance.now() + seconds * 1000;
    return { report, over: () => bench.hasEnded || performance.now() >= untilMs };
  }

  #open(seconds: number, warmUp: number): StartedProcess {
    const pace = ["--rate", String(this.#ratePerSecond), "--in-flight", "5000", "--check"];
    return this.#bench([...pace, "--duration", String(seconds), "--warm-up", String(warmUp)]);
  }

  #bench(more: readonly string[]): StartedProcess {
    return this.#spawn(["bench", "mixed", ...common, ...this.#options, ...more, "--no-save", "-o", "json"]);
  }
}

function reportOf({ out, notes }: CommandResult): LoadReport {
  if (out === "") throw new Error(`the benchmark has no result: ${notes}`);
  return JSON.parse(out) as LoadReport;
}

/** No failed call, and every answer of the load, and every key after it, is what one store with one history could have said. */
export function expectUnharmed({ errors, unknown, errorCodes, linearizability }: LoadReport): void {
  expect({ errors, unknown, errorCodes }).toEqual({ errors: 0, unknown: 0, errorCodes: {} });
  expect(linearizability).toMatchObject({ verdict: "pass", complete: true });
}

export const latencyText = ({ opsPerSecond, latencyMs, longestPauseMs, seconds }: LoadReport): string =>
  `${opsPerSecond}/s, p50 ${latencyMs.p50}, p99 ${latencyMs.p99}, max ${latencyMs.max}, longest pause ${longestPauseMs} ms, ` +
  `worst second's p99 ${Math.max(...seconds.map(({ p99Ms }) => p99Ms))} ms`;
