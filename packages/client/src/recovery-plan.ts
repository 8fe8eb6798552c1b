/**
 * Which replica a range goes on with when its majority is lost for good. Of those that are left it is the one with the
 * highest term of its last entry, and with it the longest log: Raft's own rule for who may lead, so everything that anybody
 * left knows as committed is in it.
 */

export interface Member {
  readonly replicaId: number;
  readonly storeId: number;
  readonly role: string;
}

interface Epoch {
  readonly bounds: number;
  readonly members: number;
}

/** As some store or the map of ranges has it. Bounds are logical keys, binary strings. */
export interface KnownRange {
  readonly rangeId: number;
  readonly start: string;
  readonly end: string;
  readonly epoch: Epoch;
  readonly replicas: readonly Member[];
}

/** One replica, as its store says. */
export interface SurveyedReplica extends KnownRange {
  /** Where it lives. */
  readonly surveyedStoreId: number;
  readonly replicaId: number;
  readonly lastTerm: number;
  readonly lastIndex: number;
  /** Up to here it knows entries to be confirmed by a majority. */
  readonly commitIndex: number;
  readonly lacksMajority: boolean;
  /** Known to it, and not lost; null = none. */
  readonly leaderStoreId: number | null;
  readonly serves: boolean;
  /** Where the range ends as long as the splits that stand in its log only are not applied. */
  readonly appliedEnd: string;
  /** Where it ends when its whole log is applied, splits and merges. */
  readonly lastEnd: string;
  /** Right neighbours that merges in its log take in, and the bounds that these have then. */
  readonly takesIn: readonly { readonly rangeId: number; readonly bounds: number }[];
  /** False while it loads a range snapshot, or is being removed. */
  readonly whole: boolean;
  /** A range snapshot, up to its last entry at least; it may be its first one. It ends by itself. */
  readonly loading: boolean;
  /** Its log takes it out of the range. */
  readonly removed: boolean;
  /** A merge has begun: the left neighbour, whose bounds were these then, decides what becomes of the range. */
  readonly sealedFor: { readonly rangeId: number; readonly bounds: number } | null;
}

/** A store that is left has buried its replicas of a range with ids below `tombstone`: they never come back. */
export interface BuriedReplicas {
  readonly storeId: number;
  readonly rangeId: number;
  readonly tombstone: number;
}

/** What everybody says who is left. */
export interface RecoverySurvey {
  /** All that were asked, and answered. */
  readonly storeIds: readonly number[];
  readonly replicas: readonly SurveyedReplica[];
  /** Ranges as the stores' own replicas of the meta range have them. */
  readonly map: readonly KnownRange[];
  readonly buried: readonly BuriedReplicas[];
}

export interface RecoveryAction {
  readonly rangeId: number;
  readonly start: string;
  readonly end: string;
  readonly storeId: number;
  readonly replicaId: number;
  readonly lastTerm: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly floor: Epoch;
  /** Of the left neighbour, which has not taken the range in; 0 when it is not sealed. */
  readonly provenBounds: number;
  readonly lostStores: readonly number[];
  /**
   * Members on stores that are left and that have buried them, by a change of members that the chosen one has not heard of; or
   * that never had them, because what was divided came there by a range snapshot from behind the split.
   */
  readonly goneReplicas: readonly number[];
  /** Left, too, with no more than the chosen one: they are removed. */
  readonly otherStores: readonly number[];
  /** Divided off this range by what is lost, with nothing left: their keys are as they were before. */
  readonly absorbed: readonly number[];
}

export interface HopelessRange {
  readonly rangeId: number;
  readonly start: string;
  readonly end: string;
  readonly lostStores: readonly number[];
  readonly reason: string;
}

export interface RecoveryPlan {
  /** The meta range first. */
  readonly actions: readonly RecoveryAction[];
  /** Not to be recovered now. */
  readonly blocked: readonly HopelessRange[];
  /** No replica is left. */
  readonly nothingLeft: readonly HopelessRange[];
}

