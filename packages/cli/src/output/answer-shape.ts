/** Answers come from a server of maybe another version: what the verbs need of them is checked first. */
import { Failure } from "@flotilla/base";

export function requireObject(value: unknown, name: string, fields: readonly string[]): Record<string, unknown> {
  if (typeof value === "object" && value !== null && fields.every((field) => field in value))
    return value as Record<string, unknown>;
  throw new Failure("ProtocolMismatch", `the cluster's answer to ${name} is not what this version expects`, {
    hint: "use the command of the cluster's own version",
  });
}

export function requireList(value: unknown, name: string, fields: readonly string[]): Record<string, unknown>[] {
  const rows: unknown[] = Array.isArray(value) ? value : [undefined];
  return rows.map((row) => requireObject(row, name, fields));
}
