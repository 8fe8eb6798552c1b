/** The document of `bench idle`. What could not be measured is `null`; lists have a place for each node that ran. */
import type { Disk, Provenance } from "../provenance.ts";

/** A cluster that nothing is asked of, over one window. */
export interface IdleState {
  readonly ranges: number;
  readonly windowMs: number;
  /** Of one core. */
  readonly cpuPercent: readonly (number | null)[];
  /** At the end, behind a collection of garbage. */
  readonly rssBytes: readonly (number | null)[];
  readonly heapUsedBytes: readonly (number | null)[];
  /** Between stores, over all nodes; those that leave a store in one turn for another share a payload. */
  readonly peerMessagesPerSecond: number | null;
  readonly peerPayloadsPerSecond: number | null;
  readonly replicas: readonly number[];
  readonly replicasAsleep: readonly number[];
  readonly loopDelayMaxMs: number;
}

/** Until every range was led, after something happened. */
export interface LedAgain {
  readonly ledMs: number | null;
  readonly loopDelayMaxMs: number;
}

export interface IdleRestart extends LedAgain {
  /** Leaderships handed over, everything flushed. */
  readonly stopMs: number;
  /** Ranges that the node led before. */
  readonly ledBefore: number;
  /** Elections won on the other nodes from the order to stop until every range was led again. */
  readonly electionsElsewhere: number | null;
  /** Elections that the node won when it was back: balance gives it leaderships again. */
  readonly electionsOwn: number | null;
  /** The longest time that a range was without a leader, as the other nodes saw it. */
  readonly withoutLeaderMs: number;
}

export interface IdleResult extends Provenance {
  readonly kind: "idle";
  readonly disk: Disk;
  readonly nodes: number;
  /** Without the meta range. */
  readonly ranges: number;
  readonly sleepTicks: number;
  readonly base: IdleState;
  readonly idle: IdleState;
  /** After the first start, until as many replicas slept as can. */
  readonly asleepMs: number | null;
  /** With one node killed for `deadForMs`. */
  readonly dead: IdleState | null;
  readonly deadForMs: number;
  /** What each replica more than in the small cluster costs, on the node where it is most. */
  readonly rssBytesPerReplica: number | null;
  readonly heapBytesPerReplica: number | null;
  /** The very first start, from the start of the processes. */
  readonly start: LedAgain;
  readonly kill: (LedAgain & { readonly ledBefore: number }) | null;
  /** All nodes at once, after an orderly stop. */
  readonly coldStart: LedAgain;
  readonly restart: IdleRestart;
}
