/** Histories of a correct store, made by running one: every operation takes effect at one instant of its duration. */
import type { Condition, KvOperation, RegisterOperation, SeededRandom } from "@flotilla/simulator";

export interface HistoryShape {
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  readonly values: number;
  /** Share of operations without an answer; of those half take effect, up to a hundred durations later. */
  readonly unknown: number;
}

interface Planned {
  readonly client: string;
  readonly key: string;
  readonly invoke: number;
  readonly return: number;
  readonly unknown: boolean;
  /** Infinity: never. */
  readonly effect: number;
}

function plan(shape: HistoryShape, random: SeededRandom): Planned[] {
  const free = Array.from({ length: shape.clients }, () => random.below(100));
  const planned: Planned[] = [];
  while (planned.length < shape.operations) {
    const client = random.below(shape.clients);
    const invoke = free[client]! + random.below(20);
    const duration = random.chance(0.05) ? 50 + random.below(1000) : 10 + random.below(90);
    const unknown = random.chance(shape.unknown);
    const late = random.chance(0.5) ? Infinity : random.below(100 * 50);
    planned.push({
      client: String(client),
      key: `key-${random.below(shape.keys)}`,
      invoke,
      return: invoke + duration,
      unknown,
      effect: invoke + (unknown ? late : random.below(duration + 1)),
    });
    free[client] = invoke + duration;
  }
  return planned;
}

/** In the order of their effects; those without one in front. */
function run<Op>(planned: readonly Planned[], one: (each: Planned, line: number) => Op): Op[] {
  const order = planned.map((each, i) => ({ each, i }));
  order.sort((a, b) => a.each.effect - b.each.effect || a.i - b.i);
  const operations: Op[] = [];
  for (const { each, i } of order) operations[i] = one(each, i + 1);
  return operations;
}

export function registerHistory(shape: HistoryShape, random: SeededRandom): RegisterOperation[] {
  const values = new Map<string, string>();
  return run(plan(shape, random), ({ client, key, invoke, return: returned, unknown, effect }, line) => {
    const common = { line, client, key, invoke };
    const present = values.get(key) ?? "null";
    const answered = { ...common, return: unknown ? Infinity : returned, result: unknown ? "unknown" : "ok" } as const;
    const to = String(random.below(shape.values));
    const kind = random.below(3);
    if (kind === 0) return { ...answered, op: "read", value: present };
    if (kind === 1) {
      if (effect !== Infinity) values.set(key, to);
      return { ...answered, op: "write", value: to };
    }
    const from = random.chance(0.6) ? present : String(random.below(shape.values));
    if (from === present && effect !== Infinity) values.set(key, to);
    const result = unknown || from === present ? answered.result : "mismatch";
    const found = result === "mismatch" && random.chance(0.5) ? present : undefined;
    return { ...answered, result, op: "cas", from, to, found };
  });
}

export function kvHistory(shape: HistoryShape, random: SeededRandom): KvOperation[] {
  const records = new Map<string, { value: string; version: number }>();
  let last = 0;
  return run(plan(shape, random), ({ client, key, invoke, return: returned, unknown, effect }, line) => {
    const answered = { line, client, key, invoke, return: unknown ? Infinity : returned } as const;
    const result = unknown ? "unknown" : "ok";
    const record = records.get(key);
    const present = record?.version ?? 0;
    const kind = random.below(5);
    if (kind < 2) return { ...answered, result, op: "get", value: record?.value ?? null, version: present };
    const expected = random.chance(0.6) ? present : random.below(last + 2);
    const condition: Condition =
      kind === 2
        ? { kind: "none" }
        : present === 0 || random.chance(0.2)
          ? { kind: "if-absent" }
          : { kind: "if-version", expected };
    const holds =
      condition.kind === "none" || (condition.kind === "if-absent" ? present === 0 : condition.expected === present);
    if (!holds && !unknown) {
      const value = String(random.below(shape.values));
      return { ...answered, result: "mismatch", op: "put", value, condition, version: present };
    }
    const takesEffect = holds && effect !== Infinity;
    const version = ++last;
    if (kind === 4) {
      if (takesEffect) records.delete(key);
      if (unknown) return { ...answered, result, op: "delete", condition, version: undefined, existed: undefined };
      return { ...answered, result, op: "delete", condition, version, existed: present !== 0 };
    }
    const value = String(random.below(shape.values));
    if (takesEffect) records.set(key, { value, version });
    return { ...answered, result, op: "put", value, condition, version: unknown ? undefined : version };
  });
}
