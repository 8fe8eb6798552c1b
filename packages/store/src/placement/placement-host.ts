/**
 * The placement driver's place in a store: every store reports to the one that leads the meta range; that one decides
 * (packages/placement, pure) and sends steps to the leaders of ranges. The data path does not need it.
 */
import { metaRangeId, noStore } from "@flotilla/base";
import type { StoreId } from "@flotilla/base";
import { balanceLeaders } from "@flotilla/placement";
import type { LedRange } from "@flotilla/placement";
import type { OperatorStep, StepOutcome, RangeReport, StoreReport, StoreStatus } from "@flotilla/transport";
import { StepRunner } from "./step-runner.ts";
import type { MetaWhereabouts } from "./meta-whereabouts.ts";
import type { PeerLinks } from "../peer-links.ts";
import type { Replica } from "../replica/replica.ts";
import type { StoreDependencies } from "../store-api.ts";
import type { StoreSettings } from "../store-settings.ts";

const reportMs = 500;
const decideMs = 1000;
/** Entries that a follower may lack and still be told to lead. */
const transferLagMax = 64;
const transfersPerRound = 4;

export interface PlacementHostOptions {
  readonly storeId: StoreId;
  readonly settings: StoreSettings;
  /** All stores of the cluster. */
  readonly stores: readonly StoreId[];
}

export interface PlacementHostHost {
  readonly dependencies: StoreDependencies;
  readonly links: PeerLinks;
  readonly meta: MetaWhereabouts;
  replica(rangeId: number): Replica | undefined;
  replicas(): Iterable<Replica>;
  status(): StoreStatus;
  rangeReport(replica: Replica): RangeReport;
  fail(error: unknown): void;
}

export class PlacementHost {
  readonly #options: PlacementHostOptions;
  readonly #host: PlacementHostHost;
  readonly #reports: Map<StoreId, { readonly report: StoreReport; readonly atMs: number }> = new Map();
  #lastReportMs = -Infinity;
  #lastDecisionMs = -Infinity;
  /** When this store began to lead the meta range; undefined = it does not. */
  #leadsSinceMs: number | undefined = undefined;
  #operatorId = 0;
  readonly #steps: StepRunner;

  constructor(options: PlacementHostOptions, host: PlacementHostHost) {
    this.#options = options;
    this.#host = host;
    this.#steps = new StepRunner({ replica: (rangeId) => host.replica(rangeId), fail: (error) => host.fail(error) });
  }

  get leads(): boolean {
    return this.#leadsSinceMs !== undefined;
  }

  /** The store that leads the meta range, 0 = unknown. */
  get driver(): StoreId {
    return this.#host.meta.leader;
  }

  /** Fresh reports, this store's own among them. */
  reports(): StoreReport[] {
    const oldest = this.#now() - this.#options.settings.storeDeadMs;
    const reports = [this.#ownReport()];
    for (const [store, { report, atMs }] of this.#reports)
      if (store !== this.#options.storeId && atMs >= oldest) reports.push(report);
    return reports;
  }

  #now(): number {
    return this.#host.dependencies.environment.clock.monotonicMs();
  }

  #ownReport(): StoreReport {
    const ranges: RangeReport[] = [];
    for (const replica of this.#host.replicas()) if (replica.leads) ranges.push(this.#host.rangeReport(replica));
    return { type: "store-report", status: this.#host.status(), ranges };
  }

  onReport(report: StoreReport): void {
    this.#reports.set(report.status.storeId, { report, atMs: this.#now() });
  }

  tick(): void {
    const now = this.#now();
    const meta = this.#host.replica(metaRangeId);
    if (meta?.serves === true) this.#leadsSinceMs ??= now;
    else this.#leadsSinceMs = undefined;
    if (now - this.#lastReportMs >= reportMs) {
      this.#lastReportMs = now;
      const { driver } = this;
      if (driver !== noStore && driver !== this.#options.storeId)
        this.#host.links.send(driver, "heartbeat", this.#ownReport());
    }
    if (this.#leadsSinceMs !== undefined && now - this.#lastDecisionMs >= decideMs) {
      this.#lastDecisionMs = now;
      this.#decide(this.#leadsSinceMs);
    }
  }

  /** A new driver plans nothing before all stores have reported or one down-time has passed (rule: newest epoch). */
  #decide(leadsSinceMs: number): void {
    const reports = this.reports();
    const waited = this.#now() - leadsSinceMs >= this.#options.settings.storeDeadMs;
    if (reports.length < this.#options.stores.length && !waited) return;
    const ranges: LedRange[] = [];
    for (const { ranges: led } of reports) for (const range of led) ranges.push(ledRange(range));
    const stores = reports
      .filter(({ status }) => status.freeBytes >= this.#options.settings.diskFreeBytesMin)
      .map(({ status }) => status.storeId);
    for (const transfer of balanceLeaders({ stores, ranges }, transfersPerRound)) {
      const { rangeId, epoch, from, to, reason } = transfer;
      const operatorId = ++this.#operatorId;
      const step: OperatorStep = {
        type: "operator-step",
        operatorId,
        stepId: 1,
        rangeId,
        epoch,
        action: { kind: "transfer-leader", to },
      };
      this.#host.dependencies.environment.logger.info({ rangeId, from, to, reason }, "leadership to be transferred");
      if (from === this.#options.storeId) this.onStep(from, step);
      else this.#host.links.send(from, "heartbeat", step);
    }
  }

  /** A step for a range that this store should lead. */
  onStep(from: StoreId, step: OperatorStep): void {
    this.#steps.run(step, (outcome) => {
      if (from === this.#options.storeId) this.onStepOutcome(outcome);
      else this.#host.links.send(from, "heartbeat", outcome);
    });
  }

  /** Transfers have no memory yet: what became of one shows in the reports. */
  onStepOutcome(outcome: StepOutcome): void {
    const { rangeId, state, reason } = outcome;
    if (state !== "done") this.#host.dependencies.environment.logger.info({ rangeId, state, reason }, "step not done");
  }
}

function ledRange(range: RangeReport): LedRange {
  const last = range.replicas.reduce((high, replica) => Math.max(high, replica.match), 0);
  const candidates = range.replicas
    .filter(({ active, state, match }) => active && state === "replicate" && last - match <= transferLagMax)
    .map(({ storeId }) => storeId);
  return {
    rangeId: range.descriptor.rangeId,
    epoch: range.descriptor.epoch,
    leader: range.leaderStoreId,
    candidates,
  };
}
