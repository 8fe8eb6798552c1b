/**
 * Carries out what the driver decides, with the driver's own code for operators (`startOperator`, `advanceOperator`): steps take
 * the time of their way to the leader and of the report that they are done, range snapshots that of their bytes, one after the
 * other from each store. What is lost on its way, or meets a range that cannot commit, has no effect and is sent again.
 */
import { assert, key, noStore, sameEpoch, term } from "@flotilla/base";
import type { Key, RangeDescriptor, RangeId, ReplicaId, StoreId } from "@flotilla/base";
import { advanceOperator, applyOutcome, isEnded, operatorsToForget, startOperator } from "@flotilla/placement";
import type { Decision, Operator, RangeState } from "@flotilla/placement";
import type { OperatorStep, SplitPart, StepAction } from "@flotilla/transport";
import type { SeededRandom } from "../time/seeded-random.ts";
import { rangeOf, reportOf } from "./world.ts";
import type { World } from "./world.ts";

/** From sending a step until the driver hears what it has brought about. */
const stepMsMin = 200;
const stepMsMax = 1400;
const lossChance = 0.01;
const retryMs = 1000;

export interface WorkHooks {
  readonly begun: (operator: Operator, range: RangeState) => void;
  readonly ended: (operator: Operator) => void;
  /** `before` and `now` of the range whose members change. */
  readonly membersChanged: (before: RangeDescriptor, now: RangeDescriptor) => void;
}

export class OperatorWork {
  /** By range. */
  readonly running: Map<RangeId, Operator> = new Map();
  /** In the order in which they ended. */
  readonly ended: Map<number, Operator> = new Map();
  snapshotBytes = 0;
  readonly #world: World;
  readonly #bytesPerMs: number;
  readonly #random: SeededRandom;
  readonly #hooks: WorkHooks;
  readonly #inFlight: Set<number> = new Set();
  /** Until when each store sends. */
  readonly #sendsUntilMs: Map<StoreId, number> = new Map();
  #nextOperator = 1;

  constructor(world: World, snapshotBytesPerSecond: number, hooks: WorkHooks) {
    this.#world = world;
    this.#bytesPerMs = snapshotBytesPerSecond / 1000;
    this.#random = world.random.fork("operators");
    this.#hooks = hooks;
    world.onChange = (id) => this.#advance(id);
  }

  begin(decisions: readonly Decision[]): void {
    const { index, ids } = this.#world;
    for (const decision of decisions) {
      const range = index.ranges.get(decision.rangeId)!;
      const operator = startOperator(decision, this.#nextOperator++, index, ids);
      assert(typeof operator !== "string", `range ${decision.rangeId}: decided, and not begun`);
      this.#put(operator);
      this.#hooks.begun(operator, range);
    }
    for (const { rangeId } of decisions) this.#advance(rangeId);
  }

  advanceAll(): void {
    for (const id of [...this.running.keys()]) this.#advance(id);
  }

  #put(operator: Operator): void {
    this.#world.index.putOperator(operator);
    if (!isEnded(operator)) {
      this.running.set(operator.rangeId, operator);
      return;
    }
    this.running.delete(operator.rangeId);
    this.ended.set(operator.operatorId, operator);
    this.#hooks.ended(operator);
  }

  /** Those that stand in the meta range, and that a driver which takes over finds there. */
  endedWritten(): Operator[] {
    const forget = (): number[] => operatorsToForget(this.ended, 0, this.#world.nowMs);
    for (let ids = forget(); ids.length > 0; ids = forget()) for (const id of ids) this.ended.delete(id);
    return [...this.ended.values()];
  }

  #advance(id: RangeId): void {
    const operator = this.running.get(id);
    if (operator === undefined) return;
    const { index } = this.#world;
    index.setMoment({ ...index.state, nowMs: this.#world.nowMs });
    const { operator: next, step } = advanceOperator(operator, index);
    if (next !== operator) this.#put(next);
    if (step === undefined || this.#inFlight.has(operator.operatorId)) return;
    this.#inFlight.add(operator.operatorId);
    this.#world.agenda.after(this.#random.between(stepMsMin, stepMsMax), () => {
      this.#inFlight.delete(operator.operatorId);
      if (!this.#random.chance(lossChance)) this.#carryOut(step);
      this.#advance(id);
    });
  }

  #carryOut({ rangeId, epoch, action, operatorId, stepId }: OperatorStep): void {
    const world = this.#world;
    const range = world.index.ranges.get(rangeId);
    if (range === undefined || !world.canCommit(range)) return;
    const { descriptor } = range;
    if (!sameEpoch(descriptor.epoch, epoch)) return;
    switch (action.kind) {
      case "change-members":
        this.#changeMembers(range, action);
        break;
      case "transfer-leader":
        this.#transfer(range, action.to);
        break;
      case "find-split-keys":
        this.#tellKeys(range, operatorId, stepId, keysBetween(descriptor, action.parts - 1));
        break;
      case "split":
        this.#split(range, action.parts);
        break;
      default:
        assert(false, `nothing is merged here: ${action.kind}`);
    }
  }

  #changeMembers(range: RangeState, { add, remove }: Extract<StepAction, { kind: "change-members" }>): void {
    const world = this.#world;
    const { descriptor } = range;
    const added = new Map(add.map((member) => [member.replicaId, member]));
    const kept = descriptor.replicas.filter(({ replicaId }) => !remove.includes(replicaId));
    const replicas = [
      ...kept.map((member) => added.get(member.replicaId) ?? member),
      ...add.filter(({ replicaId }) => kept.every((member) => member.replicaId !== replicaId)),
    ];
    // Neither the old members nor the new ones can do without a majority.
    if (!world.canCommit({ ...range, descriptor: { ...descriptor, replicas } })) return;
    const epoch = { ...descriptor.epoch, members: descriptor.epoch.members + 1 };
    const now = { ...descriptor, epoch, replicas };
    this.#hooks.membersChanged(descriptor, now);
    const seen = replicas.map(
      (member) =>
        range.replicas.find(({ replicaId }) => replicaId === member.replicaId) ?? reportOf(member, "snapshot"),
    );
    const leads = replicas.some(({ storeId }) => storeId === range.leader);
    const changed = { ...range, descriptor: now, replicas: seen, leader: leads ? range.leader : noStore };
    if (leads) world.put(changed);
    else world.notice(changed);
    for (const { replicaId, role } of add) if (role === "learner") this.#sendSnapshot(descriptor.rangeId, replicaId);
  }

