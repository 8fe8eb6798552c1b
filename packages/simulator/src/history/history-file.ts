/**
 * A recorded history as a file: JSON Lines, one operation a line, in any order. Empty lines and lines that begin with `#`
 * are skipped.
 *
 * Fields of every operation
 *     client   string or number    who asked
 *     key      string or number    left out: one key for all
 *     invoke   number              when it was asked; any unit, one clock for the whole file
 *     return   number or null      when it was answered, not before `invoke`; null or left out: never
 *     result   "ok"        done, with the answer given in the line
 *              "mismatch"  answered: the condition (or comparison) did not hold
 *              "fail"      certainly without effect and without an answer; the line is not looked at further
 *              "unknown"   (or "info") no answer: it may have taken effect at any time after `invoke`, or never
 *
 * Model `register`: a register for each key; values are JSON scalars (no objects, no arrays); it begins as null
 *     { "op": "read",  "value": V }                      value: what was read
 *     { "op": "write", "value": V }
 *     { "op": "cas",   "from": V, "to": V }              with "mismatch" optionally "found": V
 *
 * Model `kv`: keys with versions; each write of a key has a higher version than those before; it begins absent
 *     { "op": "get",    "value": STRING or null, "version": N }        null and 0: absent; version may be left out
 *     { "op": "put",    "value": STRING, "version": N }                version: the one given by the answer
 *     { "op": "delete", "existed": true or false, "version": N }       both may be left out
 *     put and delete:   "condition": "none" (or left out) | "if-absent" | "if-version", the last with "expected": N;
 *                       with "mismatch", "version" is the version found, 0 = absent
 *
 * Example
 *     {"client":1,"key":"x","op":"write","value":3,"invoke":10,"return":14,"result":"ok"}
 *     {"client":2,"key":"x","op":"read","value":3,"invoke":12,"return":13,"result":"ok"}
 *     {"client":3,"key":"x","op":"cas","from":3,"to":4,"invoke":15,"return":null,"result":"unknown"}
 */
import type { Condition, KvOperation } from "./kv-model.ts";
import type { OperationResult } from "./model.ts";
import type { RegisterOperation } from "./register-model.ts";

export class HistoryFormatError extends Error {
  override readonly name = "HistoryFormatError";
  /** From 1. */
  readonly line: number;

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.line = line;
  }
}

/** One line as an object, with typed access to its fields. */
class Row {
  readonly line: number;
  readonly #fields: ReadonlyMap<string, unknown>;

  constructor(line: number, text: string) {
    this.line = line;
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      throw this.wrong(`is not JSON (${error instanceof Error ? error.message : String(error)})`);
    }
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw this.wrong("is not an object");
    this.#fields = new Map(Object.entries(parsed));
  }

  wrong(message: string): HistoryFormatError {
    return new HistoryFormatError(this.line, message);
  }

  get(name: string): unknown {
    return this.#fields.get(name);
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.#fields.get(name);
    const found = allowed.find((each) => each === value);
    if (found === undefined) {
      throw this.wrong(`"${name}" must be one of ${allowed.join(", ")}, not ${JSON.stringify(value)}`);
    }
    return found;
  }

  number(name: string): number {
    const value = this.#fields.get(name);
    if (typeof value !== "number" || !Number.isFinite(value)) {
      throw this.wrong(`"${name}" must be a number, not ${JSON.stringify(value)}`);
    }
    return value;
  }

  /** A whole number from 0; undefined when left out or null. */
  optionalVersion(name: string): number | undefined {
    if (this.#fields.get(name) === undefined || this.#fields.get(name) === null) return undefined;
    const value = this.number(name);
    if (!Number.isSafeInteger(value) || value < 0) throw this.wrong(`"${name}" must be a whole number from 0`);
    return value;
  }

  optionalBoolean(name: string): boolean | undefined {
    const value = this.#fields.get(name);
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "boolean") throw this.wrong(`"${name}" must be true or false, not ${JSON.stringify(value)}`);
    return value;
  }

  /** A JSON scalar as JSON text. */
  scalar(name: string): string {
    const value = this.#fields.get(name);
    if (value === undefined || (typeof value === "object" && value !== null)) {
      throw this.wrong(`"${name}" must be a string, number, boolean or null, not ${JSON.stringify(value)}`);
    }
    return JSON.stringify(value);
  }

  name(name: string): string {
    const value = this.#fields.get(name);
    if (typeof value !== "string" && typeof value !== "number") {
      throw this.wrong(`"${name}" must be a string or a number, not ${JSON.stringify(value)}`);
    }
    return String(value);
  }
}

