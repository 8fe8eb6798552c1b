import { Failure } from "@flotilla/base";

const factors: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, "": 1000 };

/** `250ms`, `10s`, `2m`; a bare number is seconds. */
export function parseDurationMs(flag: string, text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|min|h|)$/.exec(text.trim());
  const value = match === null ? Number.NaN : Math.round(Number(match[1]) * factors[match[2]!]!);
  if (!(value >= 1 && value <= 7 * 86_400_000)) {
    throw new Failure("InvalidArgument", `${flag} must be a duration from 1ms to 7 days, got "${text}"`, {
      hint: "write it like 250ms, 10s or 2m",
    });
  }
  return value;
}
