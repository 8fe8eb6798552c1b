import type { LogIndex, Term } from "@flotilla/base";
import type { Entry } from "./entry.ts";

/**
 * The group's log as the host keeps it: what was handed over by `Ready.entries`, whether durable yet or not,
 * and not yet truncated. Raft reads through it and keeps no second copy of entries it has handed over.
 * All calls are synchronous.
 */
export interface LogReader {
  /** Index of the first entry present; lastIndex + 1 when there is none. Its predecessor's term is known. */
  firstIndex(): LogIndex;
  /** firstIndex - 1 when empty. */
  lastIndex(): LogIndex;
  /** For firstIndex - 1 … lastIndex; undefined outside (truncated, or beyond the end). */
  term(index: LogIndex): Term | undefined;
  /** Entries `[low, high)`, at least one if low < high, else as many as fit in `bytesMax` of data. */
  entries(low: LogIndex, high: LogIndex, bytesMax: number): Entry[];
}
