/**
 * What an administrator asks for, checked and turned into decisions, with a plan to show first. What cannot be done is a
 * `Failure`: NotFound for unknown ids, InvalidArgument for nonsense, Refused for what the cluster's state forbids now.
 */
import { Failure, metaRangeId, noReplica } from "@flotilla/base";
import type { Key, NodeId, RandomSource, RangeId, StoreId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import { goalText } from "./explain.ts";
import { mergeGoal, mergeRefused, neighbour } from "./merge-rules.ts";
import type { Decision } from "./operator.ts";
import { changeBlocked, isLevel, isPending, isVoter, memberOn, quorumMissing } from "./quorum.ts";
import { leaderCandidates } from "./range-rules.ts";
import { decisionFor } from "./range-verdict.ts";
import { shownKey, splitKeyRefused, unsplittable } from "./split-keys.ts";
import { bestTarget, crowdingWith, loadsOf, targetRefused } from "./spread.ts";
import type { StoreLoad } from "./store-load.ts";

export interface PlanStep {
  readonly rangeId: RangeId;
  readonly action: string;
  /** Where something is added, or that comes to lead. */
  readonly storeId: StoreId | null;
  readonly bytes: number | null;
  readonly text: string;
}

export interface Plan {
  readonly steps: readonly PlanStep[];
  readonly bytes: number;
  readonly risks: readonly string[];
  readonly blocked: readonly { readonly rangeId: RangeId; readonly reason: string }[];
}

/** `decisions` are for `startOperator`; empty where the rounds do it after a change of the stores' state. */
export interface AdminPlan {
  readonly plan: Plan;
  readonly decisions: readonly Decision[];
}

export function planMove(index: ClusterIndex, id: RangeId, from: StoreId, to: StoreId): AdminPlan {
  const range = freeRange(index, id);
  const [old, target] = [knownStore(index, from), knownStore(index, to)];
  if (from === to) throw new Failure("InvalidArgument", `store ${to} is where the replica is already`);
  const member = memberOn(range.descriptor, from);
  if (member === undefined) throw new Failure("InvalidArgument", `range ${id} has no replica on store ${from}`);
  if (memberOn(range.descriptor, to) !== undefined)
    throw new Failure("Refused", `range ${id} has a replica on store ${to} already`);
  const others = loadsOf(range, index, from);
  const sharing = others.find(({ node }) => node === target.node);
  if (sharing !== undefined)
    throw new Failure(
      "Refused",
      `node ${target.store.nodeId} has a replica of range ${id} already, on store ${sharing.store.storeId}`,
    );
  const refused = targetRefused(target, range.sizeBytes, index.state.settings);
  if (refused !== undefined) throw new Failure("Refused", refused);
  const added = [{ replicaId: noReplica, storeId: to }];
  refuseIf(changeBlocked(range, added, [member.replicaId], index), id);
  const goal = { kind: "move" as const, from, to, replicaId: noReplica };
  const risks =
    crowdingWith(target, others) > crowdingWith(old, others)
      ? [`range ${id} would be spread worse over hosts or zones`]
      : [];
  return adminPlan([decisionFor(range, goal, "admin", "asked for", range.sizeBytes).decision], risks);
}

export function planTransferLeader(index: ClusterIndex, id: RangeId, to: StoreId): AdminPlan {
  const range = freeRange(index, id);
  const { store } = knownStore(index, to);
  const member = memberOn(range.descriptor, to);
  if (member === undefined) throw new Failure("InvalidArgument", `range ${id} has no replica on store ${to}`);
  if (range.leader === to) throw new Failure("Refused", `store ${to} leads range ${id} already`);
  if (!isVoter(member)) throw new Failure("Refused", `the replica on store ${to} is no voter yet`);
  if (store.health !== "live") throw new Failure("Refused", `store ${to} is ${store.health}`);
  if (!isLevel(range, member.replicaId, to, index))
    throw new Failure("Refused", `the replica on store ${to} is not level with its leader`);
  return adminPlan([decisionFor(range, { kind: "transfer-leader", to }, "admin", "asked for").decision]);
}

/** Either keys, or a number of parts whose keys the range's leader finds. */
export function planSplit(
  index: ClusterIndex,
  id: RangeId,
  how: { at: readonly Key[] } | { parts: number },
): AdminPlan {
  if (id === metaRangeId) throw new Failure("InvalidArgument", "the meta range never splits");
  const range = freeRange(index, id);
  const prefixes = index.state.colocatedPrefixes;
  const keys = "at" in how ? [...new Set(how.at)] : [];
  const count = "at" in how ? keys.length + 1 : how.parts;
  if (!Number.isSafeInteger(count) || count < 2 || count > splitPartsMax)
    throw new Failure("InvalidArgument", `a range is split into 2 to ${splitPartsMax} parts, not ${count}`);
  for (const key of keys) {
    const refused = splitKeyRefused(key, range.descriptor, prefixes);
    if (refused !== undefined) throw new Failure("InvalidArgument", refused);
  }
  const whole = unsplittable(range.descriptor, prefixes);
  if (whole !== undefined)
    throw new Failure("InvalidArgument", `all keys of range ${id} have the co-located prefix ${shownKey(whole)}`);
  const goal = { kind: "split" as const, count, keys, prefixes, parts: [] };
  return adminPlan([decisionFor(range, goal, "admin", "asked for").decision]);
}

/** `right` undefined: whichever begins where the other ends. */
export function planMerge(index: ClusterIndex, id: RangeId, right: RangeId | undefined): AdminPlan {
  const left = knownRange(index, id);
  const next = neighbour(left, index);
  const other = right === undefined ? next : knownRange(index, right);
  if (id === metaRangeId || right === metaRangeId) throw new Failure("InvalidArgument", "the meta range never merges");
  if (other === undefined) throw new Failure("InvalidArgument", `range ${id} is the last one: nothing follows it`);
  const otherId = other.descriptor.rangeId;
  if (other !== next)
    throw new Failure("InvalidArgument", `range ${otherId} does not begin where range ${id} ends`, {
      hint: neighbour(other, index) === left ? `flotilla range merge ${otherId} ${id}` : "flotilla range list",
    });
  freeRange(index, id);
  freeRange(index, otherId);
  const refused = mergeRefused(left, other, index);
  if (refused !== undefined) throw new Failure("Refused", refused);
  const goal = mergeGoal(left, other);
  const { splitBytes } = index.state.settings;
  const large = left.sizeBytes + other.sizeBytes > splitBytes;
  const risks = large ? [`together they are larger than ${splitBytes} bytes, and will be split again`] : [];
  const bytes = goal.moves.length * other.sizeBytes;
  const { plan, decisions } = adminPlan([decisionFor(left, goal, "admin", "asked for", bytes).decision], risks);
  const moves = goal.moves.map(({ from, to }): PlanStep => {
    const text = goalText({ kind: "move", from, to, replicaId: noReplica });
    return { rangeId: otherId, action: "move", storeId: to, bytes: other.sizeBytes, text };
  });
  const merge = plan.steps.map((step) => ({ ...step, bytes: null }));
  return { plan: { ...plan, steps: [...moves, ...merge] }, decisions };
}

/** One split makes at most so many. */
export const splitPartsMax = 256;

/**
 * Each range's leadership to a member by chance, or one of its replicas, where there is a place, to the emptiest store. What
 * is chosen for one range counts for the next.
 */
export function planScatter(index: ClusterIndex, ids: readonly RangeId[], random: RandomSource): AdminPlan {
  const decisions: Decision[] = [];
  const blocked: { rangeId: RangeId; reason: string }[] = [];
  for (const id of ids) {
    const range = knownRange(index, id);
    const running = index.operators.get(id);
    const why = running === undefined ? notReady(range, index) : `operator ${running.operatorId} works on it`;
    if (why !== undefined) {
      blocked.push({ rangeId: id, reason: why });
      continue;
    }
    const decision = scatterOne(range, index, random);
    if (decision === undefined) continue;
    decisions.push(decision);
    index.foresee(decision);
  }
  index.forget();
  return adminPlan(decisions, [], blocked);
}

function scatterOne(range: RangeState, index: ClusterIndex, random: RandomSource): Decision | undefined {
  const members = loadsOf(range, index);
  const from = members[random.uint32() % members.length]!;
  const others = members.filter((load) => load !== from);
  const target = bestTarget(range, others, index);
  const fits = typeof target !== "string" && target.crowded <= crowdingWith(from, others);
  if (fits && target.to.replicas < from.replicas) {
    const goal = { kind: "move" as const, from: from.store.storeId, to: target.to.store.storeId, replicaId: noReplica };
    return decisionFor(range, goal, "admin", "scatter", range.sizeBytes).decision;
  }
  const heirs = leaderCandidates(range, index).filter(({ storeId }) => storeId !== range.leader);
  if (heirs.length === 0) return undefined;
  const { storeId: to } = heirs[random.uint32() % heirs.length]!;
  return decisionFor(range, { kind: "transfer-leader", to }, "admin", "scatter").decision;
}

/** The stores' state is changed by the caller; then the rounds hand the leaderships over. */
export function planDrain(index: ClusterIndex, node: NodeId): AdminPlan {
  const leaving = storesOfNode(index, node);
  const steps: PlanStep[] = [];
  const blocked: { rangeId: RangeId; reason: string }[] = [];
  const ids = new Set(leaving.map(({ store }) => store.storeId));
  for (const load of leaving) {
    for (const rangeId of load.led) {
      const range = index.ranges.get(rangeId)!;
      const to = leaderCandidates(range, index).find(({ storeId }) => !ids.has(storeId))?.storeId;
      if (to === undefined) blocked.push({ rangeId, reason: "no other replica can lead now" });
      else
        steps.push({
          rangeId,
          action: "transfer-leader",
          storeId: to,
          bytes: null,
          text: goalText({ kind: "transfer-leader", to }),
        });
    }
  }
  return { plan: { steps, bytes: 0, risks: quorumRisks(index, ids), blocked }, decisions: [] };
}

/** As above; then the rounds move every replica away. */
export function planDecommission(index: ClusterIndex, node: NodeId): AdminPlan {
  return planEmpty(index, storesOfNode(index, node));
}

/** Only a store that is dead is given up: its replicas are made anew from the others. */
export function planStoreReplace(index: ClusterIndex, id: StoreId): AdminPlan {
  const load = knownStore(index, id);
  // One that is given up already may look alive to a driver that has just taken over.
  if (load.store.membership !== "decommissioned" && load.store.health !== "dead")
    throw new Failure("Refused", `store ${id} is ${load.store.health}: stop its node first`);
  return planEmpty(index, [load]);
}

function planEmpty(index: ClusterIndex, leaving: readonly StoreLoad[]): AdminPlan {
  const steps: PlanStep[] = [];
  const blocked: { rangeId: RangeId; reason: string }[] = [];
  const ids = new Set(leaving.map(({ store }) => store.storeId));
  const taken: { readonly by: StoreLoad; readonly bytes: number }[] = [];
  for (const load of leaving) {
    for (const rangeId of load.ranges) {
      const range = index.ranges.get(rangeId)!;
      const others = loadsOf(range, index).filter(({ store }) => !ids.has(store.storeId));
      const found = bestTarget(range, others, index, ids);
      const missing = quorumMissing(range, index);
      if (missing !== undefined || typeof found === "string") {
        const step = missing === undefined ? stepBehind(range, load, index) : undefined;
        if (step === undefined) blocked.push({ rangeId, reason: missing ?? (found as string) });
        else steps.push(step);
        continue;
      }
      const to = found.to.store.storeId;
      const text = goalText({ kind: "move", from: load.store.storeId, to, replicaId: noReplica });
      steps.push({ rangeId, action: "move", storeId: to, bytes: range.sizeBytes, text });
      found.to.replicas++;
      found.to.bytes += range.sizeBytes;
      taken.push({ by: found.to, bytes: range.sizeBytes });
    }
  }
  for (const { by, bytes } of taken) {
    by.replicas--;
    by.bytes -= bytes;
  }
  const moved = steps.reduce((sum, step) => sum + (step.bytes ?? 0), 0);
  return { plan: { steps, bytes: moved, risks: quorumRisks(index, ids), blocked }, decisions: [] };
}

/** With an operator at work the range has a replica on more stores than it will have: whether one can take another, shows then. */
function stepBehind(range: RangeState, { store }: StoreLoad, index: ClusterIndex): PlanStep | undefined {
  const { rangeId } = range.descriptor;
  const running = index.operators.get(rangeId);
  if (running === undefined) return undefined;
  const text = `move the replica on store ${store.storeId} when operator ${running.operatorId} is done (${goalText(running.goal)})`;
  return { rangeId, action: "move", storeId: null, bytes: range.sizeBytes, text };
}

/** Ranges that have no majority without these stores, or that one more failure would stop. */
function quorumRisks(index: ClusterIndex, leaving: ReadonlySet<StoreId>): string[] {
  let lost = 0;
  let thin = 0;
  for (const { descriptor } of index.ranges.values()) {
    const voters = descriptor.replicas.filter(isVoter);
    if (!voters.some(({ storeId }) => leaving.has(storeId))) continue;
    const left = voters.filter(
      ({ storeId }) => !leaving.has(storeId) && index.stores.get(storeId)?.store.health === "live",
    ).length;
    const majority = Math.floor(voters.length / 2) + 1;
    if (left < majority) lost++;
    else if (left === majority) thin++;
  }
  const risks: string[] = [];
  if (lost > 0) risks.push(`${lost} ranges have no majority while it is stopped`);
  if (thin > 0) risks.push(`${thin} ranges stop if another of their stores fails while it is stopped`);
  return risks;
}

function adminPlan(
  decisions: readonly Decision[],
  risks: readonly string[] = [],
  blocked: Plan["blocked"] = [],
): AdminPlan {
  const steps = decisions.map(({ rangeId, goal, bytes }): PlanStep => {
    const storeId = "to" in goal ? goal.to : null;
    return { rangeId, action: goal.kind, storeId, bytes: bytes === 0 ? null : bytes, text: goalText(goal) };
  });
  return { plan: { steps, bytes: decisions.reduce((sum, { bytes }) => sum + bytes, 0), risks, blocked }, decisions };
}

function knownRange(index: ClusterIndex, id: RangeId): RangeState {
  const range = index.ranges.get(id);
  if (range === undefined) throw new Failure("NotFound", `there is no range ${id}`);
  return range;
}

function freeRange(index: ClusterIndex, id: RangeId): RangeState {
  const range = knownRange(index, id);
  const running = index.operators.get(id);
  if (running !== undefined)
    throw new Failure("Refused", `operator ${running.operatorId} works on range ${id}: ${goalText(running.goal)}`);
  refuseIf(notReady(range, index), id);
  return range;
}

function notReady(range: RangeState, index: ClusterIndex): string | undefined {
  if (isPending(range)) return "a change of its members is under way";
  return quorumMissing(range, index);
}

function refuseIf(reason: string | undefined, id: RangeId): void {
  if (reason !== undefined) throw new Failure("Refused", `range ${id}: ${reason}`);
}

function knownStore(index: ClusterIndex, id: StoreId): StoreLoad {
  const load = index.stores.get(id);
  if (load === undefined) throw new Failure("NotFound", `there is no store ${id}`, { hint: "flotilla store list" });
  return load;
}

function storesOfNode(index: ClusterIndex, node: NodeId): StoreLoad[] {
  const found = [...index.stores.values()].filter(({ store }) => store.nodeId === node);
  if (found.length === 0) throw new Failure("NotFound", `there is no node ${node}`, { hint: "flotilla node list" });
  return found;
}
