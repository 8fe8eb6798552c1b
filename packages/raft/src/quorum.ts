/**
 * Majorities. In a joint configuration a decision needs the majority of both voter lists (thesis §4.3); an empty
 * list has no say, so that a configuration that is not joint is decided by its one list alone.
 */
import { integerMax } from "@flotilla/base";
import type { LogIndex, ReplicaId } from "@flotilla/base";
import type { Configuration } from "./configuration.ts";

export type VoteResult = "won" | "lost" | "pending";

/** More than half. */
export const majority = (voters: number): number => Math.floor(voters / 2) + 1;

/**
 * The highest value that a majority has reached: `values[0 … count)` is sorted in place, descending.
 * Nobody to ask: `integerMax`, so that the other half of a joint configuration decides.
 */
export function majorityValue(values: number[], count: number): number {
  if (count === 0) return integerMax;
  for (let i = 1; i < count; i++) {
    const value = values[i]!;
    let j = i - 1;
    while (j >= 0 && values[j]! < value) {
      values[j + 1] = values[j]!;
      j--;
    }
    values[j + 1] = value;
  }
  return values[majority(count) - 1]!;
}

/**
 * The highest index that is stored by both majorities; who is missing in `matchIndex` counts as 0.
 * `integerMax` for a configuration without voters.
 */
export function committedIndex(configuration: Configuration, matchIndex: ReadonlyMap<ReplicaId, LogIndex>): LogIndex {
  const incoming = committedOf(configuration.voters, matchIndex);
  const outgoing = committedOf(configuration.votersOutgoing, matchIndex);
  return Math.min(incoming, outgoing) as LogIndex;
}

function committedOf(voters: readonly ReplicaId[], matchIndex: ReadonlyMap<ReplicaId, LogIndex>): number {
  const values = voters.map((id) => matchIndex.get(id) ?? 0);
  return majorityValue(values, values.length);
}

/** The state of an election; who is missing in `votes` has not answered. A configuration without voters is won. */
export function voteResult(configuration: Configuration, votes: ReadonlyMap<ReplicaId, boolean>): VoteResult {
  const incoming = voteResultOf(configuration.voters, votes);
  const outgoing = voteResultOf(configuration.votersOutgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === "lost" || outgoing === "lost" ? "lost" : "pending";
}

function voteResultOf(voters: readonly ReplicaId[], votes: ReadonlyMap<ReplicaId, boolean>): VoteResult {
  if (voters.length === 0) return "won";
  let granted = 0;
  let missing = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === undefined) missing++;
    else if (vote) granted++;
  }
  const needed = majority(voters.length);
  if (granted >= needed) return "won";
  return granted + missing >= needed ? "pending" : "lost";
}
