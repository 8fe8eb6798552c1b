/** The cluster's state of one moment, for decisions: what is written in the meta range, with what stores report. */
import { noStore, noTerm, userKey } from "@flotilla/base";
import type { Key, RangeDescriptor, RangeId } from "@flotilla/base";
import { ClusterIndex, defaultPlacementSettings, noLoad, schedulerNames, storeHealth } from "@flotilla/placement";
import type {
  ClusterMoment,
  Operator,
  PlacementSettings,
  RangeState,
  SchedulerName,
  StoreState,
} from "@flotilla/placement";
import type { RangeReport, StoreEntry } from "@flotilla/transport";
import type { StoreSettings } from "../store-settings.ts";
import { keptRanges, keptSetting } from "./kept-ranges.ts";
import type { MetaState } from "./meta-state.ts";
import { newestRange, newestRanges } from "./report-book.ts";
import type { ReportBook, StoreKnowledge } from "./report-book.ts";

/** For so many ranges it is cheaper to go through all reports once. */
const manyRanges = 1000;

export interface ClusterViewInputs {
  readonly meta: MetaState;
  readonly reports: ReportBook;
  readonly settings: StoreSettings;
  readonly monotonicMs: number;
  readonly wallMs: number;
  /** When this driver took office, on the monotonic clock. */
  readonly sinceMs: number;
}

/**
 * Of one office: begun with what stands in the meta range, and from then on only what has changed is looked at. So a look costs
 * what happened since the last one, not what the cluster has.
 */
export class ClusterView {
  readonly meta: MetaState;
  readonly #index: ClusterIndex;
  /** Of the last look: who leads ranges by a report that still counts. */
  #fresh: readonly StoreKnowledge[] = [];
  /** Of ranges that are to be looked at, whoever else has asked the map what has changed. */
  #unseen: readonly RangeDescriptor[];
  #endedBefore: readonly Operator[];
  readonly #kept: KeptRanges = new KeptRanges();

  constructor(inputs: ClusterViewInputs) {
    this.meta = inputs.meta;
    this.#unseen = inputs.meta.map.all();
    this.#endedBefore = [...inputs.meta.ended.values()];
    this.#index = new ClusterIndex(moment(inputs, this.#kept));
  }

