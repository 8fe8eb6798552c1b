/**
 * Placement's place in a store: every store reports to the one that leads the meta range, and does for the ranges that it
 * leads what that one asks for. The store that leads the meta range has the driver (placement-driver.ts). The data path
 * needs none of it.
 */
import { Failure, metaRangeId, noStore } from "@flotilla/base";
import type { Incarnation, RangeDescriptor, StoreId } from "@flotilla/base";
import type {
  OperatorStep,
  RangeReport,
  ReplicaHashRequest,
  ReportReceipt,
  StepOutcome,
  StoreReport,
  StoreStatus,
} from "@flotilla/transport";
import { RangeChecks } from "../checks/range-checks.ts";
import { ReplicaHasher } from "../checks/replica-hasher.ts";
import type { PeerLinks } from "../peer-links.ts";
import type { Replica } from "../replica/replica.ts";
import type { StoreDependencies } from "../store-api.ts";
import type { StoreDirectory } from "../store-directory.ts";
import type { StoreReplicas } from "../store-replicas.ts";
import type { StoreSettings } from "../store-settings.ts";
import { DriverOffice } from "./driver-office.ts";
import type { MetaState } from "./meta-state.ts";
import { MergeSteps } from "./merge-steps.ts";
import type { MetaWhereabouts } from "./meta-whereabouts.ts";
import { PlacementDriver } from "./placement-driver.ts";
import { RangeNews } from "./range-news.ts";
import { ReportBook } from "./report-book.ts";
import type { StoreKnowledge } from "./report-book.ts";
import { StepRunner } from "./step-runner.ts";

const reportMs = 500;
/** What presses waits for its turn, too, where many ranges are awake: a report goes over all of them. */
const awakePerMs = 5;

export interface PlacementHostOptions {
  readonly storeId: StoreId;
  readonly incarnation: Incarnation;
  readonly settings: StoreSettings;
}

export interface PlacementHostHost {
  readonly dependencies: StoreDependencies;
  readonly links: PeerLinks;
  readonly meta: MetaWhereabouts;
  readonly stores: StoreDirectory;
  replica(rangeId: number): Replica | undefined;
  readonly replicas: StoreReplicas;
  status(): StoreStatus;
  rangeReport(replica: Replica): RangeReport;
  makeBoundsDurable(): Promise<void>;
  schedule(): void;
  fail(error: unknown): void;
}

export class PlacementHost {
  readonly office: DriverOffice;
  readonly service: PlacementDriver;
  readonly checks: RangeChecks;
  readonly merges: MergeSteps;
  readonly #options: PlacementHostOptions;
  readonly #host: PlacementHostHost;
  readonly #reports: ReportBook;
  readonly #steps: StepRunner;
  readonly #hasher: ReplicaHasher;
  readonly #news: RangeNews;
  #lastReportMs = -Infinity;

