/**
 * Placement's place in a store: every store reports to the one that leads the meta range, and does for the ranges that it
 * leads what that one asks for. The store that leads the meta range has the driver (placement-driver.ts). The data path
 * needs none of it.
 */
import { Failure, metaRangeId, noStore } from "@flotilla/base";
import type { RangeDescriptor, StoreId } from "@flotilla/base";
import type {
  OperatorStep,
  RangeReport,
  ReplicaHashRequest,
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
import type { StoreSettings } from "../store-settings.ts";
import { DriverOffice } from "./driver-office.ts";
import type { MetaState } from "./meta-state.ts";
import { MergeSteps } from "./merge-steps.ts";
import type { MetaWhereabouts } from "./meta-whereabouts.ts";
import { PlacementDriver } from "./placement-driver.ts";
import { ReportBook } from "./report-book.ts";
import { StepRunner } from "./step-runner.ts";

const reportMs = 500;

export interface PlacementHostOptions {
  readonly storeId: StoreId;
  readonly settings: StoreSettings;
}

export interface PlacementHostHost {
  readonly dependencies: StoreDependencies;
  readonly links: PeerLinks;
  readonly meta: MetaWhereabouts;
  readonly stores: StoreDirectory;
  replica(rangeId: number): Replica | undefined;
  replicas(): Iterable<Replica>;
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
  #lastReportMs = -Infinity;
  /** Of what this store leads, as last reported. */
  #reportedState = 0;

  constructor(options: PlacementHostOptions, host: PlacementHostHost) {
    this.#options = options;
    this.#host = host;
    const { environment, engine } = host.dependencies;
    this.#reports = new ReportBook(environment.clock);
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
      ownReport: () => this.#ownReport(),
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

  /** Fresh reports, this store's own among them. */
  reports(): StoreReport[] {
    const { storeId, settings } = this.#options;
    const others = this.#reports.fresh(settings.storeDeadMs).filter(({ status }) => status.storeId !== storeId);
    return [this.#ownReport(), ...others];
  }

  #ownReport(): StoreReport {
    const ranges: RangeReport[] = [];
    for (const replica of this.#host.replicas()) if (replica.leads) ranges.push(this.#host.rangeReport(replica));
    return { type: "store-report", status: this.#host.status(), ranges };
  }

  onReport(report: StoreReport): void {
    this.#reports.note(report);
  }

  onStepOutcome(outcome: StepOutcome): void {
    this.service.onOutcome(outcome);
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
    const state = this.#ledState();
    if (state === this.#reportedState && now - this.#lastReportMs < reportMs) return;
    if (!this.#host.links.send(driver, "heartbeat", this.#ownReport())) return;
    this.#reportedState = state;
    this.#lastReportMs = now;
  }

  /** Another number when anything of it has changed: epochs and terms only rise. */
  #ledState(): number {
    let state = 0;
    for (const replica of this.#host.replicas()) {
      if (!replica.leads) continue;
      const { bounds, members } = replica.descriptor.epoch;
      state += replica.rangeId * 31 + bounds * 1009 + members * 7919 + replica.node.term;
    }
    return state;
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
