/** What a cluster's nodes say of their ranges, asked again and again while something happens to them. */
import { Failure } from "@flotilla/base";
import { readMetrics } from "../http-metrics.ts";
import type { Metrics } from "../http-metrics.ts";
import { pauseUnlessInterrupted } from "../interruptible-pause.ts";
import type { NodeFleet } from "./node-fleet.ts";

const pollMs = 100;

/** Of all nodes that run; undefined: that one does not answer (yet). */
export type Look = readonly (Metrics | undefined)[];

export const metricOf = (metrics: Metrics, name: string): number => metrics.get(`flotilla_${name}`) ?? 0;

/** Undefined while a node does not answer. */
export function sumOver(look: Look, name: string): number | undefined {
  let sum = 0;
  for (const metrics of look) {
    if (metrics === undefined) return undefined;
    sum += metricOf(metrics, name);
  }
  return sum;
}

/** Every node knows a leader for each of its ranges, and each range has one. */
export function allLed(look: Look, ranges: number): boolean {
  return sumOver(look, "ranges_without_leader") === 0 && sumOver(look, "leaders") === ranges;
}

/** The meta range never sleeps. */
export function allAsleep(look: Look): boolean {
  return look.every(
    (metrics) => metrics !== undefined && metricOf(metrics, "replicas_asleep") >= metricOf(metrics, "replicas") - 1,
  );
}

/** What stood out while one waited. */
export interface Watched {
  /** Until what was waited for was so; null: not within the time. */
  readonly ms: number | null;
  /** Longest delay of any node's event loop. */
  readonly loopDelayMaxMs: number;
  /** The longest time that a range was without a leader, as those nodes saw it that were there all the time. */
  readonly withoutLeaderMs: number;
  readonly last: Look;
}

export class ClusterWatch {
  readonly #fleet: NodeFleet;
  readonly #interrupted: AbortSignal;
  /** By `performance.now`: nothing is waited for beyond it. */
  readonly #untilMs: number;

  constructor(fleet: NodeFleet, interrupted: AbortSignal, untilMs: number) {
    this.#fleet = fleet;
    this.#interrupted = interrupted;
    this.#untilMs = untilMs;
  }

  look(): Promise<Look> {
    return Promise.all(
      this.#fleet.running.map(async (node) => (await readMetrics(this.#fleet.httpAddress(node))) ?? undefined),
    );
  }

  /** `fromMs`: when it began. */
  async until(isSo: (look: Look) => boolean, fromMs: number, timeoutMs: number, but?: number): Promise<Watched> {
    const endMs = Math.min(fromMs + timeoutMs, this.#untilMs);
    let loopDelayMaxMs = 0;
    let withoutLeaderMs = 0;
    for (;;) {
      const { running } = this.#fleet;
      const last = await this.look();
      const nowMs = performance.now();
      for (const [at, metrics] of last.entries()) {
        if (metrics === undefined) continue;
        loopDelayMaxMs = Math.max(loopDelayMaxMs, 1000 * metricOf(metrics, "store_loop_delay_max_seconds"));
        if (running[at] === but) continue;
        withoutLeaderMs = Math.max(withoutLeaderMs, 1000 * metricOf(metrics, "range_without_leader_seconds"));
      }
      const told = { loopDelayMaxMs: Math.round(loopDelayMaxMs), withoutLeaderMs: Math.round(withoutLeaderMs), last };
      if (isSo(last)) return { ms: Math.round(nowMs - fromMs), ...told };
      if (nowMs >= endMs) return { ms: null, ...told };
      this.#fleet.requireAlive();
      await pauseUnlessInterrupted(pollMs, this.#interrupted);
    }
  }

  /** Fails when the time for everything is up. */
  async pause(ms: number): Promise<void> {
    if (performance.now() + ms > this.#untilMs)
      throw new Failure("Timeout", "the cluster took so long that there is no time left to measure it", {
        hint: "measure fewer ranges, or for a shorter time",
      });
    await pauseUnlessInterrupted(ms, this.#interrupted);
    this.#fleet.requireAlive();
  }
}