  /** The same index each time; whoever foresees something in it leaves it as it was. */
  look(inputs: ClusterViewInputs): ClusterIndex {
    const { meta, reports, settings } = inputs;
    const index = this.#index;
    const now = moment(inputs, this.#kept);
    index.setMoment(now);
    for (const store of storeStates(inputs, now.settings)) index.putStore(store);
    const fresh = reports.fresh(settings.storeDeadMs);
    const changed = this.#changed(reports, fresh);
    const newest = changed.size < manyRanges ? undefined : newestRanges(fresh);
    for (const id of changed) {
      const descriptor = meta.map.get(id);
      if (descriptor === undefined) index.removeRange(id);
      else index.putRange(rangeState(descriptor, newest === undefined ? newestRange(id, fresh) : newest.get(id)));
    }
    this.#takeOperators();
    return index;
  }

  /** What is said of these ranges, or who says it, may be another than in the last look. */
  #changed(reports: ReportBook, fresh: readonly StoreKnowledge[]): Set<RangeId> {
    const changed = new Set<RangeId>(reports.takeChanged());
    for (const id of this.meta.map.takeChanged()) changed.add(id);
    for (const { rangeId } of this.#unseen) changed.add(rangeId);
    this.#unseen = [];
    const stores = (known: readonly StoreKnowledge[]): Set<number> =>
      new Set(known.map(({ status }) => status.storeId));
    const [were, are] = [stores(this.#fresh), stores(fresh)];
    for (const { status, ranges } of this.#fresh)
      if (!are.has(status.storeId)) for (const id of ranges.keys()) changed.add(id);
    for (const { status, ranges } of fresh)
      if (!were.has(status.storeId)) for (const id of ranges.keys()) changed.add(id);
    this.#fresh = fresh;
    return changed;
  }

  #takeOperators(): void {
    for (const operator of this.#endedBefore) this.#index.putOperator(operator);
    this.#endedBefore = [];
    for (const operator of this.meta.takeEnded()) this.#index.putOperator(operator);
    for (const operator of this.meta.running.values())
      if (this.#index.operators.get(operator.rangeId) !== operator) this.#index.putOperator(operator);
  }
}

/** The list may be long, and seldom changes. */
class KeptRanges {
  #value: unknown = undefined;
  #ids: ReadonlySet<RangeId> = new Set();

  of(value: unknown): ReadonlySet<RangeId> {
    if (value !== this.#value) this.#ids = new Set(keptRanges(value));
    this.#value = value;
    return this.#ids;
  }
}

function moment({ meta, settings, wallMs }: ClusterViewInputs, kept: KeptRanges): ClusterMoment {
  return {
    nowMs: Math.round(wallMs),
    paused: pausedSchedulers(meta),
    colocatedPrefixes: colocatedPrefixes(meta),
    keptRanges: kept.of(meta.settings.get(keptSetting)),
    settings: placementSettings(settings, meta),
  };
}

export function storeStates(
  inputs: ClusterViewInputs,
  placement: PlacementSettings = placementSettings(inputs.settings, inputs.meta),
): StoreState[] {
  return [...inputs.meta.stores.values()].map((store) => storeState(store, inputs, placement));
}

/** What the store's own settings say; the number of replicas is the cluster's. */
export function placementSettings(settings: StoreSettings, meta: MetaState): PlacementSettings {
  const {
    storeDeadMs,
    storeDownMs,
    splitBytes,
    mergeBytes,
    mergeCooldownMs,
    balanceLoadPercent,
    snapshotsPerStoreMax,
    operatorsMax,
    diskFreeBytesMin,
  } = settings;
  const { splitOperationsPerSecond, splitBytesPerSecond, splitLoopPercent } = settings;
  const replicas = meta.settings.get("replicas");
  return {
    ...defaultPlacementSettings,
    replicas: typeof replicas === "number" ? replicas : defaultPlacementSettings.replicas,
    storeSuspectMs: storeDeadMs / 2,
    storeDeadMs,
    storeDownMs: Math.max(storeDownMs, storeDeadMs),
    splitBytes,
    splitOperationsPerSecond,
    splitBytesPerSecond,
    splitLoopPercent,
    balanceLoadPercent,
    mergeBytes,
    mergeCooldownMs,
    snapshotsReceivingPerStoreMax: snapshotsPerStoreMax,
    snapshotsSendingPerStoreMax: snapshotsPerStoreMax,
    operatorsMax,
    storeFreeBytesMin: 2 * diskFreeBytesMin,
  };
}

/** How long nothing was heard of the store; of one never heard of, since this driver took office. */
export function downMs(store: StoreEntry["storeId"], inputs: ClusterViewInputs): number {
  return inputs.monotonicMs - Math.max(inputs.reports.heardMs(store) ?? 0, inputs.sinceMs);
}

function storeState(store: StoreEntry, inputs: ClusterViewInputs, placement: PlacementSettings): StoreState {
  const { storeId, nodeId } = store;
  const status = inputs.reports.report(storeId)?.status;
  const silentMs = Math.max(0, downMs(storeId, inputs));
  return {
    storeId,
    nodeId,
    membership: store.state,
    health: storeHealth(silentMs, placement),
    downMs: silentMs,
    diskFull: status !== undefined && status.freeBytes < inputs.settings.diskFreeBytesMin,
    stopping: status?.stopping ?? false,
    labels: store.labels,
    sizeBytes: status?.sizeBytes ?? 0,
    freeBytes: status?.freeBytes ?? 0,
    snapshotsSending: status?.snapshotsSending ?? 0,
    snapshotsReceiving: status?.snapshotsReceiving ?? 0,
  };
}

function rangeState(descriptor: RangeDescriptor, report: RangeReport | undefined): RangeState {
  if (report === undefined) {
    const nothing = {
      term: noTerm,
      sizeBytes: 0,
      sizeKnown: false,
      writesPerSecond: 0,
      readsPerSecond: 0,
      load: noLoad,
    };
    return { descriptor, leader: noStore, ...nothing, configurationPending: false, sealedFor: undefined, replicas: [] };
  }
  const { term, leaderStoreId, sizeBytes, sizeKnown, configurationPending, sealedFor } = report;
  const { writesPerSecond, readsPerSecond, load } = report;
  const last = report.replicas.reduce((high, { match }) => Math.max(high, match), 0);
  const replicas = report.replicas.map((replica) => ({ ...replica, lag: last - replica.match }));
  const rates = { sizeBytes, sizeKnown, writesPerSecond, readsPerSecond, load };
  return { descriptor, leader: leaderStoreId, term, ...rates, configurationPending, sealedFor, replicas };
}

export const schedulerSetting = (name: SchedulerName): string => `paused/${name}`;

function pausedSchedulers(meta: MetaState): Set<SchedulerName> {
  return new Set(schedulerNames.filter((name) => meta.settings.get(schedulerSetting(name)) !== undefined));
}

/** Its value: user keys as binary strings. */
export const colocationSetting = "colocatedPrefixes";

function colocatedPrefixes(meta: MetaState): Key[] {
  const prefixes = meta.settings.get(colocationSetting);
  return Array.isArray(prefixes) ? prefixes.filter((prefix) => typeof prefix === "string").map(userKey) : [];
}