  /** Again and again, until the learner has it or is a member no more. */
  #sendSnapshot(id: RangeId, learner: ReplicaId): void {
    const world = this.#world;
    const range = world.index.ranges.get(id);
    const member = range?.descriptor.replicas.find(({ replicaId }) => replicaId === learner);
    if (range === undefined || member === undefined) return;
    const [from, to] = [world.stores.get(range.leader), world.stores.get(member.storeId)!];
    const again = (): void => this.#sendSnapshot(id, learner);
    if (from === undefined || !world.lives(from.id) || !world.lives(to.id)) {
      world.agenda.after(retryMs, again);
      return;
    }
    const beginsMs = Math.max(world.nowMs, this.#sendsUntilMs.get(from.id) ?? 0);
    const endsMs = beginsMs + Math.ceil(range.sizeBytes / this.#bytesPerMs);
    this.#sendsUntilMs.set(from.id, endsMs);
    this.snapshotBytes += range.sizeBytes;
    const deaths = from.deaths + to.deaths;
    world.agenda.after(endsMs - world.nowMs + this.#random.between(stepMsMin, stepMsMax), () => {
      const now = world.index.ranges.get(id);
      if (from.deaths + to.deaths !== deaths || now?.leader !== from.id) again();
      else world.level(now, learner);
    });
  }

  #transfer(range: RangeState, to: StoreId): void {
    const member = range.descriptor.replicas.find(({ storeId }) => storeId === to);
    const report = range.replicas.find(({ storeId }) => storeId === to);
    if (member?.role !== "voter" || report?.state !== "replicate" || !this.#world.lives(to)) return;
    this.#world.put({ ...range, leader: to, term: term(range.term + 1) });
  }

  #tellKeys({ descriptor }: RangeState, operatorId: number, stepId: number, keys: readonly Key[]): void {
    const { index, ids } = this.#world;
    const operator = this.running.get(descriptor.rangeId);
    if (operator?.operatorId !== operatorId) return;
    const { rangeId } = descriptor;
    const said = { operatorId, stepId, rangeId, state: "done" as const, reason: "", keys, seal: undefined, descriptor };
    const next = applyOutcome(operator, { type: "step-outcome", ...said }, index, ids);
    if (next !== operator) this.#put(next);
  }

  #split(range: RangeState, parts: readonly SplitPart[]): void {
    const world = this.#world;
    const bytes = Math.floor(range.sizeBytes / (parts.length + 1));
    let { descriptor } = range;
    for (const { key: at, rangeId, replicas: pairs } of parts) {
      const replicas = descriptor.replicas.map((member) => {
        const replicaId = pairs.find(({ left }) => left === member.replicaId)!.right;
        return { ...member, replicaId };
      });
      const bounds = descriptor.epoch.bounds + 1;
      const right = { rangeId, start: at, end: descriptor.end, epoch: { bounds, members: 1 }, replicas };
      descriptor = { ...descriptor, end: at, epoch: { ...descriptor.epoch, bounds } };
      world.notice(rangeOf(right, range.leader, bytes));
    }
    world.put({ ...range, descriptor, sizeBytes: range.sizeBytes - parts.length * bytes });
  }
}

/** In rising order, all inside the range. */
function keysBetween({ start, end }: RangeDescriptor, count: number): Key[] {
  let prefix: string = start;
  while (`${prefix}${count}` >= end) prefix += "0";
  return Array.from({ length: count }, (_, i) => key(`${prefix}${i + 1}`));
}
