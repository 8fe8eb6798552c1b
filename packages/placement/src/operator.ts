/**
 * An operator is a goal for one range, kept in the meta range: what is to be done next follows from the goal and from what
 * the range's leader reports, never from what was sent before. So a driver that takes over goes on with it, and a step that
 * was lost, or came twice, changes nothing.
 */
import type { Epoch, Key, RangeId, ReplicaId, StoreId } from "@flotilla/base";
import type { SealLabel, SplitPart } from "@flotilla/transport";
import type { SchedulerName } from "./cluster-state.ts";

export type OperatorGoal =
  /** A new replica on `to`; the one on `from` goes. */
  | { readonly kind: "move"; readonly from: StoreId; readonly to: StoreId; readonly replicaId: ReplicaId }
  /** The same where `from` is given up: it need not answer. `from` 0: the range has too few. */
  | { readonly kind: "repair"; readonly from: StoreId; readonly to: StoreId; readonly replicaId: ReplicaId }
  | { readonly kind: "remove-replica"; readonly from: StoreId; readonly replicaId: ReplicaId }
  | { readonly kind: "transfer-leader"; readonly to: StoreId }
  /** `keys` empty: the leader is asked for keys that divide the range into `count` parts. */
  | {
      readonly kind: "split";
      readonly count: number;
      readonly keys: readonly Key[];
      readonly prefixes: readonly Key[];
      /** Rightmost first; empty until the keys are known. */
      readonly parts: readonly SplitPart[];
    }
  /** The range takes its right neighbour in, when that one's replicas are where its own are. */
  | {
      readonly kind: "merge";
      readonly rightRangeId: RangeId;
      /** Of the right range when this was planned: it is sealed under no others. */
      readonly rightBounds: number;
      /** Of replicas of the right range, one after the other. */
      readonly moves: readonly { readonly from: StoreId; readonly to: StoreId; readonly replicaId: ReplicaId }[];
      /** In "seal" the right range may be sealed: written before the first such step is sent. */
      readonly phase: "gather" | "seal";
      /** Where the seal stands that every replica of the right range has applied; index 0 = not known. */
      readonly seal: SealLabel;
      /** Bounds of the left range by which it is proven not to take the right one in; 0 = not proven. */
      readonly provenBounds: number;
    };

export type OperatorState = "running" | "cancelling" | "done" | "cancelled" | "failed" | "timed-out";

/** Who wanted it. What a drain or decommission brings about counts as asked for by an administrator. */
export type DecisionSource = SchedulerName | "admin";

export interface Operator {
  readonly operatorId: number;
  readonly rangeId: RangeId;
  readonly goal: OperatorGoal;
  readonly source: DecisionSource;
  readonly reason: string;
  /** Of the range when this was planned. */
  readonly epoch: Epoch;
  /** Estimate of what a snapshot moves. */
  readonly bytes: number;
  readonly createdMs: number;
  /** On the same clock as `createdMs`. */
  readonly deadlineMs: number;
  readonly state: OperatorState;
  /** While it is cancelling: how it will have ended when the range is in order. */
  readonly endsAs: "cancelled" | "failed" | "timed-out";
  /** Why it is being cancelled, or how it ended; empty while it runs. */
  readonly outcome: string;
  /** 0 while it runs. */
  readonly endedMs: number;
}

export const isEnded = ({ state }: Operator): boolean => state !== "running" && state !== "cancelling";

/** Something worth doing, not yet an operator: its ids are missing (0, and no parts). */
export interface Decision {
  readonly rangeId: RangeId;
  readonly epoch: Epoch;
  readonly goal: OperatorGoal;
  readonly source: DecisionSource;
  readonly reason: string;
  readonly bytes: number;
}
