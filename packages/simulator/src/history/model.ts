/**
 * What the search for a linearization knows of a data type, for one key. States are small integers that the model
 * hands out; equal states have equal numbers, -1 means that it cannot be.
 *
 * Every operation must be of one of two kinds, on which the search's shortcuts rest:
 *  - an *observation* leaves each state in which it is possible as it is, or only says more about it (the version that
 *    was open until now);
 *  - every other one leads from all states in which it is possible to one and the same state (up to what bounds later
 *    versions, where less is freer).
 */
export interface Model<Op> {
  readonly initial: number;
  /** Nothing is known about the state: every operation is possible, and says what was the case. */
  readonly anything: number;
  /** The operation takes effect with the result it had. */
  step(state: number, operation: Op): number;
  /** An operation without an answer takes effect, with any result. */
  apply(state: number, operation: Op): number;
  isObservation(operation: Op): boolean;
  /** Operations of equal signature have the same effect in every state: only the time tells them apart. */
  signature(operation: Op): string;
}

/** One operation as a client saw it. Times are of one clock, in any unit. */
export interface Operation {
  /** Where it stands in the history, for messages: a line number, from 1. */
  readonly line: number;
  readonly client: string;
  readonly key: string;
  readonly invoke: number;
  /** Infinity: no answer ever came. */
  readonly return: number;
  readonly result: OperationResult;
}

export type OperationResult =
  /** Done, with the answer that is given. */
  | "ok"
  /** Answered: the condition did not hold. */
  | "mismatch"
  /** Certainly without effect, and nothing was learnt. */
  | "fail"
  /** May have taken effect at any time after its invocation, or never. */
  | "unknown";
