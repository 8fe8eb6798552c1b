/**
 * The placement driver while this store is in office: it keeps the map of ranges by what their leaders report, follows
 * operators to their end, and begins what the rules of packages/placement ask for. What it knows is in the meta range, so
 * the next driver goes on where this one was.
 */
import { Failure, noStore } from "@flotilla/base";
import type { Environment, RangeId, StoreId } from "@flotilla/base";
import {
  ForgottenSeals,
  advanceOperator,
  applyOutcome,
  cancelOperator,
  decide,
  defaultPlacementSettings,
  startOperator,
  waitingDescriptorsMax,
} from "@flotilla/placement";
import type { ClusterIndex, Decision, Operator } from "@flotilla/placement";
import type { OperatorStep, StepOutcome, StoreStatus } from "@flotilla/transport";
import type { StoreSettings } from "../store-settings.ts";
import { ClusterView, storeStates } from "./cluster-view.ts";
import { noteKept } from "./kept-ranges.ts";
import type { ClusterViewInputs } from "./cluster-view.ts";
import { DecisionPace } from "./decision-pace.ts";
import type { DriverOffice } from "./driver-office.ts";
import type { MetaDraft } from "./meta-draft.ts";
import type { MetaState } from "./meta-state.ts";
import { StepSender } from "./step-sender.ts";
import type { ReportBook } from "./report-book.ts";

const roundMs = 1000;
/** While operators are under way, or a report or an outcome has come that may move one on. */
const followMs = 200;
/** Answers of leaders that wait for the next round. */
const outcomesMax = 10_000;
const transferPatienceMs = 5000;

export interface PlacementDriverHost {
  readonly environment: Environment;
  readonly settings: StoreSettings;
  readonly storeId: StoreId;
  readonly office: DriverOffice;
  readonly reports: ReportBook;
  /** Puts what this store has to say of itself into `reports`. */
  noteOwn(): void;
  sendStep(to: StoreId, step: OperatorStep): void;
  fail(error: unknown): void;
}

export class PlacementDriver {
  readonly #host: PlacementDriverHost;
  readonly #sender: StepSender;
  #outcomes: StepOutcome[] = [];
  #lastRoundMs = -Infinity;
  readonly #pace: DecisionPace = new DecisionPace();
  #seals: ForgottenSeals = new ForgottenSeals();
  #rounding = false;
  /** Another round is to follow the one under way at once. */
  #hurried = false;
  /** What each operator under way waits for, in words. */
  #waiting: Map<number, string> = new Map();
  #whenReady: (() => void)[] = [];
  /** The map has seen all ranges that are reported; from then on it sees what changes. */
  #offered = false;
  /** Of the office that these belong to. */
  #meta: MetaState | undefined = undefined;
  #view: ClusterView | undefined = undefined;

  constructor(host: PlacementDriverHost) {
    this.#host = host;
    this.#sender = new StepSender(host.environment.clock, host.sendStep);
  }

