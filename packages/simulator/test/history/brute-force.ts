/**
 * Linearizability by definition, for a handful of operations: every order, every choice of which operations without an
 * answer happened, and for versions every assignment that could matter. Shares nothing with the checker under test.
 */
import type { KvOperation, Operation, RegisterOperation } from "@flotilla/simulator";

/** All orders that respect real time, of all completed operations and any of the others. */
function someOrder<Op extends Operation>(
  operations: readonly Op[],
  explains: (order: readonly Op[]) => boolean,
): boolean {
  const order: Op[] = [];
  const rest = new Set(operations);
  const visit = (): boolean => {
    if ([...rest].every((operation) => operation.return === Infinity) && explains(order)) return true;
    for (const next of [...rest]) {
      let possible = true;
      for (const other of rest) if (other.return < next.invoke) possible = false;
      if (!possible) continue;
      rest.delete(next);
      order.push(next);
      if (visit()) return true;
      order.pop();
      rest.add(next);
    }
    return false;
  };
  return visit();
}

export function registerIsLinearizable(operations: readonly RegisterOperation[], start = "null"): boolean {
  return someOrder(
    operations.filter((operation) => operation.result !== "fail"),
    (order) => {
      let value = start;
      for (const operation of order) {
        const unknown = operation.result === "unknown";
        if (operation.op === "read") {
          if (!unknown && operation.value !== value) return false;
        } else if (operation.op === "write") value = operation.value;
        else if (operation.result === "mismatch") {
          if (value === operation.from || (operation.found !== undefined && operation.found !== value)) return false;
        } else if (value === operation.from) value = operation.to;
        else if (!unknown) return false;
      }
      return true;
    },
  );
}

/** Versions that a write without an answer may have had: all that were seen, and one between each two of them. */
function versionsOf(operations: readonly KvOperation[]): number[] {
  const seen = new Set<number>([0]);
  for (const operation of operations) {
    if (operation.version !== undefined) seen.add(operation.version);
    if (operation.op !== "get" && operation.condition.kind === "if-version") seen.add(operation.condition.expected);
  }
  const all: number[] = [];
  // Several such writes may have to fit between two versions that were seen.
  for (const version of seen) all.push(version, version + 0.2, version + 0.4, version + 0.6);
  return all.filter((version) => version > 0).sort((a, b) => a - b);
}

export function kvIsLinearizable(operations: readonly KvOperation[]): boolean {
  const relevant = operations.filter((operation) => operation.result !== "fail");
  const versions = versionsOf(relevant);
  const follow = (
    order: readonly KvOperation[],
    at: number,
    value: string | null,
    version: number,
    last: number,
  ): boolean => {
    const operation = order[at];
    if (operation === undefined) return true;
    const unknown = operation.result === "unknown";
    const go = (nextValue: string | null, nextVersion: number, nextLast: number): boolean =>
      follow(order, at + 1, nextValue, nextVersion, nextLast);
    if (operation.op === "get") {
      if (unknown) return go(value, version, last);
      if (operation.value !== value) return false;
      return (operation.version === undefined || operation.version === version) && go(value, version, last);
    }
    const { condition } = operation;
    const present = value !== null;
    const holds =
      condition.kind === "none" ||
      (condition.kind === "if-absent" ? !present : present && condition.expected === version);
    if (operation.result === "mismatch") {
      return !holds && operation.version === (present ? version : 0) && go(value, version, last);
    }
    if (!holds) return unknown && go(value, version, last);
    if (operation.op === "delete" && !present) return operation.existed !== true && go(null, 0, last);
    if (operation.op === "delete" && operation.existed === false) return false;
    const given = operation.version;
    if (operation.op === "delete" && given === undefined) return go(null, 0, last);
    const choices = given === undefined ? versions : [given];
    for (const choice of choices) {
      if (choice <= last) continue;
      if (operation.op === "delete" ? go(null, 0, choice) : go(operation.value, choice, choice)) return true;
    }
    return false;
  };
  return someOrder(relevant, (order) => follow(order, 0, null, 0, 0));
}
