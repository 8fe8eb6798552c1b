/**
 * An operator as a record of the meta range: JSON, format 1, as the interface `Operator` with `format` beside its fields. Keys are
 * binary strings. Read strictly: an unknown format, a missing field and one too many are refused, so that a driver never acts
 * on half an operator. Rejected: a binary layout; operators are few, and people read them.
 */
import { MalformedError, key, logIndex, rangeId, replicaId, storeId, term } from "@flotilla/base";
import type { Key, RangeId, ReplicaId, StoreId } from "@flotilla/base";
import type { SealLabel, SplitPart } from "@flotilla/transport";
import { schedulerNames } from "./cluster-state.ts";
import type { DecisionSource, Operator, OperatorGoal, OperatorState } from "./operator.ts";

export const operatorFormat = 1;

const states: readonly OperatorState[] = ["running", "cancelling", "done", "cancelled", "failed", "timed-out"];
const endings: readonly Operator["endsAs"][] = ["cancelled", "failed", "timed-out"];
const goalKinds = ["move", "repair", "remove-replica", "transfer-leader", "split", "merge"] as const;
const sources: readonly DecisionSource[] = [...schedulerNames, "admin"];

export function encodeOperator(operator: Operator): string {
  return JSON.stringify({ format: operatorFormat, ...operator });
}

/** Throws `MalformedError`. */
export function decodeOperator(text: string): Operator {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new MalformedError("operator: not JSON");
  }
  const fields = new Fields(value, "operator");
  const format = fields.integer("format");
  if (format !== operatorFormat)
    throw new MalformedError(`operator of format ${format}, only ${operatorFormat} is known`);
  const operator: Operator = {
    operatorId: fields.integer("operatorId"),
    rangeId: fields.rangeId("rangeId"),
    goal: decodeGoal(fields.fields("goal")),
    source: fields.oneOf("source", sources),
    reason: fields.string("reason"),
    epoch: decodeEpoch(fields.fields("epoch")),
    bytes: fields.integer("bytes"),
    createdMs: fields.integer("createdMs"),
    deadlineMs: fields.integer("deadlineMs"),
    state: fields.oneOf("state", states),
    endsAs: fields.oneOf("endsAs", endings),
    outcome: fields.string("outcome"),
    endedMs: fields.integer("endedMs"),
  };
  fields.end();
  return operator;
}

function decodeEpoch(fields: Fields): Operator["epoch"] {
  const epoch = { bounds: fields.integer("bounds"), members: fields.integer("members") };
  fields.end();
  return epoch;
}

function decodeGoal(fields: Fields): OperatorGoal {
  const kind = fields.oneOf("kind", goalKinds);
  const goal = decodeGoalOf(kind, fields);
  fields.end();
  return goal;
}

function decodeGoalOf(kind: OperatorGoal["kind"], fields: Fields): OperatorGoal {
  switch (kind) {
    case "move":
    case "repair":
      return { kind, from: fields.storeId("from"), to: fields.storeId("to"), replicaId: fields.replicaId("replicaId") };
    case "remove-replica":
      return { kind, from: fields.storeId("from"), replicaId: fields.replicaId("replicaId") };
    case "transfer-leader":
      return { kind, to: fields.storeId("to") };
    case "split":
      return {
        kind,
        count: fields.integer("count"),
        keys: fields.keys("keys"),
        prefixes: fields.keys("prefixes"),
        parts: fields.list("parts").map((part) => decodePart(new Fields(part, "part"))),
      };
    case "merge":
      return {
        kind,
        rightRangeId: fields.rangeId("rightRangeId"),
        rightBounds: fields.integer("rightBounds"),
        moves: fields.list("moves").map((move) => decodeMove(new Fields(move, "move"))),
        phase: fields.oneOf("phase", ["gather", "seal"]),
        seal: decodeSeal(fields.fields("seal")),
        provenBounds: fields.integer("provenBounds"),
      };
    default:
      return kind satisfies never;
  }
}

function decodeMove(fields: Fields): { from: StoreId; to: StoreId; replicaId: ReplicaId } {
  const move = {
    from: fields.storeId("from"),
    to: fields.storeId("to"),
    replicaId: fields.replicaId("replicaId"),
  };
  fields.end();
  return move;
}

function decodeSeal(fields: Fields): SealLabel {
  const seal = { index: logIndex(fields.integer("index")), term: term(fields.integer("term")) };
  fields.end();
  return seal;
}

function decodePart(fields: Fields): SplitPart {
  const part = {
    key: asKey(fields.string("key")),
    rangeId: fields.rangeId("rangeId"),
    replicas: fields.list("replicas").map((pair) => {
      const ids = new Fields(pair, "pair");
      const decoded = { left: ids.replicaId("left"), right: ids.replicaId("right") };
      ids.end();
      return decoded;
    }),
  };
  fields.end();
  return part;
}

function asKey(text: string): Key {
  for (let i = 0; i < text.length; i++)
    if (text.charCodeAt(i) > 255) throw new MalformedError("operator: a key is not a binary string");
  return key(text);
}

/** An object whose fields are taken one by one, each checked; `end` refuses what was not taken. */
class Fields {
  private readonly rest: Map<string, unknown>;
  private readonly what: string;

  constructor(value: unknown, what: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new MalformedError(`${what}: not an object`);
    this.rest = new Map(Object.entries(value));
    this.what = what;
  }

  string(name: string): string {
    const value = this.take(name);
    return typeof value === "string" ? value : this.malformed(name);
  }

  integer(name: string): number {
    const value = this.take(name);
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : this.malformed(name);
  }

  list(name: string): unknown[] {
    const value = this.take(name);
    return Array.isArray(value) ? value : this.malformed(name);
  }

  keys(name: string): Key[] {
    return this.list(name).map((value) => (typeof value === "string" ? asKey(value) : this.malformed(name)));
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = this.take(name);
    return values.find((known) => known === value) ?? this.malformed(name);
  }

  fields(name: string): Fields {
    return new Fields(this.take(name), `${this.what}.${name}`);
  }

  rangeId = (name: string): RangeId => rangeId(this.integer(name));
  storeId = (name: string): StoreId => storeId(this.integer(name));
  replicaId = (name: string): ReplicaId => replicaId(this.integer(name));

  end(): void {
    for (const name of this.rest.keys()) throw new MalformedError(`${this.what}: unknown field ${name}`);
  }

  private take(name: string): unknown {
    const value = this.rest.get(name);
    this.rest.delete(name);
    return value;
  }

  private malformed(name: string): never {
    throw new MalformedError(`${this.what}: ${name} is missing or not what it should be`);
  }
}