  /** A new driver plans nothing before all stores have reported, or one down-time has passed (rule: newest epoch). */
  get ready(): boolean {
    const { office, reports, storeId, settings } = this.#host;
    const { meta } = office;
    if (meta === undefined) return false;
    if (this.#now() - office.sinceMs >= settings.storeDeadMs) return true;
    for (const store of meta.stores.values()) {
      if (store.state === "decommissioned" || store.storeId === storeId) continue;
      if (!reports.isComplete(store.storeId, office.sinceMs)) return false;
    }
    return true;
  }

  /** Resolves also when it will not be ready, because the office was left. */
  whenReady(): Promise<void> {
    if (this.ready) return Promise.resolve();
    return new Promise((resolve) => this.#whenReady.push(resolve));
  }

  /**
   * Resolves when the range has no transfer under way that balance asked for: it takes a moment, and an administrator need
   * not be refused for it. At the latest after `transferPatienceMs`.
   */
  async whenFree(id: RangeId): Promise<void> {
    const untilMs = this.#now() + transferPatienceMs;
    while (this.#now() < untilMs && this.#isBalanced(id))
      await new Promise<void>((resolve) => this.#host.environment.scheduler.after(followMs, resolve));
  }

  #isBalanced(id: RangeId): boolean {
    for (const { rangeId, source, goal } of this.#host.office.meta?.running.values() ?? [])
      if (rangeId === id && source !== "admin" && goal.kind === "transfer-leader") return true;
    return false;
  }

  waitsFor(operatorId: number): string {
    return this.#waiting.get(operatorId) ?? "";
  }

  #now(): number {
    return this.#host.environment.clock.monotonicMs();
  }

  onOutcome(outcome: StepOutcome): void {
    const { meta } = this.#host.office;
    if (meta === undefined || this.#outcomes.length >= outcomesMax) return;
    this.#outcomes.push(outcome);
    // From the seal on clients wait: a merge goes on at once.
    if (meta.running.get(outcome.operatorId)?.goal.kind === "merge") this.#hurry();
  }

  #hurry(): void {
    this.#lastRoundMs = -Infinity;
    this.#hurried = this.#rounding;
    if (!this.#rounding) this.#host.environment.scheduler.endOfTurn(() => this.#beginRound());
  }

  tick(): void {
    const { office } = this.#host;
    office.tick();
    const { meta } = office;
    if (meta !== this.#meta) this.#begin(meta);
    if (this.#whenReady.length > 0 && (meta === undefined || this.ready)) {
      const waiting = this.#whenReady;
      this.#whenReady = [];
      for (const resolve of waiting) resolve();
    }
    this.#beginRound();
  }

  /** When it is time for one. */
  #beginRound(): void {
    const { meta } = this.#host.office;
    if (meta === undefined || meta !== this.#meta || this.#rounding) return;
    const now = this.#now();
    const busy = meta.running.size > 0 || this.#outcomes.length > 0 || meta.map.waitingCount > 0;
    if (now - this.#lastRoundMs < (busy ? followMs : roundMs)) return;
    this.#lastRoundMs = now;
    this.#rounding = true;
    this.#round(meta).then(
      () => {
        this.#rounding = false;
        if (this.#hurried) this.#hurry();
      },
      (error: unknown) => {
        this.#rounding = false;
        // Left the office meanwhile: the next driver goes on.
        if (!(error instanceof Failure)) this.#host.fail(error);
      },
    );
  }

  #begin(meta: MetaState | undefined): void {
    this.#meta = meta;
    this.#view = undefined;
    this.#outcomes = [];
    this.#waiting = new Map();
    this.#offered = false;
    this.#sender.clear();
    this.#lastRoundMs = -Infinity;
    this.#pace.reset();
    this.#seals = new ForgottenSeals();
  }

  async #round(meta: MetaState): Promise<void> {
    const { office } = this.#host;
    this.#host.noteOwn();
    await office.perform((draft) => this.#takeReports(draft));
    if (office.meta !== meta) return;
    const { ready } = this;
    const steps = await office.perform((draft) => this.#follow(draft, ready));
    for (const { step, leader } of steps) this.#sender.send(step, leader);
    if (ready && this.#pace.isDue(this.#now(), this.#sight(meta), this.#looks(meta)))
      await office.perform((draft) => this.#decide(draft));
  }

  inputs(meta: MetaState): ClusterViewInputs {
    const { reports, settings, environment, office } = this.#host;
    const { clock } = environment;
    const { sinceMs } = office;
    return { meta, reports, settings, monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs(), sinceMs };
  }

  /** As of now; good until it is asked for again. */
  index(meta: MetaState): ClusterIndex {
    const inputs = this.inputs(meta);
    if (this.#view?.meta !== meta) this.#view = new ClusterView(inputs);
    return this.#view.look(inputs);
  }

  /** What decisions rest on besides time: another text when any of it has changed. */
  #sight(meta: MetaState): string {
    const stores = storeStates(this.inputs(meta)).map((store) => {
      const { storeId, health, downMs, diskFull, stopping, snapshotsSending, snapshotsReceiving } = store;
      const isDown = downMs >= this.#host.settings.storeDownMs;
      return [storeId, health, isDown, diskFull, stopping, snapshotsSending, snapshotsReceiving].join(" ");
    });
    return [this.#host.reports.revision, meta.revision, ...stores].join(", ");
  }

  /** A look that finds no place for many ranges stops, and the next one goes on behind these. */
  #looks(meta: MetaState): number {
    return 1 + Math.ceil(meta.map.all().length / defaultPlacementSettings.searchesPerRoundMax);
  }

  // ---- steps of the office ----

  #takeReports(draft: MetaDraft): void {
    const { meta } = draft;
    const { reports, settings } = this.#host;
    for (const { status } of reports.fresh(settings.storeDeadMs)) noteStore(draft, status);
    // What had no room to wait has to be said again.
    const all = !this.#offered || meta.map.waitingCount >= waitingDescriptorsMax;
    this.#offered = true;
    for (const descriptor of reports.takeDescriptors(settings.storeDeadMs, all)) meta.map.report(descriptor);
    const update = meta.map.update();
    if (update !== undefined) draft.updateMap(update);
  }

  /**
   * Moves every operator on, and returns what is to be told to leaders. Before this driver is ready, only merges whose right
   * range may be sealed: its clients wait, and whatever is done about it is right by what the two logs have, whoever asks.
   */
  #follow(draft: MetaDraft, ready: boolean): { step: OperatorStep; leader: StoreId }[] {
    const { meta } = draft;
    const outcomes = this.#outcomes;
    this.#outcomes = [];
    if (meta.running.size === 0) return [];
    const index = this.index(meta);
    const told = new Map<number, StepOutcome[]>();
    for (const outcome of outcomes) {
      const known = told.get(outcome.operatorId);
      if (known === undefined) told.set(outcome.operatorId, [outcome]);
      else known.push(outcome);
    }
    const steps: { step: OperatorStep; leader: StoreId }[] = [];
    for (const operator of meta.running.values()) {
      if (!ready && !(operator.goal.kind === "merge" && operator.goal.phase === "seal")) continue;
      let next = operator;
      for (const outcome of told.get(operator.operatorId) ?? []) {
        next = applyOutcome(next, outcome, index, draft);
        if (outcome.state !== "done") this.#waiting.set(operator.operatorId, outcome.reason);
      }
      const { operator: advanced, step, waiting } = advanceOperator(next, index);
      if (advanced !== operator) {
        draft.put(advanced);
        noteKept(draft, advanced);
      }
      if (waiting !== "") this.#waiting.set(operator.operatorId, waiting);
      const leader = step === undefined ? noStore : (index.ranges.get(step.rangeId)?.leader ?? noStore);
      if (step !== undefined && leader !== noStore) steps.push({ step, leader });
      if (!meta.running.has(advanced.operatorId) || advanced.endedMs > 0) this.#noteEnd(advanced);
    }
    return steps;
  }

  #noteEnd({ operatorId, rangeId, goal, state, outcome }: Operator): void {
    this.#waiting.delete(operatorId);
    this.#sender.forget(operatorId);
    const fields = { operatorId, rangeId, kind: goal.kind, state, outcome };
    this.#host.environment.logger.info(fields, "an operator ended");
  }

  #decide(draft: MetaDraft): void {
    this.#pace.noteLook(this.#now());
    const index = this.index(draft.meta);
    const decisions = decide(index);
    const forgotten = this.#seals.operators(index, new Set(decisions.flatMap(workedOn)), () =>
      draft.nextId("operator"),
    );
    if (decisions.length + forgotten.length > 0) this.#pace.noteBegun();
    for (const decision of decisions) this.begin(draft, decision, index);
    for (const operator of forgotten) this.#put(draft, operator);
    finishDecommissions(draft, index);
  }

  /** Writes the operator down; the next round sends its first step. The text says why there is none. */
  begin(draft: MetaDraft, decision: Decision, index: ClusterIndex): Operator | string {
    const operator = startOperator(decision, draft.nextId("operator"), index, draft);
    if (typeof operator !== "string") this.#put(draft, operator);
    return operator;
  }

  #put(draft: MetaDraft, operator: Operator): void {
    draft.put(operator);
    const { operatorId, rangeId, goal, source, reason } = operator;
    this.#host.environment.logger.info({ operatorId, rangeId, kind: goal.kind, source, reason }, "an operator begins");
    this.#lastRoundMs = -Infinity;
  }

  cancel(draft: MetaDraft, operator: Operator, reason: string): void {
    draft.put(cancelOperator(operator, reason));
    this.#lastRoundMs = -Infinity;
  }
}

/** A merge stands for both its ranges. */
const workedOn = ({ rangeId, goal }: Decision): RangeId[] =>
  goal.kind === "merge" ? [rangeId, goal.rightRangeId] : [rangeId];

/** Where a store is, and what it says of itself, goes into the directory that all stores have. */
function noteStore(draft: MetaDraft, { storeId, address, httpAddress, labels }: StoreStatus): void {
  const known = draft.meta.stores.get(storeId);
  if (known === undefined || known.state === "decommissioned") return;
  const same = known.address === address && known.httpAddress === httpAddress && sameLabels(known.labels, labels);
  if (!same) draft.putStore({ ...known, address, httpAddress, labels });
}

function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

/** A store that was to go, and that nothing is on or on its way to any more, is out. */
function finishDecommissions(draft: MetaDraft, index: ClusterIndex): void {
  const { meta } = draft;
  const isEmpty = (store: StoreId): boolean => (index.stores.get(store)?.ranges.size ?? 0) === 0;
  const leaving = [...meta.stores.values()].filter(
    ({ state, storeId }) => state === "decommissioning" && isEmpty(storeId),
  );
  if (leaving.length === 0) return;
  const used = new Set<StoreId>();
  for (const { replicas } of meta.map.all()) for (const { storeId } of replicas) used.add(storeId);
  for (const { goal } of meta.running.values()) {
    if ("to" in goal) used.add(goal.to);
    if (goal.kind === "merge") for (const { to } of goal.moves) used.add(to);
  }
  for (const store of leaving) if (!used.has(store.storeId)) draft.putStore({ ...store, state: "decommissioned" });
}
