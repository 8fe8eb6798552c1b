/** What is wrong with the way from one host to another, and how long it takes. Changed while the simulation runs. */
export interface LinkFaults {
  /** Nothing gets through; streams stall, and break when that lasts. */
  blocked: boolean;
  /** Each message takes between these, and now and then up to ten times the longer one. */
  delayMicrosMin: number;
  delayMicrosMax: number;
  /** Each takes so much longer. */
  detourMicros: number;
  /**
   * Probabilities for single payloads on streams of purpose `heartbeat` and `append`. TCP never does this: it stands
   * for what reconnecting and several streams do to Raft's messages, and is harsher.
   */
  dropChance: number;
  duplicateChance: number;
  reorderChance: number;
}

export interface NetworkTiming {
  readonly delayMicrosMin: number;
  readonly delayMicrosMax: number;
  /** Of a dial that nobody answers. */
  readonly connectTimeoutMicros: number;
  /** A stream over a blocked way breaks after a time between these (keepalive), at each end by itself. */
  readonly breakMicrosMin: number;
  readonly breakMicrosMax: number;
}

export const networkTimingDefault: NetworkTiming = {
  delayMicrosMin: 80,
  delayMicrosMax: 700,
  connectTimeoutMicros: 1_000_000,
  breakMicrosMin: 1_000_000,
  breakMicrosMax: 6_000_000,
};
