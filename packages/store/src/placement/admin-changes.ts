/**
 * What an administrator has the placement driver do with ranges, operators, schedulers and settings. Each request is
 * checked and decided in one step of the driver's office, and answered when that is written down.
 */
import { Failure, keyBytesMax, metaRangeId, prefixEnd, rangeId, storeId, userKey } from "@flotilla/base";
import type { Key, RandomSource, RangeDescriptor, RangeId } from "@flotilla/base";
import {
  endedMax,
  explainRange,
  isEnded,
  planMerge,
  planMove,
  planScatter,
  planSplit,
  planTransferLeader,
  schedulerNames,
  splitPartsMax,
} from "@flotilla/placement";
import type { AdminPlan, ClusterIndex, Operator, SchedulerName } from "@flotilla/placement";
import type { AdminArguments } from "./admin-arguments.ts";
import { colocationSetting, schedulerSetting } from "./cluster-view.ts";
import { keptRanges, keptRangesMax, keptSetting } from "./kept-ranges.ts";
import type { MetaDraft } from "./meta-draft.ts";
import type { MetaState } from "./meta-state.ts";
import { operatorRow } from "./operator-row.ts";
import type { PlacementHost } from "./placement-host.ts";
import { utcTime } from "./utc-time.ts";

const prefixesMax = 1000;
const nothingToDo: AdminPlan["plan"] = { steps: [], bytes: 0, risks: [], blocked: [] };

export class AdminChanges {
  readonly #placement: PlacementHost;
  readonly #random: RandomSource;
  readonly #wallMs: () => number;

  constructor(placement: PlacementHost, random: RandomSource, wallMs: () => number) {
    this.#placement = placement;
    this.#random = random;
    this.#wallMs = wallMs;
  }

  // ---- ranges ----

  split(given: AdminArguments): Promise<unknown> {
    const id = rangeId(given.id("rangeId"));
    if (given.has("at") === given.has("parts"))
      throw new Failure("InvalidArgument", "range-split takes at or parts, one of them");
    const how = given.has("at")
      ? { at: given.keys("at", splitPartsMax - 1, keyBytesMax).map(userKey) }
      : { parts: given.id("parts") };
    return this.#operators(given, (index) => planSplit(index, id, how));
  }

  merge(given: AdminArguments): Promise<unknown> {
    const id = rangeId(given.id("rangeId"));
    const right = given.has("rightRangeId") ? rangeId(given.id("rightRangeId")) : undefined;
    return this.#operators(given, (index) => planMerge(index, id, right));
  }

  move(given: AdminArguments): Promise<unknown> {
    const [id, from, to] = [rangeId(given.id("rangeId")), storeId(given.id("from")), storeId(given.id("to"))];
    return this.#operators(given, (index) => planMove(index, id, from, to));
  }

  transferLeader(given: AdminArguments): Promise<unknown> {
    const [id, to] = [rangeId(given.id("rangeId")), storeId(given.id("to"))];
    return this.#operators(given, (index) => planTransferLeader(index, id, to));
  }

