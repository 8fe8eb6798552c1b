/**
 * What the pure packages may know of the world. Everything here has two implementations: the real one in
 * `packages/server`, and the simulator's twin; the code between is the same.
 */
import type { ByteOperations } from "./byte-operations.ts";

export interface Clock {
  /** Milliseconds, never goes back, has no meaning across processes. Stops while the machine is suspended. */
  monotonicMs(): number;
  /** Milliseconds since 1970-01-01 UTC. May jump. */
  wallMs(): number;
}

export interface RandomSource {
  /** An integer, 0 to 2^32 - 1, uniformly distributed. */
  uint32(): number;
  /** Cryptographically strong in the real environment. */
  bytes(length: number): Uint8Array;
}

export interface Timer {
  cancel(): void;
}

export interface Scheduler {
  /** Calls back once after at least `delayMs`. The real one does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls back at the end of this event-loop turn, after the I/O that is ready now was handled. */
  endOfTurn(callback: () => void): void;
}

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Environment {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly scheduler: Scheduler;
  readonly bytes: ByteOperations;
  readonly logger: Logger;
}

/** A uniformly distributed integer from 0 to `below - 1`; `below` is 1 to 2^32. */
export function randomBelow(random: RandomSource, below: number): number {
  return Math.floor((random.uint32() / 4294967296) * below);
}