  constructor(options: PlacementHostOptions, host: PlacementHostHost) {
    this.#options = options;
    this.#host = host;
    const { environment, engine } = host.dependencies;
    this.#reports = new ReportBook(environment.clock);
    this.#news = new RangeNews({
      incarnation: options.incarnation,
      replicas: host.replicas,
      status: () => host.status(),
      rangeReport: (replica) => host.rangeReport(replica),
    });
    const own = options.storeId;
    this.merges = new MergeSteps({
      environment,
      storeId: own,
      replica: (rangeId) => host.replica(rangeId),
      send: (to, message) => void host.links.send(to, "heartbeat", message),
      makeBoundsDurable: () => host.makeBoundsDurable(),
      fail: host.fail,
      schedule: () => host.schedule(),
    });
    this.#steps = new StepRunner({
      replica: (rangeId) => host.replica(rangeId),
      merges: this.merges,
      fail: host.fail,
    });
    this.checks = new RangeChecks({
      environment,
      send: (to, request) => {
        if (to !== own) return host.links.send(to, "heartbeat", request);
        this.onHashRequest(own, request);
        return true;
      },
    });
    this.#hasher = new ReplicaHasher({
      environment,
      engine,
      replica: (rangeId) => host.replica(rangeId),
      answer: (to, hash) => {
        if (to === own) this.checks.onHash(hash);
        else host.links.send(to, "heartbeat", hash);
      },
      fail: host.fail,
    });
    this.office = new DriverOffice({
      environment,
      engine,
      founded: host.stores.known.stores,
      metaReplica: () => host.replica(metaRangeId),
      onDirectory: (meta) => void host.stores.learn(meta.directory),
      fail: host.fail,
    });
    this.service = new PlacementDriver({
      environment,
      settings: options.settings,
      storeId: options.storeId,
      office: this.office,
      reports: this.#reports,
      noteOwn: () => this.#noteOwn(),
      sendStep: (to, step) => {
        if (to === options.storeId) this.onStep(to, step);
        else host.links.send(to, "heartbeat", step);
      },
      fail: host.fail,
    });
  }

  /** Undefined: the driver is another store, or nobody. */
  get meta(): MetaState | undefined {
    return this.office.meta;
  }

  get leads(): boolean {
    return this.office.meta !== undefined;
  }

  get metaRange(): RangeDescriptor {
    return this.#host.meta.descriptor;
  }

  /** The store that leads the meta range, 0 = unknown. */
  get driver(): StoreId {
    return this.#host.meta.leader;
  }

  /** What fresh reports say, and this store of itself. */
  reports(): StoreKnowledge[] {
    const { storeId, settings } = this.#options;
    const others = this.#reports.fresh(settings.storeDeadMs).filter(({ status }) => status.storeId !== storeId);
    return [{ status: this.#host.status(), ranges: this.#news.known() }, ...others];
  }

  onReport(report: StoreReport): void {
    const receipt = this.#reports.note(report);
    this.#host.links.send(report.status.storeId, "heartbeat", receipt);
    this.#host.schedule();
  }

  onReceipt(from: StoreId, receipt: ReportReceipt): void {
    this.#news.onReceipt(from, receipt);
  }

  /** As the driver: what this store has to say of itself. */
  #noteOwn(): void {
    const { storeId } = this.#options;
    let report: StoreReport;
    do {
      report = this.#news.report(storeId);
      this.#news.onReceipt(storeId, this.#reports.note(report));
    } while (report.more);
  }

  onStepOutcome(outcome: StepOutcome): void {
    this.service.onOutcome(outcome);
  }

  /** What a store has to say of itself is not left for the time of the next report. */
  reportSoon(): void {
    this.#lastReportMs = -Infinity;
  }

  tick(): void {
    this.#report();
    this.service.tick();
  }

  /** Now and then, and at once when this store leads other ranges than before, or one of them has changed. */
  #report(): void {
    const { driver } = this;
    if (driver === noStore || driver === this.#options.storeId) return;
    const now = this.#host.dependencies.environment.clock.monotonicMs();
    const elapsedMs = now - this.#lastReportMs;
    if (elapsedMs < reportMs && (elapsedMs < this.#host.replicas.awake.size / awakePerMs || !this.#news.pressing))
      return;
    if (this.#host.links.send(driver, "heartbeat", this.#news.report(driver))) this.#lastReportMs = now;
  }

  /** A step for a range that this store should lead. */
  onStep(from: StoreId, step: OperatorStep): void {
    this.#steps.run(step, (outcome) => {
      if (from === this.#options.storeId) this.onStepOutcome(outcome);
      else this.#host.links.send(from, "heartbeat", outcome);
    });
  }

  onHashRequest(from: StoreId, request: ReplicaHashRequest): void {
    this.#hasher.onRequest(from, request);
  }

  /** For requests that only the driver answers: sends the client to it. */
  async inOffice(): Promise<MetaState> {
    const { driver } = this;
    const { storeId, settings } = this.#options;
    if (this.leads) await this.service.whenReady();
    const { meta } = this;
    if (meta !== undefined) return meta;
    if (driver !== noStore && driver !== storeId && this.#host.links.alive(driver, settings.storeDeadMs))
      throw new Failure("Refused", `store ${driver} drives placement`, { details: { redirectStoreId: driver } });
    throw new Failure("NoQuorum", "no placement driver is known: the meta range has no leader", {
      hint: "flotilla cluster status",
    });
  }
}