interface Header {
  readonly line: number;
  readonly client: string;
  readonly key: string;
  readonly invoke: number;
  readonly return: number;
  readonly result: OperationResult;
}

function header(row: Row): Header {
  const given = row.oneOf("result", ["ok", "mismatch", "fail", "unknown", "info"]);
  const result = given === "info" ? "unknown" : given;
  const invoke = row.number("invoke");
  const answered = row.get("return") !== null && row.has("return");
  const returned = answered ? row.number("return") : Infinity;
  if (returned < invoke) throw row.wrong(`"return" ${returned} is before "invoke" ${invoke}`);
  if (!answered && (result === "ok" || result === "mismatch")) throw row.wrong(`result "${result}" needs "return"`);
  return {
    line: row.line,
    client: row.name("client"),
    key: row.has("key") ? row.name("key") : "",
    invoke,
    // Whenever its client gave up: without an answer it may take effect much later.
    return: result === "unknown" ? Infinity : returned,
    result,
  };
}

function registerOperation(row: Row): RegisterOperation {
  const common = header(row);
  const op = row.oneOf("op", ["read", "write", "cas"]);
  if (common.result === "mismatch" && op !== "cas") throw row.wrong(`"mismatch" is for cas only`);
  const blank = common.result === "fail" || common.result === "unknown";
  switch (op) {
    case "read":
      return { ...common, op, value: blank ? "null" : row.scalar("value") };
    case "write":
      return { ...common, op, value: row.scalar("value") };
    case "cas": {
      const found = row.has("found") && common.result === "mismatch" ? row.scalar("found") : undefined;
      return { ...common, op, from: row.scalar("from"), to: row.scalar("to"), found };
    }
    default:
      return op satisfies never;
  }
}

function condition(row: Row): Condition {
  const kind = row.has("condition") ? row.oneOf("condition", ["none", "if-absent", "if-version"]) : "none";
  if (kind !== "if-version") return { kind };
  const expected = row.optionalVersion("expected");
  if (expected === undefined) throw row.wrong(`"if-version" needs "expected"`);
  return { kind, expected };
}

function kvOperation(row: Row): KvOperation {
  const common = header(row);
  const op = row.oneOf("op", ["get", "put", "delete"]);
  const answered = common.result === "ok" || common.result === "mismatch";
  const version = answered ? row.optionalVersion("version") : undefined;
  if (op === "get") {
    if (common.result === "mismatch") throw row.wrong(`"mismatch" is for put and delete only`);
    const value = answered ? row.get("value") : null;
    if (value !== null && typeof value !== "string") throw row.wrong(`"value" must be a string, or null for absent`);
    if (value === null && version !== undefined && version !== 0) throw row.wrong(`absent has no version ${version}`);
    if (value !== null && version === 0) throw row.wrong("version 0 is for absent");
    return { ...common, op, value, version };
  }
  const on = condition(row);
  if (common.result === "mismatch" && (on.kind === "none" || version === undefined)) {
    throw row.wrong(`"mismatch" needs a condition, and "version": what was found, 0 for absent`);
  }
  if (op === "put") {
    const value = row.get("value");
    if (typeof value !== "string") throw row.wrong(`"value" must be a string, not ${JSON.stringify(value)}`);
    return { ...common, op, value, condition: on, version };
  }
  const existed = answered ? row.optionalBoolean("existed") : undefined;
  return { ...common, op, condition: on, version, existed };
}

export type ModelName = "register" | "kv";

function parse<Op>(text: string, one: (row: Row) => Op): Op[] {
  const operations: Op[] = [];
  let line = 0;
  for (const content of text.split("\n")) {
    line++;
    const trimmed = content.trim();
    if (trimmed !== "" && !trimmed.startsWith("#")) operations.push(one(new Row(line, trimmed)));
  }
  return operations;
}

/** Throws `HistoryFormatError`. */
export const parseRegisterHistory = (text: string): RegisterOperation[] => parse(text, registerOperation);

/** Throws `HistoryFormatError`. */
export const parseKvHistory = (text: string): KvOperation[] => parse(text, kvOperation);