export function planRecovery(survey: RecoverySurvey, lost: ReadonlySet<number>): RecoveryPlan {
  const { replicas, map } = survey;
  const loss = new Loss(lost, survey);
  const newest = newestOf([...replicas, ...map]);
  const actions: RecoveryAction[] = [];
  const blocked: HopelessRange[] = [];
  const left = new Map<number, SurveyedReplica[]>();
  for (const replica of replicas) {
    const known = left.get(replica.rangeId);
    if (known === undefined) left.set(replica.rangeId, [replica]);
    else known.push(replica);
  }
  const absorbed = new Set<number>();
  for (const range of [...newest.values()].sort((a, b) => a.rangeId - b.rangeId)) {
    const of = left.get(range.rangeId) ?? [];
    if (!lacksMajority(range, loss) || of.length === 0) continue;
    const action = actionFor(range, of, newest, left, loss);
    if (typeof action === "string") blocked.push(hopeless(range, lost, action));
    else actions.push(action);
    if (typeof action === "object") for (const id of action.absorbed) absorbed.add(id);
  }
  const all = [...newest.values()];
  const nothingLeft = all
    .filter((range) => lacksMajority(range, loss) && !left.has(range.rangeId) && !absorbed.has(range.rangeId))
    .filter((range) => !all.some((other) => supersedes(other, range)))
    .map((range) => hopeless(range, lost, "no replica of it is left"));
  return { actions, blocked, nothingLeft };
}

/** The plan for one range, or why there is none. */
function actionFor(
  range: KnownRange,
  left: readonly SurveyedReplica[],
  newest: ReadonlyMap<number, KnownRange>,
  survivors: ReadonlyMap<number, readonly SurveyedReplica[]>,
  loss: Loss,
): RecoveryAction | string {
  for (const { serves, leaderStoreId, surveyedStoreId } of left) {
    const leader = serves ? surveyedStoreId : leaderStoreId;
    if (leader !== null) return `store ${leader} leads it, or did a moment ago: ask again in some seconds`;
  }
  const usable = left.filter(
    (replica) => replica.whole && !replica.removed && (replica.lacksMajority || lacksMajority(replica, loss)),
  );
  const chosen = usable.length === 0 ? undefined : usable.reduce((best, each) => (isBehind(best, each) ? each : best));
  const loading = left.find((each) => each.loading && (chosen === undefined || isBehind(chosen, each)));
  if (loading !== undefined)
    return `store ${loading.surveyedStoreId} is loading a range snapshot of it that has more: ask again when it has`;
  if (chosen === undefined) return "no replica that is left is whole and a member";
  let bounds = chosen.epoch.bounds;
  const absorbed: number[] = [];
  for (const taken of chosen.takesIn) {
    const of = survivors.get(taken.rangeId) ?? [];
    if (!of.some(({ surveyedStoreId }) => surveyedStoreId === chosen.surveyedStoreId))
      return `its log on store ${chosen.surveyedStoreId} takes in range ${taken.rangeId}, of which nothing is left there`;
    const newer = of.find(({ epoch }) => epoch.bounds > taken.bounds);
    if (newer !== undefined)
      return (
        `its log on store ${chosen.surveyedStoreId} takes in range ${taken.rangeId}, which was not merged: ` +
        `store ${newer.surveyedStoreId} has it`
      );
  }
  const applied = { ...chosen, end: chosen.lastEnd };
  for (const other of newest.values()) {
    if (chosen.takesIn.some(({ rangeId }) => rangeId === other.rangeId) || !supersedes(other, applied)) continue;
    bounds = Math.max(bounds, other.epoch.bounds);
    const alive = survivors.get(other.rangeId)?.[0];
    if (alive !== undefined)
      return (
        `what store ${chosen.surveyedStoreId} has of it is from before a split or merge: ` +
        `range ${other.rangeId} on store ${alive.surveyedStoreId} has some of its keys since`
      );
    absorbed.push(other.rangeId);
  }
  const { sealedFor } = chosen;
  if (sealedFor !== null && !hasDecided(newest.get(sealedFor.rangeId), sealedFor.bounds, loss))
    return `it was about to be merged into range ${sealedFor.rangeId}, which comes first`;
  for (const { epoch } of [range, ...left]) bounds = Math.max(bounds, epoch.bounds);
  return {
    rangeId: range.rangeId,
    start: chosen.start,
    end: chosen.end,
    storeId: chosen.surveyedStoreId,
    replicaId: chosen.replicaId,
    lastTerm: chosen.lastTerm,
    lastIndex: chosen.lastIndex,
    commitIndex: chosen.commitIndex,
    provenBounds: sealedFor === null ? 0 : newest.get(sealedFor.rangeId)!.epoch.bounds,
    floor: { bounds, members: Math.max(...[range, ...left].map(({ epoch }) => epoch.members)) },
    lostStores: lostOf(range, loss.stores),
    goneReplicas: chosen.replicas.filter((member) => loss.isGone(chosen, member)).map(({ replicaId }) => replicaId),
    otherStores: left.filter((replica) => replica !== chosen).map(({ surveyedStoreId }) => surveyedStoreId),
    absorbed,
  };
}

