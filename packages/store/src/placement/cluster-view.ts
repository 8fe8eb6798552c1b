/** The cluster's state of one moment, for decisions: what is written in the meta range, with what stores report. */
import { noStore, noTerm, userKey } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";
import { defaultPlacementSettings, noLoad, schedulerNames, storeHealth } from "@flotilla/placement";
import type { ClusterState, PlacementSettings, RangeState, SchedulerName, StoreState } from "@flotilla/placement";
import type { RangeReport, StoreEntry } from "@flotilla/transport";
import type { StoreSettings } from "../store-settings.ts";
import { keptRanges, keptSetting } from "./kept-ranges.ts";
import type { MetaState } from "./meta-state.ts";
import { newestRanges } from "./report-book.ts";
import type { ReportBook } from "./report-book.ts";

export interface ClusterViewInputs {
  readonly meta: MetaState;
  readonly reports: ReportBook;
  readonly settings: StoreSettings;
  readonly monotonicMs: number;
  readonly wallMs: number;
  /** When this driver took office, on the monotonic clock. */
  readonly sinceMs: number;
}

export function clusterState(inputs: ClusterViewInputs): ClusterState {
  const { meta, reports, settings, wallMs } = inputs;
  const placement = placementSettings(settings, meta);
  const led = newestRanges(reports.fresh(settings.storeDeadMs));
  return {
    nowMs: Math.round(wallMs),
    stores: storeStates(inputs, placement),
    ranges: meta.map.all().map((descriptor) => rangeState(descriptor, led.get(descriptor.rangeId))),
    operators: [...meta.running.values()],
    recent: [...meta.ended.values()],
    paused: pausedSchedulers(meta),
    colocatedPrefixes: colocatedPrefixes(meta),
    keptRanges: new Set(keptRanges(meta.settings.get(keptSetting))),
    settings: placement,
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
    return { descriptor, leader: noStore, ...nothing, configurationPending: false, replicas: [] };
  }
  const { term, leaderStoreId, sizeBytes, sizeKnown, configurationPending } = report;
  const { writesPerSecond, readsPerSecond, load } = report;
  const last = report.replicas.reduce((high, { match }) => Math.max(high, match), 0);
  const replicas = report.replicas.map((replica) => ({ ...replica, lag: last - replica.match }));
  const rates = { sizeBytes, sizeKnown, writesPerSecond, readsPerSecond, load };
  return { descriptor, leader: leaderStoreId, term, ...rates, configurationPending, replicas };
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
