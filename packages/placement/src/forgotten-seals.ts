/**
 * Ranges that are sealed for a merge that no operator follows: a meta range that was recovered from a replica which had not
 * heard of the merge has none. They would wait for ever. Giving the merge up is safe whoever asks for it, and whatever has
 * become of it: the left range's log decides, and the right one is unsealed by the proof of that alone.
 */
import { noIndex, noTerm } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { Operator } from "./operator.ts";

export class ForgottenSeals {
  /** When a seal without an operator was first seen. */
  #since: Map<RangeId, number> = new Map();

  /**
   * An operator for each that has been seen for as long as a merge may take; a report may be older than what is known here.
   * `begun`: ranges that something else is begun on in this round.
   */
  operators(index: ClusterIndex, begun: ReadonlySet<RangeId>, nextOperatorId: () => number): Operator[] {
    const { nowMs, settings } = index.state;
    const since = new Map<RangeId, number>();
    const operators: Operator[] = [];
    const taken = new Set(begun);
    const isBusy = (id: RangeId): boolean => index.isBusy(id) || taken.has(id);
    for (const id of index.sealed) {
      const left = index.ranges.get(id)?.sealedFor?.rangeId;
      if (left === undefined || !index.ranges.has(left) || isBusy(id) || isBusy(left)) continue;
      const sinceMs = this.#since.get(id) ?? nowMs;
      since.set(id, sinceMs);
      if (nowMs - sinceMs < settings.mergeTimeoutMs) continue;
      operators.push(unmerge(id, index, nextOperatorId()));
      taken.add(id).add(left);
    }
    this.#since = since;
    return operators;
  }
}

/** A merge that is given up from the beginning. */
function unmerge(id: RangeId, index: ClusterIndex, operatorId: number): Operator {
  const { nowMs, settings } = index.state;
  const { descriptor, sealedFor } = index.ranges.get(id)!;
  const { rangeId, bounds } = sealedFor!;
  const { members } = index.ranges.get(rangeId)!.descriptor.epoch;
  return {
    operatorId,
    rangeId,
    goal: {
      kind: "merge",
      rightRangeId: id,
      rightBounds: descriptor.epoch.bounds,
      moves: [],
      phase: "seal",
      seal: { index: noIndex, term: noTerm },
      provenBounds: 0,
    },
    source: "repair",
    reason: `range ${id} is sealed for range ${rangeId}, and no operator knows of it`,
    epoch: { bounds, members },
    bytes: 0,
    createdMs: nowMs,
    deadlineMs: nowMs + settings.mergeTimeoutMs,
    state: "cancelling",
    endsAs: "failed",
    outcome: "its merge was forgotten",
    endedMs: 0,
  };
}
