/**
 * A closed loop: a fixed number of operations on their way, each of which is submitted again as soon as it is settled.
 * The operations are made once; nothing is allocated while it runs, so that the generator costs little.
 */
import { build } from "hdr-histogram-js";
import type { Histogram } from "hdr-histogram-js";
import type { Key } from "@flotilla/base";
import type { ClientCore } from "@flotilla/client/internal";
import { Operation } from "@flotilla/client/internal";
import type { OperationOwner } from "@flotilla/client/internal";

export interface BenchLoopOptions {
  readonly workload: "put" | "get";
  readonly keys: readonly Key[];
  readonly values: readonly Uint8Array[];
  readonly inFlight: number;
  /** Of the random choice of keys. */
  readonly seed: number;
}

export interface BenchCounts {
  readonly operations: number;
  readonly errors: number;
  /** Among the errors: writes of unknown outcome. */
  readonly unknown: number;
}

const highestMicros = 120_000_000;
/** After an error the operation waits, so that a cluster that is down is not asked in a busy loop. */
const afterErrorMs = 10;

export class BenchLoop implements OperationOwner {
  readonly histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: highestMicros,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
  readonly errorCodes: Map<string, number> = new Map();
  readonly #cores: readonly ClientCore[];
  readonly #options: BenchLoopOptions;
  #random: number;
  #operations = 0;
  #errors = 0;
  #unknown = 0;
  #running = 0;
  #stopping = false;
  #onIdle: () => void = () => {};

  constructor(cores: readonly ClientCore[], options: BenchLoopOptions) {
    this.#cores = cores;
    this.#options = options;
    this.#random = options.seed >>> 0 || 1;
  }

  get counts(): BenchCounts {
    return { operations: this.#operations, errors: this.#errors, unknown: this.#unknown };
  }

  start(): void {
    const { inFlight, workload } = this.#options;
    for (let i = 0; i < inFlight; i++) {
      const operation = new Operation(this);
      operation.lane = workload === "put" ? "write" : "read";
      operation.kind = "put";
      operation.tag = { core: this.#cores[i % this.#cores.length]!, startedMs: 0 } satisfies Slot;
      this.#running++;
      this.#submit(operation);
    }
  }

  /** What came before is forgotten: the end of the warm-up. */
  reset(): void {
    this.histogram.reset();
    this.errorCodes.clear();
    this.#operations = 0;
    this.#errors = 0;
    this.#unknown = 0;
  }

  /** Resolves when the last operation is settled. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  settled(operation: Operation): void {
    if (operation.error !== undefined) {
      this.#failed(operation);
      return;
    }
    if (!this.#stopping) {
      const micros = Math.round((performance.now() - (operation.tag as Slot).startedMs) * 1000);
      this.histogram.recordValue(micros < 1 ? 1 : micros > highestMicros ? highestMicros : micros);
      this.#operations++;
      this.#submit(operation);
    } else this.#ended();
  }

  #submit(operation: Operation): void {
    const { keys, values } = this.#options;
    // xorshift32 (Marsaglia, 2003).
    let random = this.#random;
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    this.#random = random;
    const number = random >>> 0;
    operation.key = keys[number % keys.length]!;
    if (operation.lane === "write") operation.value = values[(number >>> 8) % values.length]!;
    const slot = operation.tag as Slot;
    slot.startedMs = performance.now();
    slot.core.submit(operation);
  }

  #failed(operation: Operation): void {
    const { code, outcome } = operation.error!;
    if (!this.#stopping) {
      this.#errors++;
      if (outcome === "unknown") this.#unknown++;
      this.errorCodes.set(code, (this.errorCodes.get(code) ?? 0) + 1);
    }
    setTimeout(() => {
      if (this.#stopping) this.#ended();
      else this.#submit(operation);
    }, afterErrorMs);
  }

  #ended(): void {
    if (--this.#running === 0) this.#onIdle();
  }
}

interface Slot {
  readonly core: ClientCore;
  startedMs: number;
}
