import { randomBytes } from "node:crypto";
import type { Clock, Environment, Logger, RandomSource, Scheduler } from "@flotilla/base";
import { nodeByteOperations } from "./node-byte-operations.ts";

export const nodeClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
};

/** Strong randomness, drawn in blocks: one system call for 1 024 numbers. */
class NodeRandom implements RandomSource {
  #pool: Buffer = Buffer.alloc(0);
  #offset = 0;

  uint32(): number {
    if (this.#offset === this.#pool.length) {
      this.#pool = randomBytes(4096);
      this.#offset = 0;
    }
    const value = this.#pool.readUInt32BE(this.#offset);
    this.#offset += 4;
    return value;
  }

  bytes(length: number): Uint8Array {
    return randomBytes(length);
  }
}

export const nodeRandom: RandomSource = new NodeRandom();

export const nodeScheduler: Scheduler = {
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
  endOfTurn(callback) {
    setImmediate(callback);
  },
};

export function nodeEnvironment(logger: Logger): Environment {
  return { clock: nodeClock, random: nodeRandom, scheduler: nodeScheduler, bytes: nodeByteOperations, logger };
}

/** For tests and tools that have no use for a log. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