/** With bounds above those of the merge it cannot take the other one in any more; that it has not, its own bounds say. */
const hasDecided = (left: KnownRange | undefined, bounds: number, loss: Loss): boolean =>
  left !== undefined && !lacksMajority(left, loss) && left.epoch.bounds > bounds;

/** The other one lies over some of its keys since a later split or merge. */
const supersedes = (other: KnownRange, range: KnownRange): boolean =>
  other.rangeId !== range.rangeId &&
  other.epoch.bounds > range.epoch.bounds &&
  other.start < range.end &&
  other.end > range.start;

function isBehind(a: SurveyedReplica, b: SurveyedReplica): boolean {
  if (a.lastTerm !== b.lastTerm) return a.lastTerm < b.lastTerm;
  return a.lastIndex < b.lastIndex;
}

function newestOf(ranges: readonly KnownRange[]): Map<number, KnownRange> {
  const newest = new Map<number, KnownRange>();
  for (const range of ranges) {
    const known = newest.get(range.rangeId);
    if (known === undefined || isNewer(range.epoch, known.epoch)) newest.set(range.rangeId, range);
  }
  return newest;
}

const isNewer = (a: Epoch, b: Epoch): boolean =>
  a.bounds > b.bounds || (a.bounds === b.bounds && a.members > b.members);

/** What never comes back. */
class Loss {
  readonly stores: ReadonlySet<number>;
  /** By store and range. */
  readonly #tombstones: ReadonlyMap<string, number>;
  /** By store that was asked: it may have nothing. */
  readonly #living: ReadonlyMap<number, readonly SurveyedReplica[]>;

  constructor(stores: ReadonlySet<number>, { storeIds, buried, replicas }: RecoverySurvey) {
    this.stores = stores;
    const living = new Map<number, SurveyedReplica[]>(storeIds.map((storeId) => [storeId, []]));
    for (const replica of replicas) living.get(replica.surveyedStoreId)?.push(replica);
    this.#living = living;
    this.#tombstones = new Map(
      buried.map(({ storeId, rangeId, tombstone }) => [`${storeId} ${rangeId}`, tombstone] as const),
    );
  }

  isGone(range: KnownRange, { replicaId, storeId }: Member): boolean {
    if (replicaId < (this.#tombstones.get(`${storeId} ${range.rangeId}`) ?? 0)) return true;
    const living = this.#living.get(storeId);
    return living !== undefined && !living.some((other) => mayBring(other, range));
  }
}

/** It is a replica of the range, or of one that may have to apply the split yet that makes one. */
const mayBring = (other: SurveyedReplica, range: KnownRange): boolean =>
  other.rangeId === range.rangeId || (other.start < range.end && other.appliedEnd > range.start);

/** While members change, both the old and the new ones decide. */
function lacksMajority(range: KnownRange, loss: Loss): boolean {
  const { replicas } = range;
  const has = (roles: readonly string[]): boolean => {
    const voters = replicas.filter(({ role }) => roles.includes(role));
    const left = voters.filter((voter) => !loss.stores.has(voter.storeId) && !loss.isGone(range, voter));
    return left.length * 2 > voters.length;
  };
  const joint = replicas.some(({ role }) => role === "outgoing" || role === "incoming");
  return !has(["voter", "incoming"]) || (joint && !has(["voter", "outgoing"]));
}

const lostOf = ({ replicas }: KnownRange, lost: ReadonlySet<number>): number[] =>
  replicas.map(({ storeId }) => storeId).filter((storeId) => lost.has(storeId));

function hopeless(range: KnownRange, lost: ReadonlySet<number>, reason: string): HopelessRange {
  const { rangeId, start, end } = range;
  return { rangeId, start, end, lostStores: lostOf(range, lost), reason };
}
