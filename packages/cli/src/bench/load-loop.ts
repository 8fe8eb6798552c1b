/**
 * When operations begin. A closed load has a fixed number of them under way and begins the next when one has ended. An
 * open load begins them by the clock, one every 1 / rate seconds, whether earlier ones have ended or not; what is due while
 * all slots are taken begins late, and its latency counts from when it was due (else a system that stalls would be asked
 * less just then, and look better: coordinated omission, as Gil Tene named it).
 *
 * It knows nothing of what an operation is: that is the driver's, so that two systems are measured by the same code.
 */
import { LoadMeter } from "./load-meter.ts";

/** The place of one operation. Drivers extend it with what theirs need; it is made once and used again and again. */
export class LoadSlot {
  /** From 0. */
  readonly index: number;
  dueMs = 0;
  sentMs = 0;

  constructor(index: number) {
    this.index = index;
  }
}

export interface LoadDriver<Slot extends LoadSlot> {
  createSlot(index: number): Slot;
  /** Begins an operation; the loop is told of its end once, by `answered` or `failed`, the first never from inside. */
  begin(slot: Slot): void;
}

export interface LoadClock {
  nowMs(): number;
  after(delayMs: number, callback: () => void): void;
}

export interface LoadOptions {
  /** Slots: operations under way at most. */
  readonly inFlight: number;
  /** `undefined`: a closed load. */
  readonly ratePerSecond: number | undefined;
}

export const processClock: LoadClock = {
  nowMs: () => performance.now(),
  after: (delayMs, callback) => void setTimeout(callback, delayMs),
};

/** After an error a slot rests, so that a system that is down is not asked in a busy loop. */
const afterErrorMs = 10;

export class LoadLoop<Slot extends LoadSlot> {
  readonly meter: LoadMeter;
  readonly #options: LoadOptions;
  readonly #clock: LoadClock;
  readonly #intervalMs: number;
  #driver: LoadDriver<Slot> | undefined;
  #running = 0;
  #stopping = false;
  #onIdle: () => void = () => {};

  // Of an open load only. `#free` are the slots at rest; operation number i is due at #originMs + i * #intervalMs.
  readonly #free: Slot[] = [];
  #originMs = 0;
  #next = 0;
  #timerSet = false;

  constructor(options: LoadOptions, clock: LoadClock = processClock) {
    this.#options = options;
    this.#clock = clock;
    this.#intervalMs = options.ratePerSecond === undefined ? 0 : 1000 / options.ratePerSecond;
    this.meter = new LoadMeter(options.ratePerSecond !== undefined);
  }

  get #isOpen(): boolean {
    return this.#options.ratePerSecond !== undefined;
  }

  /** Due and not sent yet. */
  get unsent(): number {
    if (!this.#isOpen) return 0;
    const due = Math.floor((this.#clock.nowMs() - this.#originMs) / this.#intervalMs) + 1;
    return Math.max(0, due - this.#next);
  }

  start(driver: LoadDriver<Slot>): void {
    this.#driver = driver;
    const nowMs = this.#clock.nowMs();
    this.#originMs = nowMs;
    this.meter.begin(nowMs);
    for (let i = 0; i < this.#options.inFlight; i++) {
      const slot = driver.createSlot(i);
      if (this.#isOpen) this.#free.push(slot);
      else this.#begin(slot, nowMs, nowMs);
    }
    if (this.#isOpen) this.#beginDue(nowMs);
  }

  /** A window begins: the end of the warm-up. */
  beginWindow(): void {
    this.meter.begin(this.#clock.nowMs());
  }

  /** The window ends, and nothing new begins. Returns what was due and was never sent. */
  endWindow(): number {
    const nowMs = this.#clock.nowMs();
    const unsent = this.unsent;
    this.#stopping = true;
    this.meter.end(nowMs);
    if (unsent > 0)
      this.meter.countUnsent(unsent, this.#originMs + this.#next * this.#intervalMs, this.#intervalMs, nowMs);
    return unsent;
  }

  /** Nothing new begins. */
  stop(): void {
    this.#stopping = true;
  }

  /** Resolves when the last operation has ended. */
  async drain(): Promise<void> {
    this.stop();
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  answered(slot: Slot): void {
    const nowMs = this.#clock.nowMs();
    this.meter.answered(slot, nowMs);
    this.#release(slot, nowMs);
  }

  failed(slot: Slot, code: string, isUnknown: boolean): void {
    this.meter.failed(slot, code, isUnknown, this.#clock.nowMs());
    this.#clock.after(afterErrorMs, () => this.#release(slot, this.#clock.nowMs()));
  }

  #release(slot: Slot, nowMs: number): void {
    this.#running--;
    if (this.#stopping) {
      if (this.#running === 0) this.#onIdle();
    } else if (this.#isOpen) {
      this.#free.push(slot);
      this.#beginDue(nowMs);
    } else this.#begin(slot, nowMs, nowMs);
  }

  #begin(slot: Slot, dueMs: number, nowMs: number): void {
    slot.dueMs = dueMs;
    slot.sentMs = nowMs;
    this.#running++;
    this.#driver!.begin(slot);
  }

  #beginDue(nowMs: number): void {
    const free = this.#free;
    while (free.length > 0) {
      const dueMs = this.#originMs + this.#next * this.#intervalMs;
      if (dueMs > nowMs) {
        this.#wakeAt(dueMs, nowMs);
        return;
      }
      this.#next++;
      this.#begin(free.pop()!, dueMs, nowMs);
    }
  }

  #wakeAt(dueMs: number, nowMs: number): void {
    if (this.#timerSet) return;
    this.#timerSet = true;
    this.#clock.after(dueMs - nowMs, () => {
      this.#timerSet = false;
      if (!this.#stopping) this.#beginDue(this.#clock.nowMs());
    });
  }
}
