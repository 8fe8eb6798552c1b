/**
 * Numbers with their unit, as people write them: `250ms`, `10s`, `2m`, `64MiB`, `1.5GiB`. A bare number is in the
 * setting's own unit (milliseconds or bytes). Decimal prefixes (MB) are powers of 1000, binary ones (MiB) of 1024.
 */
import { Failure } from "@flotilla/base";

export type Unit = "milliseconds" | "bytes" | "count";

const factors: Record<Unit, Readonly<Record<string, number>>> = {
  milliseconds: { "": 1, ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 },
  bytes: {
    "": 1,
    B: 1,
    kB: 1000,
    KB: 1000,
    MB: 1e6,
    GB: 1e9,
    KiB: 1024,
    MiB: 1024 ** 2,
    GiB: 1024 ** 3,
  },
  count: { "": 1 },
};

const examples: Record<Unit, string> = { milliseconds: "250ms or 10s", bytes: "65536, 64KiB or 8MiB", count: "64" };

/** An integer in the unit; throws `InvalidArgument` with the name in front. */
export function parseQuantity(name: string, value: unknown, unit: Unit): number {
  const wrong = (why: string): Failure =>
    new Failure("InvalidArgument", `${name} ${why}, got ${describe(value)}`, {
      hint: `write it like ${examples[unit]}`,
    });
  if (typeof value === "bigint") return parseQuantity(name, Number(value), unit);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw wrong(`must be a whole number of ${unit}`);
    return value;
  }
  if (typeof value !== "string") throw wrong(`must be a number${unit === "count" ? "" : " with a unit"}`);
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(value.trim());
  if (match === null) throw wrong(`must be a number${unit === "count" ? "" : " with a unit"}`);
  const factor = factors[unit][match[2]!];
  if (factor === undefined) throw wrong(`has an unknown unit "${match[2]!}"`);
  const result = Number(match[1]) * factor;
  if (!Number.isSafeInteger(result)) throw wrong(`must be a whole number of ${unit}`);
  return result;
}

/** For help and tables: the shortest exact spelling. */
export function formatQuantity(value: number, unit: Unit): string {
  if (unit === "count" || value === 0) return String(value);
  if (unit === "milliseconds") return value % 1000 === 0 ? `${value / 1000}s` : `${value}ms`;
  for (const [name, factor] of [
    ["GiB", 1024 ** 3],
    ["MiB", 1024 ** 2],
    ["KiB", 1024],
  ] as const) {
    if (value % factor === 0) return `${value / factor}${name}`;
  }
  return String(value);
}

function describe(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : (JSON.stringify(value) ?? String(value));
}
