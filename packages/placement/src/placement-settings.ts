/** What the placement driver goes by; kept in the meta range, so that every store that comes to lead it agrees. */
export interface PlacementSettings {
  /** Voters of a range. The meta range has at least three where there are three nodes. */
  readonly replicas: number;
  /** A store silent for this long gets no new replicas and leaders. */
  readonly storeSuspectMs: number;
  /** A store silent for this long does not count for a quorum any more. */
  readonly storeDeadMs: number;
  /** A store silent for this long is given up: its replicas are made anew elsewhere. */
  readonly storeDownMs: number;
  /** A range larger than this is split. */
  readonly splitBytes: number;
  /** A range with more load than this is split where its leader says that it is halved; 0 = never for that reason. */
  readonly splitOperationsPerSecond: number;
  readonly splitBytesPerSecond: number;
  readonly splitLoopPercent: number;
  /** Leaders move when the loads of two stores differ by more than this share of the mean; 0 = load is not balanced. */
  readonly balanceLoadPercent: number;
  /** Two neighbours smaller than this, and together at most half of `splitBytes`, become one range; 0 = none do by themselves. */
  readonly mergeBytes: number;
  /** A range that was split, or made by a split, is not merged by itself for this long. */
  readonly mergeCooldownMs: number;
  /** A range that took another one in takes the next one in no earlier: until then its clients know where it is. */
  readonly mergePauseMs: number;
  /** From when a range may be sealed until it is merged, or the merge given up: nobody is served meanwhile. */
  readonly mergeTimeoutMs: number;
  /** Most parts that one split makes. */
  readonly splitPartsMax: number;
  /** A learner's snapshot counts from when the move begins until entries are sent to the learner. */
  readonly snapshotsReceivingPerStoreMax: number;
  readonly snapshotsSendingPerStoreMax: number;
  /** Operators of all kinds under way at once, those asked for by an administrator apart. */
  readonly operatorsMax: number;
  /** New operators of one round. */
  readonly movesPerRoundMax: number;
  readonly leaderTransfersPerRoundMax: number;
  readonly splitsPerRoundMax: number;
  readonly mergesPerRoundMax: number;
  /** Merges under way at once, those asked for by an administrator apart. */
  readonly mergesMax: number;
  /** Ranges for which each rule seeks a place in vain in one round; the next round goes on behind them. */
  readonly searchesPerRoundMax: number;
  /**
   * Replicas move for balance when two stores differ by more than this share of the mean: in number, and by two at least; or
   * in bytes, and by `splitBytes` at least.
   */
  readonly balanceShare: number;
  /** A replica that came to its store by a move, or was made anew there, is not moved for balance or spread for this long. */
  readonly moveCooldownMs: number;
  /** After an operator failed, none of its kind (members, leader, split) is begun on the range for this long. */
  readonly retryAfterMs: number;
  /** An operator that is not done by then is cancelled, in such a way that the range keeps its number of replicas. */
  readonly moveTimeoutMs: number;
  readonly transferTimeoutMs: number;
  readonly splitTimeoutMs: number;
  /** A learner that lacks at most this many entries is level. */
  readonly levelEntriesMax: number;
  /** A store with less free space gets no new replicas; twice the mark below which it takes no writes. */
  readonly storeFreeBytesMin: number;
}

export const defaultPlacementSettings: PlacementSettings = {
  replicas: 3,
  storeSuspectMs: 3_000,
  storeDeadMs: 10_000,
  storeDownMs: 300_000,
  splitBytes: 256 * 1024 * 1024,
  splitOperationsPerSecond: 10_000,
  splitBytesPerSecond: 0,
  splitLoopPercent: 0,
  balanceLoadPercent: 25,
  mergeBytes: 32 * 1024 * 1024,
  mergeCooldownMs: 600_000,
  mergePauseMs: 5_000,
  mergeTimeoutMs: 10_000,
  splitPartsMax: 8,
  snapshotsReceivingPerStoreMax: 2,
  snapshotsSendingPerStoreMax: 2,
  operatorsMax: 64,
  movesPerRoundMax: 16,
  leaderTransfersPerRoundMax: 8,
  splitsPerRoundMax: 4,
  mergesPerRoundMax: 2,
  mergesMax: 4,
  searchesPerRoundMax: 1_000,
  balanceShare: 0.05,
  moveCooldownMs: 600_000,
  retryAfterMs: 60_000,
  moveTimeoutMs: 1_800_000,
  transferTimeoutMs: 30_000,
  splitTimeoutMs: 120_000,
  levelEntriesMax: 256,
  storeFreeBytesMin: 512 * 1024 * 1024,
};
