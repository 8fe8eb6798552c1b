/** What operators that ended lately say about what may begin now. What is too old to hold anything back is forgotten. */
import type { RangeId, ReplicaId } from "@flotilla/base";
import type { Operator, OperatorGoal } from "./operator.ts";
import { defaultPlacementSettings } from "./placement-settings.ts";
import type { PlacementSettings } from "./placement-settings.ts";

/** What an operator changes; one that failed says nothing about those of other kinds. */
export type ChangeKind = "members" | "removal" | "leader" | "split" | "merge";

export function changeKind({ kind }: OperatorGoal): ChangeKind {
  if (kind === "split" || kind === "merge") return kind;
  if (kind === "transfer-leader") return "leader";
  // What a failed move has left behind is taken away before the next one.
  return kind === "remove-replica" ? "removal" : "members";
}

export class OperatorHistory {
  /** When the operator ended that brought the replica to its store. */
  readonly movedMs: Map<ReplicaId, number> = new Map();
  /** When the range's leader last moved for load. */
  readonly ledForLoadMs: Map<RangeId, number> = new Map();
  /** When the range was last split, or made by a split. */
  readonly splitMs: Map<RangeId, number> = new Map();
  /** When the range last took another one in. */
  readonly mergedMs: Map<RangeId, number> = new Map();
  /** When an operator of that kind on the range last failed. */
  readonly failedMs: Readonly<Record<ChangeKind, Map<RangeId, number>>> = {
    members: new Map(),
    removal: new Map(),
    leader: new Map(),
    split: new Map(),
    merge: new Map(),
  };
  /** When a transfer for load last ended. */
  lastForLoadMs: number = -Infinity;

  /** An operator that has ended; they come in the order in which they ended. `ranges`: those that there are then. */
  note(operator: Operator, ranges: { has(id: RangeId): boolean }): void {
    const { goal, source, rangeId, endedMs, state } = operator;
    if (goal.kind === "move" || goal.kind === "repair") noteLatest(this.movedMs, goal.replicaId, endedMs);
    if (goal.kind === "merge") for (const { replicaId } of goal.moves) noteLatest(this.movedMs, replicaId, endedMs);
    if (source === "balance-load") {
      noteLatest(this.ledForLoadMs, rangeId, endedMs);
      this.lastForLoadMs = Math.max(this.lastForLoadMs, endedMs);
    }
    if (state === "failed" || state === "timed-out") noteLatest(this.failedMs[changeKind(goal)], rangeId, endedMs);
    if (goal.kind === "merge" && state === "done") noteLatest(this.mergedMs, rangeId, endedMs);
    if (goal.kind !== "split") return;
    // Also of one that did not come to its end: some of its parts may be there.
    if (state !== "done" && !goal.parts.some((part) => ranges.has(part.rangeId))) return;
    noteLatest(this.splitMs, rangeId, endedMs);
    for (const part of goal.parts) noteLatest(this.splitMs, part.rangeId, endedMs);
  }

  forget(nowMs: number, settings: PlacementSettings): void {
    const { moveCooldownMs, mergeCooldownMs, mergePauseMs, retryAfterMs } = settings;
    forgetBefore(this.movedMs, nowMs - moveCooldownMs);
    forgetBefore(this.ledForLoadMs, nowMs - moveCooldownMs);
    forgetBefore(this.splitMs, nowMs - mergeCooldownMs);
    forgetBefore(this.mergedMs, nowMs - mergePauseMs);
    for (const failed of Object.values(this.failedMs)) forgetBefore(failed, nowMs - retryAfterMs);
  }
}

/** The latest stand last. */
function noteLatest<Id>(map: Map<Id, number>, id: Id, atMs: number): void {
  if ((map.get(id) ?? -1) >= atMs) return;
  map.delete(id);
  map.set(id, atMs);
}

function forgetBefore<Id>(map: Map<Id, number>, beforeMs: number): void {
  for (const [id, atMs] of map) {
    if (atMs > beforeMs) return;
    map.delete(id);
  }
}

/** Of operators that have ended the latest stay written down. */
export const endedMax = 1000;
/** And so many in all while they hold something back: a large cluster ends more than `endedMax` within the time of a rest. */
const endedHoldingMax = 10_000;
/** Of one write. */
const forgottenMax = 1000;

/**
 * Which of these that have ended, in the order in which they did, need not stay written down when `more` come. So the next
 * driver lets rest what this one has moved.
 */
export function operatorsToForget(ended: ReadonlyMap<number, Operator>, more: number, nowMs: number): number[] {
  let older = ended.size + more - endedMax;
  let beyond = ended.size + more - endedHoldingMax;
  const forgotten: number[] = [];
  for (const operator of ended.values()) {
    if (older-- <= 0 || forgotten.length >= forgottenMax) break;
    if (beyond <= 0 && holdsBack(operator, nowMs)) continue;
    beyond--;
    forgotten.push(operator.operatorId);
  }
  return forgotten;
}

function holdsBack({ goal, source, endedMs }: Operator, nowMs: number): boolean {
  if (goal.kind === "transfer-leader" && source !== "balance-load") return false;
  return endedMs > nowMs - defaultPlacementSettings.moveCooldownMs;
}