  scatter(given: AdminArguments): Promise<unknown> {
    const one = given.has("rangeId") ? rangeId(given.id("rangeId")) : undefined;
    const prefix = given.has("prefix") ? userKey(given.binary("prefix", keyBytesMax)) : undefined;
    return this.#operators(given, (index) => {
      const all = [...index.ranges.values()].map(({ descriptor }) => descriptor);
      return planScatter(index, one === undefined ? scattered(all, prefix) : [one], this.#random);
    });
  }

  /** Shows the plan, or begins all its operators: those that can, when there are several. */
  async #operators(given: AdminArguments, plan: (index: ClusterIndex) => AdminPlan): Promise<unknown> {
    const meta = await this.#placement.inOffice();
    const { service, office } = this.#placement;
    if (given.has("rangeId")) await service.whenFree(rangeId(given.id("rangeId")));
    if (given.flag("plan")) return { plan: plan(service.index(meta)).plan };
    return office.perform((draft) => {
      const index = service.index(draft.meta);
      const { decisions, plan: shown } = plan(index);
      if (decisions.length === 0 && shown.blocked.length > 0) {
        const { rangeId: id, reason } = shown.blocked[0]!;
        throw new Failure("Refused", `range ${id}: ${reason}`, { details: { blocked: shown.blocked } });
      }
      const operatorIds: number[] = [];
      for (const decision of decisions) {
        const operator = service.begin(draft, decision, index);
        if (typeof operator !== "string") operatorIds.push(operator.operatorId);
        else if (decisions.length === 1) throw new Failure("Refused", operator);
      }
      return { operatorIds };
    });
  }

  async explain(given: AdminArguments): Promise<unknown> {
    const id = rangeId(given.id("rangeId"));
    const meta = await this.#placement.inOffice();
    const lines = explainRange(id, this.#placement.service.index(meta));
    if (lines === undefined) throw unknownRange(id);
    return { rangeId: id, lines };
  }

  /** What `range-show` adds to the range's row. */
  async operatorsOf(id: RangeId): Promise<{ operators: object[]; explain: unknown }> {
    const meta = await this.#placement.inOffice();
    const index = this.#placement.service.index(meta);
    const explain = explainRange(id, index);
    if (explain === undefined) throw unknownRange(id);
    const concerned = [...meta.running.values(), ...meta.ended.values()].filter(
      ({ rangeId: own, goal }) => own === id || (goal.kind === "merge" && goal.rightRangeId === id),
    );
    return { operators: concerned.slice(-10).map((operator) => this.#row(operator, index)), explain };
  }

  // ---- operators ----

  #row(operator: Operator, index: ClusterIndex): object {
    return operatorRow(operator, index, this.#placement.service.waitsFor(operator.operatorId));
  }

  async operatorList(given: AdminArguments): Promise<unknown> {
    const all = given.flag("all");
    const meta = await this.#placement.inOffice();
    const index = this.#placement.service.index(meta);
    const operators = [...(all ? [...meta.ended.values()].slice(-endedMax) : []), ...meta.running.values()];
    return operators.sort((a, b) => a.operatorId - b.operatorId).map((operator) => this.#row(operator, index));
  }

  async operatorShow(given: AdminArguments): Promise<unknown> {
    const operatorId = given.id("operatorId");
    const meta = await this.#placement.inOffice();
    return this.#row(knownOperator(meta, operatorId), this.#placement.service.index(meta));
  }

  async operatorCancel(given: AdminArguments): Promise<unknown> {
    const operatorId = given.id("operatorId");
    const meta = await this.#placement.inOffice();
    const cancel = (operator: Operator): void => {
      if (isEnded(operator))
        throw new Failure("Refused", `operator ${operatorId} has ended already: ${operator.state}`, {
          hint: `flotilla operator show ${operatorId}`,
        });
    };
    if (given.flag("plan")) {
      cancel(knownOperator(meta, operatorId));
      return { plan: nothingToDo };
    }
    return this.#placement.office.perform((draft) => {
      const operator = knownOperator(draft.meta, operatorId);
      cancel(operator);
      if (operator.state === "cancelling") return { changed: false, operatorIds: [operatorId] };
      this.#placement.service.cancel(draft, operator, "cancelled by an administrator");
      return { changed: true, operatorIds: [operatorId] };
    });
  }

  // ---- schedulers and settings ----

  async schedulerList(): Promise<unknown> {
    const meta = await this.#placement.inOffice();
    return schedulerNames.map((name) => {
      const pause = meta.settings.get(schedulerSetting(name)) as { readonly sinceMs?: number } | undefined;
      const since = pause?.sinceMs === undefined ? null : utcTime(pause.sinceMs);
      return { name, paused: pause !== undefined, pausedBy: pause === undefined ? null : "admin", since, until: null };
    });
  }

  schedulerPause(given: AdminArguments, paused: boolean): Promise<unknown> {
    const text = given.text("name", 100);
    const name = schedulerNames.find((known) => known === text);
    if (name === undefined)
      throw new Failure("NotFound", `there is no scheduler ${JSON.stringify(text)}`, {
        hint: schedulerNames.join(", "),
      });
    return this.#instant(given, (draft) => setPaused(draft, name, paused ? this.#wallMs() : undefined));
  }

  async settingGet(given: AdminArguments): Promise<unknown> {
    const name = knownSetting(given.text("name", 100));
    const meta = await this.#placement.inOffice();
    return { name, value: meta.settings.get(name) ?? (name === "replicas" ? null : []) };
  }

  settingSet(given: AdminArguments): Promise<unknown> {
    const name = knownSetting(given.text("name", 100));
    const value = settingValue(name, given);
    return this.#instant(given, (draft) => {
      const same = JSON.stringify(draft.meta.settings.get(name)) === JSON.stringify(value);
      if (!same) draft.set(name, value);
      return !same;
    });
  }

  /** `change` says whether anything is another now. */
  async #instant(given: AdminArguments, change: (draft: MetaDraft) => boolean): Promise<unknown> {
    await this.#placement.inOffice();
    if (given.flag("plan")) return { plan: nothingToDo };
    return this.#placement.office.perform((draft) => ({ changed: change(draft), operatorIds: [] }));
  }
}

