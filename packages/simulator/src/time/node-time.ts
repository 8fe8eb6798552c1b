/**
 * Time as one node sees it: its clocks (which may be off, jump and drift), its timers, and whether its process runs
 * at all. Everything that reaches the process (timers, messages, finished disk operations) comes through `deliver`,
 * so that a crash forgets all of it and a pause holds all of it back.
 */
import type { Clock, Scheduler, Timer } from "@flotilla/base";
import type { SeededRandom } from "./seeded-random.ts";
import type { VirtualEvent } from "./event-queue.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** Simulations begin at 2026-01-01 UTC. */
export const wallStartMs = 1_767_225_600_000;

/**
 * By how much clocks may run too fast or too slow: the slowest and the fastest then differ by less than the eighth that
 * leases allow for.
 */
export const driftPartsMax = 0.055;

/** A clock that runs straight between two changes: value = base + (now - since) × rate. */
class SkewedClock {
  readonly #time: VirtualTime;
  #base: number;
  #sinceMicros: number;
  #rate = 1;

  constructor(time: VirtualTime, base: number) {
    this.#time = time;
    this.#base = base;
    this.#sinceMicros = time.nowMicros;
  }

  read(): number {
    return this.#base + ((this.#time.nowMicros - this.#sinceMicros) / 1000) * this.#rate;
  }

  get rate(): number {
    return this.#rate;
  }

  set(base: number, rate: number): void {
    this.#base = base;
    this.#sinceMicros = this.#time.nowMicros;
    this.#rate = rate;
  }
}

/** After the callbacks that are due now; long enough that messages of one burst fall into one turn now and then. */
const turnMicrosMax = 40;

export class NodeTime {
  readonly name: string;
  readonly clock: Clock;
  readonly scheduler: Scheduler;

  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #wall: SkewedClock;
  readonly #trueWall: SkewedClock;
  #monotonic: SkewedClock;
  /** Rises at each crash and stop: what was meant for an earlier life is dropped. */
  #life = 1;
  #alive = true;
  #paused = false;
  /** Of both clocks while the machine is not suspended. */
  #rate = 1;
  /** While paused, in order of arrival. */
  #held: (() => void)[] = [];

  constructor(name: string, time: VirtualTime, random: SeededRandom) {
    this.name = name;
    this.#time = time;
    this.#random = random;
    this.#wall = new SkewedClock(time, wallStartMs);
    this.#trueWall = new SkewedClock(time, wallStartMs);
    this.#monotonic = new SkewedClock(time, 1000);
    this.clock = {
      monotonicMs: () => this.#monotonic.read(),
      wallMs: () => this.#wall.read(),
    };
    this.scheduler = {
      after: (delayMs, callback) => this.#after(delayMs, callback),
      endOfTurn: (callback) => this.deliver(this.#random.below(turnMicrosMax), callback),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  get life(): number {
    return this.#life;
  }

  /** Something reaches this node's process after the delay, unless its present life has ended by then. */
  deliver(delayMicros: number, run: () => void): VirtualEvent {
    const life = this.#life;
    return this.#time.after(delayMicros, () => {
      if (life !== this.#life || !this.#alive) return;
      if (this.#paused) this.#held.push(run);
      else run();
    });
  }

  #after(delayMs: number, callback: () => void): Timer {
    // As in Node: whole milliseconds, at least one. A timer that is due at once would let time stand still.
    const dueMs = this.#monotonic.read() + Math.max(1, Math.trunc(delayMs));
    const timer: { cancelled: boolean; event: VirtualEvent | undefined } = { cancelled: false, event: undefined };
    const wait = (): void => {
      // Timers count on the node's monotonic clock, whose rate may have changed since: look again when the time comes.
      const leftMicros = Math.max(0, Math.ceil(((dueMs - this.#monotonic.read()) * 1000) / this.#monotonic.rate));
      timer.event = this.deliver(leftMicros, () => {
        if (timer.cancelled) return;
        if (this.#monotonic.read() + 0.001 < dueMs) wait();
        else callback();
      });
    };
    wait();
    return {
      cancel: () => {
        timer.cancelled = true;
        if (timer.event !== undefined) timer.event.run = undefined;
      },
    };
  }

  /** The process ends here and now: its timers, and everything under way to it, are gone. */
  crash(): void {
    this.#life++;
    this.#alive = false;
    this.#paused = false;
    this.#held = [];
  }

  /** A new process; the monotonic clock begins anew, the wall clock has gone on. */
  start(): void {
    if (this.#alive) throw new Error(`${this.name} is running already`);
    this.#alive = true;
    this.#monotonic = new SkewedClock(this.#time, 1000);
    this.#monotonic.set(1000, this.#rate);
  }

  /** Like SIGSTOP: nothing runs, what arrives waits. With `suspend` like a suspended machine: the monotonic clock stops. */
  pause(suspend = false): void {
    if (!this.#alive || this.#paused) return;
    this.#paused = true;
    if (suspend) this.#monotonic.set(this.#monotonic.read(), 0);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#monotonic.set(this.#monotonic.read(), this.#rate);
    const held = this.#held;
    this.#held = [];
    for (const run of held) this.deliver(0, run);
  }

  /** How far ahead of true time the wall clock is, ms. */
  get wallErrorMs(): number {
    return this.#wall.read() - this.#trueWall.read();
  }

  /** The wall clock alone jumps. */
  jumpWall(milliseconds: number): void {
    this.#wall.set(this.#wall.read() + milliseconds, this.#wall.rate);
  }

  /** Both clocks run this much too fast (or too slow, below 0), in parts of one: 0.1 is 10 % fast. */
  drift(parts: number): void {
    const rate = 1 + parts;
    if (!(rate > 0)) throw new RangeError(`a clock cannot run at ${rate} of real time`);
    this.#wall.set(this.#wall.read(), rate);
    this.#rate = rate;
    // A suspended one takes it up when it goes on.
    if (this.#monotonic.rate !== 0) this.#monotonic.set(this.#monotonic.read(), rate);
  }
}