function setPaused(draft: MetaDraft, name: SchedulerName, sinceMs: number | undefined): boolean {
  const setting = schedulerSetting(name);
  const isPaused = draft.meta.settings.get(setting) !== undefined;
  if (isPaused === (sinceMs !== undefined)) return false;
  draft.set(setting, sinceMs === undefined ? undefined : { sinceMs });
  return true;
}

const settingNames = [colocationSetting, keptSetting, "replicas"] as const;

function knownSetting(text: string): (typeof settingNames)[number] {
  const name = settingNames.find((known) => known === text);
  if (name === undefined)
    throw new Failure("NotFound", `there is no setting ${JSON.stringify(text)}`, { hint: settingNames.join(", ") });
  return name;
}

function settingValue(name: (typeof settingNames)[number], given: AdminArguments): unknown {
  if (name === colocationSetting) return given.keys("value", prefixesMax, keyBytesMax);
  return name === keptSetting ? keptOf(given.raw("value")) : replicasOf(given.raw("value"));
}

/** An empty list lets all small ranges merge by themselves. */
function keptOf(value: unknown): number[] {
  const kept = keptRanges(value);
  if (Array.isArray(value) && kept.length === value.length && kept.length <= keptRangesMax) return kept;
  throw new Failure("InvalidArgument", `${keptSetting} is a list of at most ${keptRangesMax} range ids`);
}

function replicasOf(value: unknown): number {
  if (value === 1 || value === 3 || value === 5 || value === 7) return value;
  throw new Failure("InvalidArgument", "replicas is 1, 3, 5 or 7");
}

/** Ranges of users with keys of the prefix. */
function scattered(all: readonly RangeDescriptor[], prefix: Key | undefined): RangeId[] {
  const users = all.filter((range) => range.rangeId !== metaRangeId);
  if (prefix === undefined) return users.map((range) => range.rangeId);
  const after = prefixEnd(prefix);
  return users
    .filter(({ start, end }) => end > prefix && (after === undefined || start < after))
    .map((range) => range.rangeId);
}

function knownOperator(meta: MetaState, operatorId: number): Operator {
  const operator = meta.operator(operatorId);
  if (operator === undefined)
    throw new Failure("NotFound", `there is no operator ${operatorId}, or it ended long ago`, {
      hint: "flotilla operator list --all",
    });
  return operator;
}

export function unknownRange(id: number): Failure {
  return new Failure("NotFound", `there is no range ${id}`, { hint: "flotilla range list" });
}
